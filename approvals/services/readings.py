"""Compares what should be live with fresh readings of what is: the registry's alias and tags, workflow runs, the
serving layer, artifacts. Every ``read_at`` is the time just before the reading was begun."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from approvals.models import Effect, Target
from approvals.models.outbox import EffectKind
from approvals.services.locks import lock_target
from approvals.services.out_of_band import Finding, note_reading, still_watched
from approvals.services.registry import ModelFacts, VersionFacts
from approvals.states import ACTIVE_DEPLOYMENT, ChangeKind, DeploymentStatus, EffectStatus

# By this tag of a version the registry shows which promotion made it live.
TAG = "countersign.promotion"
# A serving layer that follows the alias, or restarts, needs its time.
SERVING_FOLLOWS_WITHIN = timedelta(minutes=2)


def watched_targets() -> list[Target]:
    """The targets in use, with what is live there."""
    return list(
        Target.objects.filter(
            is_active=True, model__is_active=True, environment__is_active=True
        ).select_related("model", "environment", "live_version", "live_deployment")
    )


def _is_settled(target: Target, read_at: datetime, *, written_back: bool = False) -> bool:
    """Nothing moved at the target since the reading began, so that the two may be compared. ``written_back``: nor
    was anything written to the registry. The target must be locked."""
    moving = Q(status__in=ACTIVE_DEPLOYMENT) | Q(finished_at__gte=read_at)
    if target.deployments.filter(moving).exists():
        return False
    if not written_back:
        return True
    waiting = Q(status__in=[EffectStatus.WAITING, EffectStatus.CLAIMED])
    writes = Effect.objects.filter(kind=EffectKind.SET_ALIAS, target=target)
    return not writes.filter(waiting | Q(finished_at__gte=read_at)).exists()


def _went_live(target: Target) -> str:
    return f"{target.live_version} is what went live through Countersign"


NOTHING = "nothing has gone live here through Countersign; adopt it, if it is what is live"


def compare_aliases(
    *, models: Iterable[ModelFacts], read_at: datetime, now: datetime | None = None
) -> None:
    """Compare the alias of each target with what is live there, after the registry was listed."""
    listed = {each.registry_name: each for each in models}
    watched = set(still_watched().filter(kind=ChangeKind.ALIAS).values_list("target_id", flat=True))
    for target in watched_targets():
        facts = listed.get(target.model.registry_name)
        if not target.alias or facts is None:
            continue
        number = facts.aliases.get(target.alias)
        if _points_to_live(target, number) and target.pk not in watched:
            continue
        with transaction.atomic():
            locked = lock_target(target.pk)
            if locked.alias == target.alias and _is_settled(locked, read_at, written_back=True):
                found = None if _points_to_live(locked, number) else _alias_finding(locked, number)
                note_reading(
                    locked, ChangeKind.ALIAS, found, read_at=read_at, now=now or timezone.now()
                )


def _points_to_live(target: Target, number: int | None) -> bool:
    """A version that was deleted and registered anew under its number is another one."""
    live = target.live_version
    if live is None:
        return number is None
    return live.number == number and live.deleted_at is None


def _alias_finding(target: Target, number: int | None) -> Finding:
    version = None
    where = "nothing"
    if number is not None:
        version = target.model.versions.filter(number=number, deleted_at=None).first()
        where = str(version) if version else f"v{number}, which is not known here"
    live = target.live_version
    if live is not None and version is not None and live.number == version.number:
        where = f"another {version}, registered later"
    return Finding(
        key=f"{target.alias}:{version.pk if version else number}",
        sentence=f"MLflow's alias {target.alias} points to {where}, and "
        f"{_went_live(target) if live else NOTHING}.",
        version_id=version.pk if version else None,
        loud=live is not None,
    )


def compare_tags(
    *, versions: Iterable[VersionFacts], read_at: datetime, now: datetime | None = None
) -> None:
    """Compare the tag of each version that is live and was listed with the promotions that made it live.

    Call it before the versions are recorded: where there is no tag, only an earlier reading tells whether there
    was one.
    """
    listed = {(each.registry_name, each.number): each for each in versions}
    watched = set(still_watched().filter(kind=ChangeKind.TAGS).values_list("target_id", flat=True))
    for target in watched_targets():
        live = target.live_version
        facts = listed.get((target.model.registry_name, live.number)) if live else None
        if live is None or facts is None or facts.registered_at != live.registered_at:
            continue
        tag = facts.tags.get(TAG)
        had_one = TAG in live.tags or target.pk in watched
        expected = set(
            live.deployments.filter(status=DeploymentStatus.SUCCEEDED).values_list(
                "promotion_id", flat=True
            )
            if had_one or tag is not None
            else ()
        )
        named = re.search(r"(\d+)\D*$", tag or "")
        as_it_should_be = named is not None and int(named[1]) in expected
        if target.pk not in watched and (as_it_should_be or (not had_one and tag is None)):
            continue
        found = Finding(
            key=f"{TAG}:{(tag or '')[:100]}",
            sentence=f"The tag {TAG} of {live} in MLflow "
            f"{f'says {tag[:100]}' if tag else 'is gone'}, and promotion "
            f"{target.live_deployment.promotion_id if target.live_deployment else '?'} made it live.",
        )
        with transaction.atomic():
            locked = lock_target(target.pk)
            if locked.live_version_id == live.pk and _is_settled(
                locked, read_at, written_back=True
            ):
                note_reading(
                    locked,
                    ChangeKind.TAGS,
                    None if as_it_should_be else found,
                    read_at=read_at,
                    now=now or timezone.now(),
                )


@transaction.atomic
def compare_served(
    *, target_id: int, number: int, read_at: datetime, now: datetime | None = None
) -> bool:
    """Compare the version that a serving layer says it serves with what is live. Returns whether one more reading
    would declare a difference."""
    target = lock_target(target_id)
    now = now or timezone.now()
    live = target.live_version
    follows = target.live_since and read_at - target.live_since < SERVING_FOLLOWS_WITHIN
    if not target.is_active or follows or not _is_settled(target, read_at):
        return False
    found = None
    if live is None or live.number != number:
        version = target.model.versions.filter(number=number, deleted_at=None).first()
        what = version or f"version {number}, which MLflow does not have"
        found = Finding(
            key=f"serves:{number}",
            sentence=f"The serving layer says that it serves {what}, and "
            f"{_went_live(target) if live else NOTHING}.",
            version_id=version.pk if version else None,
            loud=live is not None,
        )
    return note_reading(target, ChangeKind.SERVING, found, read_at=read_at, now=now)


def compare_artifacts(
    *,
    version_id: int,
    digest: str,
    problem: str = "",
    read_at: datetime,
    now: datetime | None = None,
) -> bool:
    """Compare the digest of a version's artifacts, read just now, with the sealed one wherever it is live; with
    ``problem`` they could not be read at all. Returns whether one more reading would declare a difference."""
    wanted = False
    for target_id in (
        Target.objects.filter(live_version=version_id, is_active=True)
        .order_by("pk")
        .values_list("pk", flat=True)
    ):
        with transaction.atomic():
            target = lock_target(target_id)
            deployment = target.live_deployment
            if (
                deployment is None
                or target.live_version_id != version_id
                or not _is_settled(target, read_at)
            ):
                continue
            facts = deployment.promotion.facts
            sealed = str(facts.get("version", {}).get("artifact_digest", ""))
            found = _artifact_finding(target, digest, problem, sealed) if sealed else None
            wanted |= note_reading(
                target, ChangeKind.ARTIFACT, found, read_at=read_at, now=now or timezone.now()
            )
    return wanted


def _artifact_finding(target: Target, digest: str, problem: str, sealed: str) -> Finding | None:
    if not problem and digest == sealed:
        return None
    what = (
        f"cannot be read as they were: {problem}"
        if problem
        else f"hash to {digest[:17]}… now, and {sealed[:17]}… was approved."
    )
    return Finding(
        key="unreadable" if problem else digest,
        sentence=f"The artifacts of {target.live_version} {what}",
        version_id=target.live_version_id,
    )
