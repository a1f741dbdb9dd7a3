"""The verbs: every door (browser, Slack, API, command, task, webhook) calls these and nothing else.

Each verb takes ``actor`` and ``via`` explicitly, locks the target's row first, then checks, then writes
state, event and effects in one transaction. A refusal is :class:`Refused`, and nothing is written.
"""

from approvals.services.configuration import apply_configuration
from approvals.services.delivery import (
    begin_dispatch,
    dispatch_again,
    give_up,
    look_again,
    note_delivery,
    postpone_dispatch,
    record_dispatch_refused,
    record_dispatched,
    record_unconfirmed,
    stop_dispatch,
    waits_for,
)
from approvals.services.evidence import record_evidence
from approvals.services.facts import ObservedFacts, record_facts, record_facts_problem
from approvals.services.outbox import retry_effect
from approvals.services.people import set_active
from approvals.services.promotions import (
    cancel,
    check_again,
    close_overdue,
    request_promotion,
    request_rollback,
)
from approvals.services.refusal import Refused
from approvals.services.registry import (
    VersionFacts,
    record_absent_versions,
    record_alias_set,
    record_models,
    record_versions,
)
from approvals.services.restrictions import lock, quarantine, release, unlock
from approvals.services.reviews import review, withdraw_review
from approvals.services.runs import RunFacts, record_run, record_steps
from approvals.services.tokens import create_token, person_of_token, revoke_token

__all__ = [
    "ObservedFacts",
    "Refused",
    "RunFacts",
    "VersionFacts",
    "apply_configuration",
    "begin_dispatch",
    "cancel",
    "check_again",
    "close_overdue",
    "create_token",
    "dispatch_again",
    "give_up",
    "lock",
    "look_again",
    "note_delivery",
    "person_of_token",
    "postpone_dispatch",
    "quarantine",
    "record_absent_versions",
    "record_alias_set",
    "record_dispatch_refused",
    "record_dispatched",
    "record_evidence",
    "record_facts",
    "record_facts_problem",
    "record_models",
    "record_run",
    "record_steps",
    "record_unconfirmed",
    "record_versions",
    "release",
    "request_promotion",
    "request_rollback",
    "retry_effect",
    "review",
    "revoke_token",
    "set_active",
    "stop_dispatch",
    "unlock",
    "waits_for",
    "withdraw_review",
]
