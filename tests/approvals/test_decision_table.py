"""Who may do what, and when: every state, relation and verb, run and compared with decision_table.txt.

The table is for people to read, risk officers among them, and a change of it is a change of who may do what.
To write it anew after a change that is meant: ``WRITE_DECISION_TABLE=1 .venv/bin/python -m pytest
tests/approvals/test_decision_table.py``, then read the difference. Continuous integration (CI=true) refuses that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils import timezone

from approvals import services
from approvals.models import Deployment, Membership, Person, Promotion, Team, WorkflowRun
from approvals.services import Refused
from approvals.states import PromotionStatus, Verdict, Via
from tests.world import World

FILE = Path(__file__).with_name("decision_table.txt")
HEAD = """\
# Who may do what, and when. Written by running every verb; do not edit it by hand.
#
# A promotion to production needs one of the ML leads and one of risk. In every state that lets people review,
# the ML lead has approved before; risk has not. "done": it was done. Any other word: it was refused, for that
# reason, and nothing was written. Where all is settled, verbs refuse before they look at who asks: those
# states are shown for three people, and what is blocked for those who could do something if it were not.
# How to write it anew: tests/approvals/test_decision_table.py.
"""
RELATIONS = {
    "requester": "alice",
    "approver": "carol",
    "approver who approved": "bob",
    "delegate of an approver": "erin",
    "member of another team": "oscar",
    "break-glass member": "dave",
    "machine in the team": "ci",
    "inactive approver": "ines",
    "nobody": "mallory",
}
# The states in which no verb looks at the person any more, and those who are tried in them.
SETTLED = ("approved, running", "live", "rejected", "cancelled", "expired", "superseded")
TRIED = ("requester", "approver", "break-glass member")
DAY = timedelta(days=1)


# The states that differ from "pending sealed" for those alone who could do something in it.
BLOCKED = (
    "pending, a gate fails",
    "pending, target locked",
    "pending, quarantined",
    "pending, frozen",
)
COULD = (
    "requester",
    "approver",
    "approver who approved",
    "delegate of an approver",
    "break-glass member",
)


def relations_in(state: str) -> Sequence[str]:
    return TRIED if state in SETTLED else COULD if state in BLOCKED else list(RELATIONS)


class Table(World):
    """The demo's world with more people, and one promotion in any state."""

    def __init__(self) -> None:
        super().__init__()
        risk, engineers = (Team.objects.get(slug=slug) for slug in ("risk", "ml-engineers"))
        for name in ("erin", "oscar", "ines", "rita"):
            Person.objects.create(username=name, first_name=name.title(), is_active=name != "ines")
        for team, name in ((engineers, "oscar"), (risk, "ines"), (risk, "rita"), (risk, "ci")):
            Membership.objects.create(team=team, person=self.person(name))
        services.delegate(
            actor=self.person("carol"),
            via=Via.BROWSER,
            delegate_id=self.person("erin").pk,
            until=timezone.now() + 30 * DAY,
        )
        target = self.target()
        target.policy |= {"override_team": "platform", "gates": [{"kind": "runs", "runs": "ci"}]}
        target.save()
        self.candidate = self.version(2)
        self.ci_run(1, "success")
        people = Person.objects.filter(username__in=RELATIONS.values()).prefetch_related("teams")
        self.people = {each.username: each for each in people}
        self.moment: datetime | None = None

    def ci_run(self, run_id: int, conclusion: str) -> None:
        now = timezone.now()
        WorkflowRun.objects.create(
            repository="acme/ml-models",
            run_id=run_id,
            workflow="ci.yml",
            kind="ci",
            status="completed",
            conclusion=conclusion,
            head_sha=self.candidate.git_commit,
            created_at=now,
            updated_at=now,
        )

    def asked(self) -> Promotion:
        """Sealed, with the lead's approval."""
        return self.review(self.request(self.candidate), "bob")

    def granted(self) -> Deployment:
        promotion = self.review(self.asked(), "rita")
        return Deployment.objects.get(promotion=promotion)

    def dispatched(self) -> Deployment:
        deployment = self.granted()
        observed = self.observed(deployment.version)
        assert services.begin_dispatch(deployment_id=deployment.pk, observed=observed)
        return deployment

    # -- the states --------------------------------------------------------------------------------

    def pending_unsealed(self) -> Promotion:
        return services.request_promotion(
            actor=self.person("alice"),
            via=Via.BROWSER,
            target_id=self.target().pk,
            version_id=self.candidate.pk,
            reason="It catches more fraud.",
        )

    def pending_sealed(self) -> Promotion:
        return self.asked()

    def pending_gate_fails(self) -> Promotion:
        promotion = self.asked()
        self.ci_run(2, "failure")
        return promotion

    def pending_locked(self) -> Promotion:
        promotion = self.asked()
        self.close(services.lock, target_id=promotion.target_id)
        return promotion

    def pending_quarantined(self) -> Promotion:
        promotion = self.asked()
        self.close(services.quarantine, version_id=promotion.version_id)
        return promotion

    def pending_frozen(self) -> Promotion:
        promotion = self.asked()
        self.close(services.freeze, environment_id=promotion.target.environment_id)
        return promotion

    def pending_overdue(self) -> Promotion:
        promotion = self.asked()
        self.moment = promotion.expires_at
        return promotion

    def approved_queued(self) -> Promotion:
        return self.granted().promotion

    def approved_running(self) -> Promotion:
        deployment = self.dispatched()
        services.record_dispatched(deployment_id=deployment.pk, run_id=77, url="")
        return deployment.promotion

    def approved_unconfirmed(self) -> Promotion:
        deployment = self.dispatched()
        services.record_unconfirmed(deployment_id=deployment.pk, detail="No answer.")
        return deployment.promotion

    def live(self) -> Promotion:
        return self.deploy(self.granted()).promotion

    def rejected(self) -> Promotion:
        return self.review(self.asked(), "rita", Verdict.REJECT)

    def cancelled(self) -> Promotion:
        return services.cancel(
            actor=self.person("alice"), via=Via.BROWSER, promotion_id=self.asked().pk
        )

    def expired(self) -> Promotion:
        promotion = self.asked()
        assert services.close_overdue(now=promotion.expires_at) == 1
        return promotion

    def superseded(self) -> Promotion:
        promotion = self.asked()
        self.request(self.version(3))
        return promotion

    def close(self, verb: Callable[..., object], **what: int) -> None:
        verb(actor=self.person("bob"), via=Via.BROWSER, reason="Drift.", **what)


STATES: dict[str, tuple[Callable[[Table], Promotion], str]] = {
    "pending unsealed": (Table.pending_unsealed, "pending"),
    "pending sealed": (Table.pending_sealed, "pending"),
    "pending, a gate fails": (Table.pending_gate_fails, "pending"),
    "pending, target locked": (Table.pending_locked, "pending"),
    "pending, quarantined": (Table.pending_quarantined, "pending"),
    "pending, frozen": (Table.pending_frozen, "pending"),
    "pending, overdue": (Table.pending_overdue, "pending"),
    "approved, queued": (Table.approved_queued, "approved"),
    "approved, running": (Table.approved_running, "approved"),
    "approved, unconfirmed": (Table.approved_unconfirmed, "approved"),
    "live": (Table.live, "approved"),
    "rejected": (Table.rejected, "rejected"),
    "cancelled": (Table.cancelled, "cancelled"),
    "expired": (Table.expired, "expired"),
    "superseded": (Table.superseded, "superseded"),
}

Verb = Callable[[Promotion, Person, datetime], object]


def _deployment(promotion: Promotion) -> int:
    return Deployment.objects.filter(promotion=promotion).values_list("pk", flat=True).first() or 0


def _review(promotion: Promotion, actor: Person, now: datetime, verdict: Verdict) -> object:
    return services.review(
        actor=actor,
        via=Via.BROWSER,
        promotion_id=promotion.pk,
        verdict=verdict,
        seal=promotion.seal,
        comment="I looked at it.",
        now=now,
    )


VERBS: dict[str, Verb] = {
    "approve": lambda p, actor, now: _review(p, actor, now, Verdict.APPROVE),
    "reject": lambda p, actor, now: _review(p, actor, now, Verdict.REJECT),
    "withdraw": lambda p, actor, now: services.withdraw_review(
        actor=actor, via=Via.BROWSER, promotion_id=p.pk, now=now
    ),
    "cancel": lambda p, actor, now: services.cancel(
        actor=actor, via=Via.BROWSER, promotion_id=p.pk, now=now
    ),
    "schedule": lambda p, actor, now: services.schedule(
        actor=actor, via=Via.BROWSER, promotion_id=p.pk, run_at=now + DAY, now=now
    ),
    "override": lambda p, actor, now: services.override(
        actor=actor,
        via=Via.BROWSER,
        promotion_id=p.pk,
        seal=p.seal,
        reason="Fraud is under way.",
        now=now,
    ),
    "check_again": lambda p, actor, now: services.check_again(
        actor=actor, via=Via.BROWSER, promotion_id=p.pk, now=now
    ),
    "dispatch_again": lambda p, actor, now: services.dispatch_again(
        actor=actor,
        via=Via.BROWSER,
        deployment_id=_deployment(p),
        reason="No run is there.",
        now=now,
    ),
}

# Every row that a verb may write, as one text: one query for each cell.
TABLES = ("promotion", "review", "deployment", "effect", "event", "restriction", "delegation")
WRITTEN = " || ".join(
    f"(SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t.id), '')) FROM approvals_{name} t)"  # noqa: S608
    for name in TABLES
)


def everything() -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {WRITTEN}")
        return str(cursor.fetchone()[0])


Cells = dict[tuple[str, str, str], str]


def cells_of(table: Table, state: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Run all cells of one state. What was done is undone; what was refused is not, for it wrote nothing."""
    build, status = STATES[state]
    table.moment = None
    promotion = Promotion.objects.get(pk=build(table).pk)
    assert promotion.status == status
    before, now = everything(), table.moment or timezone.now()
    for relation in relations_in(state):
        for name, verb in VERBS.items():
            savepoint = transaction.savepoint()
            try:
                verb(promotion, table.people[RELATIONS[relation]], now)
            except Refused as refused:
                yield (state, relation, name), refused.code
            else:
                assert everything() != before, f"{state}, {relation}: {name} wrote nothing"
                transaction.savepoint_rollback(savepoint)
                yield (state, relation, name), "done"
        assert everything() == before, f"{state}, {relation}: something was refused, yet written"


def text_of(cells: Mapping[tuple[str, str, str], str]) -> str:
    """Aligned columns, one block for each state."""
    rows = [["STATE", "WHO", *VERBS]]
    for state in STATES:
        for relation in relations_in(state):
            rows.append([state, relation, *(cells[state, relation, verb] for verb in VERBS)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    blocks, start = [lines[:1]], 1
    for state in STATES:
        end = start + len(relations_in(state))
        blocks.append(lines[start:end])
        start = end
    return "\n".join([HEAD, *("\n".join(block) + "\n" for block in blocks)])


def wants_writing(environment: Mapping[str, str]) -> bool:
    """Whether to write the table anew. Never in continuous integration, which is to notice the difference."""
    if environment.get("WRITE_DECISION_TABLE") != "1":
        return False
    if environment.get("CI") == "true":
        raise RuntimeError("The decision table is not written in continuous integration.")
    return True


@cache
def kept() -> Cells:
    """The table in the file."""
    found: Cells = {}
    columns: list[int] = []
    for line in FILE.read_text().splitlines():
        if line.startswith("STATE"):
            columns = [line.index(word) for word in ("STATE", "WHO", *VERBS)]
        elif line and not line.startswith("#"):
            state, who, *words = (
                line[start:end].strip()
                for start, end in zip(columns, [*columns[1:], None], strict=True)
            )
            found |= {(state, who, verb): word for verb, word in zip(VERBS, words, strict=True)}
    return found


def test_the_table_is_what_the_verbs_do(db: None) -> None:
    table = Table()
    cells: Cells = {}
    for state in STATES:
        savepoint = transaction.savepoint()
        cells |= dict(cells_of(table, state))
        transaction.savepoint_rollback(savepoint)
    if wants_writing(os.environ):
        FILE.write_text(text_of(cells))
        kept.cache_clear()
    assert len(cells) == sum(len(relations_in(state)) for state in STATES) * len(VERBS)
    assert {
        cell: (word, kept().get(cell)) for cell, word in cells.items() if word != kept().get(cell)
    } == {}
    assert FILE.read_text() == text_of(cells)


def test_continuous_integration_never_writes_it() -> None:
    assert not wants_writing({})
    assert not wants_writing({"CI": "true"})
    assert wants_writing({"WRITE_DECISION_TABLE": "1"})
    with pytest.raises(RuntimeError):
        wants_writing({"WRITE_DECISION_TABLE": "1", "CI": "true"})


def done(**what: str) -> set[tuple[str, str, str]]:
    """The cells of the file that are done, of one state, relation or verb."""
    place = {"state": 0, "who": 1, "verb": 2}
    return {
        cell
        for cell, word in kept().items()
        if word == "done" and all(cell[place[name]] == value for name, value in what.items())
    }


class TestWhatTheTableMustSay:
    """The rules that no regenerated table may break."""

    def test_only_deciders_approve_and_only_what_is_sealed_and_open(self) -> None:
        able = {
            ("pending sealed", who, "approve") for who in ("approver", "delegate of an approver")
        }
        assert done(verb="approve") == able

    def test_only_the_named_team_breaks_the_glass_and_not_over_what_people_closed(self) -> None:
        open_ = ("pending sealed", "pending, a gate fails", "pending, frozen")
        assert done(verb="override") == {(s, "break-glass member", "override") for s in open_}

    def test_the_inactive_do_nothing(self) -> None:
        assert done(who="inactive approver") == set()

    def test_the_requester_the_machine_and_strangers_decide_nothing(self) -> None:
        for who in ("requester", "machine in the team", "nobody", "member of another team"):
            verbs = {cell[2] for cell in done(who=who)}
            own = {"cancel", "schedule"} if who == "requester" else set()
            assert verbs <= {"check_again", *own}, who

    def test_what_is_settled_stays_settled(self) -> None:
        for state, (_, status) in STATES.items():
            if status != PromotionStatus.PENDING:
                verbs = {cell[2] for cell in done(state=state)}
                allowed = {
                    "approved, queued": {"schedule"},
                    "approved, unconfirmed": {"dispatch_again"},
                }
                assert verbs <= allowed.get(state, set()), state
