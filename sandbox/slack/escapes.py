"""How Slack escapes what people type behind a command."""

from __future__ import annotations

import re

from sandbox.slack.world import CHANNELS, PEOPLE

LINK = re.compile(r"https?://[^\s\"]+")
NAMED = re.compile(r"(?<!\S)[@#][\w-]+")


def escaped(text: str) -> str:
    """A command's text as Slack sends it where the manifest says ``should_escape: true``: people, channels and
    links come as ``<@U0BOB|bob>``, ``<#C0GENERAL|general>`` and ``<address>``, and &, < and > as entities."""
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, name)
    text = LINK.sub(r"<\g<0>>", text)

    def named(found: re.Match[str]) -> str:
        sign, name = found[0][0], found[0][1:]
        if sign == "@":
            who = next((each for each in PEOPLE if each.name == name), None)
            return f"<@{who.id}|{who.name}>" if who else found[0]
        channel = next((each for each in CHANNELS if each["name"] == name), None)
        return f"<#{channel['id']}|{name}>" if channel else found[0]

    return NAMED.sub(named, text)
