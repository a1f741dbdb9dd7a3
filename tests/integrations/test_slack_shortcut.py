"""The global shortcut over real HTTP: searched lists in time with thousands of rows, and what the dialog keeps."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.models import ModelVersion, Promotion, RegisteredModel
from approvals.selectors.searching import find_models, find_versions
from approvals.states import Via
from integrations.models import SlackIdentity
from integrations.slack.modals import asking
from integrations.slack.modals.asking import Wish
from tests.integrations.slack_fixtures import Slack, slack, snapshot, static_folder
from tests.integrations.test_slack_commands import held, steady, valid
from tests.snapshots import assert_snapshot
from tests.world import World

__all__ = ["slack", "static_folder"]
SLACK_TRANSPORTS = ("http", "socket")
JSON = dict[str, Any]


def opened(slack: Slack, user: str = "alice") -> JSON:
    answer = slack.post("shortcut", user=user, callback_id="ask_for_promotion")
    assert answer["status"] == 200 and answer["ephemeral"] == [], answer
    view: JSON = answer["opened_view"]
    valid(view)
    return view


def now_open(slack: Slack, user: str = "alice") -> JSON:
    """The dialog on somebody's screen."""
    modals = requests.get(f"{slack.url}/_sandbox/views", timeout=10).json()["modals"]
    view: JSON = modals[user][-1]
    valid(view)
    return view


def offered(
    slack: Slack, view: JSON, action: str, text: str = "", user: str = "alice"
) -> list[str]:
    """What the searched list shows for ``text``."""
    answer = slack.post("suggest", user=user, view_id=view["id"], action_id=action, value=text)
    assert answer["error"] is None, answer
    return [each["text"]["text"] for each in answer["options"]]


def choose(slack: Slack, view: JSON, action: str, row: int, **values: Any) -> JSON:
    """Choose from a list, and what the dialog is then."""
    answer = slack.press("alice", action, ts=" ", view_id=view["id"], value=str(row), values=values)
    assert answer["status"] == 200, answer
    return now_open(slack)


def box(view: JSON, kind: str) -> JSON:
    found: JSON = next(
        each for each in view["blocks"] if each.get("block_id", "").partition("-")[0] == kind
    )
    return found


def test_from_the_shortcut_to_the_request(slack: Slack) -> None:
    world = slack.world
    model, version = world.target().model, world.version(2)
    world.version(1)
    view = opened(slack)
    assert_snapshot("commands/shortcut", steady(view))
    assert "fraud-detector" in offered(slack, view, "ask_model", "FRAUD")
    view = choose(slack, view, "ask_model", model.pk, reason={"text": "It is better."})
    assert offered(slack, view, "ask_version") == ["v2 · train-2", "v1 · train-1"]
    view = choose(slack, view, "ask_version", version.pk)
    assert_snapshot("commands/shortcut-version", steady(view))
    options = box(view, "target")["element"]["options"]
    assert [each["text"]["text"] for each in options] == ["staging", "production"]
    before = Promotion.objects.count()
    chosen = {box(view, "target")["block_id"]: {"target": str(world.target().pk)}}
    # What was typed before the dialog was updated twice is still there, as in Slack.
    answer = slack.submit("alice", view, **chosen)
    assert answer["error"] is None and "errors" not in answer, answer
    promotion = Promotion.objects.get()
    assert before == 0 and promotion.reason == "It is better." and promotion.via == Via.SLACK
    assert promotion.version == version and promotion.target == world.target()
    done = now_open(slack)
    assert done["callback_id"] == "done" and promotion.get_absolute_url() in json.dumps(done)


def test_another_model_forgets_the_version(slack: Slack) -> None:
    """The version's box has another id then; without that Slack would keep the former model's version in it."""
    world = slack.world
    first, other = world.version(2), world.version(7, "churn-predictor")
    view = opened(slack)
    offered(slack, view, "ask_model")
    view = choose(slack, view, "ask_model", first.model.pk)
    offered(slack, view, "ask_version")
    view = choose(slack, view, "ask_version", first.pk)
    shown = view
    view = choose(slack, view, "ask_model", other.model.pk)
    assert held(view)["version"] is None and "target" not in held(view)
    assert offered(slack, view, "ask_version") == ["v7 · train-7"]
    # Sent in the moment before the dialog had changed: it comes back with the right boxes, and nothing is asked.
    payload = {
        "type": "view_submission",
        "user": {"id": "U0ALICE", "team_id": "T0ACME"},
        "team": {"id": "T0ACME"},
        "view": {
            **shown,
            "state": {
                "values": {
                    "model": {"ask_model": {"selected_option": {"value": str(other.model.pk)}}},
                    f"version-{first.model.pk}": {
                        "ask_version": {"selected_option": {"value": str(first.pk)}}
                    },
                    "reason": {"text": {"value": "x"}},
                }
            },
        },
    }
    said = slack.send(payload).json()
    assert said["response_action"] == "update" and held(said["view"])["version"] is None
    assert not Promotion.objects.exists()


def test_where_it_may_not_go_is_said(slack: Slack) -> None:
    world = slack.world
    version = world.version(2)
    world.make_live(version, "staging")
    world.request(version, actor="alice")
    wish = Wish(asking.PROMOTE, model=version.model, version=version, target=world.target())
    view = asking.view(wish, world.person("alice"))
    valid(view)
    assert "target" not in held(view)
    told = json.dumps(view)
    assert "is already live in staging" in told and "is already waiting for approval" in told
    # One who may ask nowhere is told so for each environment, and a submission is refused.
    view = asking.view(wish, world.person("mallory"))
    assert json.dumps(view).count("You may not, because asking here") == 2
    before = snapshot()
    view = opened(slack, "mallory")
    payload = {
        "type": "view_submission",
        "user": {"id": "U0MALLORY", "team_id": "T0ACME"},
        "team": {"id": "T0ACME"},
        "view": {
            **asking.view(wish, world.person("mallory")),
            "id": "V1",
            "state": {
                "values": {
                    "model": {"ask_model": {"selected_option": {"value": str(version.model.pk)}}},
                    f"version-{version.model.pk}": {
                        "ask_version": {"selected_option": {"value": str(version.pk)}}
                    },
                    f"target-{version.pk}": {
                        "target": {"selected_option": {"value": str(world.target().pk)}}
                    },
                    "reason": {"text": {"value": "x"}},
                }
            },
        },
    }
    said = slack.send(payload).json()
    assert list(said["errors"]) == ["model"], "the only box that is left to say it at"
    assert "You may not, because asking here" in str(said) and snapshot() == before


@pytest.mark.parametrize(("user", "words"), [("frank", "Link your account"), ("eve", "other org")])
def test_strangers_are_told_in_a_dialog_and_see_no_names(
    slack: Slack, user: str, words: str
) -> None:
    slack.world.version(2)
    view = opened(slack, user)
    assert view["callback_id"] == "notice" and words in json.dumps(view)
    body = {
        "type": "block_suggestion",
        "user": {"id": f"U0{user.upper()}", "team_id": "T0OTHER" if user == "eve" else "T0ACME"},
        "team": {"id": "T0ACME"},
        "action_id": "ask_model",
        "block_id": "model",
        "value": "",
        "container": {"type": "view", "view_id": "V1"},
    }
    assert slack.send(body).json() == {"options": []}
    body |= {"action_id": "ask_version", "block_id": f"version-{slack.world.target().model.pk}"}
    assert slack.send(body).json() == {"options": []}


@pytest.mark.parametrize(
    "block", ["version", "version-", "version-x", "version-99999", "version-٣"]
)
def test_lists_of_models_that_are_not_there(slack: Slack, block: str) -> None:
    slack.world.version(2)
    body = {
        "type": "block_suggestion",
        "user": {"id": "U0BOB", "team_id": "T0ACME"},
        "team": {"id": "T0ACME"},
        "action_id": "ask_version",
        "block_id": block,
        "value": "\x00%_'",
        "container": {"type": "view", "view_id": "V1"},
    }
    assert slack.send(body).json() == {"options": []}


def many(world: World, models: int, versions: int) -> RegisteredModel:
    """So many models, and so many versions of fraud-detector."""
    now = timezone.now()
    made = RegisteredModel.objects.bulk_create(
        RegisteredModel(name=f"model-{n:04}", registry_name=f"model-{n:04}", repository="acme/x")
        for n in range(models)
    )
    first = world.version(1).model
    ModelVersion.objects.bulk_create(
        ModelVersion(
            model=first if n < versions else made[n % models],
            number=10 + n,
            registered_at=now - timedelta(hours=n),
            updated_at=now,
            source=f"models:/m-{n}",
            status="READY",
            run_name=f"run-{n:05}",
            description=f"{'🚀 نسخة ' * 20}batch {n % 50}",
            tags={"experiment": f"exp-{n % 20}", "owner": "alice"},
            aliases=["champion"] if n == 4321 else [],
            metrics={f"metric_{k}": "0.5" for k in range(60)},
        )
        for n in range(versions + models * 10)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE approvals_modelversion")
        cursor.execute("ANALYZE approvals_registeredmodel")
    return first


def test_thousands_of_versions_in_time(slack: Slack) -> None:
    model = many(slack.world, 500, 5000)
    # Slack takes a hundred; over a connection of ours no answer of more than 20 KB (slack/envelopes.py).
    least = 100 if slack.transport == "http" else 60
    view = opened(slack)
    assert least <= len(offered(slack, view, "ask_model")) <= 100
    assert offered(slack, view, "ask_model", "MODEL-0499") == ["model-0499"]
    view = choose(slack, view, "ask_model", model.pk)
    newest = offered(slack, view, "ask_version")
    assert least <= len(newest) <= 100 and newest[0].startswith("v5009")
    assert offered(slack, view, "ask_version", "v4331") == ["v4331 · run-04321 · @champion"]
    assert offered(slack, view, "ask_version", "433")[0].startswith("v433 ")
    assert offered(slack, view, "ask_version", "champ") == ["v4331 · run-04321 · @champion"]
    assert offered(slack, view, "ask_version", "run-04321") == ["v4331 · run-04321 · @champion"]
    assert least <= len(offered(slack, view, "ask_version", "exp-7")) <= 100
    assert offered(slack, view, "ask_version", "batch 49")[0].startswith("v5009")
    assert offered(slack, view, "ask_version", "zzzz") == []
    row = ModelVersion.objects.get(model=model, number=4331)
    view = choose(slack, view, "ask_version", row.pk)
    assert held(view)["version"] == "v4331 · run-04321 · @champion"
    asked = [each for each in slack.get("deliveries") if each["what"] == "block_suggestion"]
    assert len(asked) == 10 and max(each["seconds"] for each in asked) < 1, asked


def test_searching_takes_one_query_that_an_index_serves(world: World) -> None:
    model = many(world, 300, 5000)
    for text in ("", "433", "v4331", "batch 7", "zzz"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            found = list(find_versions(model, text))
        assert len(queries) == 1 and len(found) <= 100
        plan = find_versions(model, text).explain()
        assert "version_once_per_number" in plan or "approvals_modelversion_model_id" in plan, plan
        assert "Seq Scan on approvals_modelversion" not in plan, plan
        if not text:
            assert "Sort" not in plan, "the newest come straight from the index"
        assert 'metrics"' not in queries[0]["sql"], "nothing is read that is not shown"
    with CaptureQueriesContext(connection) as queries:
        assert len(list(find_models(""))) == 100 == len(list(find_models("model")))
    assert len(queries) == 2


def test_the_dialog_takes_as_many_queries_with_many_rows_as_with_few(world: World) -> None:
    person, version = world.person("alice"), world.version(3)
    wish = Wish(asking.PROMOTE, model=version.model, version=version)
    with CaptureQueriesContext(connection) as few:
        asking.view(wish, person)
    many(world, 300, 1000)
    with CaptureQueriesContext(connection) as more:
        asking.view(wish, person)
    assert len(more) == len(few) < 40


@pytest.mark.http_only
def test_slack_is_told_of_a_list_that_does_not_come(slack: Slack) -> None:
    """What the stand-in does with an app that fails: the error that the person sees."""
    view = opened(slack)
    slack.post("settings", events_url="http://127.0.0.1:9/nothing")
    answer = slack.post(
        "suggest", user="alice", view_id=view["id"], action_id="ask_model", value=""
    )
    assert answer["error"] == "dispatch_failed" and answer["options"] == []
    assert "could not be loaded" in answer["notice"]


def test_a_deactivated_link_stops_the_lists_at_once(slack: Slack) -> None:
    slack.world.version(2)
    view = opened(slack)
    SlackIdentity.objects.filter(user_id="U0ALICE").delete()
    assert offered(slack, view, "ask_model") == []
