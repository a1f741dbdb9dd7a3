"""Every status and every allowed transition, in one place.

Only ``approvals.services`` assigns a status; it asks :func:`may_become` first.
"""

from __future__ import annotations

import re

from django.db.models import TextChoices


class PromotionKind(TextChoices):
    """What a promotion asks for."""

    PROMOTE = "promote", "Promotion"
    ROLLBACK = "rollback", "Rollback"


class PromotionStatus(TextChoices):
    """The decision on a promotion. All but ``pending`` are final."""

    PENDING = "pending", "Waiting for approval"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    CANCELLED = "cancelled", "Cancelled"
    EXPIRED = "expired", "Expired"
    SUPERSEDED = "superseded", "Superseded"


class DeploymentStatus(TextChoices):
    """The delivery of an approved promotion."""

    QUEUED = "queued", "Queued"
    DISPATCHING = "dispatching", "Starting"
    RUNNING = "running", "Running"
    WAITING = "waiting", "Between two steps"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"
    UNCONFIRMED = "unconfirmed", "Unconfirmed: a person must look"


class StepOutcome(TextChoices):
    """How one step of a deployment ended."""

    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class Theme(TextChoices):
    """How the pages look to somebody."""

    SYSTEM = "system", "As my device"
    LIGHT = "light", "Light"
    DARK = "dark", "Dark"


class MailWish(TextChoices):
    """When somebody wants mail about what concerns them."""

    WITHOUT_CHAT = "without_chat", "Only while no chat account is linked"
    ALWAYS = "always", "Always"
    NEVER = "never", "Never"


class Occasion(TextChoices):
    """Why somebody is told personally."""

    REQUEST = "request", "A decision waits"
    REMINDER = "reminder", "A decision still waits"
    OUTCOME = "outcome", "How it ended"


class EffectStatus(TextChoices):
    """An outgoing action in the outbox."""

    WAITING = "waiting", "Waiting"
    CLAIMED = "claimed", "Being delivered"
    DONE = "done", "Delivered"
    FAILED = "failed", "Given up"


class RestrictionKind(TextChoices):
    """What is closed: a target for everything, a target for automation alone, or a version everywhere."""

    LOCK = "lock", "Lock"
    HOLD = "hold", "Hold"
    QUARANTINE = "quarantine", "Quarantine"


class MarkKind(TextChoices):
    """What people know of a version at a target after it was live there."""

    GOOD = "good", "Known good"
    BAD = "bad", "Known bad"


class ChangeKind(TextChoices):
    """Where a change was seen that came about without a promotion."""

    ALIAS = "alias", "The registry's alias"
    TAGS = "tags", "The registry's tags"
    ARTIFACT = "artifact", "The artifacts"
    RUN = "run", "A workflow run"
    SERVING = "serving", "The serving layer"


class ChangeAnswer(TextChoices):
    """What became of an out-of-band change."""

    ADOPTED = "adopted", "Adopted"
    PUT_BACK = "put_back", "Put back"
    IGNORED = "ignored", "Ignored"
    GONE = "gone", "It went away by itself"


class Verdict(TextChoices):
    """What one review says."""

    APPROVE = "approve", "Approve"
    REJECT = "reject", "Reject"


class EvidenceVerdict(TextChoices):
    """What one piece of evidence says."""

    PASS = "pass", "Passed"
    FAIL = "fail", "Failed"


# What evidence may be called, in reports and in the configuration alike.
EVIDENCE_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


class Via(TextChoices):
    """The door by which somebody came."""

    BROWSER = "browser", "the browser"
    SLACK = "slack", "Slack"
    API = "api", "the API"
    COMMAND = "command", "the command line"
    SYSTEM = "system", "Countersign itself"
    GITHUB = "github", "GitHub"
    MLFLOW = "mlflow", "MLflow"


# In whose name Countersign itself asks; never active, so nobody can sign in with it or make it a token.
SYSTEM_ACCOUNT = "countersign"


class WorkflowKind(TextChoices):
    """What a workflow is for; named per file in the configuration."""

    CI = "ci", "CI"
    TRAIN = "train", "Training"
    VALIDATE = "validate", "Validation"
    DEPLOY = "deploy", "Deployment"


P = PromotionStatus
D = DeploymentStatus

TRANSITIONS: dict[str, frozenset[str]] = {
    P.PENDING: frozenset({P.APPROVED, P.REJECTED, P.CANCELLED, P.EXPIRED, P.SUPERSEDED}),
    # Succeeded at once is only what a retroactive promotion adopts: nothing is fired for it.
    D.QUEUED: frozenset({D.DISPATCHING, D.SUCCEEDED, D.FAILED, D.CANCELLED}),
    # Back to queued only when GitHub clearly refused for now (a rate limit): nothing was started.
    # Back to waiting where that, or a refusal, happens to a later step of a rollout.
    D.DISPATCHING: frozenset({D.RUNNING, D.FAILED, D.UNCONFIRMED, D.QUEUED, D.WAITING}),
    D.RUNNING: frozenset({D.SUCCEEDED, D.FAILED, D.CANCELLED, D.WAITING}),
    # A rollout between two steps, or before it goes back to the former version.
    D.WAITING: frozenset({D.DISPATCHING, D.FAILED, D.CANCELLED}),
    # A person looks: the run is found after all, is dispatched once more, or is given up.
    D.UNCONFIRMED: frozenset({D.RUNNING, D.DISPATCHING, D.FAILED, D.CANCELLED, D.WAITING}),
}

# At most one of these at a target, held by a constraint of the database.
ACTIVE_DEPLOYMENT = (D.DISPATCHING, D.RUNNING, D.WAITING, D.UNCONFIRMED)
# Something may still happen by itself.
OPEN_DEPLOYMENT = (D.QUEUED, *ACTIVE_DEPLOYMENT)


def may_become(now: str, then: str) -> bool:
    """Whether the transition table allows ``now`` → ``then``."""
    return then in TRANSITIONS.get(now, frozenset())
