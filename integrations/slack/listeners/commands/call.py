"""One use of the slash command, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from django.utils import timezone

from approvals.models import Person
from approvals.services.refusal import clean_reason
from integrations.slack.blocks import Block, View
from integrations.slack.identities import SlackUser, person_of
from integrations.slack.listeners.answers import Body
from integrations.slack.listeners.commands.words import Words
from integrations.slack.modals import asking
from integrations.slack.modals.asking import Wish
from integrations.slack.zones import zone_of


@dataclass(frozen=True)
class Answer:
    """What is said; the text is inert already. ``public``: to everybody where the command was written."""

    text: str
    blocks: list[Block] = field(default_factory=list)
    public: bool = False


@dataclass(frozen=True)
class Dialog:
    """A dialog that asks for what is missing; ``usage`` says how to do without."""

    view: View
    usage: str = ""


@dataclass
class Call:
    """Who wrote it, and the words after the subcommand."""

    body: Body
    user: SlackUser
    words: Words
    now: datetime = field(default_factory=timezone.now)

    @cached_property
    def person(self) -> Person:
        """Raises Refused for whoever is not linked, or may not."""
        return person_of(self.user)

    def identify(self) -> None:
        """Raise Refused for whoever is not linked, or may not."""
        self.person  # noqa: B018  (looked up once, kept)

    @cached_property
    def zone(self) -> str:
        """On whose clocks this person tells the time; asked of Slack only where a time is spoken of."""
        return zone_of(self.user)

    def reason(self) -> str:
        """All that is left of the words. Raises Refused (``reason_too_long``): a dialog would cut it."""
        return clean_reason(self.words.rest())

    def dialog(self, wish: Wish, zone: str = "UTC") -> Dialog:
        """The dialog that completes the wish and tells the outcome where the command was written."""
        answer_to = str(self.body.get("response_url") or "")
        return Dialog(asking.view(wish, self.person, zone=zone, answer_to=answer_to))
