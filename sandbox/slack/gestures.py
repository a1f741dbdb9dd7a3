"""What a person does: press, submit, close, command, write, open Home. Each becomes a request."""

from __future__ import annotations

import secrets
import time
from typing import Any

from sandbox.slack import limits, typed, unfurls
from sandbox.slack.delivery import Answer, Sender
from sandbox.slack.elsewhere import BELONGS, ENTERPRISES, TEAMS, acting_in
from sandbox.slack.escapes import escaped
from sandbox.slack.workspace import SlackError, Workspace, channel_brief, public, public_view
from sandbox.slack.world import APP_ID, COMMANDS, JSON, RELEASES, SHORTCUTS, Person

EVENTS = ("message", "app_home_opened", "link_shared")
REFUSED = {  # in the style of Slack's own words
    "operation_timeout": "This app is not responding. It did not answer within 3 seconds.",
    "dispatch_failed": "This app is not responding. It could not be reached.",
    "http_error": "This app is not responding. It answered with an error.",
}


class Gestures:
    """A person's gestures, turned into the requests that Slack would send."""

    def __init__(self, space: Workspace, sender: Sender, token: str) -> None:
        self.space, self.sender = space, sender
        self.verification = token  # the deprecated token that payloads still carry

    # -- pressing something in a message, a modal or Home ------------------------------------

    async def press(self, who: Person, base: str, asked: JSON) -> JSON:
        """Press the element `action_id` of message `ts` or of view `view_id`.

        `value` replaces what the element would send (a choice, or a forged button value);
        `values` are what the view's inputs hold. With `dry` nothing is sent: the payload is the
        answer, to be sent raw later, when the message has changed. Raises SlackError:
        no_such_message, no_such_action.
        """
        space, ts = self.space, str(asked.get("ts") or "")
        view = self._view(who, asked)
        message = space.find_ephemeral(ts) or next(
            (m for m in space.messages(str(asked.get("channel") or "")) if m["ts"] == ts), None
        )
        if message and message.get("_to") not in (None, who.id):
            message = None  # somebody else's private message
        holder = view or message
        if holder is None:
            raise SlackError("no_such_message")
        blocks = holder.get("blocks") or []
        for attachment in holder.get("attachments") or []:
            blocks = [*blocks, *(attachment.get("blocks") or [])]
        wanted = asked.get("action_id")
        block, element = next(
            (
                (b, e)
                for b, e in limits.elements(blocks)
                if e["action_id"] == wanted and asked.get("block_id") in (None, b["block_id"])
            ),
            (None, None),
        )
        if block is None or element is None:
            raise SlackError("no_such_action")
        action = {
            "type": element["type"],
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "action_ts": f"{time.time():.6f}",
            **typed.chosen(element, asked.get("value"), (view or {}).get("_offered", {})),
        }
        payload = self._payload("block_actions", who) | {"actions": [action]}
        payload["trigger_id"] = space.new_trigger(who.id)
        if view:
            payload["container"] = {"type": "view", "view_id": view["id"]}
            if asked.get("value") is not None and element["type"] not in typed.SILENT:
                view["_held"][typed.key(block, element)] = asked["value"]
            payload["view"] = self._filled(view, asked.get("values"))
        elif message:
            channel = message["_channel"]
            private = bool(message.get("is_ephemeral"))
            payload |= {
                "container": {
                    "type": "message",
                    "message_ts": ts,
                    "channel_id": channel,
                    "is_ephemeral": private,
                },
                "channel": channel_brief(channel),
                "response_url": space.new_response_url(base, who.id, channel, ts),
                "state": {"values": {}},
            }
            if not private:  # Slack does not send the text of an ephemeral message back
                payload["message"] = public(message)
        if asked.get("dry"):
            return {"payload": payload}
        return await self._told(who, self.sender.interaction(payload))

    async def submit(self, who: Person, asked: JSON) -> JSON:
        """Submit the open modal `view_id` with `values` ({action or block id: value}, or nested).

        The answer's `errors` are the form's: Slack's own ("required") or the product's.
        """
        view = self._view(who, asked)
        if view is None:
            raise SlackError("no_such_view")
        filled = self._filled(view, asked.get("values"))
        missing = typed.incomplete(filled)
        if missing:
            return {**empty(), "error": "incomplete", "errors": missing}
        payload = self._payload("view_submission", who) | {"view": filled, "response_urls": []}
        payload["team"] = {"id": who.team, "domain": payload["team"]["domain"]}
        payload["trigger_id"] = self.space.new_trigger(who.id)
        heard: JSON = {}

        async def answered() -> Answer:
            answer = await self.sender.interaction(payload)
            if answer.error is None:
                heard.update(self._respond(who, view, answer))
            return answer

        return await self._told(who, answered()) | heard

    def _respond(self, who: Person, view: JSON, answer: Answer) -> JSON:
        """Do what the HTTP answer of a submission says; by default the view closes."""
        space, said = self.space, answer.json()
        verb = said.get("response_action")
        if verb == "errors":
            return {"errors": said.get("errors") or {}}
        try:
            if verb == "update":
                space.replace(view["id"], said.get("view"))
            elif verb == "push":
                space.show(said.get("view"), who.id, push=True)
            elif view["id"] in space.stacks.get(who.id, []):
                space.pop(who.id, clear=verb == "clear")
        except SlackError as error:
            return {"error": error.body["error"], "problems": error.body.get("errors", [])}
        return {}

    async def close(self, who: Person, asked: JSON) -> JSON:
        """Close the modal `view_id`; the product hears of it if it asked to."""
        view = self._view(who, asked)
        if view is None:
            raise SlackError("no_such_view")
        cleared = bool(asked.get("clear") or view["clear_on_close"])
        self.space.pop(who.id, clear=cleared)
        if not view["notify_on_close"]:
            return empty()
        payload = self._payload("view_closed", who)
        payload |= {"view": public_view(view), "is_cleared": cleared}
        return await self._told(who, self.sender.interaction(payload))

    async def suggest(self, who: Person, asked: JSON) -> JSON:
        """Type `value` into the searched list `action_id` of the open view `view_id`.

        Slack asks the app's Options Load URL, with the person waiting for at most three seconds; a list that does
        not come, or breaks Slack's limits, is an error that the person sees. The answer has `options`, `error`
        and `notice`.
        """
        view = self._view(who, asked)
        if view is None:
            raise SlackError("no_such_view")
        found = [
            (block, each)
            for block, each in limits.elements(view["blocks"])
            if each["action_id"] == asked.get("action_id")
            and asked.get("block_id") in (None, block["block_id"])
            and each["type"] == "external_select"
        ]
        if not found:
            raise SlackError("no_such_action")
        [block, element] = found[0]
        text = str(asked.get("value") or "")
        # Three, where the app does not say how many characters it wants before it is asked.
        if len(text) < element.get("min_query_length", 3):
            return {"options": [], "error": None, "notice": ""}
        typed.hold(view, asked.get("values") or {})
        payload = self._payload("block_suggestion", who) | {
            "container": {"type": "view", "view_id": view["id"]},
            "view": {**public_view(view), "state": {"values": typed.state(view)}},
            "action_id": element["action_id"],
            "block_id": block["block_id"],
            "value": text,
        }
        answer = await self.sender.interaction(payload)
        options: Any = answer.json().get("options")
        problems: list[str] = []
        error = answer.error
        if error is None:
            problems = limits.check_options(options)
            error = "invalid_options" if problems else None
        if error:
            notice = "The options could not be loaded. Try again."
            return {"options": [], "error": error, "notice": notice, "problems": problems}
        view["_offered"].setdefault(element["action_id"], {}).update(
            {each["value"]: each for each in options}
        )
        return {"options": options, "error": None, "notice": ""}

    async def shortcut(self, who: Person, asked: JSON) -> JSON:
        """Choose the global shortcut `callback_id`: no channel and no response_url, only a trigger."""
        callback = asked.get("callback_id")
        if callback not in [each["callback_id"] for each in SHORTCUTS]:
            raise SlackError("no_such_shortcut")
        payload = self._payload("shortcut", who) | {
            "callback_id": callback,
            "action_ts": f"{time.time():.6f}",
            "trigger_id": self.space.new_trigger(who.id),
        }
        return await self._told(who, self.sender.interaction(payload))

    # -- writing ------------------------------------------------------------------------------

    async def command(self, who: Person, base: str, asked: JSON) -> JSON:
        """A slash command; the product's HTTP answer may be a message."""
        name, channel = str(asked["command"]), str(asked.get("channel") or RELEASES)
        if name not in COMMANDS:
            return {**empty(), "error": "invalid_command", "notice": f"{name} is not a command."}
        brief = channel_brief(self.space.channel(channel))
        fields = {
            "token": self.verification,
            "team_id": who.team,
            "team_domain": TEAMS[who.team]["domain"] if who.team in TEAMS else "other",
            "channel_id": brief["id"],
            "channel_name": brief["name"],
            "user_id": who.id,
            "user_name": who.name,
            "command": name,
            "text": escaped(str(asked.get("text") or "")),
            "api_app_id": APP_ID,
            "is_enterprise_install": str(who.team in BELONGS).lower(),
            **({"enterprise_id": BELONGS[who.team]} if who.team in BELONGS else {}),
            "response_url": self.space.new_response_url(base, who.id, brief["id"], None),
            "trigger_id": self.space.new_trigger(who.id),
        }

        async def answered() -> Answer:
            answer = await self.sender.form(f"command {name}", fields)
            if answer.error is None and answer.body.strip():
                said = answer.json() or {"text": answer.body}
                said["channel"] = brief["id"]
                if said.get("response_type") == "in_channel":
                    self.space.post(said)
                else:
                    self.space.whisper(said, who.id)
            return answer

        told = await self._told(who, answered())
        if told["error"]:
            told["notice"] = f"{name} failed with the error “{told['error']}”. {told['notice']}"
        return told

    async def write(self, who: Person, asked: JSON) -> JSON:
        """A message by a person; in Slack's manner &, < and > are escaped, and addresses marked."""
        text = str(asked.get("text") or "")
        for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, name)
        text = unfurls.marked(text)
        message = self.space.post({**asked, "text": text, "blocks": None}, author=who)
        channel = message["_channel"]
        event = public(message) | {"channel": channel, "event_ts": message["ts"]}
        event["channel_type"] = "im" if channel.startswith("D") else "channel"
        self._event(who, event)
        if links := unfurls.shared(message, self.sender.events_url):
            self._event(who, links)
        return {"ok": True, "ts": message["ts"]}

    async def open_home(self, who: Person) -> JSON:
        view = self.space.home(who.id)
        event: JSON = {"type": "app_home_opened", "user": who.id, "channel": who.im, "tab": "home"}
        event["event_ts"] = f"{time.time():.6f}"
        if view:
            event["view"] = public_view(view)
        self._event(who, event)
        return {"ok": True}

    # -- parts --------------------------------------------------------------------------------

    def _event(self, who: Person, event: JSON) -> None:
        self.sender.event(
            {
                "token": self.verification,
                "team_id": acting_in(who.team)["id"],
                "api_app_id": APP_ID,
                "event": event,
                "type": "event_callback",
                "event_id": "Ev" + secrets.token_hex(5).upper(),
                "event_time": int(time.time()),
                "is_ext_shared_channel": event.get("channel") == RELEASES,
                "authorizations": [{"team_id": acting_in(who.team)["id"], "is_bot": True}],
            }
        )

    def _payload(self, kind: str, who: Person) -> JSON:
        """What every interaction carries.

        A visitor through Slack Connect acts in our workspace's channel, so `team` is ours and only
        `user.team_id` tells where the person belongs; a submission names the visitor's own team.
        """
        return {
            "type": kind,
            "user": {
                "id": who.id,
                "username": who.name,
                "name": who.name,
                "team_id": who.team,
            },
            "api_app_id": APP_ID,
            "token": self.verification,
            "team": {key: acting_in(who.team)[key] for key in ("id", "domain")},
            "enterprise": ENTERPRISES.get(BELONGS.get(who.team, "")),
            "is_enterprise_install": who.team in BELONGS,
        }

    def _view(self, who: Person, asked: JSON) -> JSON | None:
        key = asked.get("view_id")
        if not key:
            return None
        home = self.space.home(who.id)
        if home and home["id"] == key:
            return home
        if key not in self.space.stacks.get(who.id, []):
            raise SlackError("no_such_view")
        return self.space.views[key]

    def _filled(self, view: JSON, values: Any) -> JSON:
        typed.hold(view, values or {})
        return {**public_view(view), "state": {"values": typed.state(view)}}

    async def _told(self, who: Person, call: Any) -> JSON:
        """What the person sees afterwards: private messages, an opened view, an error."""
        before = self.space.store.next_ts()
        open_before = list(self.space.stacks.get(who.id, []))
        answer: Answer = await call
        stack = self.space.stacks.get(who.id, [])
        opened = next((key for key in reversed(stack) if key not in open_before), None)
        view = self.space.views[opened] if opened else None
        heard = [m for m in self.space.ephemerals if m["_to"] == who.id and m["ts"] > before]
        return {
            "status": answer.status,
            "body": answer.body,
            "error": answer.error,
            "notice": REFUSED.get(answer.error or "", ""),
            "ephemeral": [public(m) for m in heard],
            "opened_view": public_view(view) if view else None,
        }


def empty() -> JSON:
    return {
        "status": None,
        "body": "",
        "error": None,
        "notice": "",
        "ephemeral": [],
        "opened_view": None,
    }
