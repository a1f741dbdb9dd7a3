"""The workspace itself: messages, private answers, dialogs, and the tickets Slack hands out."""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sandbox.slack import limits, typed
from sandbox.slack.elsewhere import acting_in, installation
from sandbox.slack.store import Store
from sandbox.slack.world import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    JSON,
    TEAM,
    Person,
    channel_object,
    person,
    resolve_channel,
    team_of,
)

TRIGGER_SECONDS = 3.0
RESPONSE_URL_SECONDS, RESPONSE_URL_USES = 1800.0, 5
MODAL_STACK = 3


class SlackError(Exception):
    """A refusal in Slack's words: `{"ok": false, "error": code}`."""

    def __init__(self, code: str, *, messages: list[str] | None = None, **extra: Any) -> None:
        super().__init__(code)
        self.body: JSON = {"ok": False, "error": code, **extra}
        if messages:
            self.body["response_metadata"] = {"messages": messages}
            self.body["errors"] = [m.removeprefix("[ERROR] ") for m in messages]


@dataclass
class Faults:
    """Failures that the next calls meet, and how often each was met."""

    CHANNEL = ("channel_not_found", "is_archived", "not_in_channel", "message_not_found")
    # What is answered with this very code.
    CODES = ("token_revoked", *CHANNEL)
    NAMES = (
        "ratelimited",
        *CODES,
        "server_error",
        "timeout",
        "post_then_error",
    )
    waiting: list[JSON] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)

    def take(self, method: str, team: str = "") -> JSON | None:
        """The next fault that applies to this method and installation, counted down."""
        for fault in self.waiting:
            only = fault.get("method")
            if only and only != method:
                continue
            if fault.get("team") not in (None, "", team):
                continue
            about = method.split(".")[0]
            if fault["fault"] in self.CHANNEL and about not in (
                "chat",
                "conversations",
            ):
                continue
            if fault["fault"] == "post_then_error" and method not in ("chat.postMessage", only):
                continue
            fault["times"] -= 1
            if fault["times"] <= 0:
                self.waiting.remove(fault)
            self.fired[fault["fault"]] = self.fired.get(fault["fault"], 0) + 1
            return fault
        return None


class Workspace:
    """Everything the doors (Web API, page, control) act on. Used from one event loop."""

    def __init__(self, folder: Path | None) -> None:
        self.store = Store(folder)
        self.faults = Faults()
        self.requests: deque[JSON] = deque(maxlen=500)
        self.deliveries: deque[JSON] = deque(maxlen=500)
        # Private messages are never kept by Slack: whoever is not there does not get them.
        self.ephemerals: deque[JSON] = deque(maxlen=300)
        self.views: dict[str, JSON] = {}  # open modals; a reload of the page closes them
        self.stacks: dict[str, list[str]] = {}  # user id -> ids of open modals, the top one last
        self.triggers: dict[str, JSON] = {}
        self.shown: dict[str, JSON] = {}  # what conversations.info says otherwise, by channel

    # -- messages -----------------------------------------------------------------------------

    def checked(self, payload: JSON, old: JSON | None = None) -> JSON:
        """The content part of a message, with ids given to blocks; `old` fills what is not said.

        Raises SlackError: no_text, msg_too_long, invalid_blocks, too_many_attachments.
        """
        kept = {k: old[k] for k in _CONTENT if k in old} if old else {}
        content: JSON = {**kept, **{k: payload[k] for k in _CONTENT if payload.get(k) is not None}}
        if not any(payload.get(k) for k in ("text", "blocks", "attachments")):
            raise SlackError("no_text")
        content.setdefault("text", "")
        if len(str(content["text"])) > limits.TEXT:
            raise SlackError("msg_too_long")
        if len(content.get("attachments") or []) > limits.ATTACHMENTS:
            raise SlackError("too_many_attachments")
        groups = [content.get("blocks"), *(a.get("blocks") for a in content.get("attachments", []))]
        for blocks in groups:
            if blocks:
                problems = limits.check_blocks(blocks)
                if problems:
                    raise SlackError("invalid_blocks", messages=problems)
                give_ids(blocks)
        metadata = content.get("metadata")
        if metadata and not isinstance(metadata.get("event_payload"), dict):
            raise SlackError("invalid_metadata_format")
        return content

    def channel(self, key: Any) -> str:
        found = resolve_channel(str(key or ""))
        if found is None:
            raise SlackError("channel_not_found")
        return found

    def message(self, channel: str, ts: str) -> JSON | None:
        return self.store.get("message", f"{channel}:{ts}")

    def messages(self, channel: str = "") -> list[JSON]:
        return self.store.all("message", f"{channel}:" if channel else "")

    def save(self, message: JSON) -> None:
        self.store.put("message", f"{message['_channel']}:{message['ts']}", message)

    def post(self, payload: JSON, author: Person | None = None) -> JSON:
        """A new message by the app, or by a person. Raises SlackError."""
        channel = self.channel(payload.get("channel"))
        content = self.checked(payload)
        thread = payload.get("thread_ts")
        parent = self.message(channel, thread) if thread else None
        if thread and parent is None:
            raise SlackError("thread_not_found")
        ts = self.store.next_ts()
        message: JSON = {"type": "message", "ts": ts, "_channel": channel, "_edits": 0, **content}
        message |= (
            {"user": author.id, "team": author.team}
            if author
            else {"user": BOT_USER, "team": team_of(channel), "bot_id": BOT_ID, "app_id": APP_ID}
        )
        if parent and thread:
            message["thread_ts"] = thread
            if payload.get("reply_broadcast"):
                message["subtype"] = "thread_broadcast"
            users = parent.setdefault("reply_users", [])
            if message["user"] not in users:
                users.append(message["user"])
            parent |= {
                "thread_ts": thread,
                "reply_count": parent.get("reply_count", 0) + 1,
                "latest_reply": ts,
            }
            self.save(parent)
        self.save(message)
        return message

    def own(self, channel: str, ts: Any, refusal: str) -> JSON:
        message = self.message(channel, str(ts or ""))
        if message is None:
            raise SlackError("message_not_found")
        if message.get("bot_id") != BOT_ID:
            raise SlackError(refusal)
        return message

    def update(self, payload: JSON) -> JSON:
        """chat.update: what is not said stays; the message is marked as edited."""
        channel = self.channel(payload.get("channel"))
        message = self.own(channel, payload.get("ts"), "cant_update_message")
        message |= self.checked(payload, old=message)
        message["edited"] = {"user": BOT_USER, "ts": f"{time.time():.6f}"}
        message["_edits"] += 1
        self.save(message)
        return message

    def delete(self, channel: str, ts: Any) -> None:
        message = self.own(channel, ts, "cant_delete_message")
        self.store.delete("message", f"{channel}:{message['ts']}")

    def whisper(self, payload: JSON, user: str) -> JSON:
        """A message that only `user` sees, and only if a page of theirs is open."""
        channel = self.channel(payload.get("channel"))
        content = self.checked(payload)
        message: JSON = {
            "type": "message",
            "ts": self.store.next_ts(),
            "user": BOT_USER,
            "team": team_of(channel),
            "bot_id": BOT_ID,
            "app_id": APP_ID,
            "is_ephemeral": True,
            "_channel": channel,
            "_to": user,
            "_edits": 0,
            **content,
        }
        if payload.get("thread_ts"):
            message["thread_ts"] = payload["thread_ts"]
        self.ephemerals.append(message)
        return message

    def find_ephemeral(self, ts: str) -> JSON | None:
        return next((m for m in self.ephemerals if m["ts"] == ts), None)

    def drop_ephemeral(self, ts: str) -> None:
        self.ephemerals = deque((m for m in self.ephemerals if m["ts"] != ts), maxlen=300)
        self.store.revision += 1

    # -- tickets ------------------------------------------------------------------------------

    def new_trigger(self, user: str) -> str:
        """A trigger id: it opens one dialog within 3 seconds."""
        trigger = f"{time.time_ns()}.{secrets.token_hex(4)}.{secrets.token_hex(16)}"
        now = time.time()
        self.triggers = {k: t for k, t in self.triggers.items() if now - t["made"] < 60}
        self.triggers[trigger] = {"user": user, "made": now, "used": False}
        return trigger

    def spend_trigger(self, trigger: Any) -> str:
        """The user id whose trigger this is. Raises SlackError when it is not worth anything."""
        found = self.triggers.get(str(trigger or ""))
        if found is None:
            raise SlackError("invalid_trigger_id")
        if found["used"]:
            raise SlackError("exchanged_trigger_id")
        if time.time() - found["made"] > TRIGGER_SECONDS:
            raise SlackError("expired_trigger_id")
        found["used"] = True
        return str(found["user"])

    def new_response_url(self, base: str, user: str, channel: str, ts: str | None) -> str:
        """A URL that takes five answers within 30 minutes; `ts` is the message pressed, if any."""
        key, now = secrets.token_urlsafe(18), time.time()
        for old in self.store.all("response"):
            if now - old["made"] > RESPONSE_URL_SECONDS:
                self.store.delete("response", old["key"])
        ticket = {"user": user, "channel": channel, "ts": ts, "made": now, "uses": 0, "key": key}
        self.store.put("response", key, ticket)
        return f"{base}/response/{key}"

    def respond(self, key: str, payload: JSON) -> None:
        """What a POST to a response_url does. Raises SlackError: expired_url, used_url, ..."""
        ticket = self.store.get("response", key)
        if ticket is None or time.time() - ticket["made"] > RESPONSE_URL_SECONDS:
            raise SlackError("expired_url")
        if ticket["uses"] >= RESPONSE_URL_USES:
            raise SlackError("used_url")
        ticket["uses"] += 1
        self.store.put("response", key, ticket)
        ts, private = ticket["ts"], ticket["ts"] and self.find_ephemeral(ticket["ts"])
        message = private or (ts and self.message(ticket["channel"], ts))
        if payload.get("delete_original"):
            if private:
                self.drop_ephemeral(ts)
            elif message:
                self.delete(ticket["channel"], ts)
        elif payload.get("replace_original") and message:
            message |= self.checked(payload)
            message["_edits"] += 1
            if private:
                self.store.revision += 1
            else:
                message["edited"] = {"user": BOT_USER, "ts": f"{time.time():.6f}"}
                self.save(message)
        else:
            answer = {**payload, "channel": ticket["channel"]}
            if payload.get("response_type") == "in_channel":
                self.post(answer)
            else:
                self.whisper(answer, ticket["user"])

    # -- dialogs and Home ---------------------------------------------------------------------

    def make_view(self, given: Any, user: str, old: JSON | None = None) -> JSON:
        """A view of `user`'s from what the app gave; `old` is the one it replaces."""
        problems = limits.check_view(given)
        if problems:
            raise SlackError("invalid_arguments", messages=problems)
        give_ids(given["blocks"])
        who = person(user)
        key = old["id"] if old else "V" + secrets.token_hex(5).upper()
        stack = self.stacks.get(user, []) if given["type"] == "modal" else []
        self.store.revision += 1
        return {
            "id": key,
            "team_id": who.team if who else TEAM["id"],
            "app_id": APP_ID,
            "bot_id": BOT_ID,
            "app_installed_team_id": installation(acting_in(who.team if who else "")["id"]),
            "private_metadata": "",
            "callback_id": "",
            "external_id": "",
            "state": {"values": {}},
            "clear_on_close": False,
            "notify_on_close": False,
            "root_view_id": old["root_view_id"] if old else [*stack, key][0],
            "previous_view_id": old["previous_view_id"] if old else [None, *stack][-1],
            "submit": None,
            "close": None,
            **given,
            "hash": f"{int(time.time())}.{secrets.token_hex(4)}",
            "_user": user,
            "_made": old["_made"] if old else self.store.next_ts(),
            "_held": typed.kept(old, given["blocks"]),
            "_offered": old["_offered"] if old else {},
        }

    def show(self, given: Any, user: str, *, push: bool = False) -> JSON:
        """Open a modal for `user`; with `push`, on top of the open ones (three at most)."""
        if push and len(self.stacks.get(user, [])) >= MODAL_STACK:
            raise SlackError("push_limit_reached")
        view = self.make_view(given, user)
        if not push:  # it takes the place of whatever is open
            self.pop(user, clear=True)
            view |= {"root_view_id": view["id"], "previous_view_id": None}
        self.views[view["id"]] = view
        self.stacks.setdefault(user, []).append(view["id"])
        return view

    def replace(self, key: str, given: Any) -> JSON:
        """The open modal `key`, changed in place. Raises SlackError: not_found."""
        if key not in self.views:
            raise SlackError("not_found")
        old = self.views[key]
        self.views[key] = self.make_view(given, old["_user"], old)
        return self.views[key]

    def pop(self, user: str, *, clear: bool = False) -> None:
        """Close the top modal, or all of them."""
        stack = self.stacks.get(user, [])
        keep = [] if clear else stack[:-1]
        for key in stack[len(keep) :]:
            del self.views[key]
        self.stacks[user] = keep
        self.store.revision += 1

    def home(self, user: str) -> JSON | None:
        return self.store.get("home", user)


_CONTENT = ("text", "blocks", "attachments", "metadata", "unfurl_links", "unfurl_media", "mrkdwn")


def give_ids(blocks: list[JSON]) -> None:
    """Blocks and interactive elements without an id get one, as Slack gives them."""
    for block in blocks:
        block.setdefault("block_id", secrets.token_urlsafe(4))
        for kind, thing, _ in limits.parts(block, ""):
            if kind in limits.INTERACTIVE:
                thing.setdefault("action_id", secrets.token_urlsafe(4))


def public(message: JSON, *, metadata: bool = False) -> JSON:
    """A message as the Web API shows it: without our own marks, metadata only when asked for."""
    return {
        k: v
        for k, v in message.items()
        if not k.startswith("_")
        and k not in ("unfurl_links", "unfurl_media")
        and (metadata or k != "metadata")
    }


def public_view(view: JSON) -> JSON:
    return {k: v for k, v in view.items() if not k.startswith("_")}


def channel_brief(channel: str) -> JSON:
    """A channel as payloads name it."""
    found = channel_object(channel) or {}
    return {"id": channel, "name": found.get("name", "directmessage")}
