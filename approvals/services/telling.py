"""Who is told personally, and what a target's channel is told.

What is said below a promotion's message follows from its history alone (``selectors.news``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from approvals.models import Deployment, Person, Promotion, Target, Team
from approvals.models.outbox import EffectKind
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY
from approvals.services.history import enqueue
from approvals.states import Occasion


def owners(target: Target) -> set[int]:
    """The ids of the active people who decide at a target: the teams that its policy names."""
    try:
        policy = Policy.from_data(target.policy)
    except NOT_A_POLICY:
        return set()
    slugs = {team for row in (*policy.strictest(), *policy.rollback) for team in row.teams}
    people = Person.objects.filter(
        teams__in=Team.objects.filter(slug__in=slugs), is_active=True, is_machine=False
    )
    return set(people.values_list("pk", flat=True))


def tell_of_failure(deployment: Deployment, detail: str, now: datetime) -> None:
    """It failed, was stopped, or nobody knows: personally to whoever asked or decides at the target."""
    step = f"{deployment.step_id}:{deployment.dispatches}"
    text = f"{deployment.version} in {deployment.target.environment}: {detail}"
    inform(
        deployment.promotion,
        Occasion.OUTCOME,
        {deployment.promotion.requester_id, *owners(deployment.target)},
        subject=f"{deployment.version} did not go live in {deployment.target.environment}",
        text=text,
        key=f"failed:{step}",
        now=now,
    )


def inform(
    promotion: Promotion,
    occasion: Occasion,
    people: Iterable[int],
    *,
    subject: str,
    text: str,
    key: str,
    now: datetime,
) -> None:
    """Tell each of the people personally, once per ``key``: by mail, and directly where they chat. Whether and how
    somebody really is told is decided at delivery, by their preferences then."""
    payload = {
        "occasion": occasion.value,
        "subject": subject,
        "text": text,
        "people": sorted(set(people)),
    }
    for kind in (EffectKind.MAIL, EffectKind.TELL):
        enqueue(kind, promotion, key=key, now=now, payload=payload)


def alert(target: Target, text: str, *, subject: str, key: str, now: datetime) -> None:
    """Tell the target's channel, and those who decide there by mail, of what belongs to no promotion."""
    people = sorted(owners(target))
    payload = {"subject": subject, "text": text, "people": people}
    enqueue(EffectKind.ALERT, None, target=target, key=key, now=now, payload=payload)
    enqueue(EffectKind.MAIL, None, target=target, key=key, now=now, payload=payload)
