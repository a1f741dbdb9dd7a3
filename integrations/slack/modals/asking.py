"""The dialogs that complete a command, and the global shortcut's: what is known already is filled in.

A choice that other boxes depend on is sent at once, and the dialog is updated. Slack keeps what was typed into a
box while its block_id and action_id stay the same, and forgets it with a new one (slackapi/bolt-js#290): so the
ids of what depends on a choice carry that choice.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from approvals.models import Environment, Freeze, ModelVersion, Person, RegisteredModel, Target
from approvals.selectors.catalogue import rollback_choices, why_not_ask
from approvals.selectors.freezes import open_freezes
from approvals.states import PromotionKind
from approvals.wording import day_and_time, one_line
from integrations.slack.blocks import Block, View, context, modal, plain, reason_input, section
from integrations.slack.text import inert

PROMOTE, ROLL_BACK, LOCK, UNLOCK = "promote", "rollback", "lock", "unlock"
FREEZE, UNFREEZE, DELEGATE = "freeze", "unfreeze", "delegate"
# The verb → its dialog's callback_id, title, and the button's word.
DIALOGS: dict[str, tuple[str, str, str]] = {
    PROMOTE: ("ask_for_promotion", "Ask for a promotion", "Ask for it"),
    ROLL_BACK: ("ask_rollback", "Roll back", "Ask for it"),
    LOCK: ("ask_lock", "Lock", "Lock"),
    UNLOCK: ("ask_unlock", "Unlock", "Unlock"),
    FREEZE: ("ask_freeze", "Freeze", "Freeze"),
    UNFREEZE: ("ask_unfreeze", "Lift a freeze", "Lift"),
    DELEGATE: ("ask_delegate", "Delegate", "Delegate"),
}
VERBS = {callback: verb for verb, (callback, _, _) in DIALOGS.items()}
# Choices that are sent at once, because what can be chosen next depends on them.
SENT_AT_ONCE = ("ask_model", "ask_version", "ask_target")
MOST_OPTIONS = 100
# The block_ids of the boxes, before the id of what they depend on.
MODEL, VERSION, TARGET, ENVIRONMENT = "model", "version", "target", "environment"
PLACED, PERSON, UNTIL, REASON = "placed", "person", "until", "reason"


@dataclass(frozen=True)
class Wish:
    """What somebody wants, as far as it is known. ``colleague`` is a Slack user's id."""

    verb: str
    model: RegisteredModel | None = None
    version: ModelVersion | None = None
    target: Target | None = None
    environment: Environment | None = None
    placed: Freeze | None = None
    colleague: str = ""
    until: str = ""
    reason: str = ""


def targets_at(model: RegisteredModel) -> list[Target]:
    """Where the model goes, in the order of the chain."""
    return list(
        model.targets.filter(is_active=True, environment__is_active=True)
        .select_related("model", "environment", "live_version")
        .order_by("environment__position")
    )


def view(wish: Wish, person: Person, *, zone: str = "UTC", answer_to: str = "") -> View:
    """The dialog of a wish. ``answer_to`` is the command's response_url, where the outcome will be told; ``zone``
    is on whose clocks times are meant."""
    callback, title, word = DIALOGS[wish.verb]
    if wish.verb in (FREEZE, UNFREEZE):
        blocks = _environment_blocks(wish, zone)
    elif wish.verb == DELEGATE:
        blocks = [_colleague(wish.colleague), _until(wish, zone)]
    else:
        blocks = _target_blocks(wish, person)
    metadata = {"r": answer_to} if answer_to else {}
    return modal(callback, title, metadata, [*blocks, _reason(wish)], submit=word)


def done(sentence: str) -> View:
    """What stands there instead once it is done, where no channel is told. The sentence is inert already."""
    return modal("done", "Done", {}, [section(sentence)])


# -- model, version, target ------------------------------------------------------------------------


def _target_blocks(wish: Wish, person: Person) -> list[Block]:
    blocks = [_search(MODEL, "ask_model", "Model", "Search by name", _model_option(wish.model))]
    if wish.model is None:
        return [*blocks, context("Choose a model; what can be chosen next appears then.")]
    if wish.verb == PROMOTE:
        return [*blocks, *_promotion_blocks(wish, wish.model, person)]
    targets = targets_at(wish.model)
    if not targets:
        return [
            *blocks,
            section(f"The configuration lets {inert(wish.model.name, 200)} go nowhere."),
        ]
    options = [_target_option(each) for each in targets]
    chosen = next((each for each in targets if each == wish.target), None)
    blocks.append(
        _choice(
            f"{TARGET}-{wish.model.pk}",
            "ask_target",
            "Environment",
            options,
            _target_option(chosen) if chosen else None,
            at_once=wish.verb == ROLL_BACK,
        )
    )
    if wish.verb == ROLL_BACK and chosen is not None:
        blocks += _rollback_blocks(wish, chosen, person)
    return blocks


def _promotion_blocks(wish: Wish, model: RegisteredModel, person: Person) -> list[Block]:
    version = wish.version
    blocks = [
        _search(
            f"{VERSION}-{model.pk}",
            "ask_version",
            "Version",
            "Search by number, run, alias, tag or description",
            version_option(version) if version else None,
        )
    ]
    if version is None:
        return [*blocks, context("Choose a version; the environments it may go to appear then.")]
    targets = targets_at(model)
    why_not = {
        each.pk: why_not_ask(person, each, version, PromotionKind.PROMOTE) for each in targets
    }
    able = [each for each in targets if not why_not[each.pk]]
    if able:
        chosen = wish.target if wish.target in able else (able[0] if len(able) == 1 else None)
        blocks.append(
            _choice(
                f"{TARGET}-{version.pk}",
                "target",
                "Environment",
                [_target_option(each) for each in able],
                _target_option(chosen) if chosen else None,
            )
        )
    lines = [
        f"*{inert(each.environment.name, 80)}*: not now. {inert(why_not[each.pk], 500)}"
        for each in targets
        if why_not[each.pk]
    ]
    if not targets:
        lines = [f"The configuration lets {inert(model.name, 200)} go nowhere."]
    return [*blocks, *([section("\n".join(lines))] if lines else [])]


def _rollback_blocks(wish: Wish, target: Target, person: Person) -> list[Block]:
    choices = rollback_choices(person, target)
    able = [each for each in choices if not each.why_not]
    live = target.live_version
    said = f"Live now: {f'v{live.number}' if live else 'nothing'}."
    if not choices:
        return [section(f"{said} Nothing was live here before.")]
    if not able:
        return [section(f"{said} {inert(choices[0].why_not, 1000)}")]
    wanted = [each for each in able if each.version == wish.version]
    first = (wanted or able)[0]
    lines = [f"*v{each.version.number}*: {inert(each.sentence, 300)}" for each in able[:3]]
    return [
        section("\n".join([said, *lines])),
        _choice(
            f"{VERSION}-{target.pk}",
            "version",
            "Roll back to",
            [version_option(each.version) for each in able],
            version_option(first.version),
        ),
    ]


def _model_option(model: RegisteredModel | None) -> Block | None:
    return model_option(model) if model else None


def model_option(model: RegisteredModel) -> Block:
    """One line of the list of models."""
    made: Block = {"text": plain(one_line(model.name, 75)), "value": str(model.pk)}
    described = one_line(model.description, 75)
    return {**made, "description": plain(described)} if described else made


def version_option(version: ModelVersion) -> Block:
    """One line of the list of versions: ``v12 · train-12 · @champion``, and below it what is known of it."""
    names = [f"@{each}" for each in version.aliases] if isinstance(version.aliases, list) else []
    parts = [f"v{version.number}", version.run_name, *names]
    text = one_line(" · ".join(each for each in parts if each), 75)
    if not version.is_finished:
        state = version.run_status if version.status == "READY" else version.status
        described = f"Not ready: MLflow says {state or 'nothing'}"
    else:
        described = version.description or f"Registered {day_and_time(version.registered_at)}"
    return {
        "text": plain(text),
        "description": plain(one_line(described, 75)),
        "value": str(version.pk),
    }


def _target_option(target: Target) -> Block:
    live = target.live_version
    return {
        "text": plain(one_line(target.environment.name, 75)),
        "description": plain(f"v{live.number} is live there" if live else "Nothing is live there"),
        "value": str(target.pk),
    }


# -- environments, colleagues, times ---------------------------------------------------------------


def _environment_blocks(wish: Wish, zone: str) -> list[Block]:
    if wish.verb == UNFREEZE:
        return _placed_blocks(wish)
    environments = Environment.objects.filter(is_active=True)[:MOST_OPTIONS]
    options = {each.pk: _named_option(each.name, each.pk) for each in environments}
    chosen = options.get(wish.environment.pk) if wish.environment else None
    return [
        _choice(ENVIRONMENT, "environment", "Environment", list(options.values()), chosen),
        _until(wish, zone),
    ]


def _placed_blocks(wish: Wish) -> list[Block]:
    rows = list(open_freezes(timezone.now(), wish.environment)[:MOST_OPTIONS])
    if not rows:
        return [
            section("Nobody has frozen anything. Freezes of the configuration end by their rule.")
        ]
    options = {
        each.pk: {
            **_named_option(each.environment.name, each.pk),
            "description": plain(one_line(f"{each.placed_by}: {each.reason}", 75)),
        }
        for each in rows
    }
    chosen = wish.placed or (rows[0] if len(rows) == 1 else None)
    return [
        _choice(
            PLACED,
            "placed",
            "Freeze",
            list(options.values()),
            options.get(chosen.pk) if chosen else None,
        )
    ]


def _named_option(name: str, pk: int) -> Block:
    return {"text": plain(one_line(name, 75)), "value": str(pk)}


def _colleague(chosen: str) -> Block:
    element: Block = {"type": "users_select", "action_id": "person"}
    if chosen:
        element["initial_user"] = chosen
    return {
        "type": "input",
        "block_id": PERSON,
        "label": plain("Who may approve for you"),
        "element": element,
    }


def _until(wish: Wish, zone: str) -> Block:
    optional = wish.verb == FREEZE
    element: Block = {
        "type": "plain_text_input",
        "action_id": "text",
        "max_length": 100,
        "placeholder": plain("3d, or Friday 18:00"),
    }
    if wish.until:
        element["initial_value"] = wish.until[:100]
    never = " Empty: until somebody lifts it." if optional else ""
    hint = f"How long, such as 2h or 3d, or until when, such as 2026-11-20 14:05, in {zone}.{never}"
    made: Block = {
        "type": "input",
        "block_id": UNTIL,
        "label": plain("Until"),
        "hint": plain(hint, 300),
        "element": element,
    }
    return {**made, "optional": True} if optional else made


# -- pieces ----------------------------------------------------------------------------------------


def _search(block_id: str, action: str, label: str, hint: str, chosen: Block | None) -> Block:
    """A list that is searched while typing: Slack asks us for what is in it."""
    element: Block = {
        "type": "external_select",
        "action_id": action,
        "min_query_length": 0,
        "placeholder": plain(hint),
    }
    if chosen:
        element["initial_option"] = chosen
    return {
        "type": "input",
        "block_id": block_id,
        "dispatch_action": True,
        "label": plain(label),
        "element": element,
    }


def _choice(
    block_id: str,
    action: str,
    label: str,
    options: list[Block],
    chosen: Block | None,
    *,
    at_once: bool = False,
) -> Block:
    element: Block = {
        "type": "static_select",
        "action_id": action,
        "options": options[:MOST_OPTIONS],
    }
    if chosen:
        element["initial_option"] = chosen
    made: Block = {
        "type": "input",
        "block_id": block_id,
        "label": plain(label),
        "element": element,
    }
    return {**made, "dispatch_action": True} if at_once else made


def _reason(wish: Wish) -> Block:
    made = reason_input("Why?", optional=wish.verb == DELEGATE)
    if wish.reason:
        made["element"]["initial_value"] = wish.reason[: made["element"]["max_length"]]
    return made
