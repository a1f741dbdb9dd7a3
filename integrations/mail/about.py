"""What a mail says of a promotion, from the database as it is at the mail's delivery: late mail tells no tales."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse

from approvals.compare import BETTER, SAME, WORSE, compare_metrics
from approvals.explain import GATE_WORDS, Explanation, explain
from approvals.models import Deployment, Effect, Person, Promotion, Target
from approvals.rollouts import Strategy
from approvals.services.freezes import frozen_at
from approvals.states import Occasion
from approvals.summary import how_decided, standing, title_of, what_and_where
from approvals.wording import day_and_time, time_words
from integrations.mail.letter import Letter, Link, Metric, Part, quoted

MOST_METRICS = 12
# Only they are put into words; an unknown verdict says nothing.
VERDICTS = {BETTER, WORSE, SAME}


def of_promotion(effect: Effect, promotion: Promotion, person: Person, now: datetime) -> Letter:
    """A request, a reminder or an outcome for one person."""
    explained = explain(promotion, person, now)
    occasion = effect.payload.get("occasion", Occasion.OUTCOME)
    what = what_and_where(promotion)
    may_act = promotion.is_pending and explained.may_act
    words = "Decide in Countersign" if may_act else "See where it stands in Countersign"
    return Letter(
        subject=f"{_subject(effect.payload, occasion, promotion, may_act=may_act)}: {what}",
        title=title_of(promotion),
        lead=tuple(_lead(effect, occasion, promotion, explained)),
        # Only ever the page: whatever follows this (a scanner, a preview) decides nothing. Signing in on the way
        # keeps the question and loses what stands behind the sign, so the page puts that back (web.promotions).
        link=Link(words, address(f"{promotion.get_absolute_url()}?decide#actions")),
        parts=tuple(_parts(effect, promotion, explained, now)),
        foot=(
            f"This is how it stood on {day_and_time(now)}; the page shows how it stands now.",
            f"You get this because {_why(promotion, person, may_act=may_act)}.",
        ),
        settings=choices(),
    )


def of_target(effect: Effect, target: Target | None, now: datetime) -> Letter:
    """News that belong to no promotion: for whoever decides there."""
    link, why = Link("Open Countersign", address("/")), "you are among its people"
    if target is not None:
        link = Link("Open the model's page", address(target.model.get_absolute_url()))
        why = f"you are concerned with {target.model.name} in {target.environment.name}"
    return Letter(
        subject=str(effect.payload["subject"]),
        title=str(effect.payload["subject"]),
        lead=(),
        link=link,
        parts=(Part(quote=quoted(str(effect.payload["text"]))),),
        foot=(
            f"Countersign noticed this on {day_and_time(effect.created_at)}.",
            f"You get this because {why}.",
        ),
        settings=choices(),
    )


def address(path: str) -> str:
    """A page's full address."""
    return f"{settings.BASE_URL}{path}"


def choices() -> Link:
    """Where one chooses what one gets."""
    return Link("Choose on your profile what you get by mail", address(reverse("profile")))


def _subject(
    payload: Mapping[str, Any], occasion: str, promotion: Promotion, *, may_act: bool
) -> str:
    word, _ = standing(promotion)
    if occasion == Occasion.OUTCOME:
        return word
    if not promotion.is_pending:
        return f"Decided meanwhile ({promotion.get_status_display().lower()})"
    if not may_act:
        return "Waits for others" if occasion == Occasion.REQUEST else "Still waits"
    if occasion == Occasion.REMINDER:
        return "Still waits for you"
    return (
        "Decide again" if str(payload.get("subject", "")).startswith("Decide again") else "Decide"
    )


def _lead(
    effect: Effect, occasion: str, promotion: Promotion, explained: Explanation
) -> Iterator[str]:
    news = str(effect.payload["text"])
    if occasion != Occasion.OUTCOME and not promotion.is_pending:
        why = f": {promotion.decision_reason}" if promotion.decision_reason else "."
        yield f"Decided meanwhile: {how_decided(promotion)}{why}"
    elif title_of(promotion) not in news:  # which is the heading already
        yield news
    if promotion.is_pending:
        yield explained.you
    else:
        yield f"Where it stands: {standing(promotion)[1]}."


def _parts(
    effect: Effect, promotion: Promotion, explained: Explanation, now: datetime
) -> Iterator[Part]:
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    if deployment is not None:
        yield _delivery(deployment, str(effect.payload["text"]))
    before = promotion.replaces
    replaces = f"In place of {before}." if before else "Nothing was live there before."
    asks = "asks" if promotion.is_pending else "asked"
    yield Part(
        f"{promotion.requester} {asks}, because", quoted(promotion.reason), lines=(replaces,)
    )
    yield _metrics(promotion)
    yield Part(
        "Who approves", lines=tuple(row.sentence for row in explained.rows) or _nobody(explained)
    )
    gates = [*(f"Blocked: {each}" for each in explained.problems)]
    # Those that block first, so that nobody overlooks them.
    for gate in sorted(explained.gates, key=lambda each: each.passed):
        gates.append(f"{GATE_WORDS[gate.verdict]}: {gate.sentence}")
    if promotion.is_pending and not promotion.is_rollback:
        environment = promotion.target.environment
        gates += [] if frozen_at(promotion.target, now) else [f"{environment} is not frozen now."]
    if gates:
        yield Part("Gates", lines=tuple(gates))
    facts = list(explained.notes)
    if explained.expires_at is not None:
        seconds = max(int((explained.expires_at - now).total_seconds()), 0)
        facts += [explained.open_until, f"Time left: {time_words(seconds)}."]
    if promotion.seal:
        facts.append(f"Seal: {promotion.short_seal}")
    yield Part("Good to know", lines=tuple(facts))


def _nobody(explained: Explanation) -> tuple[str, ...]:
    return (
        "Nobody has to approve this." if explained.terms.automatic else "Nobody can approve this.",
    )


def _metrics(promotion: Promotion) -> Part:
    """The candidate beside what is live; the sealed metrics where there are any."""
    candidate = promotion.facts.get("metrics") or promotion.version.metrics
    live = promotion.replaces.metrics if promotion.replaces else {}
    rows = [
        each
        for each in compare_metrics(candidate, live, promotion.target.model.metrics)
        if each.name in candidate or each.name in live  # what neither logged is nothing to compare
    ]
    shown = [
        Metric(
            each.name,
            each.candidate,
            each.live,
            ", ".join(
                [each.change] * bool(each.change) + [each.verdict] * (each.verdict in VERDICTS)
            ),
        )
        for each in rows[:MOST_METRICS]
    ]
    lines = [] if rows else ["The run logged no metrics."]
    if len(rows) > MOST_METRICS:
        lines.append(f"{len(rows) - MOST_METRICS} more metrics are on the page.")
    former = f"live v{promotion.replaces.number}" if promotion.replaces else "nothing live"
    heading = f"Candidate v{promotion.version.number} beside {former}"
    return Part(heading, metrics=tuple(shown), lines=tuple(lines))


def _delivery(deployment: Deployment, news: str) -> Part:
    """How it goes, or went, beyond the ``news``."""
    lines = [deployment.detail] if deployment.detail and deployment.detail not in news else []
    if deployment.strategy:
        plan = Strategy.from_data(deployment.strategy)
        lines.append(f"It serves {deployment.percent} % ({plan.words}).")
    # GitHub's, from an answer of GitHub's: anything but a web address would be no link.
    url = deployment.run_url if deployment.run_url.startswith(("https://", "http://")) else ""
    links = (Link("The workflow run on GitHub", url),) if url else ()
    return Part("The deployment", lines=tuple(lines), links=links)


def _why(promotion: Promotion, person: Person, *, may_act: bool) -> str:
    if promotion.requester_id == person.pk:
        return "you asked for it"
    if may_act:
        return "you may decide it"
    if any(each.person_id == person.pk for each in promotion.reviews.all()):
        return "you decided on it"
    target = promotion.target
    return f"you are concerned with {target.model.name} in {target.environment.name}"
