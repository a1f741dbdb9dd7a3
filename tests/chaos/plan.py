"""What a seed means: which promotions are asked for, how their workflow ends, and what breaks meanwhile.

Pure. The same seed gives the same plan; how the processes interleave is the machine's own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

MODELS = 4
ENVIRONMENTS = ("staging", "production")  # the first approves by itself, the second asks a person
TARGETS = MODELS * len(ENVIRONMENTS)
DIE = "dies"  # a worker, at a failpoint
GITHUB = "github"  # a fault of the stand-in, for some strikes
SLACK = "slack"
REDIS = "redis"
PROCESSES = "processes"


@dataclass(frozen=True)
class Trouble:
    """One thing that breaks. ``options`` go to the stand-in with the fault; ``times`` is how often it strikes."""

    group: str
    name: str
    times: int = 1
    options: tuple[tuple[str, object], ...] = ()

    @property
    def label(self) -> str:
        """What the report calls it."""
        return f"{self.group}: {self.name}"


def _limit(status: int, retry_after: int | None) -> Trouble:
    options = (("status", status), ("retry_after", retry_after), ("reset", 2))
    return Trouble(GITHUB, "rate_limited", 1, options)


# The most telling first: a short run has room for these alone.
TELLING = (
    Trouble(DIE, "dispatch.committed"),
    Trouble(DIE, "dispatch.posted"),
    Trouble(GITHUB, "drop_after_accept"),
    Trouble(GITHUB, "error_after_accept"),
    Trouble(DIE, "alias.written"),
    Trouble(REDIS, "flushed"),
    Trouble(DIE, "dispatch.handled"),
    Trouble(GITHUB, "webhooks_lost", 6),
    Trouble(REDIS, "killed and started"),
    Trouble(DIE, "poll.run-read"),
    Trouble(GITHUB, "no_run_details"),
    Trouble(DIE, "announce.posted"),
)
OTHERS = (
    Trouble(DIE, "dispatch.claimed"),
    Trouble(DIE, "dispatch.gathered"),
    Trouble(DIE, "gather_facts.claimed"),
    Trouble(DIE, "gather_facts.handled"),
    Trouble(DIE, "set_alias.claimed"),
    Trouble(DIE, "set_alias.handled"),
    Trouble(DIE, "look_up.claimed"),
    Trouble(DIE, "look_up.handled"),
    Trouble(DIE, "announce.handled"),
    Trouble(DIE, "poll.repository-read"),
    Trouble(GITHUB, "error_before"),
    Trouble(GITHUB, "redirect"),
    Trouble(GITHUB, "unprocessable"),
    _limit(403, None),
    _limit(403, 1),
    _limit(429, None),
    _limit(429, 1),
    Trouble(GITHUB, "late_lists", 2, (("seconds", 3.0),)),
    Trouble(GITHUB, "never_start", 3),
    Trouble(GITHUB, "webhooks_doubled", 6),
    Trouble(GITHUB, "webhooks_reordered", 3),
    Trouble(REDIS, "gone for seconds"),
    Trouble(PROCESSES, "a worker frozen past its lease"),
    Trouble(PROCESSES, "database connections cut"),
)
# Two at once are worse than one: the answer is lost and the worker that would look the run up dies.
PAIRS = (
    (Trouble(GITHUB, "drop_after_accept"), Trouble(DIE, "dispatch.handled")),
    (Trouble(GITHUB, "error_after_accept"), Trouble(GITHUB, "late_lists", 2, (("seconds", 3.0),))),
    (Trouble(DIE, "dispatch.posted"), Trouble(GITHUB, "webhooks_lost", 4)),
    (Trouble(DIE, "dispatch.committed"), Trouble(REDIS, "flushed")),
)
ALL = (*TELLING, *OTHERS)


@dataclass(frozen=True)
class Errand:
    """One promotion of the plan.

    ``ending`` is what the workflow is made to do at step ``at_step``: success, failure, cancel (a person cancels
    the run on GitHub); or reject: the promotion is refused by a person. ``waits`` says that it is asked for only
    when nothing else is under way at its target; else it may queue. ``lame_way_back``: a way back fails at first.
    ``luck`` (0 to 1) decides what is left to people: the version, advance or abort, dispatch again or give up.
    """

    number: int
    target: int
    rollback: bool
    ending: str
    at_step: int
    waits: bool
    lame_way_back: bool
    troubles: tuple[Trouble, ...]
    luck: tuple[float, float, float]


def errands(promotions: int, seed: int) -> list[Errand]:
    """The plan of a seed."""
    dice = random.Random(seed)
    deck = _deck(dice)
    return [
        Errand(
            number=number,
            target=number % TARGETS if number < TARGETS else dice.randrange(TARGETS),
            rollback=number >= 2 * TARGETS and dice.random() < 0.15,
            ending=dice.choices(("success", "failure", "cancel", "reject"), weights=(80, 10, 7, 3))[
                0
            ],
            at_step=dice.choice((1, 1, 2, 3)),
            waits=dice.random() < 0.6,
            lame_way_back=dice.random() < 0.3,
            troubles=next(deck) if dice.random() < 0.75 else (),
            luck=(dice.random(), dice.random(), dice.random()),
        )
        for number in range(promotions)
    ]


def _deck(dice: random.Random) -> Iterator[tuple[Trouble, ...]]:
    """Every trouble once before any comes again; the telling ones first."""
    first = list(TELLING)
    dice.shuffle(first)
    yield from ((each,) for each in first)
    while True:
        cards = [*((each,) for each in (*OTHERS, *TELLING)), *PAIRS]
        dice.shuffle(cards)
        yield from cards
