"""What the page in the browser reads; what it does goes through the controls."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.slack import elsewhere
from sandbox.slack.elsewhere import TEAMS, acting_in, installation
from sandbox.slack.workspace import Workspace, public, public_view
from sandbox.slack.world import (
    BOT_NAME,
    BOT_USER,
    CHANNELS,
    COMMANDS,
    EVERYBODY,
    PEOPLE,
    SHORTCUTS,
    TEAM,
    person,
    team_of,
)

SHOWN = 200  # the newest messages of a channel


async def world(request: Request) -> Response:
    """Who there is, and from which moment on private messages are this page's."""
    space: Workspace = request.app.state.space
    there = request.app.state.installations.installed()
    people = [
        {
            "id": p.id,
            "name": p.name,
            "real_name": p.real_name,
            "role": p.role,
            "im": p.im,
            "foreign": p.team not in TEAMS,
            "workspace": acting_in(p.team)["id"],
        }
        for p in EVERYBODY
        if p in PEOPLE or (p.team != TEAM["id"] and installation(p.team) in there)
    ]
    return JSONResponse(
        {
            "people": people,
            "app": {"id": BOT_USER, "name": BOT_NAME},
            "channels": [
                {**c, "team": team_of(c["id"])}
                for c in (*CHANNELS, *elsewhere.CHANNELS)
                if c in CHANNELS or installation(c["team"]) in there
            ],
            "workspaces": {key: each["name"] for key, each in TEAMS.items()},
            "commands": COMMANDS,
            "shortcuts": SHORTCUTS,
            "since": space.store.next_ts(),
        }
    )


async def state(request: Request) -> Response:
    """All that one person sees of one channel; 204 when nothing changed since `revision`."""
    space: Workspace = request.app.state.space
    query = request.query_params
    revision = str(space.store.revision)
    if query.get("revision") == revision:
        return Response(status_code=204)
    who = person(query.get("as", ""))
    channel = query.get("channel", "")
    if who is None or (channel.startswith("D") and channel != who.im):
        return JSONResponse({"error": "channel_not_found"}, status_code=404)
    since = query.get("since", "9")
    everything = space.messages(channel)
    private = [
        public(m)
        for m in space.ephemerals
        if m["_to"] == who.id and m["_channel"] == channel and m["ts"] > since
    ]
    stack = [space.views[key] for key in space.stacks.get(who.id, [])]
    home = space.home(who.id)
    latest: dict[str, str] = {}
    for message in space.messages():
        if not message["_channel"].startswith("D") or message["_channel"] == who.im:
            latest[message["_channel"]] = message["ts"]
    return JSONResponse(
        {
            "revision": revision,
            "messages": [public(m) for m in everything[-SHOWN:]],
            "private": private,
            "modals": [public_view(v) for v in stack if v["_made"] > since],
            "home": public_view(home) if home else None,
            "latest": latest,
        },
        headers={"Cache-Control": "no-store"},
    )


async def archive(request: Request) -> Response:
    """A permalink: the page, at that message."""
    channel, digits = request.path_params["channel"], request.path_params["digits"]
    ts = f"{digits[:-6]}.{digits[-6:]}" if digits.isdigit() else ""
    return RedirectResponse(f"/?channel={channel}&ts={ts}")


ROUTES = [
    Route("/_page/world", world),
    Route("/_page/state", state),
    Route("/archives/{channel}/p{digits}", archive),
]
