"""The rows everything is decided on."""

from approvals.models.catalogue import (
    CodeComparison,
    Environment,
    ModelVersion,
    RegisteredModel,
    Repository,
    Target,
    WorkflowRun,
)
from approvals.models.decisions import Promotion, Review
from approvals.models.delivery import Deployment, Step
from approvals.models.evidence import Evidence
from approvals.models.history import Event, EventEntry
from approvals.models.outbox import Effect, InboundDelivery
from approvals.models.people import Delegation, Membership, Person, Preferences, Team
from approvals.models.restrictions import Freeze, Restriction
from approvals.models.tokens import ApiToken
from approvals.models.watching import Mark, OutOfBandChange, Signal

__all__ = [
    "ApiToken",
    "CodeComparison",
    "Delegation",
    "Deployment",
    "Effect",
    "Environment",
    "Event",
    "EventEntry",
    "Evidence",
    "Freeze",
    "InboundDelivery",
    "Mark",
    "Membership",
    "ModelVersion",
    "OutOfBandChange",
    "Person",
    "Preferences",
    "Promotion",
    "RegisteredModel",
    "Repository",
    "Restriction",
    "Review",
    "Signal",
    "Step",
    "Target",
    "Team",
    "WorkflowRun",
]
