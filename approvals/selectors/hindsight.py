"""One promotion of the past, judged by another configuration. No queries: the rows come with what they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from approvals import gates
from approvals.calendar import closed_until, in_zone
from approvals.configuration import Configuration
from approvals.gates import UNKNOWN, Gate, Observation
from approvals.models import Person, Promotion, Review
from approvals.policies import Case, Decision, Vote, Voter, decide, whose_vote_counts
from approvals.rules import Policy, Situation, Terms
from approvals.services.cases import NOT_A_POLICY, barred_trainer
from approvals.services.conditions import evaluated_on, signature_of
from approvals.states import PromotionStatus, Verdict
from approvals.strictness import gate_covers, rows_change, rows_cover
from approvals.wording import listed

# What these look at is in the seal, or bound to the artifacts whose digest is.
JUDGEABLE = {"metric", "against_live", "signature"}


@dataclass
class Judged:
    """Clauses: what would not be asked, what would stand in the way, what cannot be told."""

    less: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Then:
    """What was asked at the time, from the seal."""

    terms: Terms
    gates: tuple[Gate, ...]
    trainer_may_approve: bool
    requester_may_approve: bool


class Hindsight:
    """Judges by ``proposed``; ``first_live`` says since when something was live, by a target's id."""

    def __init__(self, proposed: Configuration, first_live: Mapping[int, datetime]) -> None:
        self._file = proposed
        self._first_live = first_live
        self._policies: dict[tuple[str, str], Policy | None] = {}
        self._teams: dict[str, set[str]] = {}
        for slug, team in proposed.teams.items():
            for username in team.members:
                self._teams.setdefault(username, set()).add(slug)

    def judge(self, promotion: Promotion) -> Judged:
        """Compare what would be asked with what was, and what would stand in the way with what came of it."""
        told = Judged()
        policy = self._policy(promotion)
        if policy is None:
            told.more.append(f"the file no longer names {promotion.target}")
            return told
        if not promotion.seal:
            told.unjudged.append("its facts were never sealed, so what was asked is not known")
            return told
        try:
            then = _then(promotion)
            terms = policy.terms(self._situation(promotion), rollback=promotion.is_rollback)
        except NOT_A_POLICY:
            told.unjudged.append("what was asked of it cannot be read")
            return told
        self._people(promotion, policy, then, terms, told)
        _demands(promotion, then.terms, terms, told)
        _gates(promotion, policy, then, told)
        self._asking(promotion, policy, told)
        self._freeze(promotion, told)
        return told

    def _policy(self, promotion: Promotion) -> Policy | None:
        model, environment = promotion.target.model.name, promotion.target.environment.name
        key = (model, environment)
        if key not in self._policies:
            told = self._file.models.get(model)
            found = self._file.environments_of(told) if told else []
            named = next((each for each in found if each.name == environment), None)
            self._policies[key] = self._file.policy_of(model, named) if named else None
        return self._policies[key]

    def _situation(self, promotion: Promotion) -> Situation:
        """As it was when it was sealed; tags are not sealed, so they are those of now."""
        live, version = promotion.replaces, promotion.version
        since = self._first_live.get(promotion.target_id)
        sealed = promotion.sealed_at or promotion.requested_at
        tags = {**version.model.tags, **version.tags}
        return Situation(
            metrics=promotion.facts["metrics"],
            number=version.number,
            tags={str(name): str(value) for name, value in tags.items()},
            live_metrics=live.metrics if live else None,
            live_number=live.number if live else None,
            was_anything_live=since is not None and since < sealed,
        )

    def _voter(self, person: Person, on_behalf_of: Person | None = None) -> Voter:
        """As the proposed file has them. Whoever reviewed was active."""
        both = [person] if on_behalf_of is None else [person, on_behalf_of]
        return Voter(
            id=person.pk,
            teams=frozenset(self._teams.get(both[-1].username, ())),
            is_machine=any(self._is_machine(each) for each in both),
            names=frozenset(n.lower() for each in both for n in (each.username, each.email) if n),
            for_id=on_behalf_of.pk if on_behalf_of else None,
        )

    def _is_machine(self, person: Person) -> bool:
        told = self._file.people.get(person.username)
        return told.machine if told else person.is_machine

    def _people(
        self, promotion: Promotion, policy: Policy, then: _Then, terms: Terms, told: Judged
    ) -> None:
        """The rows, and whether the reviews that counted would fill them."""
        change = rows_change(then.terms.requirements, terms.requirements)
        if not rows_cover(terms.requirements, then.terms.requirements):
            told.less.append(change)
            change = ""
        if not promotion.is_rollback:
            if policy.trainer_may_approve and not then.trainer_may_approve:
                told.less.append("whoever trained it would count")
        elif policy.rollback_requester_may_approve and not then.requester_may_approve:
            told.less.append("the requester could approve it too")
        case = Case(
            requirements=terms.requirements,
            requester_id=promotion.requester_id,
            seal=promotion.seal,
            votes=tuple(
                Vote(self._voter(each.person, each.on_behalf_of), each.verdict, each.seal)
                for each in promotion.reviews.all()
            ),
            requester_may_approve=promotion.is_rollback and policy.rollback_requester_may_approve,
            barred_trainer=barred_trainer(
                policy, promotion.version, rollback=promotion.is_rollback
            ),
            automatic=terms.automatic,
        )
        decision = decide(case)
        lost = _lost(promotion, case)
        if promotion.status == PromotionStatus.REJECTED and lost and not decision.rejected_by:
            told.less.append(
                f"the rejection by {listed([each.by for each in lost])} would not count"
            )
        elif promotion.status == PromotionStatus.APPROVED and promotion.overridden_by is None:
            told.more += _missing(decision, change, [each.by for each in lost])
        elif change:
            told.more.append(f"more would be asked: {change}")

    def _asking(self, promotion: Promotion, policy: Policy, told: Judged) -> None:
        """Whether it could be asked for, and the glass broken, by those who did."""
        asker, breaker = promotion.requester, promotion.overridden_by
        if not self._voter(asker).teams & set(policy.requesters):
            told.more.append(f"{asker} could not have asked for it")
        if breaker is None:
            return
        own = breaker.pk == asker.pk and not policy.override_by_requester
        if own or policy.override_team not in self._voter(breaker).teams:
            told.more.append(f"{breaker} could not have broken the glass")

    def _freeze(self, promotion: Promotion, told: Judged) -> None:
        """Whether the target would have been frozen when it was approved, or when it was to run."""
        if (
            promotion.is_rollback
            or promotion.status != PromotionStatus.APPROVED
            or promotion.overridden_by is not None
            or promotion.decided_at is None
        ):
            return
        target = promotion.target
        windows = self._file.freezes_of(target.model.name, target.environment.name)
        moment = max(promotion.run_at or promotion.decided_at, promotion.decided_at)
        span = closed_until(windows, [], moment)
        if span is not None:
            zone = next(each.zone for each in windows if each.name == span.name)
            until = f" until {in_zone(span.ends, zone)}" if span.ends else ""
            told.more.append(f"{target.environment} would have been frozen ({span.name}){until}")


def _then(promotion: Promotion) -> _Then:
    """Raises KeyError, TypeError or ValueError for facts that cannot be read."""
    sealed = promotion.facts["policy"]
    return _Then(
        Terms.from_data(sealed),
        tuple(gates.from_data(each) for each in sealed.get("gates", ())),
        sealed.get("trainer_may_approve", True) is not False,
        sealed.get("requester_may_approve", False) is True,
    )


def _lost(promotion: Promotion, case: Case) -> list[Review]:
    """The reviews that decided it and would not count."""
    pairs = zip(promotion.reviews.all(), case.votes, strict=True)
    wanted = Verdict.REJECT if promotion.status == PromotionStatus.REJECTED else Verdict.APPROVE
    return [
        review
        for review, vote in pairs
        if review.verdict == wanted and whose_vote_counts(case, vote.voter) is not None
    ]


def _missing(decision: Decision, change: str, lost: list[str]) -> list[str]:
    """What an approved promotion would still need."""
    missing = [f"{row.missing} of {row.requirement.words}" for row in decision.rows if row.missing]
    if missing:
        why = f" ({change})" if change else ""
        why += f", because the approval of {listed(lost)} would not count" if lost else ""
        return [f"would still need {' and '.join(missing)}{why}"]
    if decision.rejected_by:
        return ["a rejection would count that did not"]
    return [f"more would be asked, and was given: {change}"] if change else []


def _demands(promotion: Promotion, then: Terms, terms: Terms, told: Judged) -> None:
    """Ticks and comments."""
    dropped = [f"“{each}”" for each in then.checklist if each not in terms.checklist]
    added = [f"“{each}”" for each in terms.checklist if each not in then.checklist]
    if dropped:
        told.less.append(f"the tick {listed(dropped)}")
    if added and not terms.automatic:
        told.more.append(f"whoever approves would have to tick {listed(added)}")
    if then.comment_required and not terms.comment_required:
        told.less.append("a comment")
    if terms.comment_required and not then.comment_required and not terms.automatic:
        approvals = [each for each in promotion.reviews.all() if each.verdict == Verdict.APPROVE]
        if not approvals or not all(each.comment for each in approvals):
            told.more.append("whoever approves would have to say why")


def _gates(promotion: Promotion, policy: Policy, then: _Then, told: Judged) -> None:
    """Gates that are new are judged where the past tells; those that stood already were."""
    wanted = policy.gates_for(rollback=promotion.is_rollback)
    for old in then.gates:
        if not any(gate_covers(new, old) for new in wanted):
            told.less.append(f"the gate “{gates.in_words(old)}”")
    if promotion.overridden_by is not None:
        return
    seen = _observation(promotion)
    for gate in wanted:
        if gate in then.gates:
            continue
        if gate.kind not in JUDGEABLE:
            told.unjudged.append(gates.in_words(gate))
            continue
        outcome = gate.check(seen)
        if gate.kind == "signature" and outcome.verdict == UNKNOWN:
            told.unjudged.append(gates.in_words(gate))
        elif not outcome.passed:
            told.more.append(f"a gate would not pass: {outcome.sentence.removesuffix('.')}")


def _observation(promotion: Promotion) -> Observation:
    version, live = promotion.version, promotion.replaces
    return Observation(
        metrics=promotion.facts["metrics"],
        live_metrics=live.metrics if live else None,
        data=evaluated_on(version),
        live_data=evaluated_on(live) if live else frozenset(),
        signature=signature_of(version),
        live_signature=signature_of(live) if live else None,
    )
