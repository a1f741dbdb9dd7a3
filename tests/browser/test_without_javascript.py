"""JavaScript off: everything can still be read and done, with links, forms and folds alone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.urls import reverse
from playwright.sync_api import Page, expect

from approvals.models import Promotion
from tests.browser.conftest import Windows
from tests.browser.site import Site


def unfold(page: Page, words: str) -> None:
    """Open what is behind a summary with these words."""
    page.locator("main summary", has_text=words).locator("visible=true").first.click()


def of(name: str, number: int = 2, environment: str = "production") -> Promotion:
    return Promotion.objects.filter(
        version__model__name=name, version__number=number, target__environment__name=environment
    ).latest("pk")


def test_looking(windows: Windows) -> None:
    page = windows("", scripts=False).page
    page.get_by_role("button", name="Continue as mallory").click()
    page.get_by_role("searchbox", name="Search models").fill("fraud")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tr .matrix-model")).to_have_count(1)
    unfold(page, "Look back in time")
    then = (datetime.now(UTC) - timedelta(days=14)).strftime("%Y-%m-%dT%H:%M")
    page.get_by_label("Day and time").fill(then)
    page.get_by_role("button", name="Show what was live").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What was live where")
    production = page.locator("tr", has_text="fraud-detector").locator("td").last
    expect(production.locator(".cell-version")).to_have_text("v1")

    page.get_by_role("link", name="Timeline").click()
    page.get_by_label("Person").fill("dave")
    page.get_by_role("button", name="Filter").click()
    expect(page).to_have_url(re.compile("person=dave"))
    page.locator(".entry summary").first.click()
    expect(page.locator(".entry-body").first).to_contain_text("everything by dave")
    unfold(page, "Export")
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="CSV").click()
    assert "dave" in Path(downloaded.value.path()).read_text()
    page.get_by_role("link", name="Show everything").click()
    newest = page.locator(".entry").first.get_attribute("id")
    page.get_by_role("link", name="Older").click()
    expect(page.locator(f"#{newest}")).to_have_count(0)
    page.get_by_role("link", name="Newer").click()
    expect(page.locator(f"#{newest}")).to_have_count(1)

    page.get_by_role("link", name="Lanes").click()
    before = page.url
    page.get_by_role("link", name="Zoom in").click()
    assert page.url != before
    expect(page.locator(".lane-bar").first).to_be_attached()
    page.goto(page.url.split("/timeline")[0] + reverse("model", args=["fraud-detector"]))
    page.get_by_label("Compare v1").check()
    page.get_by_label("Compare v3").check()
    page.get_by_role("button", name="Compare the ticked ones").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("v1 and v3"))


def test_asking_and_taking_back(windows: Windows) -> None:
    address = reverse("version", args=["stock-alarm", 2])
    page = windows("alice", f"{address}?environment=staging", scripts=False).page
    page.get_by_label("Why?").fill("To see it run.")
    page.get_by_role("button", name="Ask for promotion to staging").click()
    expect(page).to_have_url(re.compile(r"/promotions/\d+/"))
    unfold(page, "Cancel the request")
    page.get_by_label("Why it is taken back").fill("Too early.")
    page.get_by_role("button", name="Cancel the request").click()
    assert of("stock-alarm", 2, "staging").status == "cancelled"
    page.get_by_label("Add to the conversation").fill("**Next** week, see `notes.md`. <b>x</b>")
    page.get_by_role("button", name="Comment").click()
    said = page.locator("#live-conversation")
    expect(said.locator("strong", has_text="Next")).to_be_visible()
    expect(said.locator("code", has_text="notes.md")).to_be_visible()
    expect(said).to_contain_text("<b>x</b>")


def test_deciding(windows: Windows) -> None:
    opened = windows("bob", of("spare-1").get_absolute_url(), scripts=False)
    page = opened.page
    page.get_by_role("button", name="Approve").click()
    assert of("spare-1").status == "approved"
    opened.go(of("spare-2").get_absolute_url())
    page.locator("#decision-text").fill("Recall fell on Sundays.")
    page.get_by_role("button", name="Reject").click()
    assert of("spare-2").status == "rejected"
    opened.go(Promotion.objects.get(version__model__name="fraud-detector", version__number=4,
                                    status="pending").get_absolute_url())  # fmt: skip
    page.get_by_role("button", name="Withdraw my review").click()
    expect(page.get_by_role("button", name="Approve")).to_be_visible()

    page.get_by_role("link", name="Inbox").click()
    card = page.locator(".ask", has=page.get_by_role("heading", name="spare-3 v2"))
    card.locator("summary").click()
    card.get_by_label("Comment").fill("Fine.")
    card.get_by_role("button", name="Approve").click()
    assert of("spare-3").status == "approved"
    page.get_by_label("Choose spare-4 v2").check()
    page.get_by_label("Choose spare-5 v2").check()
    page.get_by_label("Comment for all that are chosen").fill("Not this week.")
    page.get_by_role("button", name="Reject those").click()
    assert (of("spare-4").status, of("spare-5").status) == ("rejected", "rejected")


def test_steering(windows: Windows, site: Site) -> None:
    opened = windows("bob", reverse("model", args=["spare-1"]), scripts=False)
    page = opened.page
    for words in ("Lock", "Unlock"):
        unfold(page, "Open or close production")
        page.locator(".target-do", has_text="production").locator(
            "summary", has_text=words
        ).first.click()
        page.get_by_label("Why?").locator("visible=true").fill("Looking into it.")
        page.get_by_role("button", name=words, exact=True).locator("visible=true").click()
        target = site.world.target("production", "spare-1")
        assert target.restrictions.filter(lifted_at=None).exists() is (words == "Lock")
    opened.go("freezes")
    unfold(page, "Freeze staging")
    page.get_by_label("Why?").locator("visible=true").fill("Stocktaking.")
    page.get_by_role("button", name="Freeze staging").click()
    frozen = page.locator("[data-environment=staging]")
    expect(frozen).to_contain_text("Frozen now")
    unfold(page, "Lift it")
    page.get_by_label("Why?").locator("visible=true").fill("Done.")
    page.get_by_role("button", name="Lift the freeze").click()
    expect(frozen).to_contain_text("Open")
    opened.go(f"{reverse('version', args=['fraud-detector', 2])}?environment=production")
    unfold(page, "Mark it as good or bad")
    page.get_by_label("Why?").locator("visible=true").first.fill("Quiet for a week.")
    page.get_by_role("button", name="Mark as good").click()
    expect(page.locator("main")).to_contain_text("Quiet for a week.")
    opened.go(reverse("rollback", args=[site.world.target().pk]))
    page.get_by_label("Why?").fill("Complaints.")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("fraud-detector v1")


def test_settings(windows: Windows) -> None:
    page = windows("dave", "profile", scripts=False).page
    page.locator("#looks").get_by_label("Dark").check()
    page.get_by_label("Time zone", exact=True).first.fill("Asia/Tokyo")
    page.locator("#looks").get_by_role("button", name="Save").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("#looks")).to_contain_text("Pages show Asia/Tokyo now")
    unfold(page, "Hand my approvals to a colleague")
    page.get_by_label("To", exact=True).select_option(label="Bob Brandt")
    page.get_by_label("Until", exact=True).fill(
        (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    )
    page.get_by_role("button", name="Delegate").click()
    expect(page.locator("#delegation")).to_contain_text("Bob Brandt may approve for you")
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("#delegation")).not_to_contain_text("may approve for you")
