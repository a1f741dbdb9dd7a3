"""Gathers what a run left behind: from GitHub, MLflow and Slack themselves, and from the rows."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from pathlib import Path

from django.db import connection
from django.db.models import QuerySet

from approvals.audit import verify_history
from approvals.models import Effect, Event, Promotion, Target
from approvals.narrative import KINDS
from integrations.effects import HANDLERS
from tests.chaos.checker import Asked, Evidence, StepRow
from tests.chaos.outside import Outside

# As docs/architecture.md gives it to somebody who does not trust this installation.
HISTORY = """
SELECT json_build_object('id', id, 'hash', hash, 'previous', previous_hash,
  'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') || '+00:00', 'kind', kind, 'via', via,
  'actor', actor_id, 'target', target_id, 'promotion', promotion_id, 'data', data)::text
  FROM approvals_event ORDER BY id
"""


def gather(outside: Outside, out: Path, *, expected: int) -> Evidence:
    """Everything, read now."""
    events: dict[int, list[str]] = defaultdict(list)
    for promotion_id, kind in Event.objects.order_by("id").values_list("promotion_id", "kind"):
        events[promotion_id].append(kind)
    deployed = out / "deployed"
    return Evidence(
        expected=expected,
        promotions=[_asked(each, tuple(events[each.pk])) for each in _promotions()],
        runs=outside.runs(),
        deployed=deployed.read_text().split() if deployed.exists() else [],
        live={
            (each.model.registry_name, each.environment.name): (
                outside.alias(each.model.registry_name, each.alias),
                each.live_version.number if each.live_version else None,
            )
            for each in Target.objects.select_related("model", "environment", "live_version")
        },
        messages=outside.messages(),
        open_effects=[_told(each) for each in open_effects()],
        # A dispatch that GitHub refused is given up by design; its deployment has failed.
        failed_effects=[
            _told(each)
            for each in Effect.objects.filter(status="failed").exclude(
                kind__in=["dispatch", "look_up"]
            )
        ],
        unknown_events=sorted(set(Event.objects.values_list("kind", flat=True)) - set(KINDS)),
        broken_history=_broken_history(),
    )


def open_effects() -> QuerySet[Effect]:
    """What is still to be delivered; kinds that this release cannot deliver yet wait for the next one."""
    return Effect.objects.filter(status__in=["waiting", "claimed"], kind__in=HANDLERS)


def _promotions() -> list[Promotion]:
    rows = Promotion.objects.select_related("target__model", "target__environment", "version")
    return list(rows.select_related("deployment").order_by("pk"))


def _asked(promotion: Promotion, events: tuple[str, ...]) -> Asked:
    deployment = getattr(promotion, "deployment", None)
    steps = list(deployment.steps.order_by("ordinal")) if deployment else []
    target = promotion.target
    return Asked(
        id=promotion.pk,
        token=promotion.token,
        target=(target.model.registry_name, target.environment.name),
        version=promotion.version.number,
        status=promotion.status,
        delivery=deployment.status if deployment else "",
        planned_steps=len(deployment.strategy.get("steps", [1])) if deployment else 0,
        steps=tuple(
            StepRow(
                token=each.token,
                percent=each.percent,
                way_back=each.index is None,
                outcome=each.outcome,
                run_id=each.run_id,
                dispatches=each.dispatches,
            )
            for each in steps
        ),
        events=events,
    )


def _told(effect: Effect) -> str:
    return f"{effect.dedupe_key} ({effect.status}): {effect.last_error}"


def _broken_history() -> str:
    """Walked twice: by the product, and as somebody without the product would."""
    if (broken := verify_history().broken_at) is not None:
        return f"event {broken}, says the product."
    previous = ""
    with connection.cursor() as cursor:
        cursor.execute(HISTORY)
        for (line,) in cursor.fetchall():
            event = json.loads(line)
            number, stated = event.pop("id"), event.pop("hash")
            text = json.dumps(event, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            if event["previous"] != previous or hashlib.sha256(text.encode()).hexdigest() != stated:
                return f"event {number}, says whoever reads the export."
            previous = stated
    return ""
