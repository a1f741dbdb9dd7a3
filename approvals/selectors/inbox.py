"""What waits for a person, in the order in which it should be looked at, with enough to decide on the spot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from django.utils import timezone

from approvals.compare import MetricRow, compare_metrics
from approvals.gates import Outcome
from approvals.models import Deployment, OutOfBandChange, Person, Promotion
from approvals.rules import Policy, Terms
from approvals.selectors.in_bulk import bring
from approvals.selectors.standing import Standing, standings, waiting_for, with_everything
from approvals.services.cases import NOT_A_POLICY, terms_of
from approvals.services.conditions import outcomes_of
from approvals.services.marks import newest_marks
from approvals.states import OPEN_DEPLOYMENT, MarkKind, PromotionStatus
from approvals.wording import listed

# So many are shown with all that a decision needs; nobody reads more at a glance. The rest is a list of links.
JUDGED = 20
LISTED = 100
DECIDED = 10
METRICS = 4
URGENT_FIRST = "Rollbacks and trouble with what is live come first, then what expires soonest."


@dataclass(frozen=True)
class Ask:
    """One request that waits: ``urgent`` says why it comes before others, ``on_behalf_of`` for whom alone
    the person may act here; ``outcomes`` are closures and gates."""

    standing: Standing
    terms: Terms
    outcomes: list[Outcome]
    metrics: list[MetricRow]
    urgent: str
    on_behalf_of: str

    @property
    def promotion(self) -> Promotion:
        """What is asked."""
        return self.standing.promotion

    @property
    def blockers(self) -> list[str]:
        """Why nobody can approve it now."""
        return self.standing.blockers

    @property
    def passed(self) -> int:
        """How many of its conditions are met."""
        return sum(each.passed for each in self.outcomes)

    @property
    def sentence(self) -> str:
        """What changes, in one sentence."""
        promotion = self.promotion
        where, version = promotion.target.environment.name, promotion.version
        live = promotion.replaces
        if promotion.retroactive:
            return f"{version} is live in {where} already, without a promotion. Nothing is fired."
        if promotion.is_rollback:
            return f"{where} goes back to {version}" + (f" from v{live.number}." if live else ".")
        if live is None:
            return f"{version} goes live in {where}, where nothing is live yet."
        return f"{version} replaces v{live.number} in {where}."


@dataclass(frozen=True)
class Inbox:
    """What waits for a person (``waiting``, of which ``asks`` are the first, whole), what they asked for, and what
    was decided lately."""

    asks: list[Ask]
    waiting: list[Standing]
    asked: list[Standing]
    decided: list[Standing]

    @property
    def rest(self) -> list[Standing]:
        """What waits behind the asks, as far as it is listed."""
        return self.waiting[len(self.asks) : len(self.asks) + LISTED]

    @property
    def more(self) -> int:
        """How many are not even listed."""
        return len(self.waiting) - len(self.asks) - len(self.rest)


def inbox_of(person: Person) -> Inbox:
    """The inbox, in a number of queries that does not depend on how much waits."""
    now = timezone.now()
    mine = with_everything(person.requests.all())
    asked = mine.filter(status=PromotionStatus.PENDING)[:LISTED]
    # From the few that are under way, not from all that I ever asked for.
    open_ones = Deployment.objects.filter(status__in=OPEN_DEPLOYMENT, promotion__requester=person)
    moving = mine.filter(pk__in=list(open_ones.values_list("promotion", flat=True)[:LISTED]))
    newest = Promotion.objects.filter(decided_at__isnull=False).order_by("-decided_at", "-id")
    # By their ids first: what is shown of them is joined for those alone.
    decided = with_everything(
        Promotion.objects.filter(pk__in=list(newest.values_list("pk", flat=True)[:DECIDED]))
    )
    waiting, urgent = _ordered(waiting_for(person))
    asks = _asks(waiting[:JUDGED], urgent, now)
    return Inbox(
        asks=asks,
        waiting=[*(each.standing for each in asks), *waiting[JUDGED:]],
        asked=standings([*asked, *moving], person),
        decided=standings(decided.order_by("-decided_at", "-id"), person),
    )


def _ordered(waiting: list[Standing]) -> tuple[list[Standing], dict[int, str]]:
    """The most urgent first, and why by promotion."""
    targets = {each.promotion.target_id: each.promotion.target for each in waiting}
    live_ones = {each.live_version_id for each in targets.values() if each.live_version_id}
    marks = newest_marks(targets, live_ones)
    changed = OutOfBandChange.objects.filter(
        target__in=targets, ended_at=None, declared_at__isnull=False
    )
    differs = set(changed.values_list("target_id", flat=True))
    urgent: dict[int, str] = {}
    for each in waiting:
        promotion, target = each.promotion, each.promotion.target
        live = target.live_version
        mark = marks.get((target.pk, live.pk)) if live else None
        if promotion.is_rollback:
            urgent[promotion.pk] = "Rollback"
        elif promotion.retroactive:
            urgent[promotion.pk] = "Out-of-band change"
        elif live and mark and mark.kind == MarkKind.BAD:
            urgent[promotion.pk] = f"v{live.number}, live there, is marked bad"
        elif target.pk in differs:
            urgent[promotion.pk] = "An out-of-band change is open there"

    def place(each: Standing) -> tuple[int, datetime, int]:
        promotion = each.promotion
        first = 0 if promotion.is_rollback else 1 if promotion.pk in urgent else 2
        return first, promotion.expires_at, promotion.pk

    return sorted(waiting, key=place), urgent


def _asks(waiting: list[Standing], urgent: dict[int, str], now: datetime) -> list[Ask]:
    bring([each.promotion for each in waiting], now)
    ids = {pk for each in waiting for pk in each.only_for}
    names = {each.pk: str(each) for each in Person.objects.filter(pk__in=ids)} if ids else {}
    asks = []
    for each in waiting:
        promotion = each.promotion
        outcomes = outcomes_of(promotion, now)
        failing = [outcome.sentence for outcome in outcomes if not outcome.passed]
        standing = replace(each, blockers=[*each.blockers, *failing])
        asks.append(
            Ask(
                standing=standing,
                terms=_terms(promotion),
                outcomes=outcomes,
                metrics=_metrics(promotion),
                urgent=urgent.get(promotion.pk, ""),
                on_behalf_of=listed([names[pk] for pk in each.only_for], "or"),
            )
        )
    return asks


def _terms(promotion: Promotion) -> Terms:
    try:
        return terms_of(promotion, Policy.from_data(promotion.policy))
    except NOT_A_POLICY:
        return Terms(())


def _metrics(promotion: Promotion) -> list[MetricRow]:
    """The configured ones first; as sealed, which is what is decided on."""
    rows = compare_metrics(
        promotion.facts.get("metrics") or promotion.version.metrics,
        promotion.replaces.metrics if promotion.replaces else {},
        promotion.target.model.metrics,
    )
    return [each for each in rows if each.candidate != "–"][:METRICS]
