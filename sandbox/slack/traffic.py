"""What Slack may refuse because of where or how often it is written to: archived channels, its own limit, or Slack
being away altogether. Switched under /_sandbox/."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from sandbox.slack.world import JSON, resolve_channel

# Slack's documentation names another code for edits than for new messages.
ARCHIVED = {
    "chat.postMessage": "is_archived",
    "chat.update": "is_inactive",
    "chat.postEphemeral": "is_archived",
}


@dataclass
class Traffic:
    """``seconds`` between two messages of a channel; 0: as many as come. ``archived`` channels take nothing.
    ``down``: every call gets a 503."""

    seconds: float = 0.0
    down: bool = False
    archived: set[str] = field(default_factory=set)
    refused: int = 0
    _last: dict[str, float] = field(default_factory=dict)

    def refusal(self, method: str, args: JSON) -> Response | None:
        """The answer to a call that is not let through; None for one that is."""
        if self.down:
            return PlainTextResponse("upstream connect error", status_code=503)
        channel = resolve_channel(str(args.get("channel") or ""))
        if channel in self.archived and method in ARCHIVED:
            return JSONResponse({"ok": False, "error": ARCHIVED[method]})
        if method != "chat.postMessage" or channel is None or not self.seconds:
            return None
        now = time.monotonic()
        wait = self._last.get(channel, -math.inf) + self.seconds - now
        if wait > 0:
            self.refused += 1
            headers = {"Retry-After": str(max(1, math.ceil(wait)))}
            error = {"ok": False, "error": "ratelimited"}
            return JSONResponse(error, status_code=429, headers=headers)
        self._last[channel] = now
        return None


async def traffic(request: Request) -> Response:
    """Show, or with POST set: `seconds`, `down`, and `archived` (a list of channels)."""
    found: Traffic = request.app.state.traffic
    if request.method == "POST":
        asked = await request.json()
        found.seconds = float(asked.get("seconds", found.seconds))
        found.down = bool(asked.get("down", found.down))
        found.archived = set(asked.get("archived", found.archived))
    return JSONResponse(
        {
            "seconds": found.seconds,
            "down": found.down,
            "archived": sorted(found.archived),
            "refused": found.refused,
        }
    )


ROUTES = [Route("/_sandbox/traffic", traffic, methods=["GET", "POST"])]
