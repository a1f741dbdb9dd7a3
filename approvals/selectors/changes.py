"""Out-of-band changes as pages and programs show them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from approvals.models import ModelVersion, OutOfBandChange, Person, Target
from approvals.selectors.catalogue import why_not_ask
from approvals.services.answers import (
    WRITTEN_BACK,
    refuse_who_may_not_answer,
    why_not_adopt,
    why_not_put_back,
)
from approvals.services.out_of_band import declared_changes, open_changes, under_way
from approvals.services.refusal import Refused
from approvals.states import ChangeKind, PromotionKind


@dataclass(frozen=True)
class Shown:
    """A change with what may be answered, and for each answer why not (empty: it may be)."""

    change: OutOfBandChange
    under_way: str
    why_not_adopt: str
    why_not_put_back: str
    why_not_ignore: str
    versions: list[ModelVersion] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """It waits for an answer."""
        return self.change.ended_at is None and not self.under_way

    @property
    def should_be(self) -> str:
        """What is live through us."""
        live = self.change.target.live_version
        return str(live) if live else "nothing"

    @property
    def deploys_again(self) -> bool:
        """Putting it back takes a deployment, with its approvals."""
        return self.change.kind not in WRITTEN_BACK

    @property
    def before_us(self) -> bool:
        """Nothing has gone live here through us yet: it is to be taken over."""
        return self.change.target.live_deployment_id is None


def shown(change: OutOfBandChange, person: Person) -> Shown:
    """A change for this person; ``versions`` where they have to say which one is live."""
    target, version = change.target, change.version
    asks_which = version is None and change.kind != ChangeKind.ALIAS
    live = target.live_version
    if change.kind not in WRITTEN_BACK and live is not None:
        again = why_not_ask(person, target, live, PromotionKind.ROLLBACK, answers=True)
    else:
        again = _why_not_answer(person, target)
    adopting = ""
    if version is not None:
        adopting = why_not_ask(person, target, version, PromotionKind.PROMOTE, answers=True)
    return Shown(
        change=change,
        under_way=under_way(change),
        why_not_adopt=why_not_adopt(change) or adopting,
        why_not_put_back=why_not_put_back(change) or again,
        why_not_ignore=_why_not_answer(person, target),
        versions=list(
            target.model.versions.filter(deleted_at=None)
            .select_related("model")
            .order_by("-number")[:50]
        )
        if asks_which
        else [],
    )


def open_at(targets: Iterable[Target], person: Person) -> dict[int, list[Shown]]:
    """The open changes of these targets, by the target's id."""
    found: dict[int, list[Shown]] = {}
    for change in open_changes().filter(target__in=list(targets)).order_by("first_seen_at"):
        found.setdefault(change.target_id, []).append(shown(change, person))
    return found


def change_with_all(pk: int) -> OutOfBandChange | None:
    """One declared change, ended or not."""
    return declared_changes().filter(pk=pk).first()


def _why_not_answer(person: Person, target: Target) -> str:
    try:
        refuse_who_may_not_answer(person, target)
    except Refused as refused:
        return refused.sentence
    return ""
