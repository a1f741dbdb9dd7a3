"""The app's own settings: the scopes that its bot was granted, and its manifest (`apps.manifest.export`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.slack import web_api
from sandbox.slack.world import APP_ID, JSON


@dataclass
class AppSettings:
    """What an administrator would see on api.slack.com; tests change it."""

    config_token: str = ""
    scopes: list[str] = field(default_factory=list)
    manifest: JSON = field(default_factory=dict)


async def export(request: Request) -> Response:
    """`apps.manifest.export`: with an app configuration token, not with the bot's."""
    found: AppSettings = request.app.state.settings
    fault = request.app.state.space.faults.take("apps.manifest.export")
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    kind = request.headers.get("content-type", "")
    asked = web_api.arguments(kind, await request.body(), request.url.query)
    if fault:
        return JSONResponse({"ok": False, "error": "internal_error"}, status_code=503)
    if token.startswith("xoxb-"):
        return JSONResponse({"ok": False, "error": "not_allowed_token_type"})
    if not found.config_token or token != found.config_token:
        return JSONResponse({"ok": False, "error": "token_expired"})
    if asked.get("app_id") != APP_ID:
        return JSONResponse({"ok": False, "error": "invalid_app_id"})
    return JSONResponse({"ok": True, "manifest": found.manifest})


async def control(request: Request) -> Response:
    """Change `config_token`, `scopes`, `manifest`, and `channels` ({id: what conversations.info shows})."""
    found: AppSettings = request.app.state.settings
    asked = await request.json()
    found.config_token = str(asked.get("config_token", found.config_token))
    found.scopes = list(asked.get("scopes", found.scopes))
    found.manifest = dict(asked.get("manifest", found.manifest))
    request.app.state.space.shown.update(asked.get("channels", {}))
    return JSONResponse({"ok": True})


ROUTES = [
    Route("/api/apps.manifest.export", export, methods=["GET", "POST"]),
    Route("/_sandbox/app_settings", control, methods=["POST"]),
]
