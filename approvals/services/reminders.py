"""Nobody waits for ever: those still missing are reminded, and after a time another team is told."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from approvals.models import Person, Preferences, Promotion
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY
from approvals.services.history import record
from approvals.services.judging import Judgement, judge
from approvals.services.locks import lock_promotion
from approvals.services.telling import tell_of_waiting
from approvals.services.voters import could_help
from approvals.states import PromotionStatus, Via
from approvals.wording import listed


def remind_due(*, now: datetime | None = None) -> int:
    """Remind and escalate whatever is due, each under its lock, so that two beats tell nobody twice.

    What is blocked reminds nobody: they could not act; its escalation is told all the same. Returns how many
    were told.
    """
    moment = now or timezone.now()
    told = 0
    pending = Promotion.objects.filter(status=PromotionStatus.PENDING).exclude(seal="")
    for promotion_id in [each.pk for each in pending.order_by("pk") if _is_due(each, moment)]:
        told += _tell(promotion_id, moment)
    return told


def reminds_at(promotion: Promotion) -> datetime | None:
    """When those who are missing are reminded next; None when they are not."""
    try:
        after = Policy.from_data(promotion.policy).remind_after
    except NOT_A_POLICY:
        return None
    start = promotion.reminded_at or promotion.requested_at
    return start + timedelta(seconds=after) if after else None


def escalates_at(promotion: Promotion) -> tuple[datetime, str] | None:
    """When the second team is told, and which; None when nobody is, or it was told already."""
    try:
        policy = Policy.from_data(promotion.policy)
    except NOT_A_POLICY:
        return None
    if not policy.escalate_after or promotion.escalated_at is not None:
        return None
    return promotion.requested_at + timedelta(seconds=policy.escalate_after), policy.escalate_to


def _is_due(promotion: Promotion, now: datetime) -> bool:
    reminds, escalates = reminds_at(promotion), escalates_at(promotion)
    return bool((reminds and reminds <= now) or (escalates and escalates[0] <= now))


@transaction.atomic
def _tell(promotion_id: int, now: datetime) -> bool:
    promotion = lock_promotion(promotion_id)
    if not promotion.is_pending or promotion.expires_at <= now or not _is_due(promotion, now):
        return False
    judgement = judge(promotion, now)
    words = listed(
        [
            f"{row.missing} of {row.requirement.words}"
            for row in judgement.decision.rows
            if row.missing
        ]
    )
    escalates = escalates_at(promotion)
    if escalates and escalates[0] <= now:
        team = Person.objects.filter(teams__slug=escalates[1], is_active=True, is_machine=False)
        promotion.escalated_at = now
        _write(promotion, "promotion.escalated", list(team), now, team=escalates[1], missing=words)
    reminds = reminds_at(promotion)
    if reminds and reminds <= now:
        promotion.reminded_at = now
        people = [each for each in missing_people(judgement, now) if _wants_reminders(each)]
        if people and not judgement.case.blockers:
            _write(promotion, "promotion.reminded", people, now, missing=words)
    promotion.save(update_fields=["reminded_at", "escalated_at"])
    return True


def _wants_reminders(person: Person) -> bool:
    return not Preferences.objects.filter(person=person, reminders=False).exists()


def missing_people(judgement: Judgement, now: datetime) -> list[Person]:
    """Those who could still fill what is missing, as themselves or for a colleague."""
    missing = [row.requirement for row in judgement.decision.rows if row.missing]
    return could_help(judgement.case, missing, now)


def _write(
    promotion: Promotion, kind: str, people: list[Person], now: datetime, **data: Any
) -> None:
    record(
        kind,
        via=Via.SYSTEM,
        promotion=promotion,
        now=now,
        people=listed([str(each) for each in people]),
        person_ids=[each.pk for each in people],
        **data,
    )
    waits = f": {data['missing']} must approve" if data["missing"] else ""
    to = f"Escalated to {data['team']}. " if kind == "promotion.escalated" else ""
    text = f"{to}{promotion.version} still waits{waits}."
    tell_of_waiting(promotion, kind, people, text, now)
