"""The dialog of a rollback."""

from __future__ import annotations

from approvals.models import Target
from approvals.selectors.catalogue import RollbackChoice
from approvals.wording import day_and_time
from integrations.slack.blocks import View, modal, plain, reason_input, section
from integrations.slack.text import inert


def _change(choice: RollbackChoice) -> str:
    """What going back to it changes: when it was live, and its metrics beside the live ones."""
    metrics = ", ".join(
        f"{inert(row.name, 80)} {row.live} → {row.candidate}"
        for row in choice.metrics[:4]
        if row.candidate != "–"
    )
    lines = [f"*v{choice.version.number}*: {inert(choice.sentence, 300)}", metrics]
    return "\n".join(line for line in lines if line)


def rollback(target: Target, choices: list[RollbackChoice]) -> View:
    """Choose among versions that were live before; the first, the last known-good one, is chosen already."""
    options = [
        {
            "text": plain(f"{each.version.model.name} v{each.version.number}"),
            "value": str(each.version.pk),
        }
        for each in choices[:100]
    ]
    live = target.live_version
    since = f" since {day_and_time(target.live_since)}" if target.live_since else ""
    blocks = [
        section(
            f"*{inert(target.model.name)}* in *{inert(target.environment.name)}*: "
            f"v{live.number if live else '–'} is live{since}."
        ),
        *(section(_change(each)) for each in choices[:3]),
        {
            "type": "input",
            "block_id": "version",
            "label": plain("Roll back to"),
            "element": {
                "type": "static_select",
                "action_id": "choice",
                "options": options,
                "initial_option": options[0],
            },
        },
        reason_input("Why?"),
    ]
    return modal("rollback", "Roll back", {"t": target.pk}, blocks, submit="Ask for it")
