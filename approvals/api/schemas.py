"""What the API takes and gives. Unknown fields are refused: a misspelt one must not be a missing one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AwareDatetime, BeforeValidator, ConfigDict, Field

from approvals.states import EvidenceVerdict, PromotionKind, PromotionStatus, Verdict

# Longer is refused by the verbs with a sentence of their own; PostgreSQL's whole numbers end here.
Text = Annotated[str, Field(max_length=10_000)]
Name = Annotated[str, Field(min_length=1, max_length=255)]


def _text_only(value: Any) -> Any:
    """A bare number could be seconds or milliseconds; nobody should have to guess."""
    if not isinstance(value, str):
        raise ValueError("a time such as 2026-11-20T14:05:00Z is expected")
    return value


Time = Annotated[AwareDatetime, BeforeValidator(_text_only)]
Number = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]

HIGHEST_ID = 2**63 - 1


class Body(Schema):
    """A request's body, or what stands behind the question mark of its address."""

    model_config = ConfigDict(extra="forbid")


class PromotionsQuery(Body):
    """Which promotions: of one status, older than one of them."""

    status: PromotionStatus | None = None
    before: Annotated[int, Field(ge=1, le=HIGHEST_ID)] = HIGHEST_ID


class EvidenceIn(Body):
    """One result. Numbers are decimal *text*, so that no digit is lost."""

    model: Name
    version: Number
    environment: Name | None = None
    name: Text
    verdict: EvidenceVerdict
    numbers: dict[str, str] = {}
    link: Text = ""
    source: Text = ""
    key: Text = ""
    produced_at: Time | None = None


class PromotionIn(Body):
    """What is asked for. A rollback may leave ``version`` out: then it is the last known-good one."""

    model: Name
    version: Number | None = None
    environment: Name
    reason: Text
    kind: PromotionKind = PromotionKind.PROMOTE


MOST_SIGNALS = 100


def _decimal_text(value: Any) -> Any:
    """Decimal text, or a JSON number: monitoring's own precision is that of a double. NaN becomes text, which the
    verb refuses with a sentence."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return value


Value = Annotated[str, BeforeValidator(_decimal_text), Field(min_length=1, max_length=200)]
Signal = Annotated[str, Field(min_length=1, max_length=200)]


class SignalIn(Body):
    """One reading. ``observed_at`` left out: now."""

    model: Name
    environment: Name
    signal: Signal
    value: Value
    observed_at: Time | None = None
    source: Text = ""
    key: Text = ""


class SignalsIn(Body):
    """Several. Each is taken or refused for itself, so they are looked at one by one."""

    signals: Annotated[list[Any], Field(min_length=1, max_length=MOST_SIGNALS)]


class Foreign(Schema):
    """What another program sends: whatever it has beside what is read here is left alone."""

    model_config = ConfigDict(extra="ignore")


class AlertmanagerIn(Foreign):
    """Prometheus Alertmanager's webhook, version 4."""

    version: Literal["4"]
    alerts: Annotated[list[Any], Field(min_length=1, max_length=MOST_SIGNALS)]


class AlertLabels(Foreign):
    """Which target it is about, and how the signal is called."""

    model: Name
    environment: Name
    signal: Annotated[str, Field(max_length=200)] = ""
    alertname: Annotated[str, Field(max_length=200)] = ""


class AlertAnnotations(Foreign):
    """``value``: the reading, as decimal text."""

    value: Annotated[str, Field(max_length=200)] = ""


class AlertIn(Foreign):
    """One alert."""

    status: Literal["firing", "resolved"]
    labels: AlertLabels
    annotations: AlertAnnotations = AlertAnnotations()
    startsAt: Time  # noqa: N815
    endsAt: Time | None = None  # noqa: N815
    fingerprint: Annotated[str, Field(min_length=1, max_length=64)]


class ReviewIn(Body):
    """A decision on exactly the facts that hash to ``seal``."""

    verdict: Verdict
    seal: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    comment: Text = ""
    ticked: Annotated[list[Text], Field(max_length=100)] = []


class CommentIn(Body):
    """What somebody says, in Markdown."""

    text: Text


class OverrideIn(Body):
    """Breaking the glass over exactly the facts that hash to ``seal``."""

    seal: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    reason: Text


class ScheduleIn(Body):
    """Not before ``run_at``; null: as soon as it is approved. ``time_zone`` is how people will be told."""

    run_at: Time | None
    time_zone: Name = "UTC"


class CancelIn(Body):
    """Why, where somebody wants to say it."""

    reason: Text = ""


class RefusalOut(Schema):
    """Why not. ``code`` is for programs, ``message`` for people."""

    code: str
    message: str
    field: str | None = None


class EvidenceOut(Schema):
    """One result as it is kept. ``environment`` null: for every environment."""

    id: int
    model: str
    version: int
    environment: str | None
    name: str
    verdict: str
    numbers: dict[str, str]
    link: str
    source: str
    key: str
    produced_at: AwareDatetime
    recorded_at: AwareDatetime
    recorded_by: str | None


class StepOut(Schema):
    """One firing of the workflow. ``goes_back``: it takes the version out of service again."""

    percent: int
    goes_back: bool
    outcome: str
    run_url: str
    finished_at: AwareDatetime | None


class DeploymentOut(Schema):
    """How the delivery of an approved promotion stands. ``percent`` is the share of requests that the version
    serves; ``paused`` and ``asks_to_confirm`` say what a person has to do, the latter with the seal to confirm."""

    status: str
    detail: str
    run_url: str
    finished_at: AwareDatetime | None
    strategy: str
    percent: int
    paused: str
    aborting: str
    asks_to_confirm: str
    asked_seal: str
    steps: list[StepOut]


class SteerIn(Schema):
    """What somebody who steers a delivery says; ``seal`` is for ``confirm``."""

    reason: str = ""
    seal: str = ""


class QueueIn(Schema):
    """The numbers of queued promotions, the one that is to go first at the beginning."""

    promotions: list[int] = Field(min_length=1, max_length=200)


class QueuedOut(Schema):
    """One approved promotion that waits its turn."""

    promotion: int
    version: int
    kind: str
    run_at: AwareDatetime | None
    asks_to_confirm: str


class QueueOut(Schema):
    """What is approved and not begun at a target, in order."""

    queue: list[QueuedOut]


class PromotionSummary(Schema):
    """One line of a list."""

    id: int
    kind: Literal["promote", "rollback"]
    status: str
    model: str
    version: int
    environment: str
    replaces: int | None
    requester: str
    reason: str
    requested_at: AwareDatetime
    expires_at: AwareDatetime
    decided_at: AwareDatetime | None
    decision_reason: str
    page: str
    deployment: DeploymentOut | None


class CommentOut(Schema):
    """What somebody said, in Markdown."""

    by: str
    at: AwareDatetime
    text: str


class PromotionOut(PromotionSummary):
    """A promotion whole. ``sentences`` are those of its page, in the same words; ``may_act`` and ``why_not`` are
    about whoever asks; ``comments`` are the newest 50, in the order in which they were made."""

    sentences: list[str]
    checklist: list[str]
    run_at: AwareDatetime | None
    overridden_by: str | None
    may_act: bool
    why_not: str
    seal: str
    problem: str
    facts: dict[str, Any]
    comments: list[CommentOut]


class PromotionsOut(Schema):
    """The newest first; ``older`` goes into ``before`` for the next page, null at the end."""

    promotions: list[PromotionSummary]
    older: int | None


class SignalResult(Schema):
    """What became of one reading. ``did``: noted, alerted, paused, rolled_back or guarded; empty where no rule was
    breached."""

    model: str
    environment: str
    signal: str
    status: Literal["taken", "repeated", "refused"]
    did: str
    code: str
    message: str


class SignalsOut(Schema):
    """One result for each reading, in their order."""

    results: list[SignalResult]


class SignalsRefusedOut(RefusalOut):
    """None was taken, or there were too many."""

    results: list[SignalResult]


class RouteQuery(Body):
    """Whom the request is for: any text that stays the same for the same user."""

    key: str | None = None


class ShareOut(Schema):
    """A version and its share of the requests, in percent."""

    version: int
    percent: int


class RouteOut(Schema):
    """Who is served what. ``version`` null where no key was given; ``shadow``: the version that gets a copy of
    every request and answers none."""

    model: str
    environment: str
    version: int | None
    split: list[ShareOut]
    strategy: str
    shadow: int | None


class LiveOut(Schema):
    """What is live, since when, and by which promotion."""

    version: int
    since: AwareDatetime | None
    promotion: int | None


class PolicyOut(Schema):
    """Who must approve, in words."""

    promotion: str
    rollback: str


class TargetOut(Schema):
    """A model in an environment. ``closed`` says why nothing is approved there; empty where it is open."""

    model: str
    environment: str
    is_active: bool
    live: LiveOut | None
    policy: PolicyOut
    closed: str
