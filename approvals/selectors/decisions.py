"""One promotion with everything around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Prefetch, Q, QuerySet
from django.http import Http404

from approvals.models import Deployment, Effect, Event, Promotion
from approvals.models.outbox import EffectKind
from approvals.services.cases import counting_reviews
from approvals.states import EffectStatus

# Whom an effect speaks to, as people call it.
SERVICES = {
    EffectKind.GATHER_FACTS: "MLflow or GitHub",
    EffectKind.DISPATCH: "GitHub",
    EffectKind.LOOK_UP: "GitHub",
    EffectKind.SET_ALIAS: "MLflow",
    EffectKind.ANNOUNCE: "Slack",
    EffectKind.ALERT: "Slack",
    EffectKind.MAIL: "The mail server",
    EffectKind.TELL: "Slack",
    EffectKind.HOME: "Slack",
    EffectKind.UNFOLD: "Slack",
    EffectKind.COMPARE: "GitHub",
    EffectKind.ANSWER_GATE: "GitHub",
}


def optional_relations(prefix: str = "") -> list[str]:
    """What an adapter hangs on a promotion, where it is installed: nothing is imported for it."""
    names = {field.name for field in Promotion._meta.get_fields()}
    return [f"{prefix}{name}" for name in ("slack_message",) if name in names]


def promotion_or_404(pk: int) -> Promotion:
    """The promotion with all that its page shows."""
    promotion = (
        Promotion.objects.select_related(
            "target__model",
            "target__environment",
            "target__live_version",
            "target__live_deployment",
            "version__model",
            "requester",
            "replaces__model",
            "superseded_by__version",
            "overridden_by",
            "deployment__step__workflow_run",
            "deployment__previous",
            *optional_relations(),
        )
        .prefetch_related(
            counting_reviews(),
            Prefetch("requester__teams"),
            "deployment__steps",
        )
        .filter(pk=pk)
        .first()
    )
    if promotion is None:
        raise Http404(f"There is no promotion {pk}.")
    return promotion


def deployment_of(promotion: Promotion) -> Deployment | None:
    """The promotion's deployment, or None before it is approved."""
    return getattr(promotion, "deployment", None)


def events_of(promotion: Promotion) -> QuerySet[Event]:
    """The promotion's history, newest first."""
    return promotion.events.select_related("actor", "target__model", "target__environment")


# So many events are shown at once, and so many more unfold; a longer history is the timeline's.
OPEN_EVENTS, MOST_EVENTS = 6, 200


def history_of(promotion: Promotion) -> dict[str, Any]:
    """The newest ``events`` of a promotion, ``older_events`` to unfold, and whether there are ``more_events`` even
    than those; one query."""
    rows = list(events_of(promotion)[: MOST_EVENTS + 1])
    return {
        "events": rows[:OPEN_EVENTS],
        "older_events": rows[OPEN_EVENTS:MOST_EVENTS],
        "more_events": len(rows) > MOST_EVENTS,
    }


@dataclass(frozen=True)
class Trouble:
    """An effect that could not be delivered yet, or was given up."""

    effect: Effect
    service: str

    @property
    def given_up(self) -> bool:
        """Nobody tries it again."""
        return self.effect.status == EffectStatus.FAILED


def troubles_of(promotion: Promotion) -> list[Trouble]:
    """The outgoing actions that have failed at least once and are not done."""
    # The attempt that is under way has not failed; what waits its turn never counts as one.
    failing = promotion.effects.filter(
        Q(status__in=[EffectStatus.WAITING, EffectStatus.FAILED], attempts__gt=0)
        | Q(status=EffectStatus.CLAIMED, attempts__gt=1)
    ).exclude(last_error="")
    # Facts that cannot be had block the promotion, which says why itself.
    failing = failing.exclude(kind=EffectKind.GATHER_FACTS, status=EffectStatus.FAILED)
    # The newest of a kind speaks for the ones before it.
    newest = {effect.kind: effect for effect in failing.order_by("id")}
    return [Trouble(each, SERVICES[EffectKind(each.kind)]) for each in newest.values()]


def is_gathering(promotion: Promotion) -> bool:
    """Facts are being gathered right now."""
    return promotion.effects.filter(
        kind=EffectKind.GATHER_FACTS, status__in=[EffectStatus.WAITING, EffectStatus.CLAIMED]
    ).exists()


def registry_is_written(promotion: Promotion) -> str:
    """How writing to the registry stands: ``done``, ``waiting``, ``failed`` or ``none``."""
    effect = promotion.effects.filter(kind=EffectKind.SET_ALIAS).order_by("-id").first()
    if effect is None:
        return "none"
    if effect.status == EffectStatus.DONE:
        return "done"
    return "failed" if effect.status == EffectStatus.FAILED else "waiting"
