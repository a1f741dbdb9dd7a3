"""The commits between what is live and a candidate: read once from GitHub, bounded, and blocking nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from approvals import services
from approvals.models import CodeComparison, Effect, Event, ModelVersion
from approvals.models.outbox import EffectKind
from approvals.selectors.comparisons import comparison_of
from approvals.states import EffectStatus
from integrations import outbox, pace
from integrations.effects import HANDLERS
from integrations.github.client import credential
from sandbox.github.git import Repository
from tests.integrations.github_fixtures import GitHub
from tests.world import World

PATH = "repos/acme/ml-models/commits"
Commit = Callable[..., str]


@pytest.fixture
def commit(github: GitHub) -> Commit:
    """Pushes a commit to the stand-in's repository and returns its SHA."""

    def push(message: str, **files: str) -> str:
        body = {"message": message, "author": "bob", "files": files or {"a.txt": message}}
        return str(github.control("POST", PATH, body)["sha"])

    return push


def repository(github: GitHub) -> Repository:
    return Repository(github.server.settings.data / "repositories" / "acme/ml-models.git")


def live_and_candidate(world: World, live: str, candidate: str) -> ModelVersion:
    """Something is live; a promotion of something newer has been asked for."""
    world.make_live(world.version(1, git_commit=live))
    version = world.version(2, git_commit=candidate)
    world.request(version)
    return version


def effects() -> list[Effect]:
    return list(Effect.objects.filter(kind=EffectKind.COMPARE).order_by("pk"))


def deliver() -> Effect:
    """Deliver the newest reading, as a worker does."""
    effect = effects()[-1]
    effect.status, effect.claim, effect.attempts = EffectStatus.CLAIMED, "me", effect.attempts + 1
    effect.save()
    outbox.deliver(effect, HANDLERS)
    effect.refresh_from_db()
    return effect


def only() -> CodeComparison:
    return CodeComparison.objects.get()


def shown(comparison: CodeComparison | None) -> str:
    return render_to_string("web/parts/commits.html", {"comparison": comparison})


def test_what_is_new_since_what_is_live(
    committed_world: World, github: GitHub, commit: Commit
) -> None:
    live = commit("Before")
    commit("Balance the classes\n\nA longer story.", **{"train.py": "1\n2\n"})
    head = commit("<b>Tune</b> the threshold", **{"train.py": "1\n3\n", "eval.py": "x\n"})
    version = live_and_candidate(committed_world, live, head)
    assert "are being read" in shown(comparison_of(committed_world.target().live_version, version))
    events = Event.objects.count()
    assert deliver().status == EffectStatus.DONE
    row = comparison_of(committed_world.target().live_version, version)
    assert row is not None
    assert (row.status, row.ahead_by, row.behind_by) == ("ahead", 2, 0)
    assert [each["title"] for each in row.commits] == [
        "<b>Tune</b> the threshold",
        "Balance the classes",
    ]
    assert row.commits[0]["author"] == "bob"
    assert row.commits[0]["sha"] == head
    assert (row.file_count, row.additions, row.deletions) == (2, 3, 0)
    assert Event.objects.count() == events
    page = shown(row)
    assert "2 commits" in page
    assert "&lt;b&gt;Tune" in page
    assert f'href="{github.url}/acme/ml-models/commit/{head}"' in page


def test_a_rollback_names_what_it_takes_back(
    committed_world: World, github: GitHub, commit: Commit
) -> None:
    first, _, live = commit("One"), commit("Two"), commit("Three")
    version = live_and_candidate(committed_world, live, first)
    deliver()
    assert (only().status, only().ahead_by, only().behind_by) == ("behind", 0, 2)
    assert [each["title"] for each in only().commits] == ["Three", "Two"]
    assert "takes back <strong>2 commits</strong>" in shown(only())
    assert f"compare/{first}...{live}" in shown(only())
    assert version.git_commit == first


def test_diverged_and_without_a_common_history(
    committed_world: World, github: GitHub, commit: Commit
) -> None:
    git = repository(github)
    fork, live = commit("Fork"), commit("Live")
    tree = git.describe(live).tree
    side = git._write_commit(tree, fork, "Aside", "bob", "bob@acme.example")
    live_and_candidate(committed_world, live, side)
    deliver()
    assert (only().status, only().ahead_by, only().behind_by) == ("diverged", 1, 1)
    assert "since the two parted" in shown(only())
    alone = git._write_commit(tree, None, "Another beginning", "bob", "bob@acme.example")
    committed_world.request(committed_world.version(3, git_commit=alone))
    assert deliver().status == EffectStatus.DONE
    row = CodeComparison.objects.get(head=alone)
    assert "no common history" in row.problem
    assert "Nothing waits for this" in shown(row)


def test_many_commits_and_files_are_bounded(
    committed_world: World, github: GitHub, commit: Commit
) -> None:
    git, live = repository(github), commit("Before")
    tip, tree = live, git.describe(live).tree
    for number in range(1, 121):
        tip = git._write_commit(tree, tip, f"Step {number}", "bob", "bob@acme.example")
    head = commit("Last", **{f"f{number}.txt": "x\n" for number in range(120)})
    live_and_candidate(committed_world, live, head)
    deliver()
    row = only()
    assert (row.ahead_by, len(row.commits), len(row.files)) == (121, 50, 100)
    assert [each["title"] for each in row.commits[:3]] == ["Last", "Step 120", "Step 119"]
    assert (row.file_count, row.additions) == (120, 120)
    assert "and 71 earlier on GitHub" in shown(row)


def test_a_commit_that_github_does_not_know_is_said_and_asked_again_later(
    committed_world: World, github: GitHub, commit: Commit
) -> None:
    live = commit("Before")
    version = live_and_candidate(committed_world, live, "a" * 40)
    assert deliver().status == EffectStatus.DONE
    assert "does not know one of the two commits" in only().problem
    # Asked again at once: nothing. Asked again later: once more.
    for later, readings in ((timedelta(0), 1), (timedelta(hours=1), 2)):
        services.cancel(
            actor=committed_world.person("alice"),
            via="browser",
            promotion_id=version.promotions.latest("pk").pk,
        )
        services.request_promotion(
            actor=committed_world.person("alice"),
            via="browser",
            target_id=committed_world.target().pk,
            version_id=version.pk,
            reason="Again.",
            now=timezone.now() + later,
        )
        assert len(effects()) == readings


@pytest.mark.parametrize(
    ("fault", "options", "says"),
    [
        ("error_before", {}, "GitHub failed"),
        ("drop_after_accept", {}, "could not be reached"),
        ("rate_limited", {"retry_after": 7}, "rate limit"),
        ("rate_limited", {"status": 429, "reset": 60}, "rate limit"),
    ],
)
def test_what_is_over_in_a_while_is_tried_again(
    committed_world: World,
    github: GitHub,
    commit: Commit,
    fault: str,
    options: dict[str, Any],
    says: str,
) -> None:
    live, head = commit("One"), commit("Two")
    live_and_candidate(committed_world, live, head)
    github.fault(fault, match="/compare/", **options)
    effect = deliver()
    assert effect.status == EffectStatus.WAITING
    assert says in effect.last_error
    assert (only().status, only().problem) == ("", "")
    assert deliver().status == EffectStatus.DONE
    assert only().status == "ahead"


def test_a_scarce_limit_is_left_to_deployments(
    committed_world: World, github: GitHub, commit: Commit
) -> None:
    live_and_candidate(committed_world, commit("One"), commit("Two"))
    later = timezone.now() + timedelta(minutes=30)
    pace.left(credential(), pace.Budget(5000, 100, later))
    asked = len(github.sent)
    assert deliver().status == EffectStatus.WAITING
    assert len(github.sent) == asked


class TestWhatIsRead:
    """What is asked for, without a GitHub."""

    def test_once_whoever_asks(self, world: World) -> None:
        world.make_live(world.version(1), "staging", run_id=5)
        world.make_live(world.version(1), run_id=6)
        version = world.version(2)
        world.request(version, target=world.target("staging"))
        world.request(version)
        assert len(effects()) == CodeComparison.objects.count() == 1

    @pytest.mark.parametrize(
        "tag", ["", "main", "../../x", "a" * 6, "a" * 40 + "?x=1", f"{1:040x}"]
    )
    def test_nothing_without_two_commits(self, world: World, tag: str) -> None:
        world.make_live(world.version(1))
        world.request(world.version(2, git_commit=tag))
        assert not effects()

    def test_nothing_where_nothing_is_live(self, world: World) -> None:
        version = world.version(2)
        world.request(version)
        assert not effects()
        assert comparison_of(None, version) is None
        assert shown(None).strip() == ""

    def test_a_new_version_is_compared_with_what_is_live(self, world: World) -> None:
        world.make_live(world.version(1), "staging", run_id=5)
        world.make_live(world.version(1), run_id=6)
        world.version(3)  # registered long ago, as all are at a first start
        assert not effects()
        version = world.version(4, registered_at=timezone.now())
        assert len(effects()) == 1
        row = comparison_of(world.target().live_version, version)
        assert row is not None
        assert not row.status

    def test_another_version_live_meanwhile_is_another_comparison(self, world: World) -> None:
        world.make_live(world.version(1))
        older = world.approve(world.request(world.version(2)))
        asked = world.request(world.version(3))
        assert comparison_of(older.version, asked.version) is not None
        services.call_off(
            actor=world.person("bob"), via="browser", deployment_id=older.pk, reason="Not this one."
        )
        assert comparison_of(world.target().live_version, asked.version) is None
        world.seal(asked)
        assert comparison_of(world.target().live_version, asked.version) is not None

    def test_the_same_commit_needs_no_reading(self, world: World) -> None:
        world.make_live(world.version(1))
        version = world.version(2, git_commit=f"{1:040x}")
        row = comparison_of(world.target().live_version, version)
        assert row is not None
        assert row.status == "identical"
        assert "The same commit" in shown(row)

    def test_a_later_problem_never_loses_a_reading(self, world: World) -> None:
        row = CodeComparison.objects.create(repository="a/b", base="1", head="2", status="ahead")
        services.record_comparison(comparison_id=row.pk, problem="It is gone.")
        row.refresh_from_db()
        assert (row.status, row.problem) == ("ahead", "")
