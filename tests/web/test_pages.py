"""Each page, as each role, says the important thing, in a constant number of queries."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse

from approvals import services
from approvals.gates import Gate, MetricLimit, RunsGreen, as_data
from approvals.models import Promotion, Target
from approvals.models.outbox import EffectKind
from approvals.selectors import decisions
from approvals.services.registry import ModelFacts
from approvals.states import EffectStatus, Via
from tests.web.conftest import Browser
from tests.web.scene import Scene
from tests.world import World

ROLES = ["alice", "carol", "dave", "mallory"]


def text_of(client: Client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status, address
    return response.content.decode()


def test_nothing_is_shown_to_strangers(world: World, client: Client) -> None:
    promotion = world.request()
    for name in ("overview", "inbox", "timeline", "profile", "policy"):
        answer = client.get(reverse(name))
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("account_login"))
    for page in (promotion.get_absolute_url(), promotion.version.get_absolute_url()):
        assert client.get(page).status_code == 302


def test_every_page_opens_for_every_role(db: None) -> None:
    scene = Scene()
    scene.build()
    pages = [reverse(name) for name in ("overview", "inbox", "timeline", "profile", "policy")]
    pages += [reverse("people"), reverse("keys"), f"{reverse('search')}?q=fraud"]
    pages += [reverse("model", args=[name]) for name in ("fraud-detector", "credit-limit")]
    of_alice = list(pages)
    for promotion in Promotion.objects.select_related("version__model", "target__environment"):
        if promotion.is_pending:  # what was settled reads the same for everybody
            pages.append(promotion.get_absolute_url())
        where = promotion.target.environment.name
        of_alice += [
            promotion.get_absolute_url(),
            reverse("promotion_facts", args=[promotion.pk]),
            reverse("rollback", args=[promotion.target_id]),
            promotion.version.get_absolute_url(),
            f"{promotion.version.get_absolute_url()}?environment={where}",
        ]
    for role in ROLES:
        client = Client()
        client.force_login(scene.person(role))
        for page in dict.fromkeys(of_alice if role == ROLES[0] else pages):
            html = text_of(client, page)
            assert "<h1" in html
            # What the Content-Security-Policy would refuse must not be there to begin with.
            assert not re.search(r"<[^>]+\s(style|on\w+)=", html), page
            assert not re.search(r"<script(?![^>]*\ssrc=)", html), page
            assert "<style" not in html


def test_the_empty_overview_says_what_to_do(browser: Browser) -> None:
    client = browser("alice")
    assert "MLflow has not told of this model yet" in text_of(client, "/")


def test_the_overview_tells_what_is_live_and_what_waits(world: World, browser: Browser) -> None:
    world.make_live(world.version(1))
    pending = world.request(world.version(2))
    html = text_of(browser("carol"), "/")
    cell = re.search(
        r'<td[^>]*data-model="fraud-detector" data-environment="production"[^>]*>', html
    )
    assert cell and 'data-live-version="1"' in cell[0]
    assert "Waiting for approval: v2" in html
    assert pending.get_absolute_url() in html
    assert "Nothing live yet" in html
    assert "(1) Overview" in html


def test_the_version_page_compares_with_live(world: World, browser: Browser) -> None:
    world.make_live(world.version(1, metrics={"accuracy": "0.90", "log_loss": "0.2"}))
    version = world.version(2, metrics={"accuracy": "0.93", "log_loss": "0.3"})
    html = text_of(browser("alice"), version.get_absolute_url())
    assert "v2 beside v1, live in production" in html
    assert "+0.03" in html and "better" in html and "worse" in html
    assert f"/#/experiments/1/runs/{version.run_id}" in html
    assert f"/acme/ml-models/commit/{version.git_commit}" in html
    assert "Ask for promotion to production" in html
    assert "Ask for promotion to staging" in text_of(
        browser("alice"), f"{version.get_absolute_url()}?environment=staging"
    )


@pytest.mark.parametrize(
    ("role", "change", "sentence"),
    [
        ("mallory", {}, "asking here is for members of"),
        ("alice", {"run_status": "RUNNING"}, "it can be asked for once it has finished"),
        ("alice", {"status": "PENDING_REGISTRATION"}, "is not ready"),
    ],
)
def test_the_version_page_says_why_it_cannot_be_asked_for(
    world: World, browser: Browser, role: str, change: dict[str, str], sentence: str
) -> None:
    html = text_of(browser(role), world.version(2, **change).get_absolute_url())  # type: ignore[arg-type]
    assert sentence in html
    assert "Ask for promotion to" not in html


def test_a_version_that_was_live_is_offered_for_rollback(world: World, browser: Browser) -> None:
    first = world.version(1)
    world.make_live(first)
    world.make_live(world.version(2))
    assert "Roll back to this version" in text_of(browser("bob"), first.get_absolute_url())


@pytest.mark.parametrize(
    ("role", "sentence"),
    [
        ("alice", "you asked for it"),
        ("mallory", "you are in none of the teams"),
        ("dave", "you are in none of the teams"),
    ],
)
def test_the_promotion_says_why_one_may_not_decide(
    world: World, browser: Browser, role: str, sentence: str
) -> None:
    html = text_of(browser(role), world.request().get_absolute_url())
    assert sentence in html
    assert 'value="approve"' not in html
    assert 'data-promotion-status="pending"' in html


def test_the_promotion_shows_who_has_and_who_could(world: World, browser: Browser) -> None:
    promotion = world.request()
    world.review(promotion, "bob", comment="Looks right.")
    html = text_of(browser("carol"), promotion.get_absolute_url())
    assert "approved by Bob Brandt" in html
    assert "1 more needed (Carol Chen could)" in html
    assert "Looks right." in html
    assert f'name="seal" value="{promotion.seal}"' in html
    assert promotion.short_seal in html


def test_trouble_with_a_service_is_said(world: World, browser: Browser) -> None:
    promotion = world.request()
    promotion.effects.filter(kind="announce").update(attempts=2, last_error="Connection refused")
    address = promotion.get_absolute_url()
    assert "Slack: not done yet; it is kept and tried again. Connection refused" in text_of(
        browser("alice"), address
    )
    promotion.effects.filter(kind="announce").update(status=EffectStatus.FAILED)
    assert "given up" in text_of(browser("alice"), address)


def test_every_kind_of_effect_speaks_to_somebody() -> None:
    assert set(decisions.SERVICES) == set(EffectKind)


def test_the_deployment_is_followed(world: World, browser: Browser) -> None:
    promotion = world.request()
    deployment = world.approve(promotion)
    address = promotion.get_absolute_url()
    client = browser("alice")
    assert 'data-deployment-status="queued"' in text_of(client, address)
    world.deploy(deployment)
    html = text_of(client, address)
    assert 'data-promotion-status="approved"' in html
    assert 'data-deployment-status="succeeded"' in html
    assert ">Live<" in html
    assert "http://127.0.0.1:9/runs/77" in html


def test_the_inbox_holds_what_i_may_decide_and_nothing_else(world: World, browser: Browser) -> None:
    promotion = world.request()
    for role, waits in (("bob", True), ("carol", True), ("alice", False), ("mallory", False)):
        html = text_of(browser(role), "/inbox/")
        assert ("Decide here" in html) is waits, role
    assert promotion.get_absolute_url() in text_of(browser("alice"), "/inbox/")
    world.review(promotion, "bob")
    assert "Decide here" not in text_of(browser("bob"), "/inbox/")


def test_the_timeline_is_filtered_and_paged(world: World, browser: Browser) -> None:
    world.make_live(world.version(1))
    world.make_live(world.version(1, "churn-predictor"), "staging")
    client = browser("mallory")
    html = text_of(client, "/timeline/")
    assert "fraud-detector v1 went live in production" in html
    assert "churn-predictor v1 went live in staging" in html
    only = text_of(client, "/timeline/?model=churn-predictor&kind=deployments&environment=staging")
    assert "fraud-detector v1 went live" not in only
    assert "churn-predictor v1 went live" in only
    assert "asked that" not in only
    assert "Nothing matches" in text_of(client, "/timeline/?person=nobody")
    for number in range(2, 8):
        world.make_live(world.version(number))
    first = text_of(client, "/timeline/")
    older = re.search(r"\?before=\d+", first)
    assert older
    shown = set(re.findall(r'id="event-(\d+)"', first))
    next_page = set(re.findall(r'id="event-(\d+)"', text_of(client, f"/timeline/{older[0]}")))
    assert len(shown) == 50 and next_page and not shown & next_page


@pytest.mark.parametrize(
    "query", ["before=x", "before=-1", "before=" + "9" * 40, "model=%00", "kind=no"]
)
def test_odd_addresses_are_harmless(browser: Browser, query: str) -> None:
    assert browser("alice").get(f"/timeline/?{query}").status_code == 200


@pytest.mark.parametrize(
    "address",
    [
        "/nothing/",
        "/promotions/999/",
        "/promotions/" + "9" * 30 + "/",
        "/models/x/",
        "/models/fraud-detector/versions/99/",
        "/targets/999/rollback/",
        "/models/%00/",
    ],
)
def test_what_is_not_there_is_told_kindly(browser: Browser, address: str) -> None:
    assert "There is nothing at this address" in text_of(browser("alice"), address, 404)


def test_a_poll_gets_only_what_changed(world: World, browser: Browser) -> None:
    promotion = world.request()
    client = browser("carol")
    address = promotion.get_absolute_url()
    html = text_of(client, address)
    seen = re.search(r'"seen": "(\w+)"', html)
    key = re.search(r'id="actions-key" name="actions" value="([\w-]+)"', html)
    assert seen and key and key[1].startswith("form-")
    query = {"seen": seen[1], "actions": key[1]}
    assert client.get(address, query, headers={"HX-Request": "true"}).status_code == 204

    world.seal(promotion, workflow_digest="git:9999")
    answer = client.get(address, query, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in answer
    assert "Reload the page" in answer
    # The seal under a typed decision is never swapped silently.
    assert 'name="seal"' not in answer


def test_the_box_is_brought_up_to_date_where_nobody_types(world: World, browser: Browser) -> None:
    version = world.version()
    promotion = services.request_promotion(
        actor=world.person("alice"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=version.pk,
        reason="Better.",
    )
    client = browser("bob")
    html = text_of(client, promotion.get_absolute_url())
    key = re.search(r'id="actions-key" name="actions" value="([\w-]+)"', html)
    assert key and "still being gathered" in html
    world.seal(promotion)
    answer = client.get(
        promotion.get_absolute_url(),
        {"seen": "", "actions": key[1]},
        headers={"HX-Request": "true"},
    ).content.decode()
    assert 'value="approve"' in answer and 'hx-swap-oob="true"' in answer


def _grow(world: World, models: list[str]) -> None:
    """Each model goes live wherever it goes, and a newer version waits there."""
    for target in Target.objects.filter(model__name__in=models):
        model, environment = target.model.name, target.environment.name
        world.make_live(world.version(1, model), environment)
        promotion = world.request(world.version(2, model), target=world.target(environment, model))
        if environment == "production":
            world.review(promotion, "bob")


def test_the_number_of_queries_does_not_grow(
    world: World, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser("carol")  # of the team that is still missing
    pages = ["/", "/timeline/", "/inbox/"]

    def queries() -> list[int]:
        counted = []
        for page in pages:
            text_of(client, page)
            with CaptureQueriesContext(connection) as captured:
                text_of(client, page)
            counted.append(len(captured))
        return counted

    _grow(world, ["fraud-detector"])
    few = queries()
    _grow(world, ["churn-predictor", "demand-forecast", "credit-limit"])
    many = queries()
    assert many == few
    monkeypatch.setattr("approvals.selectors.inbox.JUDGED", 1)
    assert queries() == few


def test_the_model_page_takes_as_many_queries_for_many_versions(
    world: World, browser: Browser
) -> None:
    client = browser("alice")

    def queries() -> int:
        text_of(client, "/models/fraud-detector/")
        with CaptureQueriesContext(connection) as captured:
            text_of(client, "/models/fraud-detector/")
        return len(captured)

    for number in (1, 2):
        world.make_live(world.version(number))
    few = queries()
    for number in range(3, 7):
        world.make_live(world.version(number))
    for number in range(7, 21):
        world.version(number)
    assert queries() == few


CORPUS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7|add:7 }}{% csrf_token %}",
    "javascript:alert(1)",
    "</textarea><svg onload=alert(1)>",
    "'-alert(1)-'",
]


# Every page is asked for once with half of the texts in every place, so that no field is too short.
@pytest.mark.parametrize("evil", [" ".join(CORPUS[:3]), " ".join(CORPUS[3:])])
def test_what_people_write_is_inert(world: World, browser: Browser, evil: str) -> None:
    world.make_live(world.version(1))
    version = world.version(
        2,
        run_name=evil[:250],
        trained_by=evil,
        git_branch=evil,
        parameters={evil: evil},
        datasets=[{"name": evil, "digest": evil, "context": evil}],
        metrics={evil: "1"},
    )
    version.model.description = evil
    version.model.save()
    version.tags = {evil: evil}
    version.description = evil
    version.save()
    promotion = world.request(version, reason=evil)
    world.review(promotion, "bob", comment=evil)
    deployment_run = world.run_facts(world.target("production").live_deployment, 5, title=evil)  # type: ignore[arg-type]
    services.record_run(
        facts=type(deployment_run)(
            **{
                **vars(deployment_run),
                "head_sha": version.git_commit,
                "kind": "ci",
                "url": "javascript:alert(1)",
            }
        )
    )
    client = browser("carol")
    pages = [
        "/",
        "/inbox/",
        "/timeline/",
        version.model.get_absolute_url(),
        version.get_absolute_url(),
        promotion.get_absolute_url(),
        reverse("promotion_facts", args=[promotion.pk]),
    ]
    for page in pages:
        html = text_of(client, page)
        for raw in ("<script>alert", "<img src=x", "<svg onload", 'href="javascript:', ">14<"):
            assert raw not in html, page


def test_gates_are_shown_in_words_and_no_approve_button_while_one_blocks(
    world: World, browser: Browser
) -> None:
    target = world.target()
    rows: list[Gate] = [MetricLimit("accuracy", "0.5"), MetricLimit("auc", "0.99"), RunsGreen("ci")]
    target.policy["gates"] = [as_data(row) for row in rows]
    target.save()
    promotion = world.request(world.version(2))
    html = text_of(browser("bob"), promotion.get_absolute_url())
    verdicts = re.findall(r'data-gate="(\w+)"', html)
    assert verdicts == ["pass", "fail", "unknown"]
    for words in ("Passed:", "Fails", "Unknown", "auc is 0.95; at least 0.99 is required."):
        assert words in html
    assert 'value="approve"' not in html
    assert 'value="reject"' in html


def test_a_configured_model_without_policy_is_shown(world: World, browser: Browser) -> None:
    target = world.target()
    target.policy = {"nonsense": True}
    target.save()
    assert "unreadable: nobody can approve" in text_of(browser("alice"), "/models/fraud-detector/")


def test_runs_are_matched_by_whole_words(world: World, browser: Browser) -> None:
    version = world.version(1)
    deployment = world.make_live(world.version(3))
    for index, title in enumerate(
        [
            "Validate fraud-detector v1",
            "Validate fraud-detector v12",
            "Validate my-fraud-detector v1",
        ]
    ):
        facts: dict[str, Any] = vars(
            world.run_facts(deployment, 600 + index, title=title, kind="validate")
        )
        services.record_run(facts=services.RunFacts(**facts))
    html = text_of(browser("alice"), version.get_absolute_url())
    assert "Validate fraud-detector v1<" in html
    assert "Validate fraud-detector v12" not in html
    assert "my-fraud-detector" not in html


def test_every_named_page_is_listed_here() -> None:
    """A new page must be looked at by the tests above."""
    names = {
        getattr(pattern, "name", "") for pattern in get_resolver("approvals.web.urls").url_patterns
    }
    assert names == {
        "overview", "model", "version", "promotion", "promotion_facts", "rollback", "inbox",
        "timeline", "profile", "sandbox_sign_in", "restrict",
        "freezes", "decide_many", "delegation", "preferences",
        "policy", "policy_simulate", "change", "mark",
        "insights", "counted", "pipelines", "search", "people", "lanes", "compare",
        "live", "favicon", "decide_one",
        "keys", "looks", "theme", "end_sessions", "make_token", "revoke_token",
        # tests/web/test_exports.py, tests/web/test_feeds.py
        "export_csv", "export_jsonl", "atom", "calendar", "private_atom", "private_calendar", "feed_addresses",
    }  # fmt: skip


def test_deleted_versions_say_so(world: World, browser: Browser) -> None:
    version = world.version(2)
    services.record_models(models=[ModelFacts("churn-predictor", "", {}, {})])
    html = text_of(browser("alice"), version.get_absolute_url())
    assert "Deleted from MLflow" in html and "Ask for promotion to" not in html


def test_the_address_in_a_mail_lands_on_the_decision(world: World, browser: Browser) -> None:
    promotion = world.request()
    page = promotion.get_absolute_url()
    answer = browser("bob").get(f"{page}?decide")
    assert (answer.status_code, answer["Location"]) == (302, f"{page}#actions")
