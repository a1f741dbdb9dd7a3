"""The mail stand-in and the product's outbox: real SMTP, and messages as people would read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from approvals.models import Deployment, Effect, Target
from approvals.models.outbox import EffectKind
from approvals.services import telling
from approvals.states import Occasion
from integrations.effects import HANDLERS
from integrations.models import SlackIdentity
from integrations.outbox import deliver_due
from sandbox.mail import Server
from sandbox.mail.mailbox import Mailbox, Message
from tests.world import World

SENDER = "Countersign <countersign@acme.example>"
NEWS = {"subject": "Drift in production", "text": "The score fell below 0.9."}


class Mail:
    """The running stand-in as a test uses it."""

    def __init__(self, server: Server, settings: Settings, world: World) -> None:
        self.server, self.settings, self.world = server, settings, world
        settings.EMAIL_HOST, settings.EMAIL_USE_TLS, settings.EMAIL_USE_SSL = (
            "127.0.0.1",
            False,
            False,
        )
        settings.EMAIL_PORT, settings.DEFAULT_FROM_EMAIL = server.smtp_port, SENDER
        # Who gets mail although they are linked in Slack is a question of its own (test_mail_wishes.py).
        SlackIdentity.objects.all().delete()

    @property
    def box(self) -> Mailbox:
        return self.server.mailbox

    def fault(self, name: str, to: str = "", times: int = 1) -> None:
        self.box.set_fault(name, times, f"{to}@acme.example" if to else "")

    def tell(self, *names: str, deployment: Deployment | None = None, **more: Any) -> Effect:
        """A mail of a deployment, else of the target, to exactly these people; nothing else is due."""
        ids = [self.world.person(name).pk for name in names]
        Effect.objects.all().delete()
        with transaction.atomic():
            if deployment is not None:
                telling.inform(
                    deployment.promotion,
                    Occasion.OUTCOME,
                    ids,
                    **{**NEWS, **more},
                    key="k",
                    now=timezone.now(),
                )
            else:
                alert(self.world.target(), **more)
        effect = Effect.objects.get(kind=EffectKind.MAIL)
        effect.payload["people"] = ids
        effect.save()
        Effect.objects.exclude(pk=effect.pk).delete()
        return effect

    def deliver(self, effect: Effect) -> Effect:
        """What a worker does, with whatever is put off due now."""
        Effect.objects.filter(pk=effect.pk).update(due_at=timezone.now())
        assert deliver_due(HANDLERS, seconds=20) == 1
        effect.refresh_from_db()
        return effect

    def to(self, name: str) -> list[Message]:
        return [m for m in self.box.messages if m.recipients == [f"{name}@acme.example"]]

    def readers(self) -> list[str]:
        """Whose copies came in, in order."""
        return [m.recipients[0].removesuffix("@acme.example") for m in self.box.messages]


def alert(target: Target, **more: Any) -> None:
    """News of a target, for the channel and by mail."""
    telling.alert(target, **{**NEWS, "key": "k", **more}, now=timezone.now())


@pytest.fixture
def mail(committed_world: World, settings: Settings) -> Iterator[Mail]:
    with Server() as server:
        yield Mail(server, settings, committed_world)
