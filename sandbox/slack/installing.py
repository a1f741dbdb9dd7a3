"""Slack's OAuth: the page on which an administrator allows the app, and the tokens that come of it.

As documented: a code is good once, for ten minutes, for the redirect address that it was asked with. With
token rotation an access token lives for `rotate_seconds` (Slack: 12 hours) and its refresh token is good once.
"""

from __future__ import annotations

import base64
import html
import secrets
import time
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route

from sandbox.slack.elsewhere import BELONGS, ENTERPRISES, TEAMS
from sandbox.slack.workspace import SlackError, Workspace
from sandbox.slack.world import APP_ID, BOT_USER, JSON, PEOPLE

CODE_SECONDS, ROTATE_SECONDS = 600.0, 43_200


class Installations:
    """Codes and tokens. They are kept in the store, so that a restart forgets no installation."""

    def __init__(self, space: Workspace, token: str, client_id: str, client_secret: str) -> None:
        self.space, self.first_token = space, token
        self.client = (client_id, client_secret)
        self.rotate_seconds = ROTATE_SECONDS  # 0: tokens that do not expire

    def team_of(self, token: str) -> str:
        """The installation whose token this is. Raises SlackError: invalid_auth, token_revoked, token_expired."""
        if token == self.first_token:
            if self.space.store.get("revoked", "T0ACME"):
                raise SlackError("account_inactive")
            return "T0ACME"
        grant = self.space.store.get("grant", token)
        if grant is None:
            raise SlackError("invalid_auth")
        if grant["revoked"]:
            raise SlackError("token_revoked")
        if grant["expires_at"] and grant["expires_at"] <= time.time():
            raise SlackError("token_expired")
        return str(grant["team"])

    def installed(self) -> set[str]:
        """The ids of workspaces and organisations with a token that is good."""
        return {g["team"] for g in self.space.store.all("grant") if not g["revoked"]}

    def revoke(self, team: str) -> None:
        """No token of this installation is good any more, no refresh token either."""
        for grant in self.space.store.all("grant"):
            if grant["team"] == team:
                self.space.store.put(
                    "grant", grant["token"], grant | {"revoked": True, "refresh": ""}
                )
        if team == "T0ACME":
            self.space.store.put("revoked", team, {"team": team})

    def new_code(self, team: str, redirect_uri: str, scope: str) -> str:
        code = f"{secrets.randbelow(10**10)}.{secrets.token_hex(24)}"
        made: JSON = {"team": team, "redirect_uri": redirect_uri, "scope": scope, "at": time.time()}
        self.space.store.put("code", code, made | {"used": False})
        return code

    def access(self, args: JSON, authorization: str) -> JSON:
        """oauth.v2.access, for a code or for a refresh token. Raises SlackError."""
        client = (str(args.get("client_id", "")), str(args.get("client_secret", "")))
        if authorization.startswith("Basic "):
            name, _, secret = base64.b64decode(authorization[6:]).decode().partition(":")
            client = (name, secret)
        if not self.client[0] or client[0] != self.client[0]:
            raise SlackError("invalid_client_id")
        if client[1] != self.client[1]:
            raise SlackError("bad_client_secret")
        if args.get("grant_type") == "refresh_token":
            return self._refreshed(str(args.get("refresh_token", "")))
        code = self.space.store.get("code", str(args.get("code", "")))
        if code is None or time.time() - code["at"] > CODE_SECONDS:
            raise SlackError("invalid_code")
        if code["used"]:
            raise SlackError("code_already_used")
        if code["redirect_uri"] != args.get("redirect_uri", ""):
            raise SlackError("bad_redirect_uri")
        self.space.store.put("code", args["code"], code | {"used": True})
        self.space.store.delete("revoked", code["team"])
        return self._granted(code["team"], code["scope"], rotates=bool(self.rotate_seconds))

    def _refreshed(self, refresh: str) -> JSON:
        for grant in self.space.store.all("grant"):
            if refresh and grant["refresh"] == refresh:
                self.space.store.put("grant", grant["token"], grant | {"refresh": ""})
                return self._granted(grant["team"], grant["scope"], rotates=True)
        raise SlackError("invalid_refresh_token")

    def _granted(self, team: str, scope: str, *, rotates: bool) -> JSON:
        kind = "xoxe.xoxb-1-" if rotates else "xoxb-"
        token = kind + secrets.token_urlsafe(40)
        refresh = "xoxe-1-" + secrets.token_urlsafe(60) if rotates else ""
        expires_at = time.time() + self.rotate_seconds if rotates else 0
        grant: JSON = {"team": team, "token": token, "refresh": refresh, "scope": scope}
        self.space.store.put("grant", token, grant | {"expires_at": expires_at, "revoked": False})
        everywhere = team in ENTERPRISES
        enterprise = ENTERPRISES.get(team) or ENTERPRISES.get(BELONGS.get(team, ""))
        found: JSON = {
            "access_token": token,
            "token_type": "bot",
            "scope": scope,
            "bot_user_id": BOT_USER,
            "app_id": APP_ID,
            "team": None if everywhere else {k: TEAMS[team][k] for k in ("id", "name")},
            "enterprise": enterprise,
            "authed_user": {"id": PEOPLE[0].id},
            "is_enterprise_install": everywhere,
        }
        return found | (
            {"refresh_token": refresh, "expires_in": self.rotate_seconds} if rotates else {}
        )


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Allow Countersign</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:2rem auto;padding:0 1rem}
:root{color-scheme:light dark}
button{font:inherit;padding:.5rem 1rem;margin:.25rem .25rem .25rem 0}</style>
<p><strong>Stand-in for Slack.</strong></p><h1>Countersign asks for permission</h1>
<p>In which workspace is the app to be installed? It asks for: <code>%s</code></p>
<form method="post">%s</form></html>"""


def _asked(request: Request) -> tuple[Installations, str, str, str]:
    """Raises SlackError: invalid_client_id, bad_redirect_uri."""
    found: Installations = request.app.state.installations
    query = request.query_params
    if not found.client[0] or query.get("client_id") != found.client[0]:
        raise SlackError("invalid_client_id")
    address = query.get("redirect_uri", "")
    if not address.startswith(("http://", "https://")):
        raise SlackError("bad_redirect_uri")
    return found, address, query.get("scope", ""), query.get("state", "")


async def authorize(request: Request) -> Response:
    """The page that asks the administrator; a press on it sends them back."""
    try:
        found, address, scope, state = _asked(request)
    except SlackError as error:
        return PlainTextResponse(error.body["error"], status_code=400)
    if request.method == "GET":
        choices = {key: TEAMS[key]["name"] for key in ("T0ACME", "T0LAB")}
        choices |= {key: each["name"] + " (all workspaces)" for key, each in ENTERPRISES.items()}
        buttons = [
            f'<button name="team" value="{k}">Allow in {html.escape(v)}</button>'
            for k, v in choices.items()
        ]
        buttons.append('<button name="team" value="">Cancel</button>')
        return HTMLResponse(PAGE % (html.escape(scope.replace(",", ", ")), "".join(buttons)))
    team = dict(parse_qsl((await request.body()).decode())).get("team", "")
    if team and team not in {*TEAMS, *ENTERPRISES}:
        return PlainTextResponse("team_not_found", status_code=400)
    answer = {"code": found.new_code(team, address, scope)} if team else {"error": "access_denied"}
    return RedirectResponse(f"{address}?{urlencode({**answer, 'state': state})}", status_code=302)


def _send(request: Request, team: str, event: JSON, asked: JSON) -> None:
    """An event of the workspace or organisation `team`; `outer` replaces fields of its envelope."""
    organisation = BELONGS.get(team) or (team if team in ENTERPRISES else None)
    request.app.state.sender.event(
        {
            "team_id": team,
            "enterprise_id": organisation,
            "api_app_id": APP_ID,
            "event": event | {"event_ts": f"{time.time():.6f}"},
            "type": "event_callback",
            "event_id": "Ev" + secrets.token_hex(5).upper(),
            "event_time": int(time.time()),
            "authorizations": [
                {
                    "team_id": team,
                    "enterprise_id": organisation,
                    "is_enterprise_install": bool(organisation),
                }
            ],
            **(asked.get("outer") or {}),
        }
    )


async def user_change(request: Request) -> Response:
    """Change a user (`deleted`, `is_restricted`, …) and tell the product, unless `silent`."""
    from sandbox.slack.members import member

    asked = await request.json()
    space: Workspace = request.app.state.space
    user = str(asked["user"])
    flags = {
        k: v
        for k, v in asked.items()
        if k.startswith("is_") or k in ("deleted", "real_name", "team_id")
    }
    space.store.put("user", user, (space.store.get("user", user) or {}) | flags)
    found = member(space, user) or {}
    if not asked.get("silent"):
        team = str(asked.get("team") or found["team_id"])
        _send(request, team, {"type": "user_change", "user": found}, asked)
    return JSONResponse({"user": found})


async def uninstall(request: Request) -> Response:
    """Take the app out of `team`: its tokens are void; Slack sends both events, unless `silent`."""
    asked = await request.json()
    request.app.state.installations.revoke(asked["team"])
    if not asked.get("silent"):
        _send(
            request,
            asked["team"],
            {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [BOT_USER]}},
            asked,
        )
        _send(request, asked["team"], {"type": "app_uninstalled"}, asked)
    return JSONResponse({"ok": True})


async def tell(request: Request) -> Response:
    """Send any event of `team`, though nothing happened: late, doubled, or somebody else's."""
    asked = await request.json()
    _send(request, asked["team"], asked["event"], asked)
    return JSONResponse({"ok": True})


async def rotation(request: Request) -> Response:
    """How long tokens live that are given from now on, in seconds; 0: for ever."""
    found: Installations = request.app.state.installations
    found.rotate_seconds = int((await request.json())["seconds"])
    return JSONResponse({"seconds": found.rotate_seconds})


async def installed(request: Request) -> Response:
    """What is installed; and for T0ACME, whose token is fixed, taking an uninstallation back."""
    found: Installations = request.app.state.installations
    if request.method == "POST":
        found.space.store.delete("revoked", (await request.json())["team"])
    return JSONResponse({"installed": sorted(found.installed())})


ROUTES = [
    Route("/oauth/v2/authorize", authorize, methods=["GET", "POST"]),
    Route("/_sandbox/user_change", user_change, methods=["POST"]),
    Route("/_sandbox/uninstall", uninstall, methods=["POST"]),
    Route("/_sandbox/tell", tell, methods=["POST"]),
    Route("/_sandbox/rotation", rotation, methods=["POST"]),
    Route("/_sandbox/installed", installed, methods=["GET", "POST"]),
]
