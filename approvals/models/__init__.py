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
from approvals.models.people import Membership, Person, Team
from approvals.models.restrictions import Restriction
from approvals.models.tokens import ApiToken

__all__ = [
    "ApiToken",
    "Deployment",
    "Effect",
    "Environment",
    "Event",
    "Evidence",
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
