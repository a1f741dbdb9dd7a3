"""Who is who: explicit links between Slack users and people, made by the person while signed in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.models import InboundDelivery, Person
from approvals.services import Refused
from approvals.services.history import record, refresh_pending
from approvals.states import Via
from integrations.errors import Rejected, Unavailable
from integrations.models import SlackIdentity, SlackStanding
from integrations.slack import standings, workspaces
from integrations.slack.messages import address

SALT = "countersign.slack.link"
LINK_SECONDS = 15 * 60
FOREIGN = standings.WHY_NOT[SlackStanding.FOREIGN]
USED = "This address was used already. Ask Slack for a new one."
TAKEN = "This Slack account is linked to somebody else; they must unlink it."


@dataclass(frozen=True)
class SlackUser:
    """Whoever clicked: the workspace or organisation they belong to, and their id in it."""

    team_id: str
    user_id: str

    @property
    def is_foreign(self) -> bool:
        """Slack Connect: somebody of another organisation can see the message and click. Or the app was
        uninstalled from their workspace."""
        return not workspaces.is_ours(self.team_id)


def user_of(body: Mapping[str, Any]) -> SlackUser:
    """The user of an interaction or a command. Raises Refused when Slack names none.

    On Enterprise Grid the same person comes with the workspace's id or the organisation's: one id stands for
    both (``workspaces.home_of``).
    """
    user, team = body.get("user"), body.get("team") or {}
    if isinstance(user, Mapping):  # an interaction
        belongs, user_id = user.get("team_id") or team.get("id"), user.get("id")
    else:  # a slash command
        belongs, user_id = body.get("team_id"), body.get("user_id")
    if not user_id:
        raise Refused("unknown_user", "Slack did not say who you are.")
    return SlackUser(workspaces.home_of(str(belongs or ""), body), str(user_id))


def person_of(user: SlackUser) -> Person:
    """The linked person. Raises Refused with a private sentence, and the address to link by."""
    if user.is_foreign:
        raise Refused("foreign", FOREIGN)
    identity = (
        SlackIdentity.objects.filter(team_id=user.team_id, user_id=user.user_id)
        .select_related("person")
        .first()
    )
    if identity is None:
        raise Refused(
            "not_linked",
            "Countersign does not know who you are. Link your account first (the address works once, "
            f"for 15 minutes): {link_address(user)}",
        )
    if not identity.person.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    if identity.person.is_machine:
        raise Refused("machine", "You may not, because this is a machine account.")
    _insist_on_a_member(SlackStanding(identity.standing))
    return identity.person


def _insist_on_a_member(standing: SlackStanding) -> None:
    """Raises Refused("guest" | "deactivated" | "bot" | "foreign")."""
    if standing != SlackStanding.MEMBER:
        raise Refused(standing.value, standings.WHY_NOT[standing])


def link_address(user: SlackUser) -> str:
    """A one-time signed address that links this Slack user to whoever opens it while signed in."""
    token = signing.dumps(
        {"t": user.team_id, "u": user.user_id, "n": secrets.token_hex(8)}, salt=SALT, compress=True
    )
    return address(f"/integrations/slack/link/{token}/")


def read_token(token: str) -> dict[str, str]:
    """The content of a link address. Raises Refused when it is forged, old or used."""
    try:
        data: dict[str, str] = signing.loads(token, salt=SALT, max_age=LINK_SECONDS)
    except signing.SignatureExpired:
        raise Refused(
            "link_expired", "This address is older than 15 minutes. Ask Slack for a new one."
        ) from None
    except signing.BadSignature:
        raise Refused("link_invalid", "This address is not complete or not ours.") from None
    if InboundDelivery.objects.filter(source="slack-link", delivery_id=data["n"]).exists():
        raise Refused("link_used", USED)
    return data


@dataclass(frozen=True)
class Offer:
    """What a link address would do for whoever opens it: which Slack user it is, by name; the account that is
    linked already and would be replaced."""

    team_id: str
    user_id: str
    name: str
    workspace: str
    replaces: SlackIdentity | None


def offer(*, actor: Person, token: str) -> Offer:
    """Look at a link address, and ask Slack who it is about; nothing is written. Raises Refused."""
    data, known = _asked(actor, token)
    mine = SlackIdentity.objects.filter(person=actor).first()
    same = mine is not None and (mine.team_id, mine.user_id) == (data["t"], data["u"])
    return Offer(
        data["t"],
        data["u"],
        known.name or data["u"],
        workspaces.name_of(data["t"]),
        None if same else mine,
    )


def _asked(actor: Person, token: str) -> tuple[dict[str, str], standings.Known]:
    """The address's content and what Slack says of the user, who may be linked to the actor. Raises Refused."""
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    if actor.is_machine:
        raise Refused("machine", "You may not, because this is a machine account.")
    data = read_token(token)
    if not workspaces.is_ours(data["t"]):
        raise Refused("foreign", FOREIGN)
    _insist_on_free(data, actor)
    try:
        known = standings.ask(data["t"], data["u"])
    except (Unavailable, Rejected) as error:
        raise Refused(
            "slack_unreachable",
            f"Slack could not be asked who you are: {str(error).rstrip('.')}. Nothing was linked; try again.",
        ) from None
    _insist_on_a_member(known.standing)
    return data, known


def _insist_on_free(data: Mapping[str, str], actor: Person) -> None:
    taken = SlackIdentity.objects.filter(team_id=data["t"], user_id=data["u"])
    if taken.exclude(person=actor).exists():
        raise Refused("link_taken", TAKEN)


def link(*, actor: Person, token: str, via: str = Via.BROWSER) -> SlackIdentity:
    """Link the Slack user of a one-time address to the person who is signed in. Raises Refused.

    Slack is asked first, before the transaction; where it does not answer, nothing is linked and the address
    can be used again.
    """
    data, known = _asked(actor, token)
    try:
        return _link(actor, data, known, via)
    except IntegrityError:  # somebody else linked this Slack user at the same moment
        raise Refused("link_taken", TAKEN) from None


@transaction.atomic
def _link(
    actor: Person, data: Mapping[str, str], known: standings.Known, via: str
) -> SlackIdentity:
    now = timezone.now()
    Person.objects.select_for_update().get(pk=actor.pk)
    try:
        with transaction.atomic():
            InboundDelivery.objects.create(
                source="slack-link", delivery_id=data["n"], received_at=now, processed_at=now
            )
    except IntegrityError:
        raise Refused("link_used", USED) from None
    _insist_on_free(data, actor)
    SlackIdentity.objects.filter(person=actor).delete()
    identity = SlackIdentity.objects.create(
        team_id=data["t"],
        user_id=data["u"],
        name=known.name,
        standing=known.standing,
        checked_at=now,
        person=actor,
        linked_at=now,
    )
    record("slack.linked", via=via, actor=actor, now=now, team=data["t"], user=data["u"])
    refresh_pending(f"slack-{actor.pk}", now)
    return identity


@transaction.atomic
def unlink(*, actor: Person, person: Person, via: str = Via.BROWSER) -> None:
    """Remove a person's link, at once: their own, or anybody's by an administrator. Raises Refused.

    Without a link nothing happens.
    """
    if actor.pk != person.pk and not actor.is_superuser:
        raise Refused("may_not_administer", "You may not, because only administrators may.")
    identity = SlackIdentity.objects.select_for_update().filter(person=person).first()
    if identity is None:
        return
    now = timezone.now()
    record(
        "slack.unlinked",
        via=via,
        actor=actor,
        now=now,
        person=person.username,
        team=identity.team_id,
        user=identity.user_id,
    )
    refresh_pending(f"slack-{person.pk}", now)
    identity.delete()
