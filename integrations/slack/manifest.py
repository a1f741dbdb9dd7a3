"""The app as ``slack-manifest.yaml`` describes it, and what differs from it in the app that was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.conf import settings

from approvals.wording import listed

JSON = dict[str, Any]
PLACEHOLDER = "countersign.example"
# Where it is in an app's settings, in Slack's words. What is not here is a matter of taste: names and colours.
SWITCHES = {
    ("features", "app_home", "home_tab_enabled"): "App Home, Home Tab",
    ("features", "app_home", "messages_tab_enabled"): "App Home, Messages Tab",
    ("settings", "interactivity", "is_enabled"): "Interactivity",
    ("settings", "socket_mode_enabled"): "Socket Mode",
}
ADDRESSES = {
    ("settings", "interactivity", "request_url"): "Interactivity, Request URL",
    ("settings", "interactivity", "message_menu_options_url"): "Interactivity, Options Load URL",
    ("settings", "event_subscriptions", "request_url"): "Event Subscriptions, Request URL",
}
LISTS = {
    ("oauth_config", "scopes", "bot"): "OAuth & Permissions, Bot Token Scopes",
    ("settings", "event_subscriptions", "bot_events"): "Event Subscriptions, bot events",
    ("features", "unfurl_domains"): "Event Subscriptions, App Unfurl Domains",
}


@cache
def _text() -> str:
    return (settings.ROOT / "slack-manifest.yaml").read_text(encoding="utf-8")


def wanted() -> JSON:
    """The manifest for this installation: its own address, and Socket Mode where SLACK_APP_TOKEN is set."""
    base = urlsplit(settings.BASE_URL)
    text = _text().replace(f"https://{PLACEHOLDER}", settings.BASE_URL)
    made: JSON = yaml.safe_load(text.replace(PLACEHOLDER, base.hostname or ""))
    made["settings"]["socket_mode_enabled"] = bool(settings.SLACK_APP_TOKEN)
    return made


def bot_scopes() -> list[str]:
    """The scopes that the app needs."""
    return list(wanted()["oauth_config"]["scopes"]["bot"])


def differences(found: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """What is missing or wrong in an app's manifest, and what it has beyond ours; a sentence for each."""
    ours = wanted()
    return list(_wrong(ours, found)), list(_more(ours, found))


def _wrong(ours: JSON, found: Mapping[str, Any]) -> Iterator[str]:
    for path, place in SWITCHES.items():
        want, have = _at(ours, path), bool(_at(found, path))
        if want != have:
            yield f"{place} is {_on(have)} and has to be {_on(want)}."
    if _at(found, ("settings", "token_rotation_enabled")) and settings.SLACK_BOT_TOKEN:
        yield "Token rotation is on, but SLACK_BOT_TOKEN is read once: it would expire after twelve hours."
    sockets = bool(settings.SLACK_APP_TOKEN)
    for path, place in ADDRESSES.items():
        want, have = _at(ours, path), _at(found, path)
        if want != have and not sockets:
            yield f"{place} is {have or 'empty'} and has to be {want}."
    for path, place in LISTS.items():
        missing = [each for each in _at(ours, path) if each not in (_at(found, path) or [])]
        if missing:
            yield f"{place}: {listed(missing)} {_is(missing)} missing."
    for name, key in (("slash_commands", "command"), ("shortcuts", "callback_id")):
        theirs = {each.get(key): each for each in _at(found, ("features", name)) or []}
        for want in ours["features"][name]:
            has = theirs.get(want[key])
            if has is None:
                yield f"{_title(name)}: {want[key]} is missing."
                continue
            for part in ("url", "should_escape", "type"):
                if part in want and want[part] != has.get(part) and not (part == "url" and sockets):
                    yield (
                        f"{_title(name)}: {part} of {want[key]} is {has.get(part)!r} and has to be {want[part]!r}."
                    )


def _more(ours: JSON, found: Mapping[str, Any]) -> Iterator[str]:
    for path, place in LISTS.items():
        more = [each for each in _at(found, path) or [] if each not in _at(ours, path)]
        if more:
            yield f"{place}: {listed(more)} {_is(more)} more than Countersign needs."


def _at(tree: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = tree
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _on(value: object) -> str:
    return "on" if value else "off"


def _is(items: list[str]) -> str:
    return "is" if len(items) == 1 else "are"


def _title(name: str) -> str:
    return {"slash_commands": "Slash Commands", "shortcuts": "Interactivity, Shortcuts"}[name]
