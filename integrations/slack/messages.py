"""The one message of a promotion, rendered from the database alone."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from approvals.compare import BETTER, SAME, WORSE, MetricRow, compare_metrics
from approvals.explain import GATE_WORDS, Explanation, explain
from approvals.models import Deployment, Person, Promotion
from approvals.rollouts import Strategy
from approvals.states import DeploymentStatus, PromotionStatus
from integrations.models import SlackIdentity
from integrations.slack.blocks import Block, button, context, header, section
from integrations.slack.text import inert, link, moment, mrkdwn, names, quoted

GREEN, RED, AMBER, BLUE, GREY = "#2eb67d", "#e01e5a", "#ecb22e", "#1d9bd1", "#8d8d8d"
MARKS = {BETTER: ":large_green_circle: better", WORSE: ":red_circle: worse", SAME: "same"}
MOST_METRICS = 8

P, D = PromotionStatus, DeploymentStatus

# (promotion status, deployment status or None) → colour of the bar, mark, words.
STATES: dict[tuple[str, str | None], tuple[str, str, str]] = {
    (P.PENDING, None): (BLUE, ":hourglass_flowing_sand:", "Waiting for approval"),
    (P.REJECTED, None): (RED, ":no_entry:", "Rejected"),
    (P.CANCELLED, None): (AMBER, ":no_entry_sign:", "Cancelled"),
    (P.EXPIRED, None): (AMBER, ":hourglass:", "Expired: nobody settled it in time"),
    (P.SUPERSEDED, None): (AMBER, ":no_entry_sign:", "Superseded by a newer request"),
    (P.APPROVED, D.QUEUED): (BLUE, ":white_check_mark:", "Approved, waiting to be deployed"),
    (P.APPROVED, D.DISPATCHING): (BLUE, ":rocket:", "Approved, the workflow is being started"),
    (P.APPROVED, D.RUNNING): (BLUE, ":rocket:", "Approved, the workflow is running"),
    (P.APPROVED, D.WAITING): (BLUE, ":bar_chart:", "Approved, rolling out step by step"),
    (P.APPROVED, D.SUCCEEDED): (GREEN, ":large_green_circle:", "Live"),
    (P.APPROVED, D.FAILED): (RED, ":x:", "The deployment failed"),
    (P.APPROVED, D.CANCELLED): (AMBER, ":no_entry_sign:", "The deployment was cancelled"),
    (P.APPROVED, D.UNCONFIRMED): (AMBER, ":warning:", "Unconfirmed: a person must look"),
}


def address(path: str) -> str:
    """A page's full address."""
    return f"{settings.BASE_URL}{path}"


def slack_ids(people: list[Person]) -> dict[int, str]:
    """Person id → Slack user id, of those who are linked."""
    return dict(SlackIdentity.objects.filter(person__in=people).values_list("person_id", "user_id"))


def metric_line(row: MetricRow) -> str:
    """``*accuracy*`` over ``0.91 → 0.95 (+0.04, better)``."""
    mark = MARKS.get(row.verdict, "")
    change = f" ({row.change})" if row.change else ""
    return f"*{inert(row.name, 80)}*\n{row.live} → {row.candidate}{change} {mark}".strip()


def metric_blocks(promotion: Promotion, most: int = MOST_METRICS) -> list[Block]:
    """The candidate beside what is live, from the sealed facts where there are any."""
    candidate = promotion.facts.get("metrics") or promotion.version.metrics
    live = promotion.replaces.metrics if promotion.replaces else {}
    rows = compare_metrics(candidate, live, promotion.target.model.metrics)
    if not rows:
        return [context("The run logged no metrics.")]
    fields = [mrkdwn(metric_line(row), 2000) for row in rows[:most]]
    blocks: list[Block] = [{"type": "section", "fields": fields}]
    if len(rows) > most:
        blocks.append(context(f"and {len(rows) - most} more metrics under Details"))
    return blocks


def requirement_lines(explained: Explanation) -> str:
    """Who has approved and who is missing, by team, mentioning those who can still act."""
    ids = slack_ids([able.person for row in explained.rows for able in row.could])
    lines = []
    for row in explained.rows:
        approved = names([inert(str(able), 120) for able in row.approved])
        if not row.missing:
            lines.append(f":white_check_mark: *{inert(row.teams, 100)}*: approved by {approved}")
            continue
        have = f"{approved} approved; " if approved else ""
        if row.settled:
            lines.append(f":white_circle: *{inert(row.teams, 100)}*: {have}{row.missing} missing")
            continue
        could = [
            (f"<@{ids[able.person.pk]}>" if able.person.pk in ids else inert(str(able.person), 80))
            + (f" for {inert(str(able.on_behalf_of), 80)}" if able.on_behalf_of else "")
            for able in row.could
        ]
        who = f": {names(could, 'or')}" if could else ": nobody is left who could"
        lines.append(
            f":white_circle: *{inert(row.teams, 100)}*: {have}{row.missing} more needed{who}"
        )
    return "\n".join(lines)


def nobody(explained: Explanation) -> str:
    """What stands where nobody is asked to approve."""
    return (
        "Nobody has to approve this." if explained.terms.automatic else "Nobody can approve this."
    )


GATE_MARKS = {"pass": ":white_check_mark:", "fail": ":x:", "unknown": ":grey_question:"}


def gate_lines(explained: Explanation) -> str:
    """One line a gate, with a word beside the mark; those that block first, so that no cut hides them."""
    gates = sorted(explained.gates, key=lambda gate: gate.passed)
    return "\n".join(
        f"{GATE_MARKS[gate.verdict]} {GATE_WORDS[gate.verdict]}: {inert(gate.sentence, 300)}"
        for gate in gates
    )


def title_of(promotion: Promotion) -> str:
    """``Promote fraud-detector v2 to production``."""
    target = promotion.target
    if promotion.is_rollback:
        return f"Roll {target.environment.name} back to {promotion.version}"
    if promotion.retroactive:
        return f"Adopt {promotion.version}, live in {target.environment.name}"
    return f"Promote {promotion.version} to {target.environment.name}"


def _state(promotion: Promotion, deployment: Deployment | None) -> tuple[str, str, str]:
    """Colour, mark and words; what was live and was replaced since says so."""
    state = STATES[(promotion.status, deployment.status if deployment else None)]
    if deployment is None or deployment.status != D.SUCCEEDED:
        return state
    target = promotion.target
    if target.live_deployment_id == deployment.pk:
        return state
    now = f"v{target.live_version.number}" if target.live_version else "another version"
    return GREY, ":white_circle:", f"Was live; {now} is live now"


def render(promotion: Promotion) -> dict[str, Any]:
    """The arguments of chat.postMessage or chat.update: text, blocks, attachments."""
    deployment: Deployment | None = getattr(promotion, "deployment", None)
    colour, mark, words = _state(promotion, deployment)
    if promotion.overridden_by is not None:
        mark, words = f":rotating_light: {mark}", f"Glass broken: {words}"
    explained = explain(promotion)
    url = address(promotion.get_absolute_url())
    replaces = f", replacing v{promotion.replaces.number}" if promotion.replaces else ""
    asks = (
        f"*{inert(str(promotion.requester), 80)}* asks: "
        f"{link(url, title_of(promotion))}{replaces}\n{quoted(promotion.reason)}"
    )
    body: list[Block] = [section(asks), *metric_blocks(promotion)]
    body.append(section(requirement_lines(explained) or nobody(explained)))
    if gates := gate_lines(explained):
        body.append(section(gates))
    if explained.notes:
        body.append(context("\n".join(inert(note, 500) for note in explained.notes)[:2900]))
    if promotion.problem and promotion.is_pending:
        body.append(section(f":warning: *Blocked*: {inert(promotion.problem)}"))
    body.append(_state_block(promotion, deployment, mark, words))
    body.append(_footer(promotion))
    buttons = _buttons(promotion, deployment)
    body.append({"type": "actions", "block_id": f"promotion-{promotion.pk}", "elements": buttons})
    title = title_of(promotion)
    return {
        "text": f"{title}: {words}",
        "blocks": [header(title)],
        "attachments": [{"color": colour, "fallback": f"{title}: {words}", "blocks": body}],
    }


def rollout_bar(deployment: Deployment) -> str:
    """``▰▰▰▰▰▱▱▱▱▱ 50 % (10 → 50 → 100 %)``, empty where everything goes at once."""
    if not deployment.strategy:
        return ""
    filled = round(deployment.percent / 10)
    plan = Strategy.from_data(deployment.strategy)
    steps = " → ".join(str(each.percent) for each in plan.steps)
    return f"{'▰' * filled}{'▱' * (10 - filled)} *{deployment.percent} %* ({plan.kind} {steps} %)"


def _state_block(
    promotion: Promotion, deployment: Deployment | None, mark: str, words: str
) -> Block:
    lines = [f"{mark} *{words}*"]
    if promotion.decision_reason:
        lines.append(quoted(promotion.decision_reason))
    rejection = promotion.reviews.filter(verdict="reject", voided_at=None).first()
    if rejection is not None:
        lines[0] += f" by {inert(str(rejection.person), 80)}"
    if deployment is not None:
        if bar := rollout_bar(deployment):
            lines.append(bar)
        if deployment.detail:
            lines.append(inert(deployment.detail))
        if deployment.run_url:
            lines.append(link(deployment.run_url, "Open the workflow run on GitHub"))
    return section("\n".join(lines))


def _footer(promotion: Promotion) -> Block:
    texts = [f"Promotion {promotion.pk}"]
    if promotion.is_pending:
        texts.append(f"Open until {moment(promotion.expires_at)}")
    elif promotion.decided_at:
        texts.append(f"Settled {moment(promotion.decided_at)}")
    if promotion.seal:
        texts.append(f"Seal `{promotion.short_seal}`")
    elif promotion.is_pending and promotion.problem:
        texts.append("It can be decided once the problem is mended")
    elif promotion.is_pending:
        texts.append("The facts are being gathered; it can be decided in a moment")
    return context("  ·  ".join(texts))


def _buttons(promotion: Promotion, deployment: Deployment | None) -> list[Block]:
    value = {"p": promotion.pk, "s": promotion.seal}
    buttons = []
    if promotion.is_pending and promotion.seal:
        buttons.append(button("Approve", "approve", value, "primary"))
        buttons.append(button("Reject", "reject", value, "danger"))
    buttons.append(button("Details", "details", value))
    is_live = deployment is not None and promotion.target.live_deployment_id == deployment.pk
    if deployment is not None and is_live and deployment.previous_id:
        buttons.append(button("Roll back", "rollback", value, "danger"))
    return buttons
