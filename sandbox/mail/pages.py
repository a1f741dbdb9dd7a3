"""The page with the messages, and the controls for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.mail.mailbox import FAULTS, KEPT, Mailbox

# A message's HTML is in a sandboxed frame below this policy: nothing is loaded, nothing runs.
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cache-Control": "no-store",
}


class Pages:
    """The pages of one stand-in."""

    def __init__(self, mailbox: Mailbox) -> None:
        """Show this mailbox."""
        self.mailbox = mailbox
        self._jinja = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def routes(self) -> list[Route]:
        """Every address."""
        return [
            Route("/", self.index),
            Route("/messages/{number:int}", self.message),
            Route("/clear", self.clear, methods=["POST"]),
            Route("/_sandbox/messages", self.messages, methods=["GET", "DELETE"]),
            Route("/_sandbox/faults", self.faults, methods=["GET", "POST", "DELETE"]),
        ]

    async def index(self, request: Request) -> Response:
        """Every message, the newest first."""
        return self._page("index.html", messages=list(self.mailbox.messages)[::-1], kept=KEPT)

    async def message(self, request: Request) -> Response:
        """One message: its headers, its text, its HTML in a frame of its own."""
        found = self.mailbox.find(request.path_params["number"])
        if found is None:
            return self._page("gone.html", status=404)
        return self._page("message.html", message=found)

    async def clear(self, request: Request) -> Response:
        """The page's button."""
        self.mailbox.messages.clear()
        return RedirectResponse("/", 303)

    async def messages(self, request: Request) -> Response:
        """Every message, the oldest first; DELETE forgets them."""
        if request.method == "DELETE":
            self.mailbox.messages.clear()
        found = [each.as_json() for each in list(self.mailbox.messages)]
        return JSONResponse({"messages": found, "sessions": self.mailbox.sessions})

    async def faults(self, request: Request) -> Response:
        """Ask for a fault: {fault, times?, to?}; or show what is waiting; DELETE calls all off."""
        if request.method == "POST":
            asked = await request.json()
            try:
                self.mailbox.set_fault(
                    str(asked.get("fault")), int(asked.get("times", 1)), str(asked.get("to", ""))
                )
            except ValueError as error:
                return JSONResponse({"error": str(error)}, 400)
        elif request.method == "DELETE":
            self.mailbox.faults.clear()
        return JSONResponse({"waiting": self.mailbox.faults, "known": FAULTS})

    def _page(self, name: str, *, status: int = 200, **values: Any) -> Response:
        text = self._jinja.get_template(name).render(**values)
        return HTMLResponse(text, status, headers=_SAFE)
