"""Everybody's browser: a person's window on the product or on the Slack stand-in."""

from __future__ import annotations

import os
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.stack.product import Product

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A deployment really runs: checkout, fetch, smoke test, switch.
DEPLOYMENT_MS = 90_000


class Desk:
    """Everybody's browser, the console errors in them, and the screenshots."""

    def __init__(self, chromium: Browser, product: Product) -> None:
        self.chromium, self.product = chromium, product
        self.errors: list[str] = []
        self.folder = os.environ.get("SHOTS")
        self.contexts: list[BrowserContext] = []

    def page(self, *, phone: bool = False) -> Page:
        size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 900}
        # A turning icon in every window would keep a core busy with drawing it.
        context = self.chromium.new_context(viewport=size, reduced_motion="reduce")  # type: ignore[arg-type]
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on(
            "console",
            lambda message: (
                self.errors.append(f"{message.text} {message.location}")
                if message.type == "error"
                else None
            ),
        )
        return page

    def sign_in(self, name: str, *, phone: bool = False) -> Page:
        page = self.page(phone=phone)
        page.goto(self.product.web)
        page.get_by_role("button", name=f"Continue as {name}").click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        return page

    def slack(self, name: str, *, phone: bool = False) -> Page:
        page = self.page(phone=phone)
        page.goto(f"{self.product.slack}/?as={name}")
        return page

    def shot(self, page: Page, name: str, *, whole: bool = True) -> None:
        if self.folder:
            # Hiding the caret would inject a style, which the Content-Security-Policy rightly refuses.
            path = Path(self.folder) / f"{name}.png"
            page.screenshot(path=path, full_page=whole, caret="initial")
