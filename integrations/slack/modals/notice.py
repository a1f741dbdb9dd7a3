"""A sentence for one person: as text, and in a dialog of its own where there is no message below which it could
be said."""

from __future__ import annotations

import re

from django.conf import settings

from integrations.slack.blocks import View, modal, section
from integrations.slack.text import SECTION, inert, whole


def notice(sentence: str) -> View:
    """A dialog that only says something."""
    return modal("notice", "Countersign", {}, [section(said(sentence))])


def said(sentence: str, limit: int = SECTION) -> str:
    """A sentence, inert; our own addresses in it can be opened, unharmed by what makes the rest inert. Cut between
    sentences where it is longer than ``limit`` as Slack counts."""
    room = limit
    while len(text := _linked(whole(sentence, room))) > limit:
        room = room * 3 // 4
    return text


def _linked(text: str) -> str:
    ours = re.compile(rf"({re.escape(settings.BASE_URL)}/[^\s<>|&]*[^\s<>|&.,;:…])")
    # Every second piece is an address.
    pieces = ours.split(text)
    return "".join(f"<{each}>" if i % 2 else _inert(each) for i, each in enumerate(pieces))


def _inert(text: str) -> str:
    """Made inert without what surrounds it: the white space at its ends stays."""
    return inert(text, 50_000) if text.strip() else text
