"""Where a promotion stands, as the message says it: a colour, a sign and words that say the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from approvals.explain import Explanation
from approvals.models import Deployment, Promotion
from approvals.services.queueing import ahead_of
from approvals.states import DeploymentStatus, PromotionStatus, StepOutcome, Verdict
from approvals.summary import STANDINGS, standing
from integrations.slack.text import inline, moment, quoted

GREEN, RED, AMBER, BLUE, GREY = "#2eb67d", "#e01e5a", "#ecb22e", "#1d9bd1", "#8d8d8d"

P, D = PromotionStatus, DeploymentStatus

# (promotion status, deployment status or None) → colour of the bar, mark.
SIGNS: dict[tuple[str, str | None], tuple[str, str]] = {
    (P.PENDING, None): (BLUE, ":hourglass_flowing_sand:"),
    (P.REJECTED, None): (RED, ":no_entry:"),
    (P.CANCELLED, None): (AMBER, ":no_entry_sign:"),
    (P.EXPIRED, None): (AMBER, ":hourglass:"),
    (P.SUPERSEDED, None): (AMBER, ":no_entry_sign:"),
    (P.APPROVED, D.QUEUED): (BLUE, ":white_check_mark:"),
    (P.APPROVED, D.DISPATCHING): (BLUE, ":rocket:"),
    (P.APPROVED, D.RUNNING): (BLUE, ":rocket:"),
    (P.APPROVED, D.WAITING): (BLUE, ":bar_chart:"),
    (P.APPROVED, D.SUCCEEDED): (GREEN, ":large_green_circle:"),
    (P.APPROVED, D.FAILED): (RED, ":x:"),
    (P.APPROVED, D.CANCELLED): (AMBER, ":no_entry_sign:"),
    (P.APPROVED, D.UNCONFIRMED): (AMBER, ":warning:"),
}
# … and the words that every door uses.
STATES = {key: (*signs, STANDINGS[key][1]) for key, signs in SIGNS.items()}
WAS_LIVE = ":white_circle:"
BACK = ":leftwards_arrow_with_hook:"


@dataclass(frozen=True)
class State:
    """``words`` are plain text, fit for a notification; ``more`` is what the message adds to them, in mrkdwn;
    ``says_detail``: the words tell already what the deployment's own sentence would."""

    colour: str
    mark: str
    words: str
    more: str = ""
    says_detail: bool = False


def state_words(promotion: Promotion) -> str:
    """Where it stands in a mark and some words, for lists; plain reading of rows that are there."""
    decided = promotion.status == P.APPROVED
    deployment: Deployment | None = getattr(promotion, "deployment", None) if decided else None
    words = standing(promotion)[1]
    _, mark = SIGNS[(promotion.status, deployment.status if deployment else None)]
    return f"{WAS_LIVE if words.startswith('Was live') else mark} {inline(words, 200)}"


def ended_words(deployment: Deployment) -> str:
    """How a deployment ended, or where it is, whatever went live after it."""
    if deployment.status == D.SUCCEEDED:
        return f"{SIGNS[(P.APPROVED, D.SUCCEEDED)][1]} Went live"
    return state_words(deployment.promotion)


def state_of(
    promotion: Promotion, deployment: Deployment | None, explained: Explanation, now: datetime
) -> State:
    """Where it stands. A broken glass stays marked for ever."""
    state = State(*STATES[(promotion.status, deployment.status if deployment else None)])
    if deployment is None:
        state = _undelivered(promotion, state)
    else:
        state = _delivered(promotion, deployment, state, now)
        if explained.terms.automatic and promotion.overridden_by_id is None:
            words = state.words.replace("Approved, ", "Approved automatically, ", 1)
            state = replace(state, words=words)
    if promotion.overridden_by_id is not None:
        mark, words = f":rotating_light: {state.mark}", f"Glass broken: {state.words}"
        state = replace(state, mark=mark, words=words)
    return state


def _undelivered(promotion: Promotion, state: State) -> State:
    if promotion.is_pending and promotion.retroactive:
        return replace(state, words="Waiting for approval: it is live already, without a promotion")
    if promotion.status == P.REJECTED:
        reviews = [each for each in promotion.reviews.all() if each.voided_at is None]
        by = next((each.by for each in reviews if each.verdict == Verdict.REJECT), "")
        return replace(state, words=f"Rejected by {by}") if by else state
    if promotion.status == P.CANCELLED:
        event = promotion.events.filter(kind="promotion.cancelled").select_related("actor").first()
        by = str(event.actor) if event and event.actor else ""
        return replace(state, words=f"Cancelled by {by}") if by else state
    newer = promotion.superseded_by
    if promotion.status == P.SUPERSEDED and newer is not None:
        words = f"Superseded by promotion {newer.pk}, which asks for v{newer.version.number}"
        return replace(state, words=words)
    return state


def _delivered(promotion: Promotion, deployment: Deployment, state: State, now: datetime) -> State:
    if deployment.status == D.QUEUED:
        return _queued(promotion, deployment, state, now)
    former = f"v{deployment.previous.number}" if deployment.previous else ""
    to = f"to {former}" if former else "to nothing being served"
    if deployment.is_open:
        if deployment.paused:
            words = (
                "Going back failed: a person must look"
                if deployment.aborting
                else f"Paused at {deployment.percent} %: somebody has to say how it goes on"
            )
            return State(AMBER, ":double_vertical_bar:", words)
        return State(AMBER, BACK, f"Going back {to}") if deployment.aborting else state
    if deployment.status == D.SUCCEEDED:
        return _live(promotion, deployment, state)
    step = deployment.step
    if step is not None and step.goes_back and step.outcome == StepOutcome.SUCCEEDED:
        # Not a bare failure: what people use is in order again, by the way that was planned for it.
        serves = f"{former} serves everybody again" if former else "nothing is served"
        because = f"\n{quoted(deployment.aborting)}" if deployment.aborting else ""
        return State(AMBER, BACK, f"Went back: {serves}", more=because, says_detail=True)
    if not deployment.has_begun:
        return _never_begun(promotion, deployment, state)
    return state


def _queued(promotion: Promotion, deployment: Deployment, state: State, now: datetime) -> State:
    if deployment.asks_to_confirm:
        return replace(
            state, colour=AMBER, mark=":question:", words="Approved, but somebody has to confirm it"
        )
    if promotion.run_at and promotion.run_at > now:
        when = f": {moment(promotion.run_at)}"
        return replace(
            state, mark=":alarm_clock:", words="Approved, waiting for its time", more=when
        )
    before = ahead_of(promotion, now)
    if not before:
        return state
    first = before[0]
    rest = f" and {len(before) - 1} more" if len(before) > 1 else ""
    words = (
        f"Approved, number {len(before) + 1} in line, after promotion {first.promotion_id} "
        f"(v{first.version.number}){rest}"
    )
    return replace(state, words=words)


def _live(promotion: Promotion, deployment: Deployment, state: State) -> State:
    target = promotion.target
    if target.live_deployment_id != deployment.pk:
        now_live = f"v{target.live_version.number}" if target.live_version else "another version"
        words = f"Was live; {now_live} is live now"
        return State(GREY, WAS_LIVE, words, says_detail=True)
    since = f" since {moment(target.live_since)}" if target.live_since else ""
    adopted = ": adopted, nothing was fired" if promotion.retroactive else ""
    words = f"Live in {target.environment.name}{adopted}"
    return replace(state, words=words, more=since, says_detail=True)


def _never_begun(promotion: Promotion, deployment: Deployment, state: State) -> State:
    """Nothing was fired, so nothing failed."""
    lapsed, ended = promotion.grant_lapses_at, deployment.finished_at
    if deployment.status == D.FAILED:
        return State(RED, ":octagonal_sign:", "Stopped: nothing was started")
    if deployment.detail.startswith("Called off:"):
        because = f"\n{quoted(deployment.detail.removeprefix('Called off:').strip())}"
        words = "Called off before it was started"
        return State(AMBER, ":no_entry_sign:", words, because, says_detail=True)
    if lapsed and ended and lapsed <= ended:
        words = "Lapsed: the approval was not used in time; ask again"
        return State(AMBER, ":hourglass:", words, says_detail=True)
    return state
