"""The subcommands: their words, what is written behind them, and what each does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from approvals.selectors.freezes import open_freezes
from approvals.selectors.standing import count_waiting_for
from approvals.services import Refused
from integrations.slack.blocks import Block, context, section
from integrations.slack.identities import link_address
from integrations.slack.listeners.commands import doing, lookup, reading, times
from integrations.slack.listeners.commands.call import Answer, Call, Dialog
from integrations.slack.listeners.commands.words import Word
from integrations.slack.messages import address
from integrations.slack.modals import asking
from integrations.slack.modals.asking import Wish
from integrations.slack.text import inert


@dataclass(frozen=True)
class Subcommand:
    """One line of the help. ``names``: the first is its name, the others are understood too;
    ``for_anybody``: not only for whoever is linked."""

    names: tuple[str, ...]
    behind: str
    does: str
    run: Callable[[Call], Answer | Dialog]
    for_anybody: bool = False

    @property
    def name(self) -> str:
        """As the help has it."""
        return self.names[0]

    @property
    def usage(self) -> str:
        """The whole line to write."""
        return f"/countersign {self.name} {self.behind}".strip()


def subcommand_named(word: Word) -> Subcommand | None:
    """The subcommand that a word names."""
    return next((each for each in SUBCOMMANDS if word.says(*each.names)), None)


# -- asking ----------------------------------------------------------------------------------------


def promote(call: Call) -> Answer | Dialog:
    """Ask that a version go live."""
    wish, words = Wish(asking.PROMOTE), call.words
    person = call.person
    if word := words.take():
        wish = replace(wish, model=lookup.model_named(word))
    if wish.model and (word := words.take()):
        wish = replace(wish, version=lookup.version_of(word, wish.model))
    words.skip("to")
    if wish.model and (word := words.take()):
        wish = replace(wish, target=lookup.environment_at(word, wish.model))
    wish = replace(wish, reason=call.reason())
    if wish.target is None or wish.version is None or not wish.reason:
        return call.dialog(wish)
    return Answer(doing.promote(person, wish.target, wish.version, wish.reason), public=True)


def roll_back(call: Call) -> Answer | Dialog:
    """Ask that a version that was live before go live again."""
    wish, words = Wish(asking.ROLL_BACK), call.words
    person = call.person
    if word := words.take():
        wish = replace(wish, model=lookup.model_named(word))
    if wish.model and (word := words.take()):
        wish = replace(wish, target=lookup.environment_at(word, wish.model))
    words.skip("to")
    word = words.peek()
    if wish.model and word and word.version is not None:
        words.take()
        wish = replace(wish, version=lookup.version_of(word, wish.model))
    wish = replace(wish, reason=call.reason())
    if wish.target is None or not wish.reason:
        return call.dialog(wish)
    return Answer(doing.roll_back(person, wish.target, wish.version, wish.reason), public=True)


# -- closing and opening ---------------------------------------------------------------------------


def freeze(call: Call) -> Answer | Dialog:
    """Close an environment for a time."""
    person, words = call.person, call.words
    word = words.take()
    if word is None:
        return call.dialog(Wish(asking.FREEZE), call.zone)
    environment = lookup.environment_named(word)
    timed = words.peek() is not None
    ends = times.taken_ending(words, call.now, call.zone) if timed else None
    reason = call.reason()
    if not reason:
        until = times.typed(ends, call.zone) if ends else ""
        wish = Wish(asking.FREEZE, environment=environment, until=until)
        return call.dialog(wish, call.zone)
    zone = call.zone if ends else "UTC"
    return Answer(doing.freeze(person, environment, ends, zone, reason), public=True)


def unfreeze(call: Call) -> Answer | Dialog:
    """Lift a freeze that somebody placed."""
    person = call.person
    word = call.words.take()
    if word is None:
        return call.dialog(Wish(asking.UNFREEZE))
    environment = lookup.environment_named(word)
    placed = list(open_freezes(call.now, environment)[:2])
    first = doing.only_freeze(environment, placed)
    reason = call.reason()
    if not reason or len(placed) > 1:
        return call.dialog(Wish(asking.UNFREEZE, environment=environment, reason=reason))
    return Answer(doing.unfreeze(person, first, reason), public=True)


def lock(call: Call) -> Answer | Dialog:
    """Close one model in one environment."""
    return _lock_or_unlock(call, asking.LOCK)


def unlock(call: Call) -> Answer | Dialog:
    """Open it again."""
    return _lock_or_unlock(call, asking.UNLOCK)


def _lock_or_unlock(call: Call, verb: str) -> Answer | Dialog:
    wish, words, person = Wish(verb), call.words, call.person
    if word := words.take():
        wish = replace(wish, model=lookup.model_named(word))
    words.skip("in")
    if wish.model and (word := words.take()):
        wish = replace(wish, target=lookup.environment_at(word, wish.model))
    wish = replace(wish, reason=call.reason())
    if wish.target is None or not wish.reason:
        return call.dialog(wish)
    act = doing.lock if verb == asking.LOCK else doing.unlock
    return Answer(act(person, wish.target, wish.reason), public=True)


# -- oneself ---------------------------------------------------------------------------------------


def delegate(call: Call) -> Answer | Dialog:
    """Hand one's approvals to a colleague for a time, or take them back."""
    person, words = call.person, call.words
    words.skip("to")
    word = words.peek()
    if word is None:
        return call.dialog(Wish(asking.DELEGATE), call.zone)
    if word.says("end", "stop", "off") and len(words.words) == 1:
        return Answer(doing.end_delegation(person), public=True)
    words.take()
    to = lookup.colleague(word, call.user)
    ends = times.taken_ending(words, call.now, call.zone)
    reason = call.reason()
    if ends is None:
        mention = word.mention or lookup.slack_id_of(to, call.user)
        if not mention:
            raise Refused(
                "bad_time",
                f"Say until when {to} may approve for you: “for” and {times.DURATION_EXAMPLES}, or “until” "
                f"and {times.FUTURE_EXAMPLES}.",
            )
        wish = Wish(asking.DELEGATE, colleague=mention, reason=reason)
        return call.dialog(wish, call.zone)
    return Answer(doing.delegate(person, to, ends, call.zone, reason), public=True)


def link(call: Call) -> Answer:
    """A one-time address that links the Slack account."""
    return Answer(
        "Open this while you are signed in to Countersign (it works once, for 15 minutes): "
        f"{link_address(call.user)}"
    )


# -- showing ---------------------------------------------------------------------------------------


def status(call: Call) -> Answer:
    """What is live, on its way and waiting."""
    word = call.words.take()
    model = lookup.model_named(word) if word else None
    _nothing_more(call)
    blocks = reading.status(model)
    return Answer("What is live, on its way and waiting", blocks)


def live(call: Call) -> Answer:
    """What is live, or was at a time, and who said so."""
    words, model, at = call.words, None, None
    word = words.peek()
    if word is not None and not word.says("at"):
        words.take()
        model = lookup.model_named(word)
    if words.skip("at") or words:
        at = times.taken_point(words, call.now, call.zone)
        _nothing_more(call)
        if at > call.now:
            raise Refused("bad_time", f"{times.shown(at, call.zone)} is still to come.")
    return Answer("What is live, and who said so", reading.live(model, at, call.now, call.zone))


def inbox(call: Call) -> Answer:
    """What waits for you, with buttons."""
    return Answer("What waits for you", reading.inbox(call.person))


def _nothing_more(call: Call) -> None:
    if call.words:
        rest = call.words.rest()
        raise Refused(
            "too_many_words",
            f"“{rest[:60]}” is not understood here. A name with spaces stands in quotation marks.",
        )


def help_answer(call: Call) -> Answer:
    """Every subcommand, and how much waits for whoever asks."""
    lines = [f"`{inert(each.usage)}`\n{each.does}" for each in SUBCOMMANDS]
    half = len(lines) // 2
    blocks: list[Block] = [section("\n".join(lines[:half])), section("\n".join(lines[half:]))]
    try:
        count = count_waiting_for(call.person)
        waits = f"*Waiting for you*: {count or 'nothing'}"
    except Refused as refusal:
        waits = inert(refusal.sentence, 2000)
    small = (
        "Where something is missing, a dialog asks for it. Names with spaces stand in quotation marks; times "
        "are on your own clocks. Requests appear in the channel: press *Approve*, *Reject* or *Details* there."
    )
    return Answer(f"{waits}\n{small}\n{address('/')}", [section(waits), *blocks, context(small)])


WHEN = "[until <time> | for <duration>]"
SUBCOMMANDS: tuple[Subcommand, ...] = (
    Subcommand(
        ("promote", "ask"),
        "<model> <version> <environment> [reason]",
        "Asks that a version go live.",
        promote,
    ),
    Subcommand(
        ("rollback", "roll-back"),
        "<model> <environment> [version] [reason]",
        "Asks that a version that was live before go live again; without one, the last known-good one.",
        roll_back,
    ),
    Subcommand(("status",), "[model]", "What is live, on its way and waiting.", status),
    Subcommand(
        ("live",),
        "[model] [at <time>]",
        "What is live, or was at a time: since when, by which promotion, and who approved it.",
        live,
    ),
    Subcommand(("inbox",), "", "What waits for you, with buttons, and what you asked for.", inbox),
    Subcommand(
        ("freeze",),
        f"<environment> {WHEN} [reason]",
        "Closes an environment for promotions.",
        freeze,
    ),
    Subcommand(
        ("unfreeze",), "<environment> [reason]", "Lifts a freeze that somebody placed.", unfreeze
    ),
    Subcommand(
        ("lock",),
        "<model> <environment> [reason]",
        "Closes one model in one environment until it is unlocked.",
        lock,
    ),
    Subcommand(("unlock",), "<model> <environment> [reason]", "Opens it again.", unlock),
    Subcommand(
        ("delegate",),
        "<@person> until <time> | for <duration> [reason]",
        "Lets a colleague approve for you for a time; `delegate end` takes it back.",
        delegate,
    ),
    Subcommand(("link",), "", "Links your Slack account to your Countersign account.", link, True),
    Subcommand(("help",), "", "Tells all this.", help_answer, True),
)
