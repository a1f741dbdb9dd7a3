"""The verbs: every door (browser, Slack, API, command, task, webhook) calls these and nothing else.

Each verb takes ``actor`` and ``via`` explicitly, locks the target's row first, then checks, then writes
state, event and effects in one transaction. A refusal is :class:`Refused`, and nothing is written.
"""

from approvals.services.answers import adopt, ignore_change, put_back
from approvals.services.automatic import approve_automatically, approve_due
from approvals.services.collecting import collect, record_jobs, repositories_with_jobs
from approvals.services.comments import comment
from approvals.services.comparisons import record_comparison
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
from approvals.services.feeds import end_feeds, person_of_feed_key, renew_feed_key
from approvals.services.foreign_runs import compare_runs
from approvals.services.freezes import freeze, unfreeze
from approvals.services.interventions import call_off, dispatch_again, give_up, look_again
from approvals.services.marks import mark
from approvals.services.outbox import retry_effect
from approvals.services.overrides import override
from approvals.services.people import set_active
from approvals.services.preferences import set_preferences
from approvals.services.promotions import (
    cancel,
    check_again,
    close_overdue,
    request_promotion,
    request_rollback,
)
from approvals.services.protection import (
    answer_gate,
    record_gate_answer,
    record_gate_request,
    waits_unasked,
)
from approvals.services.queueing import confirm, reorder
from approvals.services.readings import (
    compare_aliases,
    compare_artifacts,
    compare_served,
    compare_tags,
)
from approvals.services.refusal import Refused
from approvals.services.registry import (
    VersionFacts,
    keep_registry_before,
    record_absent_versions,
    record_models,
    record_registry_written,
    record_signature,
    record_versions,
)
from approvals.services.reminders import remind_due
from approvals.services.restrictions import lock, quarantine, release, resume, unlock
from approvals.services.reviews import review, review_many, withdraw_review
from approvals.services.rollouts import advance_due
from approvals.services.runs import RunFacts, record_log, record_run, record_steps, watch_runs
from approvals.services.schedules import schedule
from approvals.services.sessions import end_sessions
from approvals.services.signals import record_signal
from approvals.services.steering import abort, advance, hold_rollout
from approvals.services.tokens import create_token, person_of_token, revoke_token

__all__ = [
    "ObservedFacts",
    "Refused",
    "RunFacts",
    "VersionFacts",
    "abort",
    "adopt",
    "advance",
    "advance_due",
    "answer_gate",
    "apply_configuration",
    "approve_automatically",
    "approve_due",
    "begin_dispatch",
    "call_off",
    "cancel",
    "check_again",
    "close_overdue",
    "collect",
    "comment",
    "compare_aliases",
    "compare_artifacts",
    "compare_runs",
    "compare_served",
    "compare_tags",
    "confirm",
    "create_token",
    "delegate",
    "dispatch_again",
    "end_delegation",
    "end_feeds",
    "end_sessions",
    "freeze",
    "give_up",
    "hold_rollout",
    "ignore_change",
    "keep_registry_before",
    "lock",
    "look_again",
    "mark",
    "note_delivery",
    "override",
    "person_of_feed_key",
    "person_of_token",
    "postpone_dispatch",
    "put_back",
    "quarantine",
    "record_absent_versions",
    "record_comparison",
    "record_dispatch_refused",
    "record_dispatched",
    "record_evidence",
    "record_facts",
    "record_facts_problem",
    "record_gate_answer",
    "record_gate_request",
    "record_jobs",
    "record_log",
    "record_models",
    "record_registry_written",
    "record_run",
    "record_signal",
    "record_signature",
    "record_steps",
    "record_unconfirmed",
    "record_versions",
    "refuse_too_early",
    "release",
    "remind_due",
    "renew_feed_key",
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
    "set_preferences",
    "stop_dispatch",
    "unfreeze",
    "unlock",
    "waits_unasked",
    "watch_runs",
    "withdraw_review",
]
