"""A sentence for one person: as text, and in a dialog of its own where there is no message below which it could
be said."""

from __future__ import annotations

import re

from django.conf import settings

from integrations.slack.blocks import View, modal, section
from integrations.slack.text import SECTION, inert, whole


def notice(sentence: str) -> View:
    """A dialog that only says something; our own addresses in it can be opened."""
    # Our sections are verbatim, in which Slack makes no links by itself.
    return modal("notice", "Countersign", {}, [section(said(sentence, mark="<{}>"))])


def said(sentence: str, limit: int = SECTION, mark: str = "{}") -> str:
    """A sentence, inert but for our own addresses, which stay as they are, within ``mark``. Cut between sentences
    where it is longer than ``limit`` as Slack counts."""
    room = limit
    while len(text := _marked(whole(sentence, room), mark)) > limit:
        room = room * 3 // 4
    return text


def _marked(text: str, mark: str) -> str:
    ours = re.compile(rf"({re.escape(settings.BASE_URL)}/[^\s<>|&]*[^\s<>|&.,;:…])")
    # Every second piece is an address.
    pieces = ours.split(text)
    return "".join(mark.format(each) if i % 2 else _inert(each) for i, each in enumerate(pieces))


def _inert(text: str) -> str:
    return inert(text, 50_000) if text.strip() else text
