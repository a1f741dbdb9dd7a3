"""The record that an auditor files, printed from the dark theme."""

from __future__ import annotations

import os
from pathlib import Path

from approvals.models import Promotion
from tests.browser.conftest import Windows


def test_the_record_is_black_on_white_and_whole(windows: Windows) -> None:
    opened = windows("bob", "promotion, broken glass", theme="dark")
    page = opened.page
    page.emulate_media(media="print", color_scheme="dark")
    paper = page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))"
    )
    assert paper == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"]
    for gone in (".top", ".actions", ".speak", ".sandbox"):
        assert not page.locator(gone).first.is_visible(), gone
    promotion = Promotion.objects.get(version__model__name="delivery-time", version__number=2)
    # Each says more on paper than on the screen: the whole seal, and what is folded away.
    assert page.get_by_text(promotion.seal).first.is_visible()
    assert page.locator("#live-history details li").first.is_visible()
    printed = page.pdf()
    assert printed.count(b"/Type /Page\n") >= 1 or b"/Type /Pages" in printed
    if folder := os.environ.get("SHOTS"):
        (Path(folder) / "promotion-printed.pdf").write_bytes(printed)
