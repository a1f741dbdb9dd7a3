"""A sentence in a dialog of its own, where there is no message below which it could be said."""

from __future__ import annotations

import re

from django.conf import settings

from integrations.slack.blocks import View, modal, section
from integrations.slack.text import SECTION, inert, whole

# Room for the marks that are put round an address.
ROOM = 100


def notice(sentence: str) -> View:
    """A dialog that only says something; our own addresses in it can be opened."""
    text = whole(inert(sentence, 50_000), SECTION - ROOM)
    ours = re.compile(rf"{re.escape(settings.BASE_URL)}/[^\s<>|]*[^\s<>|.,;:]")
    # With `verbatim` Slack makes no links by itself.
    return modal("notice", "Countersign", {}, [section(ours.sub(lambda hit: f"<{hit[0]}>", text))])
