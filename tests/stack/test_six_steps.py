"""What a new user does, in a real browser against everything that ``make run`` starts."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.stack.desk import DEPLOYMENT_MS, Desk
from tests.stack.product import Product

REASON = "It catches more fraud, at the price of a few milliseconds."

# The path first: without Chromium nothing else has to start for these tests.
pytestmark = [pytest.mark.stack, pytest.mark.usefixtures("chromium_path")]


def live(product: Product, environment: str = "production") -> dict[str, str]:
    """What the deploy script put into the serving folder."""
    served = product.data / "serving" / environment / "fraud-detector" / "current" / "served.json"
    found: dict[str, str] = json.loads(served.read_text())
    return found


def route(product: Product) -> dict[str, Any]:
    """What the deploy script tells the serving layer of the candidate's share."""
    folder = product.data / "serving" / "production" / "fraud-detector"
    found: dict[str, Any] = json.loads((folder / "route.json").read_text())
    return found


def champion(product: Product) -> str:
    found = product.mlflow_has("registered-models/alias?name=fraud-detector&alias=champion")
    return str(found["model_version"]["version"])


def test_the_six_steps(desk: Desk, product: Product) -> None:
    # 1. alice sees the models and environments, and which version is live where.
    alice = desk.sign_in("alice")
    cell = alice.locator('[data-model="fraud-detector"][data-environment="production"]')
    expect(cell).to_have_attribute("data-live-version", "1")
    for model in ("churn-predictor", "demand-forecast", "credit-limit"):
        expect(alice.locator(f'[data-model="{model}"]').first).to_be_visible()
    desk.shot(alice, "1-overview")

    # 2. She opens version 2: metrics beside the live version's, lineage, pipeline runs; she asks.
    alice.goto(f"{product.web}/models/fraud-detector/versions/2/?environment=production")
    main = alice.get_by_role("main")
    for words in ("accuracy", "auc", "better", "fraud", "CI", "alice"):
        expect(main).to_contain_text(words)
    desk.shot(alice, "2-version")
    alice.locator("textarea[name=reason]").fill(REASON)
    alice.get_by_role("button", name="Ask for promotion to production").click()
    alice.wait_for_url(re.compile(r"/promotions/\d+/"))
    promotion_url = alice.url
    status = alice.locator("[data-promotion-status]").first
    expect(status).to_have_attribute("data-promotion-status", "pending")
    desk.shot(alice, "2-asked")

    # 3. bob approves in Slack; the message shows who has and who is missing; mallory may not.
    bob = desk.slack("bob")
    theirs = bob.locator(
        "[data-message-ts]", has_text="Promote fraud-detector v2 to production"
    ).last
    expect(theirs).to_contain_text(REASON)
    expect(theirs).to_contain_text("ml-leads: 1 more needed")
    theirs.get_by_role("button", name="Approve").click()
    expect(theirs).to_contain_text("ml-leads: approved by Bob Brandt")
    expect(theirs).to_contain_text("risk: 1 more needed")
    desk.shot(bob, "3-slack-approved")
    mallory = desk.slack("mallory", phone=True)
    hers = mallory.locator("[data-message-ts]", has_text="Promote fraud-detector v2").last
    hers.get_by_role("button", name="Approve").click()
    private = mallory.locator("[data-ephemeral]").last
    expect(private).to_contain_text("You may not, because")
    desk.shot(mallory, "3-slack-refused")
    expect(bob.locator("[data-ephemeral]")).to_have_count(0)
    mallory.close()

    # 4. carol finds it in the inbox, on her phone, and approves; it is deployed.
    carol = desk.sign_in("carol", phone=True)
    carol.goto(f"{product.web}/inbox/")
    desk.shot(carol, "4-inbox")
    wide = carol.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, "nothing sticks out on a phone"
    carol.get_by_role("main").get_by_role("link", name=re.compile("fraud-detector")).first.click()
    carol.wait_for_url(promotion_url)
    carol.get_by_role("button", name="Approve", exact=True).click()
    running_ = carol.locator('[data-deployment-status="running"]')
    expect(running_.first).to_be_visible(timeout=DEPLOYMENT_MS)
    desk.shot(carol, "4-running")
    desk.shot(alice, "promotion", whole=False)
    carol.close()  # on her way; every open page asks for news
    # It climbs: a tenth of the requests, half of them, all.
    bar = alice.locator(".rollout")
    for percent in ("10", "50"):
        expect(bar).to_have_attribute("data-percent", percent, timeout=DEPLOYMENT_MS)
        expect(theirs).to_contain_text(f"{percent} %", timeout=20_000)
        assert live(product)["version"] == "1"
        assert route(product) == {"strategy": "canary", "percent": int(percent), "version": "2"}
        desk.shot(alice, f"4-at-{percent}", whole=False)
    desk.shot(bob, "4-slack-at-50")
    done = alice.locator('[data-deployment-status="succeeded"]').first
    expect(done).to_be_visible(timeout=DEPLOYMENT_MS)  # alice's page followed it by itself
    expect(theirs).to_contain_text("Live in production", timeout=20_000)
    expect(alice.get_by_role("main")).to_contain_text("champion now points to v2", timeout=20_000)
    # The last step's outcome is shown too, although the end of the run came by webhook.
    step = alice.locator("#live-standing li", has_text="Deploy the model").last
    expect(step).to_contain_text("Passed", timeout=20_000)
    desk.shot(alice, "4-live")
    desk.shot(bob, "4-slack-live")
    served = live(product)
    assert served["version"] == "2"
    assert champion(product) == "2"
    titles = [
        run["display_title"]
        for run in product.github_has("actions/runs?per_page=100")["workflow_runs"]
    ]
    for end in ("]", "-2-", "-3-"):
        assert sum(f"[{served['countersign']}{end}" in title for title in titles) == 1, end

    # 5. The timeline: who asked, approved, what ran, what changed, with links.
    alice.goto(f"{product.web}/timeline/?model=fraud-detector&environment=production")
    main = alice.get_by_role("main")
    for sentence in (
        "Alice Anders asked that fraud-detector v2 go to production",
        "Bob Brandt approved",
        "Carol Chen approved",
        "fraud-detector v2 went live in production instead of v1",
        "champion now points to v2",
    ):
        expect(main).to_contain_text(sentence)
    for address in (product.github, product.slack, "/models/fraud-detector/versions/2/"):
        assert main.locator(f'a[href*="{address}"]').count() > 0, address
    desk.shot(alice, "5-timeline")

    # 6. Production is rolled back from the browser …
    back = desk.sign_in("bob")
    back.goto(promotion_url)
    back.get_by_role("link", name="Roll back").first.click()
    desk.shot(back, "6-rollback")
    back.locator("textarea[name=reason]").fill("Too many false alarms since noon.")
    back.get_by_role("button", name="Roll back").click()
    back.wait_for_url(re.compile(r"/promotions/\d+/"))
    back.get_by_role("button", name="Approve", exact=True).click()
    expect(back.locator('[data-deployment-status="succeeded"]').first).to_be_visible(
        timeout=DEPLOYMENT_MS
    )
    desk.shot(back, "6-rolled-back")
    assert live(product)["version"] == "1"

    # Version 2 was rolled back from, so it counts as bad. He was wrong, says so …
    back.goto(f"{product.web}/models/fraud-detector/versions/2/?environment=production")
    expect(back.get_by_role("main")).to_contain_text("Rolled back from")
    back.get_by_text("Mark it as good or bad in production").click()
    back.locator("#mark-reason").fill("The false alarms came from elsewhere.")
    back.get_by_role("button", name="Mark as good").click()
    desk.shot(back, "6-marked-good")

    # … and rolls back once more from Slack, to version 2.
    ours = bob.locator(
        "[data-message-ts]", has_text="Roll production back to fraud-detector v1"
    ).last
    ours.get_by_role("button", name="Roll back").click()
    dialog = bob.locator("[data-view-id]")
    expect(dialog).to_contain_text("v1 is live")
    dialog.locator("textarea").fill("The false alarms came from elsewhere.")
    desk.shot(bob, "6-slack-dialog")
    dialog.get_by_role("button", name="Ask for it").click()
    again = bob.locator(
        "[data-message-ts]", has_text="Roll production back to fraud-detector v2"
    ).last
    again.get_by_role("button", name="Approve").click()
    expect(again).to_contain_text("Live in production", timeout=DEPLOYMENT_MS)
    desk.shot(bob, "6-slack-rolled-back")
    assert live(product)["version"] == "2"
    alice.goto(product.web)
    expect(cell).to_have_attribute("data-live-version", "2")

    assert desk.errors == []


def test_what_cannot_be_asked_for(desk: Desk, product: Product) -> None:
    """A version whose run is still going, and one whose artifacts are broken."""
    alice = desk.sign_in("alice")
    alice.goto(f"{product.web}/models/demand-forecast/versions/2/")
    expect(alice.get_by_role("main")).to_contain_text("RUNNING")
    button = alice.get_by_role("button", name=re.compile("Ask for promotion"))
    assert button.count() == 0 or button.first.is_disabled()

    alice.goto(f"{product.web}/models/credit-limit/versions/2/?environment=production")
    alice.locator("textarea[name=reason]").fill("Let us see.")
    alice.get_by_role("button", name="Ask for promotion to production").click()
    alice.wait_for_url(re.compile(r"/promotions/\d+/"))
    expect(alice.get_by_role("main")).to_contain_text("artifact", timeout=30_000)
    expect(alice.get_by_role("main")).to_contain_text("Blocked", timeout=30_000)
    desk.shot(alice, "7-blocked")
    assert desk.errors == []
