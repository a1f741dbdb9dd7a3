"""The Slack stand-in and the product, each a real server; people press buttons in the one and the
other answers.

By HTTP; a module that says ``SLACK_TRANSPORTS = ("http", "socket")`` runs every test that uses ``slack`` over
Socket Mode as well, but for those marked ``http_only`` (tests/conftest.py).
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from django.conf import settings as in_force
from django.urls import get_resolver
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from approvals.models import Effect, Event, Promotion, Review
from approvals.models.outbox import EffectKind
from integrations.effects import HANDLERS
from integrations.models import SlackPace
from integrations.outbox import deliver_due
from integrations.slack.listeners import bolt_app
from integrations.slack.socket_mode import Receiver
from sandbox.slack import create_app, served
from sandbox.slack.delivery import FORM, sign
from tests import blockkit
from tests.world import World

JSON = dict[str, Any]
CHANNEL = "C0RELEASES"
# Of the app, as the stand-in knows them; a test that installs the app tells them to the product.
CLIENT_ID, CLIENT_SECRET = "1234.5678", "test-client-secret"
APP_TOKEN = "xapp-1-test-token"


@dataclass
class Slack:
    """The running stand-in as a test uses it, and the product's outbox."""

    url: str
    product: str
    world: World
    transport: str = "http"

    def post(self, path: str, **body: Any) -> JSON:
        answer: JSON = requests.post(f"{self.url}/_sandbox/{path}", json=body, timeout=10).json()
        return answer

    def get(self, path: str) -> Any:
        found: JSON = requests.get(f"{self.url}/_sandbox/{path}", timeout=10).json()
        return found[path]

    def fault(self, name: str, method: str = "", **more: Any) -> None:
        """Slack does this the next time (of ``method``)."""
        self.post("faults", fault=name, **({"method": method} if method else {}), **more)

    def mend(self) -> None:
        """No more faults, and what was put off is due now."""
        requests.delete(f"{self.url}/_sandbox/faults", timeout=10)
        self.now()

    def deliver(self) -> None:
        """What a worker does, for messages only: nothing else is due in these tests' minds."""
        Effect.objects.exclude(kind=EffectKind.ANNOUNCE).delete()
        deliver_due(HANDLERS, seconds=20)

    def now(self) -> None:
        """What was put off is due now, and every channel is free."""
        SlackPace.objects.all().delete()
        Effect.objects.update(due_at="2026-01-01T00:00:00Z")

    def ask(self, **more: Any) -> Promotion:
        """A sealed promotion whose message is in the channel."""
        promotion = self.world.request(**more)
        self.deliver()
        return promotion

    def messages(self) -> list[JSON]:
        """What is in the channel, without threads; each one is valid."""
        return [each for each in self._everything() if each["thread_ts"] in (None, each["ts"])]

    def replies(self, ts: str = "") -> list[JSON]:
        """What is written in threads (in that of ``ts``), oldest first; each one is valid."""
        threads = [
            each for each in self._everything() if each["thread_ts"] not in (None, each["ts"])
        ]
        return [each for each in threads if ts in ("", each["thread_ts"])]

    def _everything(self) -> list[JSON]:
        found: list[JSON] = self.get("messages")
        for each in found:
            blockkit.validate_message(each)
        return found

    def press(self, user: str, action: str, ts: str = "", **more: Any) -> JSON:
        """A press on the newest message, or on the one with ``ts``."""
        ts = ts or self.messages()[-1]["ts"]
        return self.post("press", user=user, ts=ts, action_id=action, **more)

    def told(self, user: str, action: str, **more: Any) -> str:
        """Press, and the one private sentence that comes back."""
        said = self.press(user, action, **more)
        assert said["status"] == 200, said
        assert said["opened_view"] is None
        return str(said["ephemeral"][0]["text"]) if said["ephemeral"] else ""

    def dialog(self, user: str, action: str, **more: Any) -> JSON:
        """Press, and the dialog that opens; it is valid."""
        said = self.press(user, action, **more)
        assert said["status"] == 200 and said["ephemeral"] == [], said
        view: JSON = said["opened_view"]
        assert view is not None
        kept = blockkit.VIEW_KEYS & view.keys()
        blockkit.validate_view({key: view[key] for key in kept if view[key] not in (None, "")})
        return view

    def submit(self, user: str, view: JSON, **values: Any) -> JSON:
        return self.post("submit", user=user, view_id=view["id"], values=values)

    def calls(self, method: str) -> int:
        """How often the product called this method of the Web API."""
        return sum(each["method"] == method for each in self.get("requests"))

    def raw(self, body: bytes, **headers: str | None) -> requests.Response:
        """A signed request with headers replaced (None leaves one out)."""
        stamp = str(int(time.time()))
        signed: dict[str, str | None] = {
            "Content-Type": FORM,
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": sign(in_force.SLACK_SIGNING_SECRET, stamp, body),
            **{
                name.replace("_", "-")
                if name[0].isupper()
                else f"X-Slack-{name.replace('_', '-').title()}": value
                for name, value in headers.items()
            },
        }
        kept = {name: value.encode() for name, value in signed.items() if value is not None}
        return requests.post(
            f"{self.product}/integrations/slack/events", body, headers=kept, timeout=10
        )

    def send(self, payload: JSON) -> requests.Response:
        """An interaction of any content, as Slack would send it."""
        if self.transport == "socket":
            said = self.post("send_raw", payload=payload)
            answer = requests.Response()
            answer.status_code = said["status"] or 500
            answer._content = str(said["body"]).encode()
            return answer
        return self.raw(urlencode({"payload": json.dumps(payload)}).encode())


def snapshot() -> str:
    """Everything that a decision writes; unequal when anything was decided, recorded or fired."""
    rows = [
        list(Promotion.objects.order_by("pk").values_list("pk", "status", "seal")),
        list(Review.objects.order_by("pk").values_list("pk", "verdict")),
        list(Event.objects.order_by("pk").values_list("pk", flat=True)),
        # A refused press may ask for the message to be brought up to date, and for nothing else.
        list(Effect.objects.exclude(kind=EffectKind.ANNOUNCE).values_list("pk", flat=True)),
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


@pytest.fixture(scope="session", autouse=True)
def static_folder() -> None:
    """The product expects that static files were collected; here none are needed."""
    in_force.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """What ``manage.py runslack`` runs, connected to the stand-in."""
    receiver = Receiver(threads=4)
    thread = threading.Thread(target=receiver.run)
    thread.start()
    try:
        assert receiver.connected.wait(10), "no connection to the stand-in"
        yield receiver
    finally:
        receiver.stop()
        thread.join(10)
        assert not thread.is_alive()


@pytest.fixture
def slack(
    request: pytest.FixtureRequest,
    committed_world: World,
    live_server: LiveServer,
    settings: Settings,
) -> Iterator[Slack]:
    """The stand-in and the product over real HTTP, both ways; or over connections that the product opens."""
    transport: str = getattr(request, "param", "http")
    settings.SLACK_APP_TOKEN = APP_TOKEN if transport == "socket" else ""
    app = create_app(
        token=settings.SLACK_BOT_TOKEN,
        app_token=APP_TOKEN,
        signing_secret=settings.SLACK_SIGNING_SECRET,
        events_url=f"{live_server.url}/integrations/slack/events",
        retry_seconds=(0.0, 0.0, 0.0),
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
    )
    bolt_app.cache_clear()
    get_resolver().url_patterns  # noqa: B018  (the first request would import them, within its three seconds)
    with served(app) as url, ExitStack() as stack:
        settings.SLACK_API_URL = f"{url}/api/"
        settings.BASE_URL = live_server.url
        if transport == "socket":
            stack.enter_context(receiving())
        yield Slack(url, live_server.url, committed_world, transport)
