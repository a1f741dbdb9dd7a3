"""What the tests of the insights share: a March, and the rows that a figure counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from approvals.models import ModelVersion
from approvals.selectors.insights.counted import PAGE, counted, figure_named
from approvals.selectors.insights.figures import FIGURES
from approvals.selectors.insights.measuring import (
    Measured,
    Scope,
)
from approvals.selectors.insights.period import Period
from tests.world import World

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MARCH = Period(date(2026, 3, 1), date(2026, 3, 31), UTC)
DAY = timedelta(days=1)
EVERYTHING = Scope()


def versions(world: World, count: int) -> list[ModelVersion]:
    return [world.version(number, registered_at=MONDAY - 2 * DAY) for number in range(1, count + 1)]


def keys_of(key: str, scope: Scope = EVERYTHING, period: Period = MARCH, **more: str) -> list[int]:
    """The promotions or changes in the list of a figure, over all its pages."""
    figure = figure_named(key)
    assert figure is not None
    found: list[int] = []
    before = ""
    while True:
        page = counted(figure, scope, period, before=before, **more)
        assert len(page.rows) <= PAGE
        for row in page.rows:
            about = row.promotion or row.change
            assert about is not None
            found.append(about.pk)
        before = page.older
        if not before:
            return found


def lists_agree(measured: dict[str, Measured], scope: Scope, period: Period) -> None:
    """Each figure's list has exactly as many rows as the figure counts."""
    for key, each in measured.items():
        share = FIGURES[key].kind == "share"
        assert len(keys_of(key, scope, period)) == (each.now.hits if share else each.now.n), key
        if share:
            assert len(keys_of(key, scope, period, part="all")) == each.now.n, key
        assert len(keys_of(key, scope, period, part="missing")) == each.now.missing, key
