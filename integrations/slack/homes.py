"""Who has a Home view, and how each is kept fresh: published when it is opened, after every own action, and when
something happened since, in seconds; never twice the same."""

from __future__ import annotations

from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from approvals.models import Effect, Event, Person
from approvals.models.outbox import EffectKind
from approvals.seals import digest
from approvals.services import Refused
from approvals.services.history import enqueue
from approvals.states import EffectStatus
from integrations.errors import Rejected
from integrations.models import SlackHome, SlackIdentity, SlackStanding
from integrations.slack import home, standings
from integrations.slack.blocks import View
from integrations.slack.client import slack
from integrations.slack.identities import FOREIGN, SlackUser, link_address, person_of
from integrations.slack.workspaces import is_configured

log = structlog.get_logger(__name__)

# Whoever has not opened it for so long sees it brought up to date when they open it again.
KEPT = timedelta(days=1)
# How soon what others did is shown; what the person did is shown at once.
OTHERS_EVERY = timedelta(seconds=15)
LINKED = ("slack.linked", "slack.unlinked")
LINKED_WITHIN = timedelta(hours=1)


@transaction.atomic
def opened(user: SlackUser, *, key: str, empty: bool) -> None:
    """Somebody opened their Home tab; ``key`` names that opening, ``empty`` that Slack has nothing to show yet."""
    now = timezone.now()
    identity = _identity(user)
    if identity is not None:
        SlackHome.objects.update_or_create(identity=identity, defaults={"opened_at": now})
    _want(user, identity, key=f"opened-{key}", now=now, anew=empty)


@transaction.atomic
def refresh(person: Person) -> None:
    """Bring the person's Home view up to date, where they have one: they did something just now."""
    found = SlackHome.objects.filter(identity__person=person).select_related("identity").first()
    if found is None or _waits(_about(found.identity)):
        return
    now = timezone.now()
    _want(_user(found.identity), found.identity, key=f"act-{now.timestamp()}", now=now)


@transaction.atomic
def keep_fresh(now: datetime | None = None) -> int:
    """Order what is out of date among the Home views that were opened lately; returns how many. Two clocks at
    once order each but once."""
    now = now or timezone.now()
    if not is_configured():
        return 0
    newest = newest_event()
    own = Event.objects.filter(pk__gt=OuterRef("seen_event"), actor=OuterRef("identity__person"))
    behind = SlackHome.objects.filter(opened_at__gte=now - KEPT, seen_event__lt=newest).filter(
        Q(published_at=None) | Q(published_at__lte=now - OTHERS_EVERY) | Exists(own)
    )
    ordered = 0
    for each in behind.select_related("identity"):
        if not _waits(_about(each.identity)):
            _want(_user(each.identity), each.identity, key=f"event-{newest}", now=now)
            ordered += 1
    return ordered + _linked_lately(now)


def _linked_lately(now: datetime) -> int:
    """Whoever linked or unlinked their account sees the other view, once for each time."""
    events = Event.objects.filter(kind__in=LINKED, at__gte=now - LINKED_WITHIN).order_by("pk")
    wanted = {
        f"{EffectKind.HOME}:{_about(user)}:link-{event.pk}": (user, event)
        for event in events
        if (user := SlackUser(str(event.data.get("team")), str(event.data.get("user"))))
    }
    done = Effect.objects.filter(dedupe_key__in=wanted).values_list("dedupe_key", flat=True)
    left = [wanted[key] for key in wanted.keys() - set(done)]
    for user, event in left:
        _want(user, None, key=f"link-{event.pk}", now=now, anew=True)
    return len(left)


def publish(effect: Effect) -> None:
    """Deliver a HOME effect: show the person (or whoever they are) their view, unless they see this very one.
    Raises Unavailable or Rejected."""
    if not is_configured():
        return
    payload = effect.payload
    user = SlackUser(str(payload["team"]), str(payload["user"]))
    if user.is_foreign:
        return
    # Read before the view: what happens meanwhile is newer, and the next look sees it.
    newest = newest_event()
    identity = _identity(user)
    view = _view_of(user)
    if identity is None:
        _publish_to_stranger(user, view)
        return
    now, fresh = timezone.now(), digest(view)
    shown, _ = SlackHome.objects.get_or_create(identity=identity, defaults={"opened_at": now})
    if payload.get("anew") or shown.digest != fresh:
        with slack(team=user.team_id) as client:
            client.views_publish(user_id=user.user_id, view=view)
    SlackHome.objects.filter(pk=shown.pk).update(
        digest=fresh, seen_event=newest, published_at=timezone.now()
    )


def newest_event() -> int:
    """The newest line of the history; lines become visible in the order of their numbers (``history.record``)."""
    return Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _view_of(user: SlackUser) -> View:
    try:
        return home.render(person_of(user), timezone.now())
    except Refused as refusal:
        if refusal.code != "not_linked":
            return home.nothing(refusal.sentence)
    return home.nothing(FOREIGN) if _is_no_member(user) else home.invitation(link_address(user))


def _is_no_member(user: SlackUser) -> bool:
    """Whether somebody who is not linked is a guest, a bot or of another organisation, as Slack says; the event
    names the workspace where the tab was opened, not the one they belong to."""
    try:
        return standings.ask(user.team_id, user.user_id).standing != SlackStanding.MEMBER
    except Rejected:  # not for us to see
        return True


def _publish_to_stranger(user: SlackUser, view: View) -> None:
    """A no of Slack's is the end of it: there is nothing that anybody could mend."""
    try:
        with slack(team=user.team_id) as client:
            client.views_publish(user_id=user.user_id, view=view)
    except Rejected as error:
        log.info("home not shown to somebody who is not linked", error=str(error))


def _want(
    user: SlackUser, identity: SlackIdentity | None, *, key: str, now: datetime, anew: bool = False
) -> None:
    enqueue(
        EffectKind.HOME,
        None,
        about=_about(identity or user),
        key=key,
        now=now,
        payload={"team": user.team_id, "user": user.user_id, "anew": anew},
    )


def _waits(about: str) -> bool:
    """Whether it is ordered already, and nobody has begun to render it."""
    lane = f"home:{about}"
    return Effect.objects.filter(lane=lane, status=EffectStatus.WAITING).exists()


def _about(whom: SlackIdentity | SlackUser) -> str:
    if isinstance(whom, SlackIdentity):
        return f"person-{whom.person_id}"
    return f"slack-{whom.team_id}-{whom.user_id}"


def _identity(user: SlackUser) -> SlackIdentity | None:
    found = SlackIdentity.objects.filter(team_id=user.team_id, user_id=user.user_id)
    return found.select_related("person").first()


def _user(identity: SlackIdentity) -> SlackUser:
    return SlackUser(identity.team_id, identity.user_id)
