"""Which version serves whom: the split in force at a target, and the version for a key."""

from __future__ import annotations

from dataclasses import dataclass

from approvals.models import Deployment
from approvals.rollouts import ALL_AT_ONCE, SHADOW, Strategy, gets_the_new_one
from approvals.selectors.named import target_named
from approvals.services.refusal import Refused
from approvals.states import ACTIVE_DEPLOYMENT, StepOutcome

MAX_KEY = 1000


@dataclass(frozen=True)
class Route:
    """``split`` are (version, percent), what is live first; ``version`` serves the key, None without one;
    ``shadow`` gets a copy of every request and answers none."""

    split: list[tuple[int, int]]
    version: int | None
    strategy: str = ALL_AT_ONCE
    shadow: int | None = None


def route(model: str, environment: str, key: str | None = None) -> Route:
    """Who is served what now, in two queries. The same key gets the same version until a step changes its share,
    and never the former one again while the share grows.

    Raises Refused (``unknown_target``, ``bad_key``, ``nothing_live``).
    """
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise Refused("bad_key", f"A key is 1 to {MAX_KEY:,} characters of any script.")
    target = target_named(model, environment)
    live = target.live_version
    if live is None:
        raise Refused("nothing_live", f"Nothing is live in {environment} yet.")
    rolling = (
        Deployment.objects.filter(target=target, status__in=ACTIVE_DEPLOYMENT)
        .exclude(strategy={})
        .select_related("version", "promotion", "step")
        .first()
    )
    if rolling is None:
        return Route([(live.number, 100)], live.number if key is not None else None)
    strategy = Strategy.from_data(rolling.strategy)
    # What the last finished step made it, also while the next one runs or it goes back.
    percent, new = rolling.percent, rolling.version.number
    split = [(live.number, 100 - percent), (new, percent)]
    version = None
    if key is not None:
        version = new if gets_the_new_one(key, rolling.promotion.token, percent) else live.number
    shadowed = strategy.kind == SHADOW and not percent and _first_step_succeeded(rolling)
    return Route(
        [each for each in split if each[1]],
        version,
        strategy.kind,
        new if shadowed else None,
    )


def _first_step_succeeded(deployment: Deployment) -> bool:
    """A later step is begun only after that."""
    step = deployment.step
    return step is not None and (step.ordinal > 1 or step.outcome == StepOutcome.SUCCEEDED)
