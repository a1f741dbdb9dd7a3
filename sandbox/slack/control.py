"""Controls under /_sandbox/: the page's gestures, and what tests want to switch and to see."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.slack.delivery import AS_JSON, FORM, Sender
from sandbox.slack.gestures import Gestures
from sandbox.slack.traffic import Traffic
from sandbox.slack.workspace import Faults, SlackError, Workspace, public_view
from sandbox.slack.world import EVERYBODY, JSON, Person, person

Gesture = Callable[[Gestures, Person, str, JSON], Awaitable[JSON]]


def gesture(do: Gesture) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for a person's gesture: `user` says who (name or id)."""

    async def endpoint(request: Request) -> Response:
        asked = await request.json()
        who = person(str(asked.get("user", "")))
        if who is None:
            return JSONResponse({"error": "no_such_user"}, status_code=404)
        base = str(request.base_url).rstrip("/")
        try:
            return JSONResponse(await do(request.app.state.gestures, who, base, asked))
        except SlackError as error:
            return JSONResponse(error.body, status_code=404)

    return endpoint


async def faults(request: Request) -> Response:
    """Switch a fault on for the next `times` calls (of `method`, if given); or show the counts."""
    found: Faults = request.app.state.space.faults
    if request.method == "POST":
        asked = await request.json()
        if asked.get("fault") not in Faults.NAMES:
            return JSONResponse({"error": "no_such_fault", "known": Faults.NAMES}, 400)
        found.waiting.append({**asked, "times": int(asked.get("times", 1))})
    elif request.method == "DELETE":
        found.waiting.clear()
    return JSONResponse({"waiting": found.waiting, "fired": found.fired})


async def messages(request: Request) -> Response:
    """Every message with its metadata and how often it was edited, oldest first."""
    space: Workspace = request.app.state.space
    found = [
        {
            "channel": m["_channel"],
            "ts": m["ts"],
            "text": m["text"],
            "blocks": m.get("blocks", []),
            "attachments": m.get("attachments", []),
            "metadata": m.get("metadata"),
            "edits": m["_edits"],
            "user": m["user"],
            "thread_ts": m.get("thread_ts"),
            "broadcast": m.get("subtype") == "thread_broadcast",
            "reply_count": m.get("reply_count", 0),
            "reactions": m.get("reactions", []),
        }
        for m in space.messages()
    ]
    return JSONResponse({"messages": found})


async def ephemerals(request: Request) -> Response:
    """The latest private messages, each with the person it was for."""
    space: Workspace = request.app.state.space
    keys = ("ts", "text", "blocks", "thread_ts")
    found = [
        {"user": m["_to"], "channel": m["_channel"], **{k: m[k] for k in keys if k in m}}
        for m in space.ephemerals
    ]
    return JSONResponse({"ephemerals": found})


async def views(request: Request) -> Response:
    """The open modals (top one last) and the Home view of every person who has any."""
    space: Workspace = request.app.state.space
    modals = {
        p.name: [public_view(space.views[k]) for k in space.stacks.get(p.id, [])] for p in EVERYBODY
    }
    homes = {p.name: public_view(h) for p in EVERYBODY if (h := space.home(p.id))}
    return JSONResponse({"modals": {k: v for k, v in modals.items() if v}, "homes": homes})


async def requests(request: Request) -> Response:
    """The Web API calls that came in; no token is kept."""
    return JSONResponse({"requests": list(request.app.state.space.requests)})


async def deliveries(request: Request) -> Response:
    """The requests that went out to the product, and how it answered."""
    return JSONResponse({"deliveries": list(request.app.state.space.deliveries)})


async def send_raw(request: Request) -> Response:
    """A request of any kind to the product, for tests of its signature check.

    `body` (a string) or `payload` (an object, sent as an interaction) or `json`; `skew` seconds;
    `bad_signature`; `headers` replace ours (null removes one); `replay` sends the last request
    again, byte for byte with its timestamp and signature. Over Socket Mode a `payload` goes that way.
    """
    sender: Sender = request.app.state.sender
    asked: JSON = await request.json()
    if asked.get("replay"):
        if sender.last is None:
            return JSONResponse({"error": "nothing_to_replay"}, status_code=409)
        body, headers = sender.last
    elif sender.sockets and sender.sockets.is_connected and "payload" in asked:
        said = await sender.interaction(asked["payload"])
        return JSONResponse({"status": said.status, "body": said.body, "error": said.error})
    else:
        kind = AS_JSON if "json" in asked else FORM
        text: Any = asked.get("body", "")
        if "payload" in asked:
            text = urlencode({"payload": json.dumps(asked["payload"])})
        elif "json" in asked:
            text = json.dumps(asked["json"])
        body = str(text).encode()
        skew, bad = float(asked.get("skew", 0)), bool(asked.get("bad_signature"))
        headers = sender.signed(body, kind, skew=skew, bad=bad)
    headers = headers | (asked.get("headers") or {})
    answer = await sender.send("raw", body, {k: v for k, v in headers.items() if v is not None})
    return JSONResponse({"status": answer.status, "body": answer.body, "error": answer.error})


async def verify_url(request: Request) -> Response:
    """Send the url_verification challenge that Slack sends when an events URL is entered."""
    answer = await request.app.state.sender.url_verification()
    return JSONResponse({"status": answer.status, "body": answer.body, "error": answer.error})


async def settings(request: Request) -> Response:
    """Point the stand-in at another product: `events_url`."""
    sender: Sender = request.app.state.sender
    sender.events_url = str((await request.json()).get("events_url") or sender.events_url)
    return JSONResponse({"events_url": sender.events_url})


async def reset(request: Request) -> Response:
    """Forget every message, view, fault and log line."""
    space: Workspace = request.app.state.space
    space.store.clear()
    space.faults = Faults()
    request.app.state.traffic = Traffic()
    for log in (space.requests, space.deliveries, space.ephemerals):
        log.clear()
    space.stacks.clear()
    space.views.clear()
    return JSONResponse({"ok": True})


GESTURES: dict[str, Gesture] = {
    "press": lambda g, who, base, asked: g.press(who, base, asked),
    "submit": lambda g, who, base, asked: g.submit(who, asked),
    "close": lambda g, who, base, asked: g.close(who, asked),
    "command": lambda g, who, base, asked: g.command(who, base, asked),
    "suggest": lambda g, who, base, asked: g.suggest(who, asked),
    "shortcut": lambda g, who, base, asked: g.shortcut(who, asked),
    "write": lambda g, who, base, asked: g.write(who, asked),
    "home": lambda g, who, base, asked: g.open_home(who),
}
ROUTES = [
    *(Route(f"/_sandbox/{n}", gesture(do), methods=["POST"]) for n, do in GESTURES.items()),
    Route("/_sandbox/faults", faults, methods=["GET", "POST", "DELETE"]),
    Route("/_sandbox/messages", messages),
    Route("/_sandbox/ephemerals", ephemerals),
    Route("/_sandbox/views", views),
    Route("/_sandbox/requests", requests),
    Route("/_sandbox/deliveries", deliveries),
    Route("/_sandbox/send_raw", send_raw, methods=["POST"]),
    Route("/_sandbox/verify_url", verify_url, methods=["POST"]),
    Route("/_sandbox/settings", settings, methods=["POST"]),
    Route("/_sandbox/reset", reset, methods=["POST"]),
]
