"""The verbs: every door (browser, Slack, API, command, task, webhook) calls these and nothing else.

Each verb takes ``actor`` and ``via`` explicitly, locks the target's row first, then checks, then writes
state, event and effects in one transaction. A refusal is :class:`Refused`, and nothing is written.
"""

from approvals.services.automatic import approve_automatically, approve_due
from approvals.services.collecting import collect, record_jobs, repositories_with_jobs
from approvals.services.configuration import apply_configuration
from approvals.services.delegations import delegate, end_delegation
from approvals.services.delivery import (
    begin_dispatch,
    note_delivery,
    postpone_dispatch,
    record_dispatch_refused,
    record_dispatched,
    record_unconfirmed,
    refuse_too_early,
    stop_dispatch,
)
from approvals.services.evidence import record_evidence
from approvals.services.facts import ObservedFacts, record_facts, record_facts_problem
from approvals.services.freezes import freeze, unfreeze
from approvals.services.interventions import call_off, dispatch_again, give_up, look_again
from approvals.services.outbox import retry_effect
from approvals.services.overrides import override
from approvals.services.people import set_active
from approvals.services.promotions import (
    cancel,
    check_again,
    close_overdue,
    request_promotion,
    request_rollback,
)
from approvals.services.queueing import confirm, reorder
from approvals.services.refusal import Refused
from approvals.services.registry import (
    VersionFacts,
    record_absent_versions,
    record_alias_set,
    record_models,
    record_signature,
    record_versions,
)
from approvals.services.reminders import remind_due
from approvals.services.restrictions import lock, quarantine, release, resume, unlock
from approvals.services.reviews import review, review_many, withdraw_review
from approvals.services.rollouts import abort, advance, advance_due, hold_rollout
from approvals.services.runs import RunFacts, record_run, record_steps
from approvals.services.schedules import schedule
from approvals.services.tokens import create_token, person_of_token, revoke_token

__all__ = [
    "ObservedFacts",
    "Refused",
    "RunFacts",
    "VersionFacts",
    "abort",
    "advance",
    "advance_due",
    "apply_configuration",
    "approve_automatically",
    "approve_due",
    "begin_dispatch",
    "call_off",
    "cancel",
    "check_again",
    "close_overdue",
    "collect",
    "confirm",
    "create_token",
    "delegate",
    "dispatch_again",
    "end_delegation",
    "freeze",
    "give_up",
    "hold_rollout",
    "lock",
    "look_again",
    "note_delivery",
    "override",
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
    "record_jobs",
    "record_models",
    "record_run",
    "record_signature",
    "record_steps",
    "record_unconfirmed",
    "record_versions",
    "refuse_too_early",
    "release",
    "remind_due",
    "reorder",
    "repositories_with_jobs",
    "request_promotion",
    "request_rollback",
    "resume",
    "retry_effect",
    "review",
    "review_many",
    "revoke_token",
    "schedule",
    "set_active",
    "stop_dispatch",
    "unfreeze",
    "unlock",
    "withdraw_review",
]
