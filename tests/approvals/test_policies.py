"""The policy: a decision table, and properties that hold for every case."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.policies import (
    Case,
    Requirement,
    Vote,
    Voter,
    assign,
    decide,
    unmeetable,
    whose_vote_counts,
)
from approvals.rules import Condition, Policy, Rule, Situation

ALICE = Voter(1, frozenset({"engineers"}))
BOB = Voter(2, frozenset({"leads"}))
CAROL = Voter(3, frozenset({"risk"}))
BOTH = Voter(4, frozenset({"leads", "risk"}))
ROBOT = Voter(5, frozenset({"leads"}), is_machine=True)
GONE = Voter(6, frozenset({"risk"}), is_active=False)
LEAD_AND_RISK = (Requirement(("leads",)), Requirement(("risk",)))
SEAL = "s" * 64


def yes(voter: Voter, seal: str = SEAL) -> Vote:
    return Vote(voter, "approve", seal)


def no(voter: Voter) -> Vote:
    return Vote(voter, "reject", SEAL)


TABLE: list[tuple[str, tuple[Vote, ...], str]] = [
    ("nobody", (), "pending"),
    ("one of two", (yes(BOB),), "pending"),
    ("both", (yes(BOB), yes(CAROL)), "approved"),
    ("one person in both teams counts once", (yes(BOTH),), "pending"),
    ("in both teams, with a lead", (yes(BOTH), yes(BOB)), "approved"),
    ("in both teams, with risk", (yes(BOTH), yes(CAROL)), "approved"),
    ("a machine never counts", (yes(ROBOT), yes(CAROL)), "pending"),
    ("the inactive never count", (yes(BOB), yes(GONE)), "pending"),
    ("the requester never counts", (yes(BOB), yes(ALICE)), "pending"),
    ("a stale seal never counts", (yes(BOB), yes(CAROL, "old")), "pending"),
    ("one rejection settles", (yes(BOB), no(CAROL)), "rejected"),
    ("a stranger's rejection does not", (yes(BOB), yes(CAROL), no(ALICE)), "approved"),
    ("a machine's rejection does not", (no(ROBOT),), "pending"),
]


def test_whoever_trained_it_does_not_count_where_the_policy_says_so() -> None:
    bob = Voter(2, frozenset({"leads"}), names=frozenset({"bob", "bob@acme.example"}))
    votes = (yes(bob), yes(CAROL))
    for name in ("bob", "bob@acme.example"):
        case = Case(LEAD_AND_RISK, ALICE.id, SEAL, votes, barred_trainer=name)
        assert decide(case).verdict == "pending"
        assert whose_vote_counts(case, bob) == "trainer"
        assert whose_vote_counts(case, CAROL) is None
    for name in ("", "rob"):
        assert decide(Case(LEAD_AND_RISK, ALICE.id, SEAL, votes, barred_trainer=name)).verdict == (
            "approved"
        )


@pytest.mark.parametrize(
    ("votes", "verdict"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_decision_table(votes: tuple[Vote, ...], verdict: str) -> None:
    assert decide(Case(LEAD_AND_RISK, ALICE.id, SEAL, votes)).verdict == verdict


def test_nothing_is_approved_without_seal_requirement_or_with_a_blocker() -> None:
    votes = (yes(BOB), yes(CAROL))
    unsealed = Case(LEAD_AND_RISK, ALICE.id, "", tuple(yes(v.voter, "") for v in votes))
    assert decide(unsealed).verdict == "pending"
    assert decide(Case((), ALICE.id, SEAL, votes)).verdict == "pending"
    blocked = Case(LEAD_AND_RISK, ALICE.id, SEAL, votes, blockers=("The artifact is gone.",))
    assert decide(blocked).verdict == "pending"
    assert "The artifact is gone." in decide(blocked).blockers


def test_requester_counts_only_where_the_configuration_says_so() -> None:
    rows = (Requirement(("leads",)),)
    assert decide(Case(rows, BOB.id, SEAL, (yes(BOB),))).verdict == "pending"
    allowed = Case(rows, BOB.id, SEAL, (yes(BOB),), requester_may_approve=True)
    assert decide(allowed).verdict == "approved"


def test_a_policy_survives_its_snapshot() -> None:
    policy = Policy(
        LEAD_AND_RISK, (Requirement(("leads", "risk"), 2),), True, ("engineers",), 60, 30
    )
    assert Policy.from_data(policy.as_data()) == policy


teams = st.frozensets(st.sampled_from(["a", "b", "c"]), max_size=3)
voters = st.lists(
    st.builds(Voter, st.integers(1, 9), teams, is_active=st.booleans(), is_machine=st.booleans()),
    max_size=8,
    unique_by=lambda voter: voter.id,
)
requirements = st.lists(
    st.builds(
        Requirement,
        st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True).map(tuple),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=3,
).map(tuple)


@given(requirements, voters, st.randoms())
def test_order_of_votes_never_matters(
    rows: tuple[Requirement, ...], people: list[Voter], random: Random
) -> None:
    votes = [yes(person) for person in people]
    shuffled = votes[:]
    random.shuffle(shuffled)
    assert decide(Case(rows, 0, SEAL, tuple(votes))) == decide(Case(rows, 0, SEAL, tuple(shuffled)))


@given(requirements, voters)
def test_one_more_approval_never_unapproves(
    rows: tuple[Requirement, ...], people: list[Voter]
) -> None:
    votes = tuple(yes(person) for person in people)
    verdicts = [
        decide(Case(rows, 0, SEAL, votes[:count])).verdict for count in range(len(votes) + 1)
    ]
    assert verdicts == sorted(verdicts, key=["pending", "approved"].index)


@given(requirements, voters)
def test_each_person_fills_at_most_one_place(
    rows: tuple[Requirement, ...], people: list[Voter]
) -> None:
    counted = [
        id_
        for row in decide(Case(rows, 0, SEAL, tuple(yes(person) for person in people))).rows
        for id_ in row.counted
    ]
    assert len(counted) == len(set(counted))
    able = {person.id for person in people if person.is_active and not person.is_machine}
    assert set(counted) <= able


@given(requirements, voters)
def test_approved_exactly_when_some_assignment_fills_every_place(
    rows: tuple[Requirement, ...], people: list[Voter]
) -> None:
    able = [person for person in people if person.is_active and not person.is_machine]
    places = [row for row in rows for _ in range(row.count)]

    def fillable(rest: list[Requirement], left: list[Voter]) -> bool:
        if not rest:
            return True
        return any(
            fillable(rest[1:], [each for each in left if each is not person])
            for person in left
            if person.teams & set(rest[0].teams)
        )

    votes = tuple(yes(person) for person in people)
    expected = "approved" if len(places) <= len(able) and fillable(places, able) else "pending"
    assert decide(Case(rows, 0, SEAL, votes)).verdict == expected


def test_who_cannot_be_found_is_named() -> None:
    assert unmeetable((Requirement(("leads",), 2),), [BOB]) == [Requirement(("leads",), 2)]
    assert unmeetable(LEAD_AND_RISK, [BOTH, CAROL]) == []
    assert assign((), [BOB]) == []


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (Condition("auc", "higher"), "where auc is worse than the live version's"),
        (Condition(older_than_live=True), "where it is older than the live version"),
        (
            Condition(first_promotion=True, tags=(("tier", "high"),)),
            "where it is the model's first promotion here and it is tagged tier = high",
        ),
        (Condition(tags=(("pii", "*"),)), "where it has a tag pii"),
        (Condition(), "always"),
    ],
)
def test_a_rule_says_what_it_asks_and_when(condition: Condition, words: str) -> None:
    rule = Rule(condition, (Requirement(("risk",), 2),), ("drift looked at",), True)
    assert rule.words == f"2 of risk, the tick “drift looked at” and a comment {words}"


def test_a_rule_that_names_only_targets_always_applies() -> None:
    """``when: {environments: [production]}`` leaves no condition to be looked at."""
    rule = Rule(Condition(), (Requirement(("risk",), 2),))
    policy = Policy((Requirement(("ml-leads",)),), (), False, (), 1, 1, rules=(rule,))
    terms = policy.terms(Situation({}, 1), rollback=False)
    assert terms.requirements == (Requirement(("ml-leads",)), Requirement(("risk",), 2))
    assert terms.because == ("a rule for this target always applies",)
