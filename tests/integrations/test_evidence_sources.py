"""Evidence that GitHub and MLflow hold already: read, kept once, and never where it proves nothing."""

from __future__ import annotations

from typing import Any

from approvals import services
from approvals.explain import explain
from approvals.gates import EvidencePassed
from approvals.models import Event, Evidence, ModelVersion, RegisteredModel, WorkflowRun
from approvals.states import Via
from integrations import polls
from tests.integrations.github_fixtures import REPOSITORY, GitHub, eventually
from tests.world import World


def takes(*sources: dict[str, str]) -> None:
    RegisteredModel.objects.filter(name="fraud-detector").update(evidence=list(sources))


def kept() -> list[tuple[str, str, str]]:
    return list(Evidence.objects.order_by("pk").values_list("name", "verdict", "via"))


def seen(world: World, **tags: str) -> ModelVersion:
    """The version as a sync reads it with these tags."""
    version = world.version(2)
    services.record_versions(
        versions=[
            services.VersionFacts(
                registry_name="fraud-detector",
                number=2,
                registered_at=version.registered_at,
                updated_at=version.updated_at,
                source=version.source,
                status="READY",
                description="",
                tags=tags,
                run_id="run2",
            )
        ]
    )
    return version


def test_a_tag_counts_from_when_it_says_so(world: World) -> None:
    takes({"name": "bias", "tag": "validation.bias"})
    world.rules(gates=(EvidencePassed("bias"),))
    promotion = world.request(world.version(2))
    assert explain(promotion).blockers == ["No bias evidence is known."]
    seen(world, **{"validation.bias": "maybe"})
    assert kept() == []
    seen(world, **{"validation.bias": "Passed"})
    seen(world, **{"validation.bias": "Passed", "other": "x"})
    assert kept() == [("bias", "pass", Via.MLFLOW)]
    assert explain(promotion).blockers == []
    seen(world, **{"validation.bias": "failed"})
    assert "bias" in explain(promotion).blockers[0]
    seen(world, **{"validation.bias": "passed"})
    assert [verdict for _, verdict, _ in kept()] == ["pass", "fail", "pass"]
    assert explain(promotion).blockers == []
    assert Event.objects.filter(kind="evidence.recorded").count() == 3


def test_what_the_requester_reports_does_not_open_their_own_gate(world: World) -> None:
    world.rules(gates=(EvidencePassed("load-test"),))
    promotion = world.request(world.version(2))

    def report(name: str, verdict: str) -> None:
        services.record_evidence(
            actor=world.person(name),
            via=Via.API,
            version_id=promotion.version_id,
            environment_id=None,
            name="load-test",
            verdict=verdict,
        )

    report("alice", "pass")
    assert explain(promotion).blockers == ["No load-test evidence is known."]
    report("ci", "pass")
    assert explain(promotion).blockers == []
    report("alice", "fail")
    assert "load-test" in explain(promotion).blockers[0]


def test_the_jobs_of_a_run_for_the_commit(committed_world: World, github: GitHub) -> None:
    world = committed_world
    takes({"name": "unit-tests", "job": "test"}, {"name": "missing", "job": "no such job"})
    github.control("POST", f"repos/{REPOSITORY}/runs", {"workflow": "ci.yml", "event": "push"})
    run = eventually(lambda: [r for r in github.runs("ci.yml") if r["status"] == "completed"])[0]
    polls.poll_due(seconds=60)  # finds the run
    polls.poll_due(seconds=60)  # reads its jobs
    kept_run = WorkflowRun.objects.get(run_id=run["id"])
    assert (kept_run.jobs_attempt, [job["name"] for job in kept_run.jobs]) == (1, ["test"])
    assert kept() == []  # no version of that commit is known yet
    version = world.version(2, git_commit=run["head_sha"])
    other = world.version(3)
    found = Evidence.objects.get()
    assert (found.version, found.name, found.verdict) == (version, "unit-tests", "pass")
    assert found.workflow_run == kept_run and found.link.startswith(github.url)
    assert not other.evidence.exists()
    asked = len(github.sent)
    polls.poll_due()
    assert Evidence.objects.count() == 1
    assert not [path for _, path, _ in github.sent[asked:] if path.endswith("/jobs?per_page=100")]


def test_a_failed_job_fails_and_a_skipped_one_proves_nothing(world: World) -> None:
    takes({"name": "unit-tests", "job": "test"})
    version = world.version(2)
    deployment = world.approve(world.request(world.version(5)))

    def ran(run_id: int, conclusion: str) -> None:
        values: dict[str, Any] = {"workflow": "ci.yml", "kind": "ci", "title": "CI"}
        run = services.record_run(
            facts=world.run_facts(deployment, run_id, head_sha=version.git_commit, **values)
        )
        jobs = [{"name": "test", "conclusion": conclusion, "url": "http://127.0.0.1/job"}]
        services.record_jobs(run_pk=run.pk, attempt=1, jobs=jobs)
        services.record_jobs(run_pk=run.pk, attempt=1, jobs=jobs)

    ran(1, "skipped")
    assert kept() == []
    ran(2, "failure")
    ran(3, "success")
    assert [verdict for _, verdict, _ in kept()] == ["fail", "pass"]


def test_a_metric_within_limits(world: World) -> None:
    takes({"name": "load-test", "metric": "p95_ms", "at_most": "200"})
    version = world.version(2, metrics={"p95_ms": "212.5"})
    world.version(2, metrics={"p95_ms": "212.5", "other": "1"})
    assert kept() == [("load-test", "fail", Via.MLFLOW)]
    assert version.evidence.get().numbers == {"p95_ms": "212.5"}
    world.version(2, metrics={"p95_ms": "200"})
    world.version(2, metrics={"p95_ms": "nan"})
    assert [verdict for _, verdict, _ in kept()] == ["fail", "pass"]
