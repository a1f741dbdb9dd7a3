"""Who is who: explicit links between Slack users and people, made by the person while signed in."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.models import InboundDelivery, Person
from approvals.services import Refused
from approvals.services.history import record
from approvals.states import Via
from integrations.models import SlackIdentity
from integrations.slack.messages import address

SALT = "countersign.slack.link"
LINK_SECONDS = 15 * 60
FOREIGN = "You may not, because people of other organisations cannot decide here."


@dataclass(frozen=True)
class SlackUser:
    """Whoever clicked: the workspace or organisation they belong to, and their id in it."""

    team_id: str
    user_id: str

    @property
    def is_foreign(self) -> bool:
        """Slack Connect: somebody of another organisation can see the message and click."""
        return self.team_id not in settings.SLACK_TEAM_ID[:1]


def user_of(body: Mapping[str, Any]) -> SlackUser:
    """The user of an interaction or a command. Raises Refused when Slack names none.

    On Enterprise Grid the same person comes with the workspace's id or the organisation's: whichever of
    ours Slack names, the first of SLACK_TEAM_ID stands for it.
    """
    user, team = body.get("user"), body.get("team") or {}
    if isinstance(user, Mapping):  # an interaction
        belongs, user_id = user.get("team_id") or team.get("id"), user.get("id")
    else:  # a slash command
        belongs, user_id = body.get("team_id"), body.get("user_id")
    if not user_id:
        raise Refused("unknown_user", "Slack did not say who you are.")
    ours = settings.SLACK_TEAM_ID
    return SlackUser(ours[0] if belongs in ours else str(belongs or ""), str(user_id))


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
    return identity.person


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
        raise Refused("link_used", "This address was used already. Ask Slack for a new one.")
    return data


@transaction.atomic
def link(*, actor: Person, token: str, via: str = Via.BROWSER) -> SlackIdentity:
    """Link the Slack user of a one-time address to the person who is signed in. Raises Refused."""
    data = read_token(token)
    now = timezone.now()
    try:
        with transaction.atomic():
            InboundDelivery.objects.create(
                source="slack-link", delivery_id=data["n"], received_at=now, processed_at=now
            )
    except IntegrityError:
        raise Refused(
            "link_used", "This address was used already. Ask Slack for a new one."
        ) from None
    taken = SlackIdentity.objects.filter(team_id=data["t"], user_id=data["u"]).first()
    if taken is not None and taken.person_id != actor.pk:
        raise Refused(
            "link_taken", "This Slack account is linked to somebody else; they must unlink it."
        )
    SlackIdentity.objects.filter(person=actor).delete()
    identity = SlackIdentity.objects.create(
        team_id=data["t"], user_id=data["u"], person=actor, linked_at=now
    )
    record("slack.linked", via=via, actor=actor, now=now, team=data["t"], user=data["u"])
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
    record(
        "slack.unlinked",
        via=via,
        actor=actor,
        person=person.username,
        team=identity.team_id,
        user=identity.user_id,
    )
    identity.delete()
