"""What a lead decides by, as blocks: metrics, what blocks, who approves, what else to know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from approvals.compare import BETTER, SAME, WORSE, MetricRow, compare_metrics
from approvals.explain import GATE_WORDS, Explanation
from approvals.models import Person, Promotion
from approvals.policies import NOT_SEALED
from approvals.rules import Policy
from approvals.scorecard import BAD, OPEN, Score, scores
from approvals.services.cases import NOT_A_POLICY
from approvals.services.freezes import freeze_ahead
from approvals.services.restrictions import restrictions_of
from approvals.states import PromotionStatus, RestrictionKind
from integrations.models import SlackIdentity, SlackStanding
from integrations.slack.blocks import Block, context, section
from integrations.slack.text import SECTION, inline, moment, mrkdwn, names
from integrations.slack.workspaces import default_team, place_of

MARKS = {BETTER: "✓ better", WORSE: "✗ worse", SAME: "✓ the same"}
GATE_MARKS = {"pass": "✓", "fail": "✗", "unknown": "?"}
MOST_METRICS = 8
MOST_SECTIONS = 2


def slack_ids(people: list[Person], team: str) -> dict[int, str]:
    """Person id → Slack user id, of those who may decide in Slack and are linked in this workspace: elsewhere the
    same id is somebody else, or nobody."""
    linked = SlackIdentity.objects.filter(
        person__in=people, standing=SlackStanding.MEMBER, team_id=team or default_team()
    )
    return dict(linked.values_list("person_id", "user_id"))


def ids_where_shown(people: list[Person], promotion: Promotion) -> dict[int, str]:
    """The same, in the workspace of the promotion's message."""
    return slack_ids(people, place_of(promotion.target.channel)[0])


def policy_of(promotion: Promotion) -> Policy | None:
    """The promotion's own policy; None where it cannot be read, which blocks it and says so."""
    try:
        return Policy.from_data(promotion.policy)
    except NOT_A_POLICY:
        return None


def sections(lines: Sequence[str], most: int = MOST_SECTIONS) -> list[Block]:
    """Lines, inert already, in as few sections as Slack takes; those beyond ``most`` are counted."""
    chunks: list[list[str]] = [[]]
    length = 0
    for line in lines:
        if length + len(line) + 1 > SECTION - 100 and chunks[-1]:
            chunks.append([])
            length = 0
        chunks[-1].append(line)
        length += len(line) + 1
    kept, cut = chunks[:most], sum(map(len, chunks[most:]))
    if cut:
        kept[-1].append(f"and {cut} more under Details")
    return [section("\n".join(chunk)) for chunk in kept if chunk]


def score_line(score: Score, *, alone: bool) -> str:
    """``*accuracy*  ✓ better: 0.91 → 0.95 (+0.04)``; ``alone``: nothing is live beside it. The verdict goes first,
    so that no narrow screen parts its sign from its words."""
    row = score.row
    values = row.candidate if alone else f"{row.live} → {row.candidate}"
    change = f" ({row.change})" if row.change else ""
    verdict = f"  {f'{score.mark} {inline(score.words, 120)}'.strip()}" if score.words else ""
    return f"*{inline(row.name, 60)}*{verdict}: {values}{change}"


def score_blocks(promotion: Promotion, policy: Policy | None) -> list[Block]:
    """The metrics that this decision hangs on, beside the live version's; the others are counted."""
    candidate = promotion.facts.get("metrics") or promotion.version.metrics
    live = promotion.replaces.metrics if promotion.replaces else None
    gates = policy.gates_for(rollback=promotion.is_rollback) if policy else ()
    found, others = scores(candidate, live, promotion.target.model.metrics, policy, gates)
    if not found:
        return [context("The run logged no metrics.")]
    shown = found
    if len(found) > MOST_METRICS:
        # The headline, then what speaks against it: no cut hides that.
        pressing = sorted(found[1:], key=lambda score: score.mark not in {BAD, OPEN})
        kept = [found[0], *pressing[: MOST_METRICS - 1]]
        shown = [score for score in found if score in kept]
    lines = [score_line(score, alone=live is None) for score in shown]
    notes = ["Nothing is live there yet to compare with."] if live is None else []
    if more := others + len(found) - len(shown):
        notes.append(f"and {more} more under Details")
    return [*sections(lines), *([context("\n".join(notes))] if notes else [])]


def metric_line(row: MetricRow) -> str:
    """``*accuracy*`` over ``0.91 → 0.95 (+0.04) ✓ better``."""
    mark = MARKS.get(row.verdict, "")
    change = f" ({row.change})" if row.change else ""
    return f"*{inline(row.name, 80)}*\n{row.live} → {row.candidate}{change} {mark}".strip()


def metric_blocks(promotion: Promotion, most: int = MOST_METRICS) -> list[Block]:
    """Every metric beside what is live, from the sealed facts if there are any: for dialogs."""
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


def requirement_lines(promotion: Promotion, explained: Explanation) -> list[str]:
    """Who has approved and who is missing, by team, mentioning those who can still act."""
    ids = ids_where_shown([able.person for row in explained.rows for able in row.could], promotion)
    lines = []
    for row in explained.rows:
        teams = inline(row.teams, 100)
        approved = names([inline(str(able), 60) for able in row.approved])
        if not row.missing:
            lines.append(f":white_check_mark: *{teams}*: approved by {approved}")
            continue
        have = f"{approved} approved; " if approved else ""
        if row.settled:
            lines.append(f":white_circle: *{teams}*: {have}{row.missing} missing")
            continue
        could = [
            (f"<@{ids[able.person.pk]}>" if able.person.pk in ids else inline(str(able.person), 60))
            + (f" for {inline(str(able.on_behalf_of), 60)}" if able.on_behalf_of else "")
            for able in row.could
        ]
        who = f": {names(could, 'or')}" if could else ": nobody is left who could"
        lines.append(f":white_circle: *{teams}*: {have}{row.missing} more needed{who}")
    return lines


def nobody(promotion: Promotion, explained: Explanation) -> str:
    """What stands where nobody is asked to approve."""
    if not explained.terms.automatic:
        return "Nobody can approve this."
    if promotion.status == PromotionStatus.APPROVED and promotion.overridden_by_id is None:
        return ":robot_face: Approved by policy alone: nobody was asked."
    return "Nobody has to approve this."


def blocking_lines(
    promotion: Promotion, policy: Policy | None, explained: Explanation
) -> list[str]:
    """What keeps anybody from approving, a line each: problems, what is closed, gates. Gates that pass are only
    counted."""
    # explained.gates: what is closed, then one outcome for each gate (services.conditions.outcomes_of).
    count = len(policy.gates_for(rollback=promotion.is_rollback)) if policy else 0
    first = len(explained.gates) - count
    closures, gates = explained.gates[:first], explained.gates[first:]
    # That there is no seal yet stands beside the buttons.
    problems = [each for each in explained.problems if promotion.seal or each != NOT_SEALED]
    lines = [f":warning: *Blocked*: {inline(each)}" for each in problems]
    lines += [
        f":no_entry: *Closed*: {inline(each.sentence)}" for each in closures if not each.passed
    ]
    lines += [
        f"{GATE_MARKS[each.verdict]} *{GATE_WORDS[each.verdict]}*: {inline(each.sentence, 300)}"
        for each in gates
        if not each.passed
    ]
    if passing := sum(each.passed for each in gates):
        lines.append("✓ 1 gate passes" if passing == 1 else f"✓ {passing} gates pass")
    return lines


def note_lines(promotion: Promotion, explained: Explanation, now: datetime) -> list[str]:
    """What else to know: why more is asked, a schedule, a hold, a freeze that is coming."""
    # What stands elsewhere: at the top, as the reason, as the bar.
    said = [f"{promotion.overridden_by} broke the glass: ", "Nobody was asked: "]
    if not promotion.is_pending:
        said.append("It goes out step by step, ")
    lines = [inline(each, 500) for each in explained.notes if not each.startswith(tuple(said))]
    if not promotion.is_pending:
        return lines
    if not explained.terms.automatic:
        lines += [
            f"{inline(each.sentence, 400)} People may approve all the same."
            for each in restrictions_of(promotion)
            if each.kind == RestrictionKind.HOLD
        ]
    if not (promotion.is_rollback or promotion.retroactive or promotion.run_at):
        coming = freeze_ahead(promotion.target, now, promotion.expires_at)
        if coming is not None:
            until = f", until {moment(coming.ends)}" if coming.ends else ""
            lines.append(
                f":snowflake: {promotion.target.environment.name} freezes {moment(coming.begins)}{until} "
                f"({inline(coming.name, 200)}): what has not begun by then waits."
            )
    return lines
