"""What holds of every decision, whoever votes in whatever order: searched for counterexamples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from approvals.gates import AgainstLive, LiveIn, MetricLimit, RunsGreen, SignatureCompatible
from approvals.policies import Case, Decision, Requirement, Vote, Voter, decide, whose_vote_counts
from approvals.rules import Condition, Policy, Rule, Situation, Terms, merged
from approvals.states import Verdict

SEAL = "s" * 64
TEAMS = ["a", "b", "c"]
REQUESTER = 0
quick = settings(max_examples=50)

some_teams = st.frozensets(st.sampled_from(TEAMS), max_size=3)
requirement = st.builds(
    Requirement,
    st.lists(st.sampled_from(TEAMS), min_size=1, max_size=3, unique=True).map(tuple),
    st.integers(1, 3),
)
rows_of_any_kind = st.lists(requirement, max_size=4).map(tuple)


@st.composite
def ballots(draw: st.DrawFn, verdicts: Sequence[str] = (Verdict.APPROVE,)) -> tuple[Vote, ...]:
    """Votes of different people, some for a colleague, as the services make them of rows: with the
    colleague's teams, and counting only where both are active people. Person 0 is the one who asked."""
    count = draw(st.integers(1, 7))
    own = [draw(some_teams) for _ in range(count)]
    active = [draw(st.integers(0, 5)) > 0 for _ in range(count)]
    machine = [draw(st.integers(0, 5)) == 0 for _ in range(count)]
    votes = []
    for hand in range(count):
        lender = draw(st.one_of(st.none(), st.integers(0, count - 1)))
        lender = None if lender == hand else lender
        behind = [hand] if lender is None else [hand, lender]
        voter = Voter(
            hand,
            own[behind[-1]],
            is_active=all(active[each] for each in behind),
            is_machine=any(machine[each] for each in behind),
            for_id=lender,
        )
        seal = SEAL if draw(st.integers(0, 5)) else "an older one"
        votes.append(Vote(voter, draw(st.sampled_from(verdicts)), seal))
    return tuple(votes)


def counted(decision: Decision) -> list[int]:
    return [id_ for row in decision.rows for id_ in row.counted]


def most_places(rows: Sequence[Requirement], authorities: dict[int, frozenset[str]]) -> int:
    """By trying everything: how many places different authorities can fill."""
    places = [frozenset(row.teams) for row in rows for _ in range(row.count)]

    def best(index: int, left: frozenset[int]) -> int:
        if index == len(places) or not left:
            return 0
        found = best(index + 1, left)
        for each in left:
            if authorities[each] & places[index]:
                found = max(found, 1 + best(index + 1, left - {each}))
                if found == min(len(places) - index, len(left)):
                    break
        return found

    return best(0, frozenset(authorities))


def approving(case: Case) -> dict[int, frozenset[str]]:
    """The authorities behind the approvals that count, with their teams."""
    return {
        vote.voter.authority: vote.voter.teams
        for vote in case.votes
        if vote.verdict == Verdict.APPROVE
        and vote.seal == case.seal
        and whose_vote_counts(case, vote.voter) is None
    }


class TestDeciding:
    @quick
    @given(rows_of_any_kind, ballots(list(Verdict)), st.randoms())
    def test_the_order_of_votes_never_matters(
        self, rows: tuple[Requirement, ...], votes: tuple[Vote, ...], random: Random
    ) -> None:
        shuffled = list(votes)
        random.shuffle(shuffled)
        first = decide(Case(rows, REQUESTER, SEAL, votes))
        assert decide(Case(rows, REQUESTER, SEAL, tuple(shuffled))) == first

    @quick
    @given(rows_of_any_kind, ballots(), st.booleans())
    def test_one_more_approval_never_takes_anything_away(
        self, rows: tuple[Requirement, ...], votes: tuple[Vote, ...], own: bool
    ) -> None:
        decisions = [
            decide(Case(rows, REQUESTER, SEAL, votes[:end], requester_may_approve=own))
            for end in range(len(votes) + 1)
        ]
        verdicts = [each.verdict for each in decisions]
        assert verdicts == sorted(verdicts, key=["pending", "approved"].index)
        tally = [len(counted(each)) for each in decisions]
        assert tally == sorted(tally)

    @settings(max_examples=100)
    @given(rows_of_any_kind, ballots(list(Verdict)), st.booleans())
    def test_the_tally_is_what_trying_everything_finds(
        self, rows: tuple[Requirement, ...], votes: tuple[Vote, ...], own: bool
    ) -> None:
        case = Case(rows, REQUESTER, SEAL, votes, requester_may_approve=own)
        decision, authorities = decide(case), approving(case)
        seated = counted(decision)
        behind = {vote.voter.id: vote.voter for vote in votes}
        assert len(seated) == most_places(rows, authorities)
        assert len({behind[id_].authority for id_ in seated}) == len(seated), "counted twice"
        assert len(seated) <= len(authorities)
        for row in decision.rows:
            assert len(row.counted) + row.missing == row.requirement.count
            assert all(behind[id_].teams & set(row.requirement.teams) for id_ in row.counted)
        full = bool(rows) and len(seated) == sum(row.count for row in rows)
        assert (decision.verdict == "approved") == (full and not decision.rejected_by)

    @quick
    @given(rows_of_any_kind, ballots())
    def test_a_lender_and_their_delegate_are_one(
        self, rows: tuple[Requirement, ...], votes: tuple[Vote, ...]
    ) -> None:
        """Whoever of the two approves, and when both do, it is the same one approval."""
        case = Case(rows, REQUESTER, SEAL, votes)
        tally = len(counted(decide(case)))
        for vote in votes:
            lender = vote.voter
            if whose_vote_counts(case, lender) or lender.for_id is not None or vote.seal != SEAL:
                continue
            lent = Vote(Voter(99, lender.teams, for_id=lender.id), Verdict.APPROVE, SEAL)
            assert len(counted(decide(replace(case, votes=(*votes, lent))))) == tally
            instead = tuple(lent if each is vote else each for each in votes)
            assert len(counted(decide(replace(case, votes=instead)))) == tally

    @quick
    @given(rows_of_any_kind, ballots(), st.booleans())
    def test_nobody_at_all_never_approves_unless_automatic(
        self, rows: tuple[Requirement, ...], votes: tuple[Vote, ...], automatic: bool
    ) -> None:
        case = Case(rows, REQUESTER, SEAL, votes, automatic=automatic)
        decision = decide(case)
        if decision.verdict == "approved" and not counted(decision):
            assert automatic and not rows
        nobody = decide(replace(case, votes=()))
        assert (nobody.verdict == "approved") == (automatic and not rows)

    @quick
    @given(rows_of_any_kind, ballots(list(Verdict)), st.booleans(), st.booleans())
    def test_a_blocker_or_a_missing_seal_never_approves(
        self, rows: tuple[Requirement, ...], votes: tuple[Vote, ...], automatic: bool, sealed: bool
    ) -> None:
        case = Case(
            rows,
            REQUESTER,
            SEAL if sealed else "",
            votes if sealed else tuple(replace(vote, seal="") for vote in votes),
            blockers=("A gate does not pass.",) if sealed else (),
            automatic=automatic,
        )
        decision = decide(case)
        assert decision.verdict != "approved"
        assert decision.blockers

    @quick
    @given(rows_of_any_kind, ballots(), st.booleans())
    def test_the_requester_counts_for_themselves_alone_and_only_where_allowed(
        self, rows: tuple[Requirement, ...], votes: tuple[Vote, ...], own: bool
    ) -> None:
        case = Case(rows, REQUESTER, SEAL, votes, requester_may_approve=own)
        seated = set(counted(decide(case)))
        for vote in votes:
            if REQUESTER in vote.voter.ids:
                allowed = own and vote.voter.for_id is None
                assert vote.voter.id not in seated or allowed
                assert allowed or whose_vote_counts(case, vote.voter) is not None

    @quick
    @given(rows_of_any_kind, ballots(list(Verdict)))
    def test_who_does_not_count_changes_nothing(
        self, rows: tuple[Requirement, ...], votes: tuple[Vote, ...]
    ) -> None:
        """Strangers, machines, the inactive and the one who asked neither approve nor reject."""
        case = Case(rows, REQUESTER, SEAL, votes)
        counting = tuple(v for v in votes if whose_vote_counts(case, v.voter) is None)
        assert decide(replace(case, votes=counting)) == decide(case)


# -- what is asked for ---------------------------------------------------------------------------------

words = st.sampled_from(["auc", "rmse", "team", "pii", "*"])
conditions = st.builds(
    Condition,
    metric_drops=st.sampled_from(["", "auc", "rmse"]),
    better=st.sampled_from(["", "higher", "lower", "sideways"]),
    older_than_live=st.booleans(),
    first_promotion=st.booleans(),
    tags=st.lists(st.tuples(words, words), max_size=2).map(tuple),
)
rules = st.builds(
    Rule,
    conditions,
    rows_of_any_kind,
    st.lists(words, max_size=2, unique=True).map(tuple),
    st.booleans(),
)
numbers = st.sampled_from(["0.9", "0.91", "NaN", "Infinity", "", "much", "1e-400"])
metrics = st.dictionaries(st.sampled_from(["auc", "rmse"]), numbers)
situations = st.builds(
    Situation,
    metrics,
    st.integers(1, 3),
    st.dictionaries(words, words, max_size=2),
    st.one_of(st.none(), metrics),
    st.one_of(st.none(), st.integers(1, 3)),
    st.booleans(),
)
gates = st.sampled_from(
    [
        MetricLimit("auc", "0.9"),
        AgainstLive("auc", "higher", "5", True),
        RunsGreen("ci"),
        LiveIn("staging", 60),
        SignatureCompatible(),
    ]
)
policies = st.builds(
    Policy,
    rows_of_any_kind,
    rows_of_any_kind,
    st.booleans(),
    st.lists(words, max_size=2).map(tuple),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    gates=st.lists(gates, max_size=2).map(tuple),
    trainer_may_approve=st.booleans(),
    automatic=st.booleans(),
    rules=st.lists(rules, max_size=2).map(tuple),
    checklist=st.lists(words, max_size=2, unique=True).map(tuple),
    comment_required=st.booleans(),
    override_team=words,
    override_by_requester=st.booleans(),
    remind_after=st.integers(0, 10**6),
    escalate_after=st.integers(0, 10**6),
    escalate_to=words,
)


def asked(rows: Sequence[Requirement]) -> set[tuple[frozenset[str], int]]:
    return {(frozenset(row.teams), row.count) for row in rows}


class TestTerms:
    @quick
    @given(st.lists(requirement, max_size=6), st.randoms())
    def test_merged_is_the_maximum_in_any_order(
        self, rows: list[Requirement], random: Random
    ) -> None:
        most: dict[frozenset[str], int] = {}
        for row in rows:
            most[frozenset(row.teams)] = max(row.count, most.get(frozenset(row.teams), 0))
        shuffled = rows[:]
        random.shuffle(shuffled)
        assert asked(merged(rows)) == set(most.items()) == asked(merged(shuffled))
        assert len(merged(rows)) == len(most)
        assert merged(merged(rows)) == merged(rows)

    @quick
    @given(policies, rules, situations, ballots())
    def test_a_rule_more_never_asks_for_less(
        self, policy: Policy, rule: Rule, seen: Situation, votes: tuple[Vote, ...]
    ) -> None:
        stricter = replace(policy, rules=(*policy.rules, rule))
        before, after = (each.terms(seen, rollback=False) for each in (policy, stricter))
        there = dict(asked(after.requirements))
        assert all(there.get(teams, 0) >= count for teams, count in asked(before.requirements))
        assert set(before.checklist) <= set(after.checklist)
        assert after.comment_required or not before.comment_required
        assert before.automatic or not after.automatic
        assert set(before.because) <= set(after.because)

        def verdict(terms: Terms) -> str:
            case = Case(terms.requirements, REQUESTER, SEAL, votes, automatic=terms.automatic)
            return decide(case).verdict

        if verdict(after) == "approved" and policy.promote:
            assert verdict(before) == "approved"
        assert policy.terms(seen, rollback=True) == stricter.terms(seen, rollback=True)

    @quick
    @given(metrics, metrics, st.sampled_from(["higher", "lower", "", "sideways"]))
    def test_a_metric_that_cannot_be_compared_makes_the_rule_apply(
        self, new: dict[str, str], old: dict[str, str], better: str
    ) -> None:
        why = Condition(metric_drops="auc", better=better).why(Situation(new, 2, live_metrics=old))
        readable = {"0.9", "0.91", "1e-400"}
        known = {new.get("auc"), old.get("auc")} <= readable and better in {"higher", "lower"}
        assert why.startswith("it cannot be told") or known
        assert known or why

    @quick
    @given(policies, situations)
    def test_what_is_asked_survives_being_written_down(
        self, policy: Policy, seen: Situation
    ) -> None:
        def through_json(data: Any) -> Any:
            return json.loads(json.dumps(data))

        assert Policy.from_data(through_json(policy.as_data())) == policy
        terms = policy.terms(seen, rollback=False)
        assert Terms.from_data(through_json(terms.as_data())) == terms
        for rule in policy.rules:
            assert Rule.from_data(through_json(rule.as_data())) == rule


# -- what is not ours is not guessed at ----------------------------------------------------------------

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from(["", "no", "risk", "false", "5"]),
    st.just([]),
    st.just({}),
    st.just([[]]),
    st.just({"teams": "risk", "count": 0.5}),
)
POLICY = Policy(
    (Requirement(("a",), 2),),
    (Requirement(("b", "c")),),
    False,
    ("a",),
    60,
    60,
    gates=(MetricLimit("auc", "0.9"), LiveIn("staging", 60)),
    rules=(Rule(Condition(tags=(("pii", "*"),)), (Requirement(("c",)),), ("Looked.",), True),),
    checklist=("Read.",),
)
TERMS = Terms((Requirement(("a",), 2),), ("Read.",), True, True, ("it is old",))


def paths(data: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested data."""
    inside = data.items() if isinstance(data, dict) else enumerate(data)
    found = [here] if here else []
    if isinstance(data, dict | list):
        for key, value in inside:
            found += (
                paths(value, (*here, key)) if isinstance(value, dict | list) else [(*here, key)]
            )
    return found


def spoilt(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    copy = deepcopy(data)
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    "whole", [POLICY, TERMS, POLICY.rules[0]], ids=lambda each: type(each).__name__
)
@settings(max_examples=80)
@given(data=st.data())
def test_one_spoilt_place_is_refused_or_kept_as_it_is(whole: Any, data: st.DataObject) -> None:
    """Never read as something else: not a half person as nobody, not the text "false" as yes."""
    good = json.loads(json.dumps(whole.as_data()))
    path = data.draw(st.sampled_from(paths(good)))
    bad = spoilt(good, path, data.draw(junk))
    try:
        found = type(whole).from_data(bad)
    except (KeyError, TypeError, ValueError):
        return
    if isinstance(whole, Terms):  # as_data leaves out what says nothing
        bad = {key: value for key, value in bad.items() if value or key == "requirements"}
    assert json.dumps(found.as_data(), sort_keys=True) == json.dumps(bad, sort_keys=True)


@quick
@given(st.one_of(junk, st.lists(junk, max_size=3), st.dictionaries(words, junk, max_size=3)))
def test_junk_is_refused_in_three_ways_only(thing: Any) -> None:
    for read in (Policy.from_data, Terms.from_data, Rule.from_data, Requirement.rows):
        try:
            found = read(thing)
        except (KeyError, TypeError, ValueError):
            continue
        assert found == () and thing == [], f"{thing!r} was read as {found!r}"
