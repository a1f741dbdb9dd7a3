"""What I may do, as data that the page loops over: forms with their buttons, and why not where I may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.urls import reverse

from approvals.explain import Explanation
from approvals.models import Deployment, Person, Promotion
from approvals.selectors.allowed import allowed, reasons
from approvals.wording import listed


@dataclass(frozen=True)
class Button:
    """One button; ``act`` is what the form sends, or where a link leads is ``url``. ``needs``: the verb wants a
    text."""

    act: str
    words: str
    icon: str
    tone: str = "quiet"
    url: str = ""
    needs: bool = False


@dataclass(frozen=True)
class Form:
    """Buttons that go together, with the one text that they send. ``label`` empty: no text is asked; ``fold`` is
    the summary behind which it stands; ``needed``: nothing is sent without a text."""

    key: str
    buttons: Sequence[Button]
    says: str = ""
    label: str = ""
    wants: str = ""
    field: str = ""
    needed: bool = False
    seal: str = ""
    ticks: Sequence[str] = ()
    fold: str = ""
    icon: str = ""
    template: str = "web/parts/act.html"

    @property
    def acts(self) -> set[str]:
        """What its buttons send."""
        return {each.act for each in self.buttons}


@dataclass(frozen=True)
class Box:
    """Everything that the person may do. ``main`` is what this moment asks; ``why_not`` is why they may not do
    that; ``reasons`` are (acts, why not) of everything else."""

    title: str = ""
    says: str = ""
    why_not: str = ""
    main: Sequence[Form] = ()
    rest: Sequence[Form] = ()
    reasons: Sequence[tuple[str, str]] = field(default_factory=list)
    may: Mapping[str, str] = field(default_factory=dict)

    @property
    def stance(self) -> str:
        """``act``: there is something to press; ``wait``: not by this person; ``done``: by nobody."""
        if self.main or self.rest:
            return "act"
        return "wait" if self.why_not else "done"

    @property
    def holds_typing(self) -> bool:
        """Somebody may be typing what belongs to the facts shown: it must not be swapped under their hands."""
        return any(each.key in {"decide", "unconfirmed"} and each.label for each in self.main)

    def of(self, act: str) -> str:
        """The form that holds the button of this act; empty where it is not shown."""
        return next((each.key for each in (*self.main, *self.rest) if act in each.acts), "")


# What each act is called where somebody may not do it.
NOUNS = {
    "approve": "approving", "reject": "rejecting", "cancel": "cancelling", "schedule": "setting a time",
    "override": "breaking the glass", "confirm": "confirming", "advance": "letting it go on",
    "pause": "pausing", "abort": "aborting", "call_off": "calling it off", "dispatch": "starting it once more",
    "give_up": "giving it up", "first": "moving it up the queue", "rollback": "rolling back",
    "comment": "commenting", "withdraw": "withdrawing", "check": "checking", "look_again": "looking again",
    "ask_again": "asking again",
}  # fmt: skip


def box_of(
    promotion: Promotion,
    deployment: Deployment | None,
    person: Person,
    explained: Explanation,
    now: datetime,
) -> Box:
    """The box for this person now."""
    found = allowed(promotion, person, now, explained)
    may = {act for act, why_not in found.items() if not why_not}
    main = [
        form
        for form in (
            _decide(promotion, explained, may),
            _confirm(deployment, may),
            _unconfirmed(deployment, may),
            _rollout(deployment, may),
        )
        if form
    ]
    told = [
        (_capital(listed([NOUNS[act] for act in acts])), why_not)
        for why_not, acts in reasons(found)
    ]
    why_not = _why_not(promotion, found)
    return Box(
        title=_title(deployment, main),
        says=explained.you if explained.may_act else "",
        why_not="" if main else why_not,
        main=main,
        rest=_rest(promotion, deployment, may),
        reasons=[each for each in told if main or each[1] != why_not or len(told) > 1],
        may=found,
    )


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _title(deployment: Deployment | None, main: Sequence[Form]) -> str:
    titles = {
        "decide": "Your decision",
        "confirm": "Confirm, or call it off",
        "unconfirmed": "A person must look",
        "rollout": "The rollout",
    }
    return titles[main[0].key] if main else ""


def _why_not(promotion: Promotion, found: Mapping[str, str]) -> str:
    """Why this person may not do what the moment asks."""
    asked = ("reject", "confirm", "advance", "abort", "pause", "dispatch")
    return next((found[act] for act in asked if found.get(act)), "")


def _decide(promotion: Promotion, explained: Explanation, may: set[str]) -> Form | None:
    if "reject" not in may:
        return None
    needed = explained.terms.comment_required
    approve = Button("approve", "Approve", "check", "good", needs=needed)
    reject = Button("reject", "Reject", "x", "bad", needs=True)
    ticks = explained.terms.checklist if "approve" in may else ()
    blocked = " It cannot be approved while it is blocked; you may reject it."
    return Form(
        "decide",
        [approve, reject] if "approve" in may else [reject],
        says=blocked.strip() if explained.blockers else "",
        label="Comment",
        wants="needed" if needed else "needed to reject",
        field="decision-text",
        seal=promotion.seal,
        ticks=ticks,
    )


def _confirm(deployment: Deployment | None, may: set[str]) -> Form | None:
    if deployment is None or "confirm" not in may:
        return None
    return Form(
        "confirm",
        [Button("confirm", "Let it go live", "badge-check", "primary")],
        says=deployment.asks_to_confirm,
        seal=deployment.asked_seal,
    )


def _rollout(deployment: Deployment | None, may: set[str]) -> Form | None:
    if deployment is None or not may & {"advance", "pause", "abort"}:
        return None
    former = f"v{deployment.previous.number}" if deployment.previous else "before"
    stuck = "give_up" in may and "dispatch" not in may
    buttons = [
        Button("advance", "Go on now", "circle-play", "primary"),
        Button("pause", "Pause", "circle-pause", needs=True),
        Button("give_up", "It was taken out by hand", "hand", needs=True),
        Button("abort", f"Abort: back to {former}", "undo-2", "bad", needs=True),
    ]
    shown = [each for each in buttons if each.act in may and (each.act != "give_up" or stuck)]
    only = {each.act for each in shown} <= {"advance"}
    return Form(
        "rollout",
        shown,
        label="" if only else "Why",
        wants="" if only else "needed to pause or abort",
        field="rollout-text",
    )


def _unconfirmed(deployment: Deployment | None, may: set[str]) -> Form | None:
    if deployment is None or "look_again" not in may:
        return None
    token = deployment.step.token if deployment.step else ""
    says = (
        "It is not known whether GitHub started the workflow. Look on GitHub for a run named "
        f"{token}."
    )
    buttons = [Button("look", "Look again", "search")]
    if "dispatch" in may:
        buttons += [
            Button("dispatch", "Dispatch again", "rocket", "bad", needs=True),
            Button("give_up", "Give up", "ban", needs=True),
        ]
    return Form(
        "unconfirmed",
        buttons,
        says=says,
        label="How you know that nothing was deployed" if "dispatch" in may else "",
        wants="needed for the two others" if "dispatch" in may else "",
        field="vouch-text",
    )


def _rest(promotion: Promotion, deployment: Deployment | None, may: set[str]) -> list[Form]:
    glass = Form(
        "override",
        [Button("override", "Break the glass", "siren", "bad")],
        says="Approve alone, over missing approvals, gates and freezes; it starts at once. Everybody is told, "
        "and it stays marked for ever.",
        label="Why it cannot wait",
        field="glass-text",
        needed=True,
        seal=promotion.seal,
        fold="Break the glass",
        icon="siren",
    )
    call_off = Form(
        "call_off",
        [Button("call_off", "Call it off", "ban", "bad")],
        says="It was approved and not started yet. Nothing is started then; ask again if it is wanted.",
        label="Why",
        field="off-text",
        needed=True,
        fold="Call it off",
        icon="ban",
    )
    cancel = Form(
        "cancel",
        [Button("cancel", "Cancel the request", "ban")],
        label="Why it is taken back",
        wants="optional",
        field="cancel-text",
        fold="Cancel the request",
        icon="ban",
    )
    later = [Button(each, "", "") for each in ("schedule", "next_open", "unschedule")]
    live = reverse("rollback", args=[promotion.target_id])
    where = f"?environment={promotion.target.environment.name}"
    again = f"{promotion.version.get_absolute_url()}{where}"
    former = deployment.previous if deployment else None
    forms: list[tuple[str, Form]] = [
        ("withdraw", _alone(Button("withdraw", "Withdraw my review", "undo"))),
        ("check", _alone(Button("check", "Check again", "refresh-cw"))),
        ("first", _alone(Button("first", "Let it go first", "list-start"))),
        ("schedule", Form("schedule", later, template="web/parts/later.html")),
        ("call_off", call_off),
        ("cancel", cancel),
        ("override", glass),
        ("ask_again", _alone(Button("ask_again", "Ask again", "send", url=again))),
        (
            "quarantine",
            Form(
                "quarantine",
                [],
                says=f"{former} was rolled back from and counts as bad in "
                f"{promotion.target.environment.name}. Should nobody ask for it anywhere?",
                template="web/parts/quarantine.html",
            ),
        ),
        ("rollback", _alone(Button("rollback", "Roll back", "undo-2", url=live))),
    ]
    return [form for act, form in forms if act in may]


def _alone(button: Button) -> Form:
    return Form(button.act, [button])


def key_of(box: Box, said: Sequence[Any]) -> list[Any]:
    """What the box depends on, for telling whether the one on somebody's screen is old."""
    return [*said, sorted(box.may.items()), [(each.key, each.says) for each in box.main]]
