"""Socket Mode: connections that this process opens to Slack, for where Slack cannot reach us.

Slack ends each connection after some hours at most, and says so shortly before with ``disconnect``: then a new one
is opened first, and the old one is listened to until it is gone, so that no press falls between the two. Every
envelope goes to one of an app's connections (at most ten), so several processes may run.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from dataclasses import dataclass, field

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from django.utils import timezone
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from integrations.errors import Unavailable
from integrations.models import Heartbeat
from integrations.slack import envelopes
from integrations.slack.client import TOKEN_ERRORS, code_of, translated
from integrations.slack.line import JSON, Line

log = structlog.get_logger(__name__)
BEAT_SECONDS = 10.0
# How long a connection may wait for Slack's hello, and how long one that Slack gives up is still listened to.
HELLO_SECONDS = 10.0
RETIRED_SECONDS = 30.0
# Pauses between attempts to connect: doubled each time, up to this.
LONGEST_PAUSE = 30.0
THREADS = 8
OPEN_TIMEOUT = 10


@dataclass(eq=False)
class _Held:
    """A line and what Slack said about it. ``since``: opened, or given up, at this moment."""

    line: Line
    greeted: bool = False
    given_up: bool = False
    since: float = field(default_factory=time.monotonic)


_Work = tuple[_Held, envelopes.Envelope] | None


class Receiver:
    """Keeps one connection to Slack and hands what comes to the listeners, in threads of its own."""

    def __init__(self, *, threads: int = THREADS) -> None:
        self._threads = threads
        self._held: list[_Held] = []
        self._lock = threading.Lock()
        self._work: queue.SimpleQueue[_Work] = queue.SimpleQueue()
        self._woken = threading.Event()
        self._stopping = False
        self._next_try = self._next_beat = 0.0
        self._failures = 0
        self.connected = threading.Event()

    def run(self) -> None:
        """Until ``stop``; what was received by then is finished and acknowledged."""
        workers = [threading.Thread(target=self._handle_all) for _ in range(self._threads)]
        for each in workers:
            each.start()
        readers: list[threading.Thread] = []
        try:
            while not self._stopping:
                self._woken.clear()
                readers = [each for each in readers if each.is_alive()]
                if (held := self._renew()) is not None:
                    readers.append(threading.Thread(target=self._read, args=(held,)))
                    readers[-1].start()
                self._beat()
                self._woken.wait(0.5)
        finally:
            for _ in workers:  # behind what waits
                self._work.put(None)
            for each in workers:
                each.join()
            for held in self._lines():
                held.line.close()
            for each in readers:
                each.join()
            connections.close_all()

    def stop(self) -> None:
        """Take nothing more. May be called from a signal handler or another thread."""
        self._stopping = True
        self._woken.set()

    # -- connections --------------------------------------------------------------------------

    def _lines(self) -> list[_Held]:
        with self._lock:
            return list(self._held)

    def _renew(self) -> _Held | None:
        """Let go of what is over; a new connection where none is good."""
        now = time.monotonic()
        for held in self._lines():
            patience = RETIRED_SECONDS if held.given_up else HELLO_SECONDS
            if (held.given_up or not held.greeted) and now - held.since > patience:
                held.line.close()
        with self._lock:
            self._held = [each for each in self._held if each.line.is_open]
        if not any(each.greeted and not each.given_up for each in self._held):
            self.connected.clear()
        if any(not each.given_up for each in self._held) or now < self._next_try:
            return None
        try:
            held = _Held(Line(address()))
        except Unavailable as error:
            self._failures += 1
            pause = min(2.0 ** (self._failures - 1), LONGEST_PAUSE) * random.uniform(0.5, 1)  # noqa: S311
            self._next_try = now + max(pause, error.after or 0)
            log.warning("no slack connection", error=str(error))
            return None
        # Slack may end a connection at once, again and again: the pause grows until one says hello.
        self._next_try = now + min(2.0**self._failures - 1, LONGEST_PAUSE)
        self._failures += 1
        with self._lock:
            self._held.append(held)
        return held

    def _read(self, held: _Held) -> None:
        for message in held.line.messages():
            # What comes while we stop is not acknowledged: Slack tells the person, or sends it again.
            if not self._stopping:
                self._heard(held, message)
        self._woken.set()

    def _heard(self, held: _Held, message: JSON) -> None:
        kind = message.get("type")
        if kind == "hello":
            held.greeted, self._failures = True, 0
            self._next_beat = 0.0
            self.connected.set()
            log.info("slack connected", connections=message.get("num_connections"))
            self._woken.set()
        elif kind == "disconnect":
            # warning: about ten seconds are left; refresh_requested: none, perhaps; link_disabled: Socket Mode was
            # switched off in the app's settings.
            held.given_up, held.since = True, time.monotonic()
            reason = str(message.get("reason", ""))[:60]
            (log.info if reason in ("warning", "refresh_requested") else log.error)(
                "slack ends the connection", reason=reason
            )
            self._woken.set()
        elif (envelope := envelopes.Envelope.read(message)) is not None:
            self._work.put((held, envelope))

    # -- envelopes ----------------------------------------------------------------------------

    def _handle_all(self) -> None:
        try:
            while (work := self._work.get()) is not None:
                close_old_connections()
                held, envelope = work
                try:
                    reply = envelopes.handle(envelope)
                    if reply is not None:
                        self._acknowledge(held, envelope, reply)
                except Exception as error:
                    log.error("slack envelope not handled", exc_info=error)
        finally:
            connections.close_all()

    def _acknowledge(
        self, held: _Held, envelope: envelopes.Envelope, reply: envelopes.Reply
    ) -> None:
        """By the connection that it came by; by another one where that is gone, as slack_sdk does."""
        message: JSON = {"envelope_id": envelope.id}
        if reply.payload is not None:
            message["payload"] = reply.payload
        for each in (held, *(other for other in reversed(self._lines()) if other is not held)):
            try:
                each.line.send(message)
                break
            except Unavailable:
                continue
        else:
            log.warning("slack acknowledgement not delivered", kind=envelope.kind)
        if reply.afterwards is not None:
            reply.afterwards()

    def _beat(self) -> None:
        """Say in the database that Slack reaches us, every few seconds while it does."""
        now = time.monotonic()
        if not self.connected.is_set() or now < self._next_beat:
            return
        self._next_beat = now + BEAT_SECONDS
        close_old_connections()
        try:
            Heartbeat.objects.update_or_create(name="slack", defaults={"at": timezone.now()})
        except DatabaseError as error:
            log.warning("no heartbeat of slack", error=type(error).__name__)


def address() -> str:
    """A new address to connect to; good for one connection, and as secret as a password. Raises Unavailable."""
    client = WebClient(base_url=settings.SLACK_API_URL, timeout=OPEN_TIMEOUT, retry_handlers=[])
    try:
        return str(client.apps_connections_open(app_token=settings.SLACK_APP_TOKEN)["url"])
    except SlackApiError as error:
        code = code_of(error)
        if code in TOKEN_ERRORS or code in {"not_allowed_token_type", "missing_scope"}:
            raise Unavailable(
                f"Slack refused the app-level token ({code}). Check SLACK_APP_TOKEN: it begins with xapp- and has "
                "the scope connections:write.",
                after=LONGEST_PAUSE,
            ) from None
        found = translated(error)
        after = found.after if isinstance(found, Unavailable) else None
        raise Unavailable(str(found), after=after) from None
    except (SlackClientError, OSError, ValueError) as error:
        raise Unavailable(f"Slack could not be reached ({type(error).__name__}).") from None
