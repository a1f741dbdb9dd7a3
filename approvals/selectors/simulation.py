"""What another configuration would have made of the promotions of the last weeks. Reads only.

The past is what was sealed: the candidate's metrics, what was replaced, what was asked, who reviewed. Teams are
those of the proposed file. What the past does not tell (runs, stays, evidence) is said to be not judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Min, Prefetch

from approvals.configuration import Configuration
from approvals.models import Deployment, Promotion, Review
from approvals.selectors.hindsight import Hindsight
from approvals.states import DeploymentStatus
from approvals.wording import listed

MOST = 2000
PAGE = 250
DAYS, MOST_DAYS = 90, 365
LESS, MORE, UNJUDGED, SAME = "less", "more", "unjudged", "same"
EFFECTS = {LESS: "LESS ASKED", MORE: "more asked", UNJUDGED: "not judged", SAME: "the same"}


@dataclass(frozen=True)
class Outcome:
    """One promotion. ``less`` is what would not have been asked of it, ``more`` what would have stood in its way,
    ``unjudged`` what cannot be told; all are clauses."""

    promotion: Promotion
    less: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)

    @property
    def effect(self) -> str:
        """The gravest: ``less``, ``more``, ``unjudged`` or ``same``."""
        return (self.less and LESS) or (self.more and MORE) or (self.unjudged and UNJUDGED) or SAME

    @property
    def name(self) -> str:
        """``fraud-detector v3 to production (approved 12 Nov 2026)``."""
        promotion = self.promotion
        where = promotion.target.environment.name
        what = f"{promotion.version} to {where}"
        if promotion.is_rollback:
            what = f"rollback of {where} to {promotion.version}"
        at = promotion.decided_at or promotion.requested_at
        done = promotion.get_status_display().lower() if promotion.decided_at else "waiting since"
        return f"{what} ({done} {at.day} {at:%b %Y})"

    @property
    def text(self) -> str:
        """What would be different, in one sentence without the name."""
        said = [*(f"less would be asked: {each}" for each in self.less), *self.more]
        first = "; ".join(said) or ("nothing known is different" if self.unjudged else "the same")
        return first + (f"; not judged: {listed(self.unjudged)}" if self.unjudged else "")

    @property
    def sentence(self) -> str:
        """``fraud-detector v3 to production (approved …): would still need 1 of risk (2 of risk instead …)``."""
        return f"{self.name}: {self.text}"


@dataclass(frozen=True)
class Simulation:
    """All of it, the newest request first. ``cut_off``: there were more than MOST, and the oldest are left out."""

    outcomes: list[Outcome]
    days: int
    cut_off: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """How many of each effect."""
        found = Counter(each.effect for each in self.outcomes)
        return {effect: found[effect] for effect in (LESS, MORE, UNJUDGED, SAME)}

    def of(self, effect: str) -> list[Outcome]:
        """Those with this effect."""
        return [each for each in self.outcomes if each.effect == effect]

    @property
    def summary(self) -> list[str]:
        """The counts in sentences, the loudest first."""
        if not self.outcomes:
            return [f"Nothing was asked for in the last {_days(self.days)}."]
        said = {
            LESS: "WARNING: less would have been asked of {}.",
            MORE: "{} would have been blocked, or needed more.",
            UNJUDGED: "{} cannot be judged from the past.",
            SAME: "{} would have gone the same way.",
        }
        lines = [f"{_many(len(self.outcomes))} of the last {_days(self.days)}:"]
        lines += [said[effect].format(_many(n)) for effect, n in self.counts.items() if n]
        if self.cut_off:
            lines.append(f"Only the newest {MOST:,} are looked at; there were more.")
        return lines


def _many(count: int) -> str:
    return f"{count} promotion{'' if count == 1 else 's'}"


def _days(days: int) -> str:
    return f"{days} days" if days > 1 else "day"


def simulate(proposed: Configuration, days: int, now: datetime) -> Simulation:
    """Judge every promotion and rollback that was asked for in the last ``days`` (1 to 365) by the proposed file.

    The number of queries is constant for each PAGE of promotions. Raises ValueError for other days.
    """
    if not 1 <= days <= MOST_DAYS:
        raise ValueError(f"between 1 and {MOST_DAYS} days are looked at")
    hindsight = Hindsight(proposed, _first_live())
    found = Promotion.objects.filter(
        requested_at__gt=now - timedelta(days=days),
        requested_at__lte=now,
        rolls_back=None,  # what monitoring had rolled back: no policy was asked
    )
    found = found.select_related(
        "target__model",
        "target__environment",
        "version__model",
        "replaces",
        "requester",
        "overridden_by",
    ).prefetch_related(
        Prefetch(
            "reviews",
            Review.objects.filter(voided_at=None).select_related("person", "on_behalf_of"),
        )
    )
    outcomes: list[Outcome] = []
    for promotion in found[: MOST + 1].iterator(chunk_size=PAGE):
        if len(outcomes) == MOST:
            return Simulation(outcomes, days, cut_off=True)
        judged = hindsight.judge(promotion)
        outcomes.append(Outcome(promotion, judged.less, judged.more, judged.unjudged))
    return Simulation(outcomes, days)


def _first_live() -> dict[int, datetime]:
    """Since when something was live at a target, by the target's id."""
    done = Deployment.objects.filter(status=DeploymentStatus.SUCCEEDED, finished_at__isnull=False)
    rows: Sequence[tuple[int, datetime]] = list(
        done.order_by().values_list("target_id").annotate(Min("finished_at"))
    )
    return dict(rows)
