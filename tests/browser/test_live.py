"""Pages that change by themselves, in real Chromium: within two seconds, without a reload, and without taking
anything away from whoever reads or types."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Page, expect

from approvals.models import Promotion
from tests.browser.conftest import Windows
from tests.browser.site import Site, Window

SOON_MS = 2_000
POLLED_MS = 25_000
STREAM = re.compile(r"/live/")


def waiting(name: str) -> Promotion:
    return Promotion.objects.get(version__model__name=name, status="pending")


def ready(opened: Window) -> Page:
    """Its stream is open and the page is known again by a mark that a reload would wipe out."""
    opened.page.evaluate("window.still = 1")
    opened.page.wait_for_timeout(400)
    return opened.page


def not_reloaded(page: Page) -> None:
    assert page.evaluate("window.still") == 1


def test_every_open_page_hears_of_it(windows: Windows, site: Site) -> None:
    promotion = waiting("live-1")
    inbox = ready(windows("bob", "inbox"))
    overview = ready(windows("bob", "/?q=live-1"))
    page = ready(windows("alice", promotion.get_absolute_url()))
    timeline = ready(windows("carol", "timeline"))
    title = inbox.title()
    icon = inbox.locator("link[rel=icon]").get_attribute("href")
    expect(inbox.locator(f"#ask-{promotion.pk}")).to_be_visible()
    site.world.review(promotion, "bob", comment="Seen live.")
    expect(inbox.locator(f"#ask-{promotion.pk}")).to_have_count(0, timeout=SOON_MS)
    expect(page.locator("#live-conversation")).to_contain_text("Seen live.", timeout=SOON_MS)
    expect(page.locator("#live-summary")).to_contain_text("Approved", timeout=SOON_MS)
    expect(overview.locator("#live-matrix")).not_to_contain_text("Waiting", timeout=SOON_MS)
    expect(timeline.locator("#live-news")).not_to_be_empty(timeout=SOON_MS)
    assert inbox.title() != title
    assert inbox.locator("link[rel=icon]").get_attribute("href") != icon
    for each in (inbox, overview, page, timeline):
        not_reloaded(each)


def test_nothing_is_taken_away(windows: Windows, site: Site) -> None:
    mine, other = waiting("live-2"), waiting("live-3")
    page = ready(windows("bob", "inbox"))
    card = page.locator(f"#ask-{mine.pk}")
    card.locator("summary").click()
    text = card.get_by_label("Comment")
    text.fill("Half a sent")
    scroll = page.evaluate("Math.round(scrollY)")
    site.world.review(other, "bob")
    expect(page.locator(f"#ask-{other.pk}")).to_have_count(0, timeout=SOON_MS)
    expect(text).to_be_focused()
    page.keyboard.type("ence")
    expect(text).to_have_value("Half a sentence")
    assert card.locator("details").get_attribute("open") is not None
    assert abs(page.evaluate("Math.round(scrollY)") - scroll) < 400
    site.world.review(mine, "bob")
    expect(card.get_by_text("This no longer waits for you.")).to_be_visible(timeout=SOON_MS)
    expect(text).to_have_value("Half a sentence")
    not_reloaded(page)


def test_folds_stay_as_they_are(windows: Windows, site: Site) -> None:
    promotion = waiting("live-4")
    page = ready(windows("alice", promotion.get_absolute_url()))
    fold = page.get_by_text("The policy that this request keeps").locator("..")
    fold.locator("summary").click()
    comment = page.get_by_label("Add to the conversation")
    comment.fill("I think")
    site.world.review(promotion, "bob", comment="Well done.")
    expect(page.locator("#live-conversation")).to_contain_text("Well done.", timeout=SOON_MS)
    assert fold.get_attribute("open") is not None
    expect(comment).to_be_focused()
    expect(comment).to_have_value("I think")


def test_without_the_stream_polling_brings_it(windows: Windows, site: Site) -> None:
    promotion = waiting("live-5")
    opened = windows("bob", "people")
    opened.context.route(STREAM, lambda route: route.abort())
    opened.go("inbox")
    page = ready(opened)
    site.world.review(promotion, "bob")
    expect(page.locator(f"#ask-{promotion.pk}")).to_have_count(0, timeout=POLLED_MS)
    not_reloaded(page)
    opened.errors = [each for each in opened.errors if "ERR_FAILED" not in each]


def hide(page: Page, hidden: bool) -> None:
    page.evaluate(
        """hidden => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def test_a_hidden_window_closes_its_stream_and_notifies_where_wanted(
    windows: Windows, site: Site
) -> None:
    from approvals import services
    from approvals.states import Via

    wishes = {"bob": True, "carol": False}
    pages = {}
    for name, wanted in wishes.items():
        services.set_preferences(actor=site.world.person(name), via=Via.BROWSER, notify=wanted)
        opened = windows(name, "people")
        opened.context.add_init_script(
            """window.told = [];
            window.Notification = class extends EventTarget {
              static permission = "granted";
              static requestPermission() { window.told.push("asked"); return Promise.resolve("granted"); }
              constructor(title, more) { super(); window.told.push(more.body); }
            };"""
        )
        ended: list[str] = []
        for kind in ("requestfailed", "requestfinished"):
            opened.page.on(kind, lambda each, ended=ended: ended.append(each.url))
        opened.go("inbox")
        page = pages[name] = ready(opened)
        hide(page, True)
        page.wait_for_timeout(300)
        assert any(STREAM.search(each) for each in ended)
    version = site.world.version(3, "live-6")
    site.world.ask(version, "production", 0.001, "Both of them are asked.")
    bob = pages["bob"]
    # What runs in the page may not evaluate text there, so that this is asked again and again.
    until = time.monotonic() + POLLED_MS / 1000
    while not bob.evaluate("window.told.length"):
        assert time.monotonic() < until, "nothing was told"
        bob.wait_for_timeout(200)
    assert "for you" in bob.evaluate("window.told[0]")
    expect(pages["carol"].locator("#inbox-count")).to_contain_text(
        re.compile(r"\d"), timeout=POLLED_MS
    )
    assert pages["carol"].evaluate("window.told") == []
    hide(bob, False)
    not_reloaded(bob)


def test_older_events_load_in_place(windows: Windows) -> None:
    page = ready(windows("carol", "timeline"))
    before = page.locator(".entry").count()
    page.locator("#pager").scroll_into_view_if_needed()
    expect(page.locator(".entry").nth(before)).to_be_attached()
    not_reloaded(page)


def test_lanes_tell_of_the_bar_under_the_pointer(windows: Windows) -> None:
    page = windows("carol", "lanes").page
    bar = page.locator(".lane-bar").first
    bar.hover()
    expect(page.locator(".lane-box")).to_contain_text(str(bar.get_attribute("aria-label")))
