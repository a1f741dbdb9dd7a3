"""The server: Slack's Web API, the page, and the controls for tests."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from sandbox.slack import app_settings, control, installing, page, sockets, traffic, web_api
from sandbox.slack.delivery import LIMIT_SECONDS, RETRY_SECONDS, Sender
from sandbox.slack.elsewhere import installation
from sandbox.slack.gestures import Gestures
from sandbox.slack.workspace import Faults, SlackError, Workspace
from sandbox.slack.world import JSON, resolve_channel, team_of

STATIC = Path(__file__).with_name("static")


async def call(request: Request) -> Response:
    """One Web API call: who is asking, what should go wrong, then the method."""
    space: Workspace = request.app.state.space
    method = request.path_params["method"]
    started = time.time()
    args: JSON = {}
    try:
        body = await request.body()
        content_type = request.headers.get("content-type", "")
        args = web_api.arguments(content_type, body, request.url.query)
        args["_base"] = str(request.base_url).rstrip("/")
        answer = await _answer(request, space, method, args)
    except SlackError as error:
        answer = JSONResponse(error.body)
    answer.headers["x-oauth-scopes"] = ",".join(request.app.state.settings.scopes)
    said = json.loads(bytes(answer.body)) if answer.media_type == "application/json" else {}
    space.requests.append(
        {
            "method": method,
            "at": started,
            "status": answer.status_code,
            "ok": said.get("ok", False),
            "error": said.get("error"),
            "channel": args.get("channel"),
            "ts": said.get("ts") or args.get("ts"),
            "user": args.get("user") or args.get("user_id"),
        }
    )
    return answer


async def _answer(request: Request, space: Workspace, method: str, args: JSON) -> Response:
    authorization = request.headers.get("authorization", "")
    token = authorization.removeprefix("Bearer ") or args.get("token")
    found: installing.Installations = request.app.state.installations
    if method == "oauth.v2.access":
        fault = space.faults.take(method)
        if fault and fault["fault"] == "server_error":
            return PlainTextResponse("upstream connect error", status_code=503)
        answer = {"ok": True, **found.access(args, authorization)}
        if fault:  # it was granted, and the answer was lost
            return PlainTextResponse("internal error", status_code=500)
        return JSONResponse(answer)
    if method not in web_api.METHODS:
        raise SlackError("unknown_method", req_method=method)
    if method != "api.test":
        if not token:
            raise SlackError("not_authed")
        args["_team"] = found.team_of(token)
        channel = resolve_channel(str(args.get("channel") or ""))
        if channel and installation(team_of(channel)) != args["_team"]:
            raise SlackError("channel_not_found")
    refusal: Response | None = request.app.state.traffic.refusal(method, args)
    if refusal is not None:
        return refusal
    fault = space.faults.take(method, args.get("_team", ""))
    name = fault["fault"] if fault else ""
    if fault and name == "ratelimited":
        headers = {"Retry-After": str(fault.get("retry_after", 1))}
        return JSONResponse({"ok": False, "error": name}, status_code=429, headers=headers)
    if name == "server_error":
        return PlainTextResponse("upstream connect error", status_code=503)
    if fault and name == "timeout":
        await asyncio.sleep(float(fault.get("seconds", 30)))
        return PlainTextResponse("gateway timeout", status_code=504)
    if name in Faults.CODES:
        raise SlackError(name)
    answer = {"ok": True, **web_api.METHODS[method](space, args)}
    if name == "post_then_error":
        return PlainTextResponse("internal error", status_code=500)
    return JSONResponse(answer)


async def respond(request: Request) -> Response:
    """A POST to a response_url."""
    try:
        payload = json.loads(await request.body())
        request.app.state.space.respond(request.path_params["key"], payload)
    except SlackError as error:
        gone = error.body["error"] in ("expired_url", "used_url")
        return JSONResponse(error.body, status_code=404 if gone else 400)
    except ValueError:
        return JSONResponse({"ok": False, "error": "invalid_payload"}, status_code=400)
    return PlainTextResponse("ok")


async def index(request: Request) -> Response:
    return FileResponse(STATIC / "page.html", headers={"Cache-Control": "no-cache"})


def create_app(
    *,
    data: Path | None = None,
    token: str,
    signing_secret: str,
    events_url: str,
    app_token: str = "",
    limit_seconds: float = LIMIT_SECONDS,
    retry_seconds: tuple[float, ...] = RETRY_SECONDS,
    client_id: str = "",
    client_secret: str = "",
) -> Starlette:
    """A stand-in for Slack.

    `data` is the folder that keeps its state (None: in memory); `token` is the one bot token it
    accepts from the start, `app_token` the one for Socket Mode; `client_id` and `client_secret` are
    those of the app, for installing it by OAuth; `events_url` is the product's inbound URL;
    `limit_seconds` is how long a click waits (Slack: 3 s) and `retry_seconds` the pauses before an
    event is sent again.
    """
    app = Starlette(
        routes=[
            Route("/", index),
            *sockets.ROUTES,
            *app_settings.ROUTES,
            Route("/api/{method}", call, methods=["GET", "POST"]),
            Route("/response/{key}", respond, methods=["POST"]),
            *page.ROUTES,
            *control.ROUTES,
            *installing.ROUTES,
            *traffic.ROUTES,
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
    )
    space = Workspace(data)
    sender = Sender(
        space,
        events_url=events_url,
        signing_secret=signing_secret,
        limit_seconds=limit_seconds,
        retry_seconds=retry_seconds,
    )
    app.state.space = space
    app.state.settings = app_settings.AppSettings()
    app.state.sockets = sockets.Sockets(space, app_token, limit_seconds)
    sender.sockets = app.state.sockets
    app.state.traffic = traffic.Traffic()
    app.state.sender = sender
    app.state.installations = installing.Installations(space, token, client_id, client_secret)
    app.state.gestures = Gestures(space, sender, "stand-in-verification-token")
    return app
