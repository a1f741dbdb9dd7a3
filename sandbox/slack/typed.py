"""What people typed and chose in a view, as Slack keeps it and sends it."""

from __future__ import annotations

from typing import Any

from sandbox.slack import limits
from sandbox.slack.world import JSON

CHOICES = ("static_select", "radio_buttons", "overflow")
SILENT = ("button", "overflow")  # of these a view's state says nothing


def key(block: JSON, element: JSON) -> str:
    """What Slack knows a box by: a box with other ids is another box."""
    return f"{block['block_id']} {element['action_id']}"


def kept(old: JSON | None, blocks: list[JSON]) -> dict[str, Any]:
    """What was typed into the boxes that an updated view still has.

    Slack keeps a box's value, and ignores a new initial one, while block_id and action_id stay the same; with
    another of either the value is forgotten (slackapi/bolt-js#290, slackapi/bolt-python#1064).
    """
    if old is None:
        return {}
    now = {key(block, element) for block, element in limits.elements(blocks)}
    held = dict(_initials(old["blocks"]))
    held.update(old.get("_held") or {})
    return {name: value for name, value in held.items() if name in now}


def _initials(blocks: list[JSON]) -> list[tuple[str, Any]]:
    found = [(key(block, each), each) for block, each in limits.elements(blocks)]
    return [(name, initial(each)) for name, each in found if each["type"] not in SILENT]


def hold(view: JSON, values: JSON) -> None:
    """Note what the boxes of a view hold now: by block and action id, by action id or by block id."""
    for block, element in limits.elements(view["blocks"]):
        if element["type"] in SILENT:
            continue
        for name in (block["block_id"], element["action_id"]):
            if name not in values:
                continue
            value = values[name]
            if isinstance(value, dict):
                if element["action_id"] not in value:
                    continue
                value = value[element["action_id"]]
            view["_held"][key(block, element)] = value
            break


def state(view: JSON) -> JSON:
    """A view's ``state.values``."""
    found: JSON = {}
    for block, element in limits.elements(view["blocks"]):
        if element["type"] in SILENT:
            continue
        value = view["_held"].get(key(block, element), initial(element))
        said = {"type": element["type"], **chosen(element, value, view["_offered"])}
        found.setdefault(block["block_id"], {})[element["action_id"]] = said
    return found


def chosen(element: JSON, value: Any, offered: JSON) -> JSON:
    """What an action or a view's state says about this element when it holds `value`; `offered` are the options
    that the app gave for its searched lists."""
    kind = element["type"]
    options = element.get("options") or []
    if kind == "button":
        said = {"text": element["text"], "value": element.get("value", "")}
        if value is not None:
            said["value"] = value
        return said | ({"style": element["style"]} if "style" in element else {})
    if kind == "external_select":
        known = [
            element.get("initial_option") or {},
            *offered.get(element["action_id"], {}).values(),
        ]
        return {
            "selected_option": next((o for o in known if o.get("value") == value and value), None)
        }
    if kind in CHOICES:
        return {"selected_option": next((o for o in options if o["value"] == value), None)}
    if kind == "checkboxes":
        return {"selected_options": [o for o in options if o["value"] in (value or [])]}
    if kind == "users_select":
        return {"selected_user": value or None}
    if kind == "datepicker":
        return {"selected_date": value or None}
    return {"value": value or None}


def initial(element: JSON) -> Any:
    """The value that an input holds before anybody touched it."""
    option, several = element.get("initial_option"), element.get("initial_options")
    if option:
        return option["value"]
    if several:
        return [o["value"] for o in several]
    return next((element[k] for k in element if k.startswith("initial_")), None)


def incomplete(view: JSON) -> JSON:
    """What Slack itself refuses before it sends a form: empty required fields and lengths."""
    wrong: JSON = {}
    for block in view["blocks"]:
        if block.get("type") != "input":
            continue
        element = block["element"]
        said = view["state"]["values"].get(block["block_id"], {}).get(element["action_id"], {})
        value = next((v for k, v in said.items() if k != "type"), None)
        size = len(value) if isinstance(value, str) else None
        if not value and not block.get("optional"):
            wrong[block["block_id"]] = "Please complete this required field."
        elif size is not None and size < element.get("min_length", 0):
            wrong[block["block_id"]] = f"At least {element['min_length']} characters, please."
        elif size is not None and size > element.get("max_length", 3000):
            most = element.get("max_length", 3000)
            wrong[block["block_id"]] = f"At most {most} characters, please."
    return wrong
