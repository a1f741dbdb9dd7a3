"""Who is told personally, and what a target's channel is told.

What is said below a promotion's message follows from its history alone (``selectors.news``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from approvals.models import Deployment, Person, Promotion, Target, Team
from approvals.models.outbox import EffectKind
from approvals.policies import decide
from approvals.rules import Policy
from approvals.services.cases import NOT_A_POLICY, case_of
from approvals.services.history import enqueue
from approvals.services.voters import could_help
from approvals.states import DeploymentStatus, Occasion
from approvals.summary import standing, title_of, what_and_where


def decided_on(promotion: Promotion) -> set[int]:
    """The ids of whoever asked for it and whoever's review counts."""
    reviewers = promotion.reviews.filter(voided_at=None).values_list("person_id", flat=True)
    return {promotion.requester_id, *reviewers}


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
    """It failed, was stopped, or nobody knows: to whoever asked, approved or decides at the target. A rollout that
    goes back is told of when it is back, or when it cannot get there."""
    step = f"{deployment.step_id}:{deployment.dispatches}"
    text = f"{deployment.version} in {deployment.target.environment}: {detail}"
    waits = deployment.status == DeploymentStatus.WAITING
    if waits and deployment.aborting and not deployment.paused:
        return
    promotion = deployment.promotion
    _tell_the_outcome(
        promotion,
        _affected(promotion) | owners(deployment.target),
        text,
        # What was unconfirmed and then came to nothing are two pieces of news.
        key=f"failed:{step}:{deployment.status}",
        now=now,
    )


def tell_of_lapse(deployment: Deployment, now: datetime) -> None:
    """Its approval lapsed unused."""
    tell_of_end(deployment.promotion, "The approval lapsed before it was used", now=now)


def tell_of_end(
    promotion: Promotion,
    text: str,
    *,
    now: datetime,
    because: str = "",
    but_not: Person | None = None,
) -> None:
    """A promotion was settled, or its deployment came to its end: to whoever asked for it and decided on it,
    except who did this. Called once it is so; ``text`` is a clause without a full stop."""
    people = _affected(promotion) - {but_not.pk if but_not else 0}
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    # One end, one piece of news, whoever tells of it twice.
    key = f"{promotion.status}:{deployment.status}" if deployment else promotion.status
    why = f": {because}" if because else "."
    _tell_the_outcome(promotion, people, f"{text}{why}", key=key, now=now)


def _affected(promotion: Promotion) -> set[int]:
    """Those who decided on it, whoever broke the glass among them."""
    people = decided_on(promotion)
    return people if promotion.overridden_by_id is None else people | {promotion.overridden_by_id}


def _tell_the_outcome(
    promotion: Promotion, people: set[int], text: str, *, key: str, now: datetime
) -> None:
    subject = f"{standing(promotion)[0]}: {what_and_where(promotion)}"
    inform(promotion, Occasion.OUTCOME, people, subject=subject, text=text, key=key, now=now)


def tell_of_request(promotion: Promotion, now: datetime) -> None:
    """A promotion waits for people: to everybody whose approval would help. Not where nobody is asked."""
    case = case_of(promotion)
    missing = [row.requirement for row in decide(case).rows if row.missing]
    people = {each.pk for each in could_help(case, missing, now)} - {promotion.requester_id}
    inform(
        promotion,
        Occasion.REQUEST,
        people,
        subject=f"Decide: {what_and_where(promotion)}",
        text=f"{promotion.requester} asks: {title_of(promotion)}.",
        key="request",
        now=now,
    )


def tell_of_second_look(
    promotion: Promotion, people: Iterable[int], changed: str, now: datetime
) -> None:
    """The facts changed after these people had decided: what they said does not count any more."""
    inform(
        promotion,
        Occasion.REQUEST,
        people,
        subject=f"Decide again: {what_and_where(promotion)}",
        text=f"The facts changed, so what you decided counts no more: {changed}. Look again, then decide.",
        # Facts may change back: the moment tells one change from another, the seal would not.
        key=f"again:{now.timestamp():.3f}",
        now=now,
    )


def tell_of_waiting(
    promotion: Promotion, kind: str, people: Iterable[Person], text: str, now: datetime
) -> None:
    """Those who are missing, or the team that it is escalated to; ``kind`` is that of the event."""
    inform(
        promotion,
        Occasion.REMINDER,
        [each.pk for each in people],
        subject=f"Still waits: {what_and_where(promotion)}",
        text=text,
        key=f"{kind}:{now.timestamp():.0f}",
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
    if not payload["people"]:
        return
    for kind in (EffectKind.MAIL, EffectKind.TELL):
        enqueue(kind, promotion, key=key, now=now, payload=payload)


def alert(target: Target, text: str, *, subject: str, key: str, now: datetime) -> None:
    """Tell the target's channel, and those who decide there by mail, of what belongs to no promotion."""
    people = sorted(owners(target))
    payload = {"subject": subject, "text": text, "people": people}
    enqueue(EffectKind.ALERT, None, target=target, key=key, now=now, payload=payload)
    enqueue(EffectKind.MAIL, None, target=target, key=key, now=now, payload=payload)
