"""Results of validation that was done elsewhere, reported by programs and people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from approvals.models import (
    Environment,
    Evidence,
    ModelVersion,
    Person,
    Promotion,
    Target,
    WorkflowRun,
)
from approvals.models.outbox import EffectKind
from approvals.services.at_hand import EVIDENCE, at_hand
from approvals.services.history import enqueue, record
from approvals.services.locks import lock_everywhere
from approvals.services.refusal import Refused
from approvals.states import EVIDENCE_NAME, EvidenceVerdict, PromotionStatus
from approvals.wording import clean_text

MAX_NUMBERS = 100
MAX_NUMBER_NAME = 250  # MLflow's limit for the name of a metric
MAX_LINK = 500
MAX_SOURCE = 200
MAX_KEY = 200
# Clocks differ a little; what is further ahead would hide every later result.
MAX_AHEAD = timedelta(minutes=5)
# A mistake for sure; and near the first year of all, zones lead out of the calendar.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
# Finite by its form; three digits of exponent hold every double, and no text grows endless when shown.
DECIMAL = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)


@transaction.atomic
def record_evidence(
    *,
    actor: Person | None,
    via: str,
    version_id: int,
    environment_id: int | None,
    name: str,
    verdict: str,
    numbers: Mapping[str, str] | None = None,
    link: str = "",
    source: str = "",
    key: str = "",
    produced_at: datetime | None = None,
    workflow_run: WorkflowRun | None = None,
    now: datetime | None = None,
) -> tuple[Evidence, bool]:
    """Keep one result, and whether it is new: the same ``key`` with the same content is kept once.

    ``environment_id`` None is evidence for every environment. ``actor`` is None where Countersign itself
    read the result. Raises Refused (``inactive``, ``may_not_report``, ``unknown_version``,
    ``version_deleted``, ``unknown_environment``, ``bad_name``, ``bad_verdict``, ``too_many_numbers``,
    ``bad_number``, ``bad_link``, ``source_too_long``, ``bad_key``, ``bad_time``, ``in_the_future``,
    ``evidence_differs``); then nothing was written.
    """
    now = now or timezone.now()
    if actor is not None:
        _refuse_reporter(actor)
    numbers = dict(numbers or {})
    source = clean_text(source)
    _refuse_content(name, verdict, link, source, key)
    _refuse_numbers(numbers)
    _refuse_time(produced_at, now)
    # Votes and dispatches judge gates under these locks: none of them sees half of this.
    version, targets = lock_everywhere(version_id)
    if version.deleted_at is not None:
        raise Refused("version_deleted", f"{version} was deleted from MLflow.")
    environment = None
    if environment_id is not None:
        environment = Environment.objects.filter(pk=environment_id).first()
        if environment is None:
            raise Refused("unknown_environment", "There is no such environment.")

    content: dict[str, Any] = {
        "verdict": verdict,
        "numbers": numbers,
        "link": link,
        "source": source,
        "workflow_run": workflow_run,
    }
    # By door too: nobody's own key can stand in the way of what Countersign reads itself.
    identity = {
        "version": version,
        "environment": environment,
        "name": name,
        "via": via,
        "key": key,
    }
    fresh = {
        "recorded_by": actor,
        "produced_at": produced_at or now,
        "recorded_at": now,
    }
    if key:
        # The constraint holds even where a model has no target whose lock could be taken.
        evidence, created = Evidence.objects.get_or_create(
            **identity, defaults={**content, **fresh}
        )
        if not created:
            _refuse_difference(evidence, content, produced_at)
            return evidence, False
    else:
        evidence = Evidence.objects.create(**identity, **content, **fresh)
    _tell(evidence, targets, via, actor, now)
    return evidence, True


def _tell(
    evidence: Evidence, targets: list[Target], via: str, actor: Person | None, now: datetime
) -> None:
    """Record it, and bring the messages of the pending promotions that it is about up to date."""
    version, environment = evidence.version, evidence.environment
    here = [each for each in targets if environment and each.environment_id == environment.pk]
    record(
        "evidence.recorded",
        via=via,
        actor=actor,
        target=here[0] if here else None,
        now=now,
        model=version.model.name,
        version=version.number,
        environment=environment.name if environment else "",
        name=evidence.name,
        verdict=evidence.verdict,
        source=evidence.produced_by,
    )
    waiting = Promotion.objects.filter(version=version, status=PromotionStatus.PENDING)
    if environment is not None:
        waiting = waiting.filter(target__environment=environment)
    for promotion in waiting:
        enqueue(EffectKind.ANNOUNCE, promotion, key=f"evidence-{evidence.pk}", now=now)


def _refuse_reporter(actor: Person) -> None:
    if not actor.is_active:
        raise Refused("inactive", "You may not, because your account is not active.")
    if not actor.is_machine and not actor.teams.exists():
        raise Refused(
            "may_not_report",
            "You may not, because evidence is reported by machine accounts and members of a team.",
        )


def _refuse_content(name: str, verdict: str, link: str, source: str, key: str) -> None:
    if not EVIDENCE_NAME.fullmatch(name):
        raise Refused(
            "bad_name",
            "A name of evidence is lower-case letters, digits, '-', '_' and '.', at most 100, "
            "and begins with a letter or digit.",
        )
    if verdict not in EvidenceVerdict.values:
        raise Refused("bad_verdict", "Evidence says pass or fail.")
    if link and not _is_address(link):
        raise Refused(
            "bad_link", f"A link begins with http:// or https:// and has at most {MAX_LINK} signs."
        )
    if len(source) > MAX_SOURCE:
        raise Refused("source_too_long", f"Say the source in at most {MAX_SOURCE} characters.")
    if len(key) > MAX_KEY or key != clean_text(key):
        raise Refused(
            "bad_key",
            f"A key is at most {MAX_KEY} characters of plain text, without spaces around it.",
        )


def _is_address(link: str) -> bool:
    if len(link) > MAX_LINK or any(each.isspace() or not each.isprintable() for each in link):
        return False
    try:
        parts = urlsplit(link)
        # A port that is none raises ValueError when it is looked at.
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _refuse_numbers(numbers: Mapping[str, str]) -> None:
    if len(numbers) > MAX_NUMBERS:
        raise Refused("too_many_numbers", f"Give at most {MAX_NUMBERS} numbers.")
    for name, value in numbers.items():
        if not name or len(name) > MAX_NUMBER_NAME or name != clean_text(name):
            raise Refused(
                "bad_number",
                f"A number's name is 1 to {MAX_NUMBER_NAME} characters of plain text.",
            )
        if not isinstance(value, str) or not DECIMAL.fullmatch(value):
            raise Refused(
                "bad_number", f"{name} is not a finite decimal number as text, such as 0.913."
            )


def _refuse_time(produced_at: datetime | None, now: datetime) -> None:
    if produced_at is None:
        return
    if timezone.is_naive(produced_at):
        raise Refused("bad_time", "A time needs its zone, such as 2026-11-20T14:05:00Z.")
    if produced_at < EARLIEST:
        raise Refused("bad_time", "It says that it was produced before the year 2000.")
    if produced_at > now + MAX_AHEAD:
        raise Refused("in_the_future", "It says that it will be produced in the future.")


def _refuse_difference(
    kept: Evidence, content: Mapping[str, Any], produced_at: datetime | None
) -> None:
    """A time that was not given anew does not differ."""
    differing = [name for name, value in content.items() if getattr(kept, name) != value]
    if produced_at is not None and kept.produced_at != produced_at:
        differing.append("produced_at")
    if differing:
        raise Refused(
            "evidence_differs",
            f"This key was used before for another result of {kept.name} "
            f"({', '.join(differing)} differ); use a new key.",
        )


def newest_evidence(
    version: ModelVersion, environment_id: int, *, asked_by: Person | None = None
) -> list[Evidence]:
    """The newest of each name that is about the version in this environment.

    For a promotion that ``asked_by`` asked for, what they themselves report as passed does not count (what
    a machine reports does): nobody vouches for their own request.
    """
    own = asked_by.pk if asked_by is not None and not asked_by.is_machine else None
    kept: list[Evidence] | None = at_hand(version, EVIDENCE)
    if kept is not None:
        newest: dict[str, Evidence] = {}
        for each in kept:
            mine = own and each.recorded_by_id == own and each.verdict == EvidenceVerdict.PASS
            if each.environment_id in (None, environment_id) and not mine:
                newest.setdefault(each.name, each)
        return list(newest.values())
    rows = Evidence.objects.filter(Q(environment=None) | Q(environment=environment_id))
    rows = rows.filter(version=version)
    if own is not None:
        rows = rows.exclude(recorded_by=own, verdict=EvidenceVerdict.PASS)
    return list(
        rows.select_related("recorded_by", "workflow_run")
        .order_by("name", "-produced_at", "-id")
        .distinct("name")
    )
