"""What commands and their dialogs change: one verb each, and the sentence that the channel reads."""

from __future__ import annotations

from datetime import datetime

from django.urls import reverse

from approvals import services
from approvals.calendar import in_zone
from approvals.models import Environment, Freeze, ModelVersion, Person, Promotion, Target
from approvals.services import Refused
from approvals.states import Via
from integrations.slack.messages import address, title_of
from integrations.slack.text import inert, link, quoted


def _said(person: Person, what: str, reason: str) -> str:
    """``Bob Brandt froze production`` with the reason below it; ``what`` is inert already."""
    because = f"\n{quoted(reason)}" if reason else ""
    return f"*{inert(str(person), 80)}* {what}{because}"


def _asked(person: Person, promotion: Promotion) -> str:
    url = address(promotion.get_absolute_url())
    return _said(person, f"asks: {link(url, title_of(promotion))}", promotion.reason)


def _page(name: str, label: str) -> str:
    return link(address(reverse(name)), label)


def _place(target: Target) -> str:
    url = address(target.model.get_absolute_url())
    return f"{link(url, target.model.name)} in *{inert(target.environment.name, 80)}*"


def promote(person: Person, target: Target, version: ModelVersion, reason: str) -> str:
    """Ask for a promotion."""
    promotion = services.request_promotion(
        actor=person, via=Via.SLACK, target_id=target.pk, version_id=version.pk, reason=reason
    )
    return _asked(person, promotion)


def roll_back(person: Person, target: Target, version: ModelVersion | None, reason: str) -> str:
    """Ask for a rollback; without a version to the last known-good one."""
    promotion = services.request_rollback(
        actor=person,
        via=Via.SLACK,
        target_id=target.pk,
        version_id=version.pk if version else None,
        reason=reason,
    )
    return _asked(person, promotion)


def freeze(
    person: Person, environment: Environment, ends: datetime | None, zone: str, reason: str
) -> str:
    """Freeze an environment from now on."""
    placed = services.freeze(
        actor=person, via=Via.SLACK, environment_id=environment.pk, ends_at=ends, reason=reason
    )
    until = in_zone(ends, zone) if ends else "somebody lifts it"
    where = f"*{inert(environment.name, 80)}* until {until}"
    return _said(person, f"froze {where} ({_page('freezes', 'freezes')})", placed.reason)


def unfreeze(person: Person, placed: Freeze, reason: str) -> str:
    """Lift a freeze that somebody placed."""
    lifted = services.unfreeze(actor=person, via=Via.SLACK, freeze_id=placed.pk, reason=reason)
    what = f"lifted the freeze of *{inert(lifted.environment.name, 80)}*"
    return _said(person, f"{what} ({_page('freezes', 'freezes')})", lifted.lifted_reason)


def lock(person: Person, target: Target, reason: str) -> str:
    """Close a target."""
    placed = services.lock(actor=person, via=Via.SLACK, target_id=target.pk, reason=reason)
    return _said(person, f"locked {_place(target)}", placed.reason)


def unlock(person: Person, target: Target, reason: str) -> str:
    """Open a target again."""
    lifted = services.unlock(actor=person, via=Via.SLACK, target_id=target.pk, reason=reason)
    return _said(person, f"unlocked {_place(target)}", lifted.lifted_reason)


def delegate(person: Person, to: Person, until: datetime, zone: str, reason: str) -> str:
    """Hand on one's approvals."""
    made = services.delegate(
        actor=person, via=Via.SLACK, delegate_id=to.pk, until=until, reason=reason
    )
    what = f"*{inert(str(made.delegate), 80)}* may approve for them until {in_zone(until, zone)}"
    return _said(person, f"is represented: {what}", made.reason)


def end_delegation(person: Person) -> str:
    """Take one's approvals back."""
    services.end_delegation(actor=person, via=Via.SLACK)
    return _said(person, "decides for themselves again", "")


def only_freeze(environment: Environment, open_now: list[Freeze]) -> Freeze:
    """The one freeze that can be lifted. Raises Refused (``not_frozen``)."""
    if not open_now:
        raise Refused(
            "not_frozen",
            f"Nobody has frozen {environment.name}; a freeze of the configuration ends by its rule, or by "
            "changing the file.",
        )
    return open_now[0]
