"""GitHub's own gate: the one run of a grant that is under way passes, every other run is held, and never on doubt.

The stand-in's environments are protected by our rule; its webhooks come in over HTTP, our answers go back so.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals import services
from approvals.models import (
    Deployment,
    Effect,
    Event,
    InboundDelivery,
    Promotion,
    Step,
    WorkflowRun,
)
from approvals.models.outbox import EffectKind
from approvals.narrative import sentence_of
from approvals.services.protection import AskingRun
from approvals.states import DeploymentStatus, EffectStatus
from integrations.github.views import signature
from tests.integrations.gate_fixtures import (
    GATED,
    RULE,
    answers,
    as_app,
    ask,
    assert_held,
    by_hand,
    commit,
    deliver,
    ended,
    follow,
    gates,
    granted,
    protect,
    question,
    requested,
    send,
    start,
)
from tests.integrations.github_fixtures import REPOSITORY, GitHub, eventually
from tests.integrations.slack_fixtures import static_folder
from tests.sandbox.conftest_github import Receiver
from tests.world import World

__all__ = ["static_folder"]
D = DeploymentStatus


@pytest.fixture
def world(committed_world: World) -> World:
    return committed_world


class TestPasses:
    """The one run of a grant that is under way."""

    def test_the_run_that_was_approved(self, world: World, gate: GitHub) -> None:
        deployment = granted(world)
        run_id = start(deployment, world)
        assert ask().status == EffectStatus.DONE
        assert ended(gate, run_id) == "success"
        assert len(gate.deployed()) == 1
        ((state, comment),) = gates(gate, run_id)
        page = f"http://127.0.0.1:8000/promotions/{deployment.promotion_id}/"
        assert (state, page in comment) == ("approved", True)
        event = Event.objects.get(kind="gate.passed")
        assert event.promotion_id == deployment.promotion_id
        assert sentence_of(event).endswith("gate to production")
        assert not Event.objects.filter(kind="gate.held").exists()

    def test_before_the_answer_to_the_dispatch_came(self, world: World, gate: GitHub) -> None:
        """Its run is known from then on, so that no second run passes by the same token."""
        deployment = granted(world)
        run_id = start(deployment, world, acknowledged=False)
        # The workflow_run webhook may have told it already; forget that.
        requested()
        Deployment.objects.filter(pk=deployment.pk).update(status=D.DISPATCHING)
        Step.objects.filter(deployment=deployment).update(run_id=None, run_url="")
        deliver()
        assert ended(gate, run_id) == "success"
        deployment.refresh_from_db()
        assert deployment.step is not None
        assert deployment.step.run_id == run_id

    def test_a_gate_that_asks_twice_is_answered_once(self, world: World, gate: GitHub) -> None:
        gate.control("POST", "faults", {"fault": "webhooks_doubled"})
        run_id = start(granted(world), world)
        assert ask().status == EffectStatus.DONE
        assert ended(gate, run_id) == "success"
        eventually(lambda: self.answers_to_the_question(gate) == [["200", "200"]])
        assert (answers(gate), Effect.objects.filter(kind=EffectKind.ANSWER_GATE).count()) == (1, 1)
        assert Event.objects.filter(kind="gate.passed").count() == 1

    @staticmethod
    def answers_to_the_question(gate: GitHub) -> list[list[str]]:
        """How the product answered each of the rule's webhooks."""
        deliveries = gate.control("GET", "deliveries")
        asked = "deployment_protection_rule"
        return [each["sent"] for each in deliveries if each["event"] == asked]

    def test_environments_are_told_apart_without_regard_to_case(
        self, world: World, gate: GitHub
    ) -> None:
        commit(gate, GATED.replace('"${{ inputs.environment }}"', "Production"))
        protect(gate, "Production")
        run_id = start(granted(world), world)
        assert ask().status == EffectStatus.DONE
        assert ended(gate, run_id) == "success"

    def test_its_second_environment_is_answered_by_name(self, world: World, gate: GitHub) -> None:
        """The grant is for production; a job of the same run for staging is not part of it."""
        second = "  after:\n    needs: deploy\n    runs-on: x\n    environment: staging\n"
        commit(gate, f"{GATED.rstrip()}\n{second}    steps: [{{run: 'true'}}]\n")
        run_id = start(granted(world), world)
        ask()
        ask(2)
        (first, held) = gates(gate, run_id)
        assert (first[0], held[0]) == ("approved", "pending")
        assert "not for staging" in held[1]


class TestHeld:
    """Every other run."""

    def test_started_by_hand_without_a_token(self, world: World, gate: GitHub) -> None:
        run_id = by_hand(gate)
        assert ask().status == EffectStatus.DONE
        event = assert_held(gate, run_id, "carries no token of an approval")
        # Several models go to production; the title names one.
        assert event.target == world.target()
        assert "mallory" in sentence_of(event)
        ((_, comment),) = gates(gate, run_id)
        assert "/models/fraud-detector/" in comment

    def test_those_who_decide_are_told_once(self, world: World, gate: GitHub) -> None:
        run_id = by_hand(gate)
        (effect,) = requested()
        run = AskingRun(
            repository=REPOSITORY,
            run_id=run_id,
            attempt=1,
            workflow="deploy-model.yml",
            title="Deploy fraud-detector v9 [none]",
            event="workflow_dispatch",
            branch="main",
            actor="mallory",
            url="http://127.0.0.1:9/run",
        )
        answer = services.answer_gate(run=run, environment=effect.payload["environment"])
        assert answer is not None
        for _ in range(2):
            services.record_gate_answer(run=run, answer=answer)
        (alert,) = Effect.objects.filter(kind=EffectKind.ALERT)
        assert alert.target == world.target()
        assert "mallory" in alert.payload["text"]
        people = {world.person(name).pk for name in ("bob", "carol")}
        assert people <= set(alert.payload["people"])
        assert Event.objects.filter(kind="gate.held").count() == 1

    def test_a_model_that_cannot_be_told(self, world: World, gate: GitHub) -> None:
        run_id = by_hand(gate, title="Nothing to see here")
        ask()
        event = assert_held(gate, run_id, "carries no token of an approval")
        assert event.target is None
        assert not Effect.objects.filter(kind=EffectKind.ALERT).exists()

    def test_a_token_that_belongs_to_nothing(self, world: World, gate: GitHub) -> None:
        run_id = by_hand(gate, "cs-000000000000")
        ask()
        assert_held(gate, run_id, "(cs-000000000000) belongs to no approval")

    def test_two_tokens(self, world: World, gate: GitHub) -> None:
        deployment = granted(world)
        services.begin_dispatch(
            deployment_id=deployment.pk, observed=world.observed(deployment.version)
        )
        title = f"Deploy [{deployment.promotion.token}] [cs-000000000000]"
        run_id = by_hand(gate, title=title)
        ask()
        assert_held(gate, run_id, "more than one token")

    def test_a_grant_that_was_not_begun(self, world: World, gate: GitHub) -> None:
        deployment = granted(world)
        run_id = by_hand(gate, deployment.promotion.token)
        ask()
        assert_held(gate, run_id, "not under way: it is queued")
        deployment.refresh_from_db()
        assert (deployment.status, deployment.run_id) == (D.QUEUED, None)

    def test_the_token_of_another_environment(self, world: World, gate: GitHub) -> None:
        deployment = granted(world)
        services.begin_dispatch(
            deployment_id=deployment.pk, observed=world.observed(deployment.version)
        )
        run_id = by_hand(gate, deployment.promotion.token, "staging")
        ask()
        event = assert_held(gate, run_id, "for fraud-detector in production, not for staging")
        assert event.target == world.target("staging")

    def test_the_token_of_another_target_s_run(self, world: World, gate: GitHub) -> None:
        other = granted(world, "churn-predictor")
        first = start(other, world)
        ask()
        assert ended(gate, first) == "success"
        run_id = by_hand(gate, other.promotion.token)
        ask(2)
        state, comment = gates(gate, run_id)[-1]
        assert (state, "started another run" in comment) == ("pending", True)
        assert len(gate.deployed()) == 1

    @pytest.mark.parametrize("status", [D.SUCCEEDED, D.FAILED, D.CANCELLED, D.WAITING])
    def test_a_deployment_that_is_not_under_way(
        self, world: World, gate: GitHub, status: str
    ) -> None:
        deployment = granted(world)
        run_id = start(deployment, world)
        requested()
        Deployment.objects.filter(pk=deployment.pk).update(status=status)
        deliver()
        assert_held(gate, run_id, "is not under way")

    def test_a_step_that_is_done_with(self, world: World, gate: GitHub) -> None:
        deployment = granted(world)
        run_id = start(deployment, world)
        requested()
        Step.objects.filter(deployment=deployment).update(outcome="succeeded")
        deliver()
        assert_held(gate, run_id, "is done with")

    def test_run_again_by_hand(self, world: World, gate: GitHub) -> None:
        deployment = granted(world)
        run_id = start(deployment, world)
        ask()
        assert ended(gate, run_id) == "success"
        control = f"repos/{REPOSITORY}/runs/{run_id}/rerun"
        gate.control("POST", control, {"actor": "mallory"})
        ask(2)
        assert gate.run(run_id)["status"] == "waiting"
        state, comment = gates(gate, run_id)[-1]
        assert (state, "attempt 2" in comment) == ("pending", True)
        assert len(gate.deployed()) == 1
        held = Event.objects.get(kind="gate.held")
        assert (held.data["attempt"], held.data["by"]) == (2, "mallory")

    def test_run_again_while_the_first_end_was_not_seen(self, world: World, gate: GitHub) -> None:
        deployment = granted(world)
        run_id = start(deployment, world)
        requested()
        gate.server.settings.webhook_url, kept = "", gate.server.settings.webhook_url
        gate.control("POST", f"repos/{REPOSITORY}/runs/{run_id}/cancel")
        assert ended(gate, run_id) == "cancelled"
        eventually(lambda: len(gate.control("GET", "deliveries")[-1]["sent"]) == 1)
        gate.server.settings.webhook_url = kept
        gate.control("POST", f"repos/{REPOSITORY}/runs/{run_id}/rerun")
        ask(2)
        assert_held(gate, run_id, "attempt 2")

    @pytest.mark.parametrize("what", ["workflow", "branch", "event"])
    def test_something_else_than_what_was_approved(
        self, world: World, gate: GitHub, what: str
    ) -> None:
        deployment = granted(world)
        services.begin_dispatch(
            deployment_id=deployment.pk, observed=world.observed(deployment.version)
        )
        token = deployment.promotion.token
        title, more = f"Deploy [{token}]", {}
        if what == "workflow":
            commit(gate, GATED, ".github/workflows/mine.yml")
            more = {"workflow": "mine.yml"}
        elif what == "event":
            more = {"event": "schedule"}
        else:
            target = deployment.target
            target.ref = "release"
            target.save(update_fields=["ref"])
        run_id = by_hand(gate, token, title=title, **more)
        ask()
        assert_held(gate, run_id, "this is something else")


class TestNothingHappens:
    """What is not GitHub's question, or not ours to answer."""

    def test_a_forged_question(self, world: World, gate: GitHub) -> None:
        gate.server.settings.webhook_url = ""
        run_id = start(granted(world), world)
        told, _ = send(question(run_id), delivery="d", sign=signature("guessed", b"x"))
        assert told == 401
        assert not InboundDelivery.objects.filter(delivery_id="d").exists()
        self.assert_nothing(gate)
        eventually(lambda: gate.run(run_id)["status"] == "waiting")

    def test_other_questions(self, world: World, gate: GitHub) -> None:
        unknown = "ignored: unknown repository"
        unreadable = "ignored: unreadable environment"
        elsewhere = "ignored: the callback is for no run of this repository"
        runs = f"https://api.github.com/repos/{REPOSITORY}/actions/runs"
        cases: list[tuple[str, Any, str]] = [
            ("repository", {"full_name": "evil/repo"}, unknown),
            ("repository", None, unknown),
            ("action", "withdrawn", "ignored: not a request"),
            ("environment", "preview", "left alone: preview is not configured"),
            ("environment", ["production"], unreadable),
            ("environment", "", unreadable),
            ("deployment_callback_url", None, elsewhere),
            ("deployment_callback_url", 7, elsewhere),
            ("deployment_callback_url", "http://[", elsewhere),
            (
                "deployment_callback_url",
                f"https://api.github.com/repos/evil/repo/actions/runs/7{RULE}",
                elsewhere,
            ),
            ("deployment_callback_url", f"{runs}/7/cancel", elsewhere),
            ("deployment_callback_url", f"{runs}/7{RULE}/../../8/x", elsewhere),
            ("deployment_callback_url", f"{runs}/{'9' * 30}{RULE}", elsewhere),
        ]
        for number, (name, value, outcome) in enumerate(cases):
            told = send(question(7, **{name: value}), delivery=str(number))
            assert told == (200, outcome), (name, value)
            assert InboundDelivery.objects.get(delivery_id=str(number)).outcome == outcome
        self.assert_nothing(gate)

    def assert_nothing(self, gate: GitHub) -> None:
        assert not Effect.objects.filter(kind=EffectKind.ANSWER_GATE).exists()
        assert not Event.objects.filter(kind__startswith="gate.").exists()
        assert answers(gate) == 0

    def test_the_address_in_the_question_is_never_called(
        self, world: World, gate: GitHub, foreign: Receiver
    ) -> None:
        gate.server.settings.webhook_url = ""
        run_id = start(granted(world), world)
        eventually(lambda: gate.run(run_id)["status"] == "waiting")
        path = f"/repos/{REPOSITORY}/actions/runs/{run_id}{RULE}"
        address = foreign.url.replace("/hook", path)
        told = send(question(run_id, deployment_callback_url=address), delivery="d")
        assert told == (200, "will be answered")
        deliver()
        assert foreign.received == []
        assert ended(gate, run_id) == "success"  # the answer went to the configured GitHub

    def test_an_environment_that_is_no_longer_configured(self, world: World, gate: GitHub) -> None:
        run_id = start(granted(world), world)
        requested()
        for model in ("fraud-detector", "churn-predictor", "demand-forecast", "credit-limit"):
            target = world.target(model=model)
            target.is_active = False
            target.save(update_fields=["is_active"])
        deliver()
        assert (answers(gate), gates(gate, run_id)) == (0, [("pending", "")])

    def test_a_run_that_is_over_needs_no_answer(self, world: World, gate: GitHub) -> None:
        run_id = by_hand(gate)
        requested()
        gate.control("POST", f"repos/{REPOSITORY}/runs/{run_id}/cancel")
        assert ended(gate, run_id) == "cancelled"
        assert ask().status == EffectStatus.DONE
        assert answers(gate) == 0
        assert not Event.objects.filter(kind="gate.held").exists()

    def test_a_second_question_about_the_same_deployment(self, world: World, gate: GitHub) -> None:
        run_id = by_hand(gate)
        requested()
        deployment = {"id": int(Effect.objects.get(kind="answer_gate").dedupe_key.split(":")[3])}
        for delivery in ("d-1", "d-2"):
            told = send(question(run_id, deployment=deployment), delivery=delivery)
            assert told == (200, "will be answered")
        deliver()
        assert answers(gate) == 1


class TestTrouble:
    """GitHub fails: tried again, and never let pass on doubt."""

    @pytest.mark.parametrize("rule", [True, False])
    def test_a_question_that_was_lost(
        self, world: World, gate: GitHub, settings: Settings, rule: bool
    ) -> None:
        """Following the run makes it good. Where only reviewers are asked, nothing is said or recorded."""
        gate.server.settings.webhook_url = ""
        changes = {"rule": rule, "reviewers": [] if rule else ["bob"]}
        gate.control("POST", f"repos/{REPOSITORY}/environments/production", changes)
        run_id = start(granted(world), world)
        eventually(lambda: gate.run(run_id)["status"] == "waiting")
        follow()
        a_minute_later = timezone.now() - timedelta(minutes=1)
        WorkflowRun.objects.filter(run_id=run_id).update(updated_at=a_minute_later)
        settings.GITHUB_APP_ID = ""  # without an App nobody asks
        follow()
        assert not Effect.objects.filter(kind=EffectKind.ANSWER_GATE).exists()
        as_app(settings)
        follow()
        follow()
        assert ask().status == EffectStatus.DONE
        assert answers(gate) == 1
        if rule:
            assert ended(gate, run_id) == "success"
        else:
            assert gates(gate, run_id) == [("pending", "")]
        assert Event.objects.filter(kind="gate.passed").count() == int(rule)

    def test_github_fails_while_it_is_told(self, world: World, gate: GitHub) -> None:
        run_id = start(granted(world), world)
        gate.fault("error_before", match=RULE)
        effect = ask()
        assert (effect.status, "did not take the answer" in effect.last_error) == ("waiting", True)
        assert gate.run(run_id)["status"] == "waiting"
        assert ask().status == EffectStatus.DONE
        assert ended(gate, run_id) == "success"
        assert Event.objects.filter(kind="gate.passed").count() == 1

    def test_the_acknowledgement_is_lost(self, world: World, gate: GitHub) -> None:
        run_id = start(granted(world), world)
        gate.fault("error_after_accept", match=RULE)
        assert ask().status == EffectStatus.WAITING
        assert ask().status == EffectStatus.DONE
        assert ended(gate, run_id) == "success"
        assert len(gate.deployed()) == 1

    def test_refused_although_nothing_waits_any_more(self, world: World, gate: GitHub) -> None:
        """Somebody else let it pass meanwhile; the refusal is no trouble then."""
        commit(gate, GATED.replace("        run: |\n", "        run: |\n          sleep 2\n"))
        run_id = start(granted(world), world)
        gate.fault("drop_after_accept", match=RULE)
        assert ask().status == EffectStatus.WAITING
        eventually(lambda: gate.run(run_id)["status"] == "in_progress")
        assert ask().status == EffectStatus.DONE
        assert [status for *_, status in gate.sent][-2:] == [422, 200]

    def test_a_clear_refusal_is_shown(self, world: World, gate: GitHub) -> None:
        run_id = start(granted(world), world)
        gate.fault("unprocessable", match=RULE)
        effect = ask()
        assert effect.status == EffectStatus.FAILED
        assert "GitHub did not take the answer for production: Validation Failed" in (
            effect.last_error
        )
        assert gate.run(run_id)["status"] == "waiting"

    def test_a_rate_limit(self, world: World, gate: GitHub) -> None:
        start(granted(world), world)
        gate.fault("rate_limited", match=RULE, retry_after=7)
        assert ask().status == EffectStatus.WAITING
        assert ask().status == EffectStatus.DONE

    @pytest.mark.parametrize("fault", ["error_before", "rate_limited"])
    def test_a_run_that_cannot_be_read_does_not_pass(
        self, world: World, gate: GitHub, fault: str
    ) -> None:
        run_id = start(granted(world), world)
        requested()
        gate.fault(fault, match=f"/actions/runs/{run_id}")
        assert ask().status == EffectStatus.WAITING
        assert answers(gate) == 0
        assert not Event.objects.filter(kind__startswith="gate.").exists()
        assert ask().status == EffectStatus.DONE
        assert ended(gate, run_id) == "success"

    def test_judged_afresh_when_it_is_told_again(self, world: World, gate: GitHub) -> None:
        deployment = granted(world)
        run_id = start(deployment, world)
        gate.fault("error_before", match=RULE)
        ask()
        Deployment.objects.filter(pk=deployment.pk).update(status=D.FAILED)
        ask()
        ((state, comment),) = gates(gate, run_id)
        assert (state, "not under way" in comment) == ("pending", True)
        assert gate.deployed() == []
        assert Promotion.objects.get(pk=deployment.promotion_id).status == "approved"
