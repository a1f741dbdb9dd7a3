"""Tells open pages of changes as they happen: server-sent events at ``/live/``.

Wake-ups make pages quick, their own polls make them certain. One look in half a second at the newest events
serves every open page of the process: event ids are in the order of commits (``services.history.record`` appends
under one lock), so what is behind the newest id was told. A waiting stream holds a socket and nothing else: no
thread, no connection to the database. It carries no content, only what changed (``promotion-17 target-3``, or
``all``); the page asks for the rest, as whoever is signed in.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse

from approvals.models import Event, Person

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")

# Where a request's scope says which event was the newest before the page was read.
NEWEST = "countersign.newest"
ALL = "all"

# Seconds: between two looks; between two comments on a silent stream; between two looks at who is signed in; until
# somebody who does not read is dropped; until a browser comes back after the stream broke.
LOOK, HEARTBEAT, CHECK, SEND, RETRY = 0.5, 15.0, 60.0, 10.0, 2
# While the database is away looks become rarer, up to so many seconds apart.
LONGEST_LOOK = 5.0
# Streams of a process, and of one person: more tabs than anybody looks at.
STREAMS, EACH = 1000, 12
# Changes that are told one by one; more at once are told as ``all``.
ROWS, WORDS = 500, 60


@login_not_required
def live(request: HttpRequest) -> HttpResponse:
    """Where the pages are served by WSGI alone there is no stream: 204 makes a browser stop asking."""
    return HttpResponse(status=204)


def address_of(request: HttpRequest) -> str:
    """Where the page hears of changes since it was read; empty where there is no stream."""
    scope = request.META.get("asgi.scope")
    if scope is None or NEWEST not in scope:
        return ""
    newest = scope[NEWEST]
    return "/live/" if newest is None else f"/live/?since={newest}"


class Stream:
    """One open page. What it was not told yet is one set of words, however slowly it reads."""

    def __init__(self, person: int) -> None:
        self.person = person
        self.about: set[str] = set()
        self.newest = 0
        self.ended = False
        self.wake = asyncio.Event()

    def tell(self, about: Iterable[str], newest: int) -> None:
        """It has changed; said as soon as the reader takes it."""
        self.about.update(about)
        self.newest = newest
        self.wake.set()

    def end(self) -> None:
        """Nothing more is said."""
        self.ended = True
        self.wake.set()

    def take(self) -> bytes:
        """What is to be said now; nothing when nothing happened."""
        self.wake.clear()
        if not self.about:
            return b""
        words = (
            ALL if ALL in self.about or len(self.about) > WORDS else " ".join(sorted(self.about))
        )
        self.about.clear()
        return f"event: changed\nid: {self.newest}\ndata: {words}\n\n".encode()


class Hub:
    """All streams of this process, and the one look at the database that they share."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self.streams: set[Stream] = set()
        self.closed = False
        self._looking: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        # One thread, so one connection, for the looks and for who is signed in.
        self._thread: ThreadPoolExecutor | None = None

    async def ask(self, question: Callable[..., T], *values: Any) -> T:
        """What ``question`` answers, which may use the database. Raises what it raises."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "live")
        return await asyncio.get_running_loop().run_in_executor(self._thread, question, *values)

    async def join(self, stream: Stream, since: int | None) -> None:
        """Tell the stream of every change from now on, and at once when there was one after ``since``."""
        self.streams.add(stream)
        if self._looking is None or self._looking.done():
            self._ready.clear()
            self._looking = asyncio.create_task(self._look())
        await self._ready.wait()
        newest = self.newest or 0
        if since != newest:
            stream.tell([ALL], newest)

    def leave(self, stream: Stream) -> None:
        """Forget a stream; with the last one the looks end."""
        self.streams.discard(stream)

    def refuses(self, person: int) -> int:
        """The status that refuses one more stream of this person, 0 when it is welcome."""
        if self.closed or len(self.streams) >= STREAMS:
            return 503
        return 429 if sum(each.person == person for each in self.streams) >= EACH else 0

    def end(self) -> None:
        """Say good-bye to all, and take no more: the process is about to end."""
        self.closed = True
        for each in self.streams:
            each.end()

    async def close(self) -> None:
        """End everything, and give the connection to the database back."""
        self.end()
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        if self._thread is not None:
            await self.ask(_let_go)
            self._thread.shutdown()
            self._thread = None

    async def _look(self) -> None:
        """Look for new events as long as somebody listens."""
        last: int | None = None
        pause = LOOK
        while self.streams:
            try:
                last = await self._tell_after(last)
                pause = LOOK
            except Error as error:
                # Pages poll meanwhile, and say themselves when they cannot.
                logger.warning("cannot look for changes: %s", type(error).__name__)
                await self.ask(_let_go)
                pause = min(pause * 2, LONGEST_LOOK)
            self._ready.set()
            await asyncio.sleep(pause)

    async def _tell_after(self, last: int | None) -> int:
        if last is None:
            self.newest = await self.ask(newest_event)
            return self.newest
        rows = await self.ask(events_after, last)
        if not rows:
            return last
        self.newest = rows[-1][0]
        about = words_of(rows) if len(rows) < ROWS else {ALL}
        for each in self.streams:
            each.tell(about, self.newest)
        return self.newest


HUB = Hub()


def _let_go() -> None:
    """Close this thread's connection; the next look makes another."""
    connection.close()


def newest_event() -> int:
    """The id of the newest event, 0 before the first."""
    return Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def events_after(last: int) -> list[tuple[int, int | None, int | None]]:
    """Id, promotion and target of the events after this one, oldest first: a look at the end of one index."""
    rows = Event.objects.filter(pk__gt=last).order_by("pk")
    return list(rows.values_list("pk", "promotion_id", "target_id")[:ROWS])


def words_of(rows: Iterable[tuple[int, int | None, int | None]]) -> set[str]:
    """What these events are about; an event about neither promotion nor target (a freeze, people) is about all."""
    found = set()
    for _, promotion, target in rows:
        found |= {f"promotion-{promotion}"} if promotion else set()
        found |= {f"target-{target}"} if target else set()
        found |= set() if promotion or target else {ALL}
    return found


class _Glance(dict[str, Any]):
    """A session to look at: whoever looks must not renew or empty it."""

    def cycle_key(self) -> None:
        """Not here."""

    def flush(self) -> None:
        """Not here."""


def signed_in(key: str) -> int | None:
    """The active person whose session this is, as the database says now."""
    if not key:
        return None
    request = HttpRequest()
    store = import_module(settings.SESSION_ENGINE).SessionStore(key)
    request.session = _Glance(store.load())  # type: ignore[assignment]
    person = get_user(request)
    return person.pk if isinstance(person, Person) and person.is_active else None


async def serve(hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request for the stream (ASGI), until either side ends it."""
    request = ASGIRequest(dict(scope), BytesIO())
    try:
        request.get_host()
    except DisallowedHost:
        return await _refuse(send, 400, "Bad host.")
    if request.method != "GET":
        return await _refuse(send, 405, "Only GET.")
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
    try:
        person = await hub.ask(signed_in, key)
    except Error:
        await hub.ask(_let_go)
        return await _refuse(send, 503, "The database is away.")
    if person is None:
        return await _refuse(send, 401, "Sign in first.")
    if status := hub.refuses(person):
        return await _refuse(send, status, "Too many open pages; this one asks by itself.")
    stream = Stream(person)
    since = request.META.get("HTTP_LAST_EVENT_ID") or request.GET.get("since", "")
    known = int(since) if since.isascii() and since.isdigit() and len(since) <= 18 else None
    listening = asyncio.create_task(_until_gone(receive, stream))
    try:
        await hub.join(stream, known)
        await _say(hub, stream, key, send)
    except TimeoutError:
        logger.info("a page that does not read was dropped")
    finally:
        hub.leave(stream)
        listening.cancel()


async def _say(hub: Hub, stream: Stream, key: str, send: Send) -> None:
    async def body(text: bytes, more: bool = True) -> None:
        async with asyncio.timeout(SEND):
            await send({"type": "http.response.body", "body": text, "more_body": more})

    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await body(f"retry: {RETRY * 1000}\n\n".encode())
    check = _soon()
    while not stream.ended:
        if said := stream.take():
            await body(said)
        try:
            async with asyncio.timeout(min(HEARTBEAT, max(check - time.monotonic(), 0))):
                await stream.wake.wait()
        except TimeoutError:
            if time.monotonic() < check:
                await body(b": here\n\n")
                continue
            if not await _still(hub, stream, key):
                break
            check = _soon()
    await body(b"", more=False)


async def _still(hub: Hub, stream: Stream, key: str) -> bool:
    try:
        return await hub.ask(signed_in, key) == stream.person
    except Error:
        await hub.ask(_let_go)
        return False


def _soon() -> float:
    """When to look next who is signed in: not for all pages at the same moment."""
    return time.monotonic() + CHECK * random.uniform(0.8, 1.2)  # noqa: S311


async def _until_gone(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end()


HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]


async def _refuse(send: Send, status: int, sentence: str) -> None:
    head = [(b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})
