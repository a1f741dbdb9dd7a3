"""Monitoring's readings come in, are kept, and are acted on as the configuration's ``signals`` say."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from approvals.models import Deployment, Person, Signal, Target
from approvals.monitoring import ALERT, NOTE, PAUSE, ROLL_BACK, SignalRule, strongest
from approvals.services.cases import NOT_A_POLICY
from approvals.services.history import record
from approvals.services.locks import lock_deployment, lock_target
from approvals.services.measurements import refuse_content, refuse_flood, refuse_sender, refuse_time
from approvals.services.refusal import Refused
from approvals.services.rollbacks import roll_back_by_itself, rollback_under_way
from approvals.services.rollouts import go_back, go_on_if_due, pause_rollout, why_not_abort
from approvals.services.telling import alert
from approvals.states import ACTIVE_DEPLOYMENT, StepOutcome
from approvals.wording import clean_text, day_and_time

# A rule looks at no more readings in a row.
MOST_TIMES = 100

NOTED, ALERTED, PAUSED, ROLLED_BACK, GUARDED = (
    "noted",
    "alerted",
    "paused",
    "rolled_back",
    "guarded",
)


# An equal reading without key and time within so long is taken for the same one.
TRIED_AGAIN_WITHIN = timedelta(seconds=5)


@dataclass(frozen=True)
class Recorded:
    """What became of a reading: ``did`` is empty where no rule was breached and where it was known already;
    ``sentence`` says it in words."""

    signal: Signal
    is_new: bool
    did: str
    sentence: str


@dataclass
class _Subject:
    """What readings are about now: the deployment in hand, else the live one, since when; None: neither."""

    deployment: Deployment | None
    since: datetime | None
    in_hand: bool

    def covers(self, moment: datetime) -> bool:
        return self.since is not None and moment >= self.since


@transaction.atomic
def record_signal(
    *,
    actor: Person | None,
    via: str,
    target_id: int,
    name: str,
    value: str,
    observed_at: datetime | None = None,
    source: str = "",
    key: str = "",
    lasting: bool = False,
    resolved: bool = False,
    now: datetime | None = None,
) -> Recorded:
    """Keep one reading, and do what the target's rules say of it and of those before it.

    ``value`` is decimal text. ``actor`` is None where the sender proved itself by a signature. ``lasting``: a
    state that began at ``observed_at`` and stands (an alert), so that its age is no reason to refuse it.
    ``resolved``: that state is over; it is kept, breaches nothing and ends a row of breaches. The same ``key`` is
    kept once.

    Raises Refused (``unknown_target``, ``inactive_target``, ``inactive``, ``may_not_report``, ``bad_signal``,
    ``bad_value``, ``source_too_long``, ``bad_key``, ``bad_time``, ``in_the_future``, ``too_old``) and Flood
    (``too_many_signals``); then nothing was written.
    """
    target = lock_target(target_id)
    now = now or timezone.now()
    source = clean_text(source)
    if not (target.is_active and target.model.is_active and target.environment.is_active):
        raise Refused("inactive_target", f"The configuration no longer names {target}.")
    refuse_sender(actor, target)
    refuse_content(name, value, source, key)
    refuse_time(observed_at or now, now, lasting)
    if known := _same_reading(target, name, value, source, key, observed_at, now):
        return Recorded(known, False, "", _known(known))
    observed_at = observed_at or now
    refuse_flood(target, now)
    subject = _subject_of(target)
    signal = Signal.objects.create(
        target=target,
        deployment=_served_by(target, subject, observed_at),
        name=name,
        value=value,
        observed_at=observed_at,
        received_at=now,
        source=source,
        key=key,
        recorded_by=actor,
        via=via,
        resolved=resolved,
    )
    return _acted(signal, target, subject, now)


def _same_reading(
    target: Target,
    name: str,
    value: str,
    source: str,
    key: str,
    observed_at: datetime | None,
    now: datetime,
) -> Signal | None:
    """The reading that this one repeats: by its key; without one, an equal one of the same moment, or, where
    nobody says when it was observed, one that came just now: most likely a sender that tried again."""
    here = Signal.objects.filter(target=target, key=key)
    if key:
        return here.first()
    equal = here.filter(name=name, value=value, source=source)
    if observed_at is not None:
        return equal.filter(observed_at=observed_at).first()
    return equal.filter(received_at__gt=now - TRIED_AGAIN_WITHIN, received_at__lte=now).first()


def _known(signal: Signal) -> str:
    then = f" Then: {signal.outcome}" if signal.outcome else ""
    return f"It was here already ({day_and_time(signal.received_at)}); nothing is done again.{then}"


def _subject_of(target: Target) -> _Subject:
    """What is in hand, else what is live."""
    active = target.deployments.filter(status__in=ACTIVE_DEPLOYMENT).first()
    if active is not None:
        first = active.steps.order_by("ordinal").first()
        since = first.began_at if first else None
        return _Subject(lock_deployment(active.pk), since or active.created_at, True)
    return _Subject(target.live_deployment, target.live_since, False)


def _served_by(target: Target, subject: _Subject, moment: datetime) -> Deployment | None:
    """What was rolling out, or else live, at that moment; None where that was something earlier."""
    if subject.covers(moment):
        return subject.deployment
    live = _Subject(target.live_deployment, target.live_since, False)
    return live.deployment if live.covers(moment) else None


def _acted(signal: Signal, target: Target, subject: _Subject, now: datetime) -> Recorded:
    """Do what the rules say, write it on the reading, and judge a rollout between two steps."""
    did, said = "", "Kept: it was resolved." if signal.resolved else "Kept."
    rules, unreadable = _rules_of(target, signal.name)
    breached = [] if signal.resolved else [r for r in rules if r.breached_by(signal.value)]
    row = _row_of(signal, target, subject) if subject.covers(signal.observed_at) else []
    if unreadable and not signal.resolved:
        did, said = GUARDED, unreadable
    elif breached:
        did, said = _breach(signal, target, subject, row, breached, now)
    signal.breached, signal.outcome = bool(breached), said if did else ""
    signal.save(update_fields=["breached", "outcome"])
    if did and not _said_before(signal, row):
        _tell(signal, target, subject, did, now)
    deployment = subject.deployment
    if subject.in_hand and deployment is not None and not signal.resolved:
        # A bad reading of the analysis aborts at once, whether a rule is about it or not.
        going_on = not deployment.aborting
        if go_on_if_due(deployment, now) and going_on and deployment.aborting:
            did = ROLLED_BACK
            said = f"{signal.outcome} It goes back. {deployment.aborting}".strip()
            signal.outcome = said
            signal.save(update_fields=["outcome"])
    return Recorded(signal, True, did, said)


def _rules_of(target: Target, name: str) -> tuple[list[SignalRule], str]:
    """The target's rules about a signal; a sentence where they cannot be read."""
    try:
        rules = [SignalRule.from_data(each) for each in target.signals]
    except NOT_A_POLICY:
        return [], "The rules for signals cannot be read; apply the configuration again."
    return [each for each in rules if each.signal == name], ""


def _row_of(signal: Signal, target: Target, subject: _Subject) -> list[Signal]:
    """The newest readings of this name about the same deployment, newest first, up to where it was resolved."""
    rows = target.readings.filter(
        name=signal.name, deployment=subject.deployment, observed_at__gte=subject.since
    )
    found: list[Signal] = []
    for each in rows.order_by("-observed_at", "-id")[:MOST_TIMES]:
        if each.resolved:
            break
        found.append(each)
    return found


def _breach(
    signal: Signal,
    target: Target,
    subject: _Subject,
    row: list[Signal],
    breached: list[SignalRule],
    now: datetime,
) -> tuple[str, str]:
    """(what was done, the sentence)."""
    if not subject.covers(signal.observed_at):
        return NOTED, f"{breached[0].words}: noted, because it began before {_what(subject)}."
    values = [each.value for each in row]
    firing = [rule for rule in breached if rule.fires(values) and signal in row[: rule.times]]
    rule = strongest(firing)
    if rule is None:
        nearest = max(breached, key=lambda each: sum(1 for _ in _breaching(each, values)))
        count = min(sum(1 for _ in _breaching(nearest, values)), nearest.times)
        return NOTED, f"{nearest.words}: noted, {count} of {nearest.times} so far."
    if rule.then == NOTE:
        return NOTED, f"{rule.words}: noted, as the configuration says."
    if rule.then == ALERT:
        return ALERTED, f"{rule.words}: people were told."
    if rule.then == PAUSE:
        return _pause(rule, signal, subject, now)
    if rule.then == ROLL_BACK:
        return _roll_back(rule, signal, target, subject, now)
    raise RuntimeError(f"There is no action {rule.then!r}.")


def _breaching(rule: SignalRule, values: list[str]) -> list[str]:
    """The values at the beginning that all breach it."""
    count = next((i for i, each in enumerate(values) if not rule.breached_by(each)), len(values))
    return values[:count]


def _what(subject: _Subject) -> str:
    if subject.deployment is None:
        return "anything was live"
    version = subject.deployment.version
    return f"the deployment of {version} began" if subject.in_hand else f"{version} went live"


def _pause(rule: SignalRule, signal: Signal, subject: _Subject, now: datetime) -> tuple[str, str]:
    deployment = subject.deployment
    if subject.in_hand and deployment is not None:
        if pause_rollout(deployment, f"{_clause(rule, signal)}.", now):
            return PAUSED, f"{rule.words}: the rollout of {deployment.version} is paused."
        if deployment.paused:
            return ALERTED, f"{rule.words}: the rollout is paused already."
    return ALERTED, f"{rule.words}: there is no rollout to pause, so people were told."


def _roll_back(
    rule: SignalRule, signal: Signal, target: Target, subject: _Subject, now: datetime
) -> tuple[str, str]:
    deployment, why = subject.deployment, _clause(rule, signal)
    if subject.in_hand and deployment is not None:
        guard = "It goes back already." if deployment.aborting else why_not_abort(deployment)
        if not guard:
            go_back(deployment, f"{why}.", now, ends_as=StepOutcome.FAILED)
            return ROLLED_BACK, f"{rule.words}: {deployment.version} goes back."
        if not deployment.aborting:
            guard = "A deployment is under way; nothing is rolled back while what is live is not settled."
        return GUARDED, f"{rule.words}: nothing was rolled back. {guard}"
    if earlier := rollback_under_way(target):
        return (
            NOTED,
            f"{rule.words}: it is being rolled back to {earlier.version} already (promotion {earlier.pk}).",
        )
    try:
        promotion = roll_back_by_itself(target, f"{why}.", now)
    except Refused as guard_refused:
        return GUARDED, f"{rule.words}: nothing was rolled back. {guard_refused.sentence}"
    return (
        ROLLED_BACK,
        f"{rule.words}: it is rolled back to {promotion.version} by itself (promotion {promotion.pk}).",
    )


def _clause(rule: SignalRule, signal: Signal) -> str:
    """``error_rate was 0.09 on 20 Nov 2026, 14:05 UTC (the rule: error_rate above 0.05)``."""
    return f"{signal.name} was {signal.value} on {day_and_time(signal.observed_at)} (the rule: {rule.words})"


def _said_before(signal: Signal, row: list[Signal]) -> bool:
    """The same was done and told for an earlier reading of the same row of breaches."""
    for each in row:
        if each.pk == signal.pk:
            continue
        if each.outcome == signal.outcome or not each.breached:
            return each.outcome == signal.outcome
    return False


def _tell(signal: Signal, target: Target, subject: _Subject, did: str, now: datetime) -> None:
    deployment = subject.deployment
    record(
        f"signal.{did}",
        via=signal.via,
        actor=signal.recorded_by,
        promotion=deployment.promotion if deployment else None,
        target=target,
        now=now,
        signal=signal.name,
        value=signal.value,
        version=deployment.version.number if deployment else None,
        detail=signal.outcome,
        source=signal.source,
    )
    loud = {ALERTED: "an alert", GUARDED: "somebody has to act", ROLLED_BACK: "rolled back"}
    if did in loud and not (subject.in_hand and did == ROLLED_BACK):  # which tells of itself
        alert(
            target,
            f"{signal.name} was {signal.value}. {signal.outcome}",
            subject=f"{target}: {signal.name}, {loud[did]}",
            key=f"signal:{signal.pk}",
            now=now,
        )
