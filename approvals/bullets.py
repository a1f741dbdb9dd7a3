"""A metric as a bullet: what the policy allows, where the live version stands and where the candidate. Geometry
only; the template draws it, and says the figures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from approvals.charts import Scale

WIDTH, EDGE = 160, 8


@dataclass(frozen=True)
class Bullet:
    """``begin`` and ``length`` are those of the allowed interval, ``limits`` its ends where it has them; ``live``
    is None while nothing is live. All in units of a drawing that is ``width`` wide."""

    begin: float
    length: float
    limits: list[float]
    candidate: float
    live: float | None
    width: int = WIDTH


def bullet(
    candidate: Decimal, live: Decimal | None, low: Decimal | None, high: Decimal | None
) -> Bullet | None:
    """The drawing of these values; None without a limit, for there is nothing that it could tell."""
    known = [float(each) for each in (candidate, live, low, high) if each is not None]
    if low is None and high is None:
        return None
    span = max(known) - min(known)
    # Air on both sides, so that the allowed interval is seen to go on beyond the limit.
    air = span * 0.18 or abs(known[0]) * 0.05 or 1.0
    across = Scale(min(known) - air, max(known) + air, EDGE, WIDTH - EDGE)
    begin = across(float(low)) if low is not None else 0.0
    end = across(float(high)) if high is not None else float(WIDTH)
    ends: Sequence[Decimal] = [each for each in (low, high) if each is not None]
    return Bullet(
        begin=begin,
        length=round(max(end - begin, 0.0), 2),
        limits=[across(float(each)) for each in ends],
        candidate=across(float(candidate)),
        live=across(float(live)) if live is not None else None,
    )
