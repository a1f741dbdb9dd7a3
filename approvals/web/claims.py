"""What a promotion changes, in one sentence: as a wish, as it happens, or as it ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from approvals.models import Deployment, ModelVersion, Promotion
from approvals.states import DeploymentStatus, PromotionStatus

D = DeploymentStatus


@dataclass(frozen=True)
class Piece:
    """A part of the sentence: plain, ``strong``, a link to ``url``, or a ``moment``."""

    text: str = ""
    url: str = ""
    strong: bool = False
    moment: datetime | None = None


# How a request that came to nothing ended.
ENDS = {
    PromotionStatus.REJECTED: "was rejected",
    PromotionStatus.CANCELLED: "was cancelled",
    PromotionStatus.EXPIRED: "expired undecided",
    PromotionStatus.SUPERSEDED: "was superseded",
}


def claim_of(promotion: Promotion, deployment: Deployment | None) -> list[Piece]:
    """The sentence, in pieces that follow each other without a space between."""
    said = _Said(promotion, deployment)
    if promotion.is_pending:
        return list(said.wish())
    if deployment is None:
        return list(
            said.came_to_nothing(ENDS[PromotionStatus(promotion.status)], promotion.decided_at)
        )
    return list(said.delivery(deployment))


def went_back(deployment: Deployment | None) -> bool:
    """The rollout was taken back, and the former version serves everybody again."""
    ended = deployment is not None and deployment.status in {D.FAILED, D.CANCELLED}
    return bool(ended and deployment and deployment.aborting)


class _Said:
    def __init__(self, promotion: Promotion, deployment: Deployment | None) -> None:
        self.promotion = promotion
        self.name = promotion.target.environment.name
        self.new = self.link(promotion.version, str(promotion.version))
        before = (deployment.previous if deployment else None) or promotion.replaces
        same = before is not None and before.pk == promotion.version_id
        self.old = self.link(before, f"v{before.number}") if before and not same else None

    def link(self, version: ModelVersion, text: str) -> Piece:
        return Piece(text, f"{version.get_absolute_url()}?environment={self.name}")

    @property
    def here(self) -> Piece:
        return Piece(self.name, strong=True)

    @property
    def first(self) -> Piece:
        """The environment at the beginning of a sentence."""
        return Piece(f"{self.name[:1].upper()}{self.name[1:]}", strong=True)

    def wish(self) -> Iterator[Piece]:
        promotion = self.promotion
        if promotion.is_rollback:
            yield from (Piece("Roll "), self.here, Piece(" back to "), self.new)
        elif promotion.retroactive:
            yield from (Piece("Adopt in "), self.here, Piece(" "), self.new)
        else:
            yield from (Piece("Put "), self.here, Piece(" on "), self.new)
        yield from self.in_place()

    def in_place(self) -> Iterator[Piece]:
        if self.old:
            yield from (Piece(", in place of "), self.old)
        elif self.promotion.replaces is None:
            yield Piece(", where nothing is live yet")

    def doing(self) -> Iterator[Piece]:
        if self.promotion.is_rollback:
            yield from (Piece("Rolling "), self.here, Piece(" back to "), self.new)
        elif self.promotion.retroactive:
            yield from (Piece("Adopting "), self.new, Piece(" in "), self.here)
        else:
            yield from (Piece("Putting "), self.here, Piece(" on "), self.new)

    def came_to_nothing(self, how: str, when: datetime | None) -> Iterator[Piece]:
        yield from self.doing()
        if self.old:
            yield from (Piece(", in place of "), self.old, Piece(","))
        yield Piece(f" {how}")
        yield from self.on(when)

    def on(self, when: datetime | None) -> Iterator[Piece]:
        if when is not None:
            yield from (Piece(" on "), Piece(moment=when))

    def way(self, verb: str) -> Iterator[Piece]:
        """``production went from v3 to v4``; ``verb`` is what it does."""
        yield Piece(f" {verb} ")
        if self.old:
            yield from (Piece("from "), self.old, Piece(" "))
        yield from (Piece("to "), self.new)

    def delivery(self, deployment: Deployment) -> Iterator[Piece]:
        back = "back " if self.promotion.is_rollback else ""
        if deployment.status == D.SUCCEEDED:
            yield from self.succeeded(deployment)
        elif went_back(deployment):
            yield from self.taken_back(deployment)
        elif deployment.status in {D.FAILED, D.CANCELLED}:
            how = "failed" if deployment.status == D.FAILED else "was called off"
            yield from self.came_to_nothing(how, deployment.finished_at)
        elif deployment.status == D.UNCONFIRMED:
            yield from (Piece("Whether "), self.here, *self.way(f"went {back}".strip()))
            yield Piece(" is not known")
        elif deployment.aborting:
            yield from (self.first, Piece(" goes back"))
            if self.old:
                yield from (Piece(" to "), self.old)
            yield from (Piece(": the rollout of "), self.new, Piece(" was stopped"))
        elif deployment.status == D.QUEUED:
            yield from (self.first, *self.way(f"is to go {back}".strip()))
            yield Piece(", approved and not started yet")
        else:
            yield from (self.first, *self.way(f"is going {back}".strip()))

    def succeeded(self, deployment: Deployment) -> Iterator[Piece]:
        if self.promotion.retroactive:
            yield from (self.new, Piece(" was adopted in "), self.here)
        elif self.promotion.is_rollback:
            yield from (self.first, *self.way("was rolled back"))
        elif self.old:
            yield from (self.first, *self.way("went"))
        else:
            yield from (self.first, Piece(" got its first version, "), self.new, Piece(","))
        yield from self.on(deployment.finished_at)

    def taken_back(self, deployment: Deployment) -> Iterator[Piece]:
        yield self.first
        if self.old:
            yield from (Piece(" stayed on "), self.old)
        else:
            yield Piece(" serves nothing again")
        yield from (Piece(": the rollout of "), self.new, Piece(" went back"))
        yield from self.on(deployment.finished_at)
