"""Rollouts and the queue on the promotion's page: what is shown, and the buttons for those who may."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from approvals.models import Deployment
from approvals.rollouts import PlanStep
from approvals.services import begin_dispatch, record_run, request_rollback
from approvals.states import DeploymentStatus, Via
from tests.web.conftest import Browser
from tests.world import World

D = DeploymentStatus


@pytest.fixture
def rolling(world: World) -> Deployment:
    """At 10 %, waiting for a person."""
    world.make_live(world.version(1))
    world.strategy(PlanStep(10, wait=600, advance=True), PlanStep(50), PlanStep(100))
    return world.step(world.approve(world.request(world.version(2))))


def page(client: Client, deployment: Deployment) -> str:
    return client.get(deployment.promotion.get_absolute_url()).content.decode()


def act(client: Client, deployment: Deployment, action: str, **form: str) -> int:
    address = deployment.promotion.get_absolute_url()
    answer = client.post(address, {"action": action, **form})
    return int(answer.status_code)


def test_what_the_page_shows(rolling: Deployment, browser: Browser) -> None:
    html = page(browser("alice"), rolling)
    assert 'data-percent="10"' in html
    assert "canary: 10 → 50 → 100 %" in html
    assert "then wait 10 min and a person lets it go on" in html
    assert "It goes out step by step, canary: 10 → 50 → 100 %." in html
    assert 'value="advance"' not in html
    assert 'value="abort"' not in html
    overview = browser("alice").get("/").content.decode()
    assert "v2 serves 10 %" in overview
    assert 'data-live-version="1"' in overview


def test_those_who_decide_have_the_buttons(rolling: Deployment, browser: Browser) -> None:
    bob = browser("bob")
    html = page(bob, rolling)
    for action in ("advance", "pause", "abort"):
        assert f'value="{action}"' in html
    assert act(bob, rolling, "pause", text="A look.") == 302
    html = page(bob, rolling)
    assert "Paused by Bob Brandt: A look." in html
    assert 'value="pause"' not in html
    assert act(bob, rolling, "advance") == 302
    rolling.refresh_from_db()
    assert rolling.paused == ""


def test_aborting_from_the_page(world: World, rolling: Deployment, browser: Browser) -> None:
    bob = browser("bob")
    assert act(bob, rolling, "abort", text=" ") == 409
    assert act(bob, rolling, "abort", text="Complaints.") == 302
    html = page(bob, rolling)
    assert "Back to the former version" in html
    assert 'value="abort"' not in html
    world.step(rolling)
    html = page(bob, rolling)
    assert 'data-deployment-status="cancelled"' in html
    assert "fraud-detector v1 serves everybody again" in html


def test_the_queue_and_its_question(world: World, browser: Browser) -> None:
    world.make_live(world.version(1))
    second, third = (world.approve(world.request(world.version(n))) for n in (2, 3))
    bob, alice = browser("bob"), browser("alice")
    html = page(bob, third)
    assert "The queue of production" in html
    assert 'value="first"' in html
    assert 'value="first"' not in page(alice, third)
    assert 'value="first"' not in page(bob, second)
    assert act(bob, third, "first") == 302
    begin_dispatch(deployment_id=third.pk, observed=world.observed(third.version))
    third.refresh_from_db()
    html = page(bob, third)
    assert third.asks_to_confirm in html.replace("&#x27;", "'")
    assert 'value="confirm"' in html
    assert 'value="confirm"' not in page(alice, third)
    assert act(bob, third, "confirm", seal="0" * 64) == 409
    assert act(bob, third, "confirm", seal=third.asked_seal) == 302
    world.deploy(third, 91)
    assert 'data-deployment-status="succeeded"' in page(alice, third)


def test_a_run_that_waits_at_github_says_so(world: World, browser: Browser) -> None:
    deployment = world.approve(world.request(world.version(1)))
    begin_dispatch(deployment_id=deployment.pk, observed=world.observed(deployment.version))
    record_run(facts=world.run_facts(deployment, 77, status="waiting", conclusion=""))
    html = page(browser("alice"), deployment)
    assert "waits at GitHub for the reviewers" in html


def test_what_was_rolled_back_from_is_offered_for_quarantine(
    world: World, browser: Browser
) -> None:
    world.make_live(world.version(1))
    bad = world.version(2)
    world.make_live(bad)
    rollback = request_rollback(
        actor=world.person("bob"),
        via=Via.BROWSER,
        target_id=world.target().pk,
        version_id=world.version(1).pk,
        reason="Complaints.",
    )
    deployment = world.deploy(world.approve(world.seal(rollback)), 4343)
    bob = browser("bob")
    html = page(bob, deployment)
    address = reverse("restrict", args=["quarantine", bad.pk])
    assert address in html
    assert address not in page(browser("alice"), deployment)
    assert "v2 counts as bad here" in bob.get("/").content.decode().replace("\n", " ")
    assert bob.post(address, {"reason": "It leaks."}).status_code == 302
    assert address not in page(bob, deployment)
