"""Somebody's Home view, rendered from the database alone: what waits for them, what they asked for, what is
live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.urls import reverse

from approvals.compare import UNKNOWN, MetricRow, compare_metrics
from approvals.models import Deployment, Person, Promotion, Target
from approvals.selectors.inbox import inbox_of
from approvals.selectors.preferences import preferences_of
from approvals.selectors.standing import Standing
from approvals.services.cases import delegations_at
from approvals.services.delegations import open_delegation
from approvals.states import DeploymentStatus, MailWish
from approvals.summary import title_of
from approvals.wording import listed, one_line
from integrations.slack.blocks import DIVIDER, Block, View, button, context, header, plain, section
from integrations.slack.buttons import deciding
from integrations.slack.messages import address
from integrations.slack.outcomes import ended_words, state_words
from integrations.slack.text import SECTION, inert, link, moment

# Slack takes a hundred blocks; these leave room for everything else.
MOST_WAITING, MOST_ASKED, MOST_MODELS, MOST_RECENT, MOST_METRICS = 10, 8, 20, 8, 3
MOST_ENVIRONMENTS, LONGEST_ADDRESS = 8, 500


def render(person: Person, now: datetime) -> View:
    """The Home view of a linked person."""
    box = inbox_of(person)
    blocks = [
        *_waiting(box.waiting),
        *_asked(box.asked),
        *_live(),
        *_recent(),
        *_delegation(person, now),
        *_preferences(person),
        context(link(address("/"), "Open Countersign")),
    ]
    return {"type": "home", "blocks": blocks}


def invitation(link_to: str) -> View:
    """The Home view of somebody who is not linked yet: how to link."""
    to_link = {
        "type": "button",
        "action_id": "home_link",
        "text": plain("Link my account"),
        "style": "primary",
        "url": link_to,
    }
    return {
        "type": "home",
        "blocks": [
            header("Countersign"),
            section(
                "Countersign does not know who you are yet. Link your Slack account to your Countersign "
                "account, and what waits for you is shown here."
            ),
            {"type": "actions", "block_id": "home-link", "elements": [to_link]},
            context(
                "You sign in to Countersign and say yes there. The button works once, for 15 minutes; open "
                "this tab again for a new one."
            ),
        ],
    }


def nothing(sentence: str) -> View:
    """The Home view of somebody for whom there is nothing here, and why."""
    return {"type": "home", "blocks": [header("Countersign"), section(inert(sentence))]}


def metric_words(promotion: Promotion, most: int = MOST_METRICS) -> str:
    """``accuracy 0.91 → 0.92 (+0.01, better)`` for the first metrics, in one line."""
    candidate = promotion.facts.get("metrics") or promotion.version.metrics
    live = promotion.replaces.metrics if promotion.replaces else {}
    rows = compare_metrics(candidate, live, promotion.target.model.metrics)
    known = [row for row in rows if (row.candidate, row.live) != ("–", "–")]
    return "  ·  ".join(_metric(row) for row in known[:most])


def _metric(row: MetricRow) -> str:
    verdict = "" if row.verdict == UNKNOWN else f", {row.verdict}"
    change = f" ({row.change}{verdict})" if row.change else ""
    return f"*{inert(row.name, 80)}* {row.live} → {row.candidate}{change}"


def page_link(path: str, label: str) -> str:
    """A link to a page; no link where its address is so long that it would leave room for nothing else."""
    url = address(path)
    return link(url, label) if len(url) <= LONGEST_ADDRESS else inert(label, 150)


def _more(shown: int, count: int, path: str, where: str) -> list[Block]:
    if count <= shown:
        return []
    return [context(f"and {count - shown} more in {link(address(path), where)}")]


def _lines(lines: Iterable[str]) -> list[Block]:
    """As many lines to a section as Slack takes."""
    sections: list[str] = []
    for line in lines:
        if sections and len(sections[-1]) + len(line) < SECTION - 100:
            sections[-1] = f"{sections[-1]}\n{line}"
        else:
            sections.append(line)
    return [section(each) for each in sections]


def _titled(promotion: Promotion) -> str:
    return f"*{link(address(promotion.get_absolute_url()), title_of(promotion))}*"


def _waiting(rows: Sequence[Standing]) -> list[Block]:
    blocks = [header("Waiting for you" + (f" ({len(rows)})" if rows else ""))]
    if not rows:
        return [*blocks, section("Nothing waits for you.")]
    for row in rows[:MOST_WAITING]:
        promotion = row.promotion
        replaces = f", replacing v{promotion.replaces.number}" if promotion.replaces else ""
        lines = [
            f"{_titled(promotion)}{replaces}",
            f">{inert(str(promotion.requester), 80)}: {inert(one_line(promotion.reason, 200), 300)}",
            metric_words(promotion),
            f"{_missing(row)}  ·  open until {moment(promotion.expires_at)}",
            *(f":warning: Blocked: {inert(each, 300)}" for each in row.blockers[:2]),
        ]
        blocks.append(section("\n".join(filter(None, lines))))
        buttons = deciding(promotion)
        blocks.append({"type": "actions", "block_id": f"home-{promotion.pk}", "elements": buttons})
    return [*blocks, *_more(MOST_WAITING, len(rows), reverse("inbox"), "your inbox")]


def _missing(row: Standing) -> str:
    return f"Missing: {inert(listed(row.missing), 300)}" if row.missing else "Nobody is missing"


def _asked(rows: Sequence[Standing]) -> list[Block]:
    if not rows:
        return []
    lines = []
    for row in rows[:MOST_ASKED]:
        words = state_words(row.promotion)
        if row.promotion.is_pending:
            why = row.blockers[0] if row.blockers else ""
            words = f"{words}: {inert(why, 300)}" if why else f"{words}. {_missing(row)}"
        lines.append(f"{_titled(row.promotion)}\n{words}")
    return [
        DIVIDER,
        header("You asked for"),
        *_lines(lines),
        *_more(MOST_ASKED, len(rows), reverse("inbox"), "your inbox"),
    ]


def _live() -> list[Block]:
    targets = (
        Target.objects.filter(
            is_active=True,
            environment__is_active=True,
            model__is_active=True,
            live_version__isnull=False,
        )
        .select_related("model", "environment", "live_version")
        .order_by("model__name", "-environment__position")
    )
    by_model: dict[str, list[Target]] = {}
    for target in targets:
        by_model.setdefault(target.model.name, []).append(target)
    blocks = [DIVIDER, header("Live now")]
    if not by_model:
        return [*blocks, section("Nothing is live yet.")]
    lines = []
    for name, places in list(by_model.items())[:MOST_MODELS]:
        words = [
            f"{inert(each.environment.name, 60)} *v{each.live_version.number}*"
            + (f" since {moment(each.live_since)}" if each.live_since else "")
            for each in places[:MOST_ENVIRONMENTS]
            if each.live_version
        ]
        page = page_link(places[0].model.get_absolute_url(), name)
        lines.append(f"*{page}*: {', '.join(words)}")
    return [
        *blocks,
        *_lines(lines),
        *_more(MOST_MODELS, len(by_model), reverse("overview"), "the overview"),
    ]


def _recent() -> list[Block]:
    rows = Deployment.objects.select_related(
        "version__model", "target__environment", "target__model", "promotion__target__live_version"
    ).order_by("-created_at", "-id")
    lines = []
    for each in rows[:MOST_RECENT]:
        what = link(
            address(each.promotion.get_absolute_url()),
            f"{each.version} in {each.target.environment.name}",
        )
        when = moment(each.finished_at or each.created_at)
        # That it went live is said already; of anything else people want to know why.
        why = (
            ""
            if each.status == DeploymentStatus.SUCCEEDED
            else inert(one_line(each.detail, 200), 250)
        )
        detail = f": {why}" if why else ""
        lines.append(f"{ended_words(each)}  {what}  {when}{detail}")
    return [DIVIDER, header("Recent deployments"), *_lines(lines)] if lines else []


def _delegation(person: Person, now: datetime) -> list[Block]:
    given, held = open_delegation(person, now), delegations_at(now, delegate=person)
    lines = [
        f"You may approve for *{inert(str(each.person), 80)}* until {moment(each.until)}."
        for each in held[:MOST_RECENT]
    ]
    buttons = []
    if given is not None:
        lines.append(
            f"*{inert(str(given.delegate), 80)}* may approve for you until {moment(given.until)}. "
            "You may still decide yourself."
        )
        buttons = [button("Take it back", "home_end_delegation", {})]
    elif person.teams.exists():
        lines.append("You decide for yourself. While you are away, a colleague may decide for you.")
        buttons = [button("Hand on my approvals", "home_delegate", {})]
    else:
        lines.append("You are in no team, so there is nothing to hand on.")
    blocks = [DIVIDER, header("Delegation"), section("\n".join(lines))]
    if buttons:
        blocks.append({"type": "actions", "block_id": "home-delegation", "elements": buttons})
    return blocks


def _option(value: str, text: str, about: str = "") -> dict[str, Any]:
    option = {"text": plain(text), "value": value}
    return {**option, "description": plain(about)} if about else option


def _preferences(person: Person) -> list[Block]:
    wishes = preferences_of(person)
    direct = _option("direct", "Direct messages", "when something waits for me, and how it ended")
    reminders = _option("reminders", "Reminders", "when it still waits after a while")
    boxes: Block = {
        "type": "checkboxes",
        "action_id": "home_told",
        "options": [direct, reminders],
    }
    chosen = [
        option for option, on in ((direct, wishes.direct), (reminders, wishes.reminders)) if on
    ]
    if chosen:  # Slack refuses an empty list
        boxes["initial_options"] = chosen
    mails = {value: _option(value, f"Mail: {label.lower()}") for value, label in MailWish.choices}
    mail: Block = {
        "type": "static_select",
        "action_id": "home_mail",
        "options": list(mails.values()),
        "initial_option": mails[wishes.mail],
    }
    # A client keeps what somebody chose in a block for as long as its block_id stays, whatever is published
    # after; so the id tells the choice, and one that was made on the page is shown.
    told = f"home-told-{wishes.direct:d}{wishes.reminders:d}-{wishes.mail}"
    return [
        DIVIDER,
        header("How you are told"),
        section("The message in the channel is always there. What you choose here comes on top."),
        {"type": "actions", "block_id": told, "elements": [boxes, mail]},
    ]
