"""What commands show, to the one who asked: the facts of the pages, as far as one message takes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.urls import reverse

from approvals.calendar import in_zone
from approvals.models import Deployment, Person, RegisteredModel
from approvals.selectors.inbox import inbox_of
from approvals.selectors.live import Presence, live_at
from approvals.selectors.overview import Cell, Row, matrix
from approvals.selectors.standing import Standing
from approvals.selectors.states_now import Now
from approvals.wording import listed
from integrations.slack.blocks import Block, context, section
from integrations.slack.buttons import deciding
from integrations.slack.messages import address, title_of
from integrations.slack.text import SECTION, inert, link, moment

# Slack takes 50 blocks in a message; these leave room for a heading and for what says that there is more.
MOST_MODELS, MOST_REQUESTS = 20, 10
MOST_CHARACTERS = 12_000


def _page(name: str, label: str) -> str:
    return link(address(reverse(name)), label)


def _sections(texts: Iterable[str]) -> list[Block]:
    """A section for each text, as many as one message may show."""
    kept: list[Block] = []
    length = 0
    for text in texts:
        length += min(len(text), SECTION)
        if len(kept) >= MOST_MODELS or length > MOST_CHARACTERS:
            break
        kept.append(section(text))
    return kept


# -- status ----------------------------------------------------------------------------------------


def status(model: RegisteredModel | None) -> list[Block]:
    """What is live, on its way and waiting: of one model, or of those where something happens first."""
    reading = Now()
    if model is not None:
        models, count = [model], 1
    else:
        moving = list(reading.moving().order_by("name")[:MOST_MODELS])
        others = reading.models().exclude(pk__in=[each.pk for each in moving]).order_by("name")
        models = [*moving, *others[: MOST_MODELS - len(moving)]]
        count = reading.models().count()
    blocks = _sections(map(_status_text, matrix(reading, models).rows))
    left_out = count - len(blocks)
    if not models:
        blocks = [section("The configuration names no model yet.")]
    more = f"{left_out} more models: " if left_out else ""
    return [*blocks, context(f"{more}{_page('overview', 'Everything in Countersign')}")]


def _status_text(row: Row) -> str:
    newest = f"  ·  newest v{row.newest.number}" if row.newest else "  ·  no version yet"
    name = link(address(row.model.get_absolute_url()), row.model.name)
    lines = [
        f"• *{inert(environment.name, 80)}*: {_cell_text(cell)}"
        for environment, cell in row.cells
        if cell is not None
    ]
    return "\n".join([f"*{name}*{newest}", *(lines or ["It goes nowhere."])])


def _cell_text(cell: Cell) -> str:
    live = cell.live
    parts = [f"v{live.number} live" if live else "nothing live"]
    if live and cell.since:
        parts[0] += f" since {moment(cell.since)}"
    for deployment in _on_the_way(cell):
        url = address(deployment.promotion.get_absolute_url())
        words = f"v{deployment.version.number} {deployment.get_status_display().lower()}"
        parts.append(link(url, words))
    for promotion in cell.pending:
        url = address(promotion.get_absolute_url())
        kind = "rollback to " if promotion.is_rollback else ""
        parts.append(link(url, f"{kind}v{promotion.version.number} waits for approval"))
    closing = [*cell.locks, cell.hold]
    parts += [inert(each.sentence, 200) for each in closing if each is not None]
    if cell.frozen is not None:
        until = f" until {moment(cell.frozen.ends)}" if cell.frozen.ends else ""
        parts.append(f"frozen{until} ({inert(cell.frozen.name, 120)})")
    if cell.changes:
        url = address(cell.changes[0].get_absolute_url())
        parts.append(link(url, "changed out of band"))
    return "; ".join(parts)


def _on_the_way(cell: Cell) -> list[Deployment]:
    """What is under way or goes next, else what has failed."""
    if cell.delivery is not None:
        return [cell.delivery.deployment]
    return [cell.failed] if cell.failed else []


# -- live ------------------------------------------------------------------------------------------


def live(
    model: RegisteredModel | None, at: datetime | None, now: datetime, zone: str
) -> list[Block]:
    """What is live, or was at ``at``, and who said so; times on the clocks of ``zone``."""
    if model is not None:
        models, count = [model], 1
    else:
        every = RegisteredModel.objects.filter(is_active=True).order_by("name")
        models, count = list(every[:MOST_MODELS]), every.count()
    texts: dict[int, list[str]] = {each.pk: [] for each in models}
    for presence in live_at(at or now, models):
        texts[presence.target.model_id].append(_presence_text(presence, at, zone))
    blocks = _sections(
        "\n".join(
            [
                f"*{link(address(each.get_absolute_url()), each.name)}*",
                *(texts[each.pk] or ["It goes nowhere."]),
            ]
        )
        for each in models
    )
    when = f"Live at *{in_zone(at, zone)}*:" if at else f"Live now ({in_zone(now, zone)}):"
    left_out = count - len(blocks)
    blocks = [section(when), *(blocks or [section("The configuration names no model yet.")])]
    if left_out:
        blocks.append(context(f"{left_out} more models: name the one that you mean."))
    return blocks


def _presence_text(presence: Presence, at: datetime | None, zone: str) -> str:
    where = f"• *{inert(presence.target.environment.name, 80)}*:"
    deployment = presence.deployment
    if deployment is None or presence.since is None:
        return f"{where} nothing {'was' if at else 'is'} live"
    promotion = deployment.promotion
    asked = link(address(promotion.get_absolute_url()), f"promotion {promotion.pk}")
    how = "adopted by" if promotion.retroactive else "by"
    return (
        f"{where} *v{deployment.version.number}* since {in_zone(presence.since, zone)}, {how} {asked}, "
        f"asked by {inert(str(promotion.requester), 80)}, {inert(presence.approved, 400)}"
    )


# -- inbox -----------------------------------------------------------------------------------------


def inbox(person: Person) -> list[Block]:
    """What waits for this person, with buttons, and what they asked for."""
    found = inbox_of(person)
    blocks: list[Block] = [section(f"*Waiting for you*: {len(found.waiting) or 'nothing'}")]
    for standing in found.waiting[:MOST_REQUESTS]:
        blocks += [section(_standing_text(standing)), _buttons(standing)]
    if found.asked:
        blocks.append(section(f"*Asked by you*: {len(found.asked)}"))
        blocks += [section(_standing_text(each)) for each in found.asked[:MOST_REQUESTS]]
    left_out = max(len(found.waiting) - MOST_REQUESTS, 0) + max(len(found.asked) - MOST_REQUESTS, 0)
    more = f"{left_out} more: " if left_out else ""
    return [*blocks, context(f"{more}{_page('inbox', 'The inbox in Countersign')}")]


def _standing_text(standing: Standing) -> str:
    promotion = standing.promotion
    url = address(promotion.get_absolute_url())
    replaces = f", replacing v{promotion.replaces.number}" if promotion.replaces else ""
    lines = [
        f"*{link(url, title_of(promotion))}*{replaces}, asked by "
        f"{inert(str(promotion.requester), 80)}: {inert(promotion.reason, 300)}"
    ]
    if promotion.is_pending:
        state = f"{standing.given} of {standing.needed} approvals"
        if standing.missing:
            state += f"; missing: {inert(listed(standing.missing), 300)}"
        lines.append(f"{state}. Open until {moment(promotion.expires_at)}.")
    lines += [f":warning: {inert(each, 300)}" for each in standing.blockers[:4]]
    deployment = getattr(promotion, "deployment", None)
    if deployment is not None:
        lines.append(inert(deployment.get_status_display(), 80))
    return "\n".join(lines)


def _buttons(standing: Standing) -> Block:
    promotion = standing.promotion
    blocked = bool(standing.blockers)
    return {
        "type": "actions",
        "block_id": f"inbox-{promotion.pk}",
        "elements": deciding(promotion, blocked=blocked),
    }
