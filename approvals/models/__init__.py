"""The rows everything is decided on."""

from approvals.models.catalogue import (
    Environment,
    ModelVersion,
    RegisteredModel,
    Repository,
    Target,
    WorkflowRun,
)
from approvals.models.decisions import Promotion, Review
from approvals.models.delivery import Deployment
from approvals.models.evidence import Evidence
from approvals.models.history import Event
from approvals.models.outbox import Effect, InboundDelivery
from approvals.models.people import Delegation, Membership, Person, Team
from approvals.models.restrictions import Freeze, Restriction
from approvals.models.tokens import ApiToken

__all__ = [
    "ApiToken",
    "Delegation",
    "Deployment",
    "Effect",
    "Environment",
    "Event",
    "Evidence",
    "Freeze",
    "InboundDelivery",
    "Membership",
    "ModelVersion",
    "Person",
    "Promotion",
    "RegisteredModel",
    "Repository",
    "Restriction",
    "Review",
    "Target",
    "Team",
    "WorkflowRun",
]
