"""A promotion in one line: what is asked, where it stands, how it was decided. The same words at every door."""

from __future__ import annotations

from approvals.models import Deployment, Promotion
from approvals.states import DeploymentStatus, PromotionStatus
from approvals.wording import day_and_time

P, D = PromotionStatus, DeploymentStatus

# (promotion status, deployment status or None) → one word for a subject, and the words of the message.
STANDINGS: dict[tuple[str, str | None], tuple[str, str]] = {
    (P.PENDING, None): ("Waiting", "Waiting for approval"),
    (P.REJECTED, None): ("Rejected", "Rejected"),
    (P.CANCELLED, None): ("Cancelled", "Cancelled"),
    (P.EXPIRED, None): ("Expired", "Expired: nobody settled it in time"),
    (P.SUPERSEDED, None): ("Superseded", "Superseded by a newer request"),
    (P.APPROVED, D.QUEUED): ("Approved", "Approved, waiting to be deployed"),
    (P.APPROVED, D.DISPATCHING): ("Approved", "Approved, the workflow is being started"),
    (P.APPROVED, D.RUNNING): ("Under way", "Approved, the workflow is running"),
    (P.APPROVED, D.WAITING): ("Under way", "Approved, rolling out step by step"),
    (P.APPROVED, D.SUCCEEDED): ("Live", "Live"),
    (P.APPROVED, D.FAILED): ("Failed", "The deployment failed"),
    (P.APPROVED, D.CANCELLED): ("Cancelled", "The deployment was cancelled"),
    (P.APPROVED, D.UNCONFIRMED): ("Unconfirmed", "Unconfirmed: a person must look"),
}


def title_of(promotion: Promotion) -> str:
    """``Promote fraud-detector v2 to production``."""
    environment = promotion.target.environment.name
    if promotion.is_rollback:
        return f"Roll {environment} back to {promotion.version}"
    if promotion.retroactive:
        return f"Adopt {promotion.version}, live in {environment}"
    return f"Promote {promotion.version} to {environment}"


def what_and_where(promotion: Promotion) -> str:
    """``fraud-detector v2 → production``, with the kind where it is not an ordinary promotion."""
    kind = " (rollback)" if promotion.is_rollback else " (adoption)" * promotion.retroactive
    return f"{promotion.version} → {promotion.target.environment.name}{kind}"


def standing(promotion: Promotion) -> tuple[str, str]:
    """One word, and the words: (``Live``, ``Live``), (``Waiting``, ``Waiting for approval``) …"""
    decided = promotion.status == P.APPROVED
    deployment: Deployment | None = getattr(promotion, "deployment", None) if decided else None
    word, words = STANDINGS[(promotion.status, deployment.status if deployment else None)]
    if deployment is None:
        return word, words
    target = promotion.target
    if deployment.status == D.SUCCEEDED and target.live_deployment_id != deployment.pk:
        now = f"v{target.live_version.number}" if target.live_version else "another version"
        word, words = "Was live", f"Was live; {now} is live now"
    if deployment.paused and deployment.is_open:
        word, words = "Needs a person", f"{words}, and a person has to say how it goes on"
    elif deployment.aborting and deployment.is_open:
        word, words = "Going back", "Approved, and going back to the former version"
    if promotion.overridden_by_id is not None:
        words = f"Glass broken: {words}"
    return word, words


def how_decided(promotion: Promotion) -> str:
    """``rejected by Bob Brandt on 20 Nov 2026, 14:05 UTC``; empty while it is pending."""
    if promotion.is_pending:
        return ""
    last = (
        promotion.events.filter(kind=f"promotion.{promotion.status}")
        .select_related("actor")
        .first()
    )
    who = f" by {last.actor}" if last and last.actor else ""
    when = f" on {day_and_time(promotion.decided_at)}" if promotion.decided_at else ""
    return f"{promotion.status}{who}{when}"
