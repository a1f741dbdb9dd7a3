"""What comes through Socket Mode: each envelope is handled once, by the listeners that serve HTTP too."""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog
from slack_bolt import BoltRequest, BoltResponse
from slack_sdk.webhook import WebhookClient

from integrations.errors import Rejected, Unavailable
from integrations.slack import seen
from integrations.slack.client import slack
from integrations.slack.listeners import bolt_app

log = structlog.get_logger(__name__)
JSON = dict[str, Any]
# Slack shows the person an error after three seconds; what they pressed must not happen behind their back later.
LIMIT_SECONDS = 3.0
# Slack ends the connection (1009) at a frame of more than 20,480 bytes. Not documented; reported by others
# (revelrylabs/slax#614; slack-go/slack#1196 is likely the same).
MOST_BYTES = 20_000
PATIENCE_SECONDS = 5
SOON = "One moment, please. If nothing else appears here, close this and try again."


@dataclass(frozen=True)
class Envelope:
    """One thing that Slack wants handled within three seconds of ``came_at`` (of the monotonic clock)."""

    id: str
    kind: str
    payload: JSON
    accepts_payload: bool = False
    attempt: int = 0
    came_at: float = field(default_factory=time.monotonic)

    @classmethod
    def read(cls, message: JSON) -> Envelope | None:
        """The envelope in a message; None when it is none."""
        key, payload = message.get("envelope_id"), message.get("payload")
        if not isinstance(key, str) or not isinstance(payload, dict):
            return None
        return cls(
            key,
            str(message.get("type", "")),
            payload,
            bool(message.get("accepts_response_payload")),
            int(message.get("retry_attempt") or 0),
        )

    @property
    def is_late(self) -> bool:
        return time.monotonic() - self.came_at > LIMIT_SECONDS

    @property
    def key(self) -> str:
        """What stays the same when Slack sends it again: of an event its id, else the envelope's."""
        return str(self.payload.get("event_id") or self.id)


@dataclass(frozen=True)
class Reply:
    """The acknowledgement's payload (None: nothing but that it was received), and what is done after it."""

    payload: JSON | None = None
    afterwards: Callable[[], None] | None = None


# The latest replies, for the envelope whose acknowledgement was lost on the way.
_replies: OrderedDict[str, Reply] = OrderedDict()
_REMEMBERED = 200


def handle(envelope: Envelope) -> Reply | None:
    """Run the listeners; None: do not acknowledge, so that the person sees an error or Slack sends it again.

    An envelope that was handled before changes nothing: it is answered as it was the first time.
    """
    key = f"{envelope.kind[:20]}:{envelope.key}"[:100]
    if envelope.is_late and envelope.kind != "events_api":
        log.warning("slack envelope came too late", kind=envelope.kind)
        return None
    if not seen.begin(key):
        return _again(key)
    try:
        response = bolt_app().dispatch(
            BoltRequest(
                mode="socket_mode",
                body=envelope.payload,
                headers={"x-slack-retry-num": str(envelope.attempt)} if envelope.attempt else {},
            )
        )
        reply = _reply(envelope, response) if response.status == 200 else None
    except BaseException:
        seen.failed(key)
        raise
    if reply is None:
        seen.failed(key)
        return None
    seen.done(key, "said something" if reply.payload else "")
    _replies[key] = reply
    while len(_replies) > _REMEMBERED:
        _replies.popitem(last=False)
    return reply


def _again(key: str) -> Reply | None:
    """The reply of the first time.

    Where it is not known any more and said something, none: an empty one would close a dialog as if all were well.
    """
    known = _replies.get(key)
    if known is not None:
        return Reply(known.payload)
    return Reply() if seen.outcome(key) == "" else None


def _reply(envelope: Envelope, response: BoltResponse) -> Reply:
    """bolt's HTTP answer as the payload of an acknowledgement."""
    body = response.body or ""
    if not body or not envelope.accepts_payload:
        return Reply()
    kind = response.headers.get("content-type", [""])[0]
    payload = json.loads(body) if kind.startswith("application/json") else {"text": body}
    return Reply(payload) if _size(payload) <= MOST_BYTES else _shorter(envelope, payload)


def _size(payload: JSON) -> int:
    return len(json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace"))


def _shorter(envelope: Envelope, payload: JSON) -> Reply:
    """The same by other ways: what is too long for an acknowledgement goes through the Web API after it."""
    if "options" in payload or "option_groups" in payload:
        name = "options" if "options" in payload else "option_groups"
        items = list(payload[name])
        while items and _size({name: items}) > MOST_BYTES:
            items.pop()
        return Reply({name: items})
    verb, view = payload.get("response_action"), payload.get("view")
    if verb in ("update", "push") and isinstance(view, dict):
        named = {"view_id": str(envelope.payload.get("view", {}).get("id", ""))}
        first = {"type": "modal", "title": view.get("title")}
        if verb == "push":
            named = {"external_id": str(view.get("external_id") or secrets.token_hex(16))}
            first |= named
            view = view | named
        first["blocks"] = [{"type": "section", "text": {"type": "plain_text", "text": SOON}}]
        return Reply({"response_action": verb, "view": first}, lambda: _fill(view, named))
    address = str(envelope.payload.get("response_url") or "")
    return Reply(None, lambda: _say(address, payload))


def _fill(view: JSON, named: dict[str, str]) -> None:
    try:
        with slack(timeout=PATIENCE_SECONDS) as client:
            client.views_update(view=view, **named)
    except (Unavailable, Rejected) as error:
        log.warning("dialog not filled", error=str(error))


def _say(address: str, payload: JSON) -> None:
    try:
        WebhookClient(address, timeout=PATIENCE_SECONDS, retry_handlers=[]).send_dict(payload)
    except Exception as error:
        log.warning("private answer not delivered", error=type(error).__name__)
