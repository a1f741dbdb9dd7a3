"""Slack's Web API methods that the product uses, answered in Slack's shapes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from sandbox.slack import elsewhere, unfurls
from sandbox.slack.elsewhere import TEAMS, acting_in, installation
from sandbox.slack.members import member, visible
from sandbox.slack.workspace import SlackError, Workspace, public, public_view
from sandbox.slack.world import (
    APP_ID,
    BOT_ID,
    BOT_NAME,
    BOT_USER,
    CHANNELS,
    JSON,
    PEOPLE,
    TEAM,
    channel_object,
    person,
    team_of,
    user_object,
)

# Arguments that are JSON inside a form field.
NESTED = ("blocks", "attachments", "metadata", "view", "unfurls")
FLAGS = ("reply_broadcast", "include_all_metadata", "inclusive", "unfurl_links", "unfurl_media")


def arguments(content_type: str, body: bytes, query: str) -> JSON:
    """A call's arguments, from JSON, a form or the query. Raises SlackError: invalid_json."""
    found: JSON = dict(parse_qsl(query))
    if content_type.startswith("application/json") and body:
        try:
            found |= json.loads(body)
        except (ValueError, TypeError) as error:
            raise SlackError("invalid_json") from error
    else:
        found |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    for name in NESTED:
        if isinstance(found.get(name), str):
            try:
                found[name] = json.loads(found[name])
            except ValueError as error:
                code = "invalid_blocks_format" if name == "blocks" else "invalid_arguments"
                raise SlackError(code) from error
    for name in FLAGS:
        if name in found:
            found[name] = found[name] in (True, 1, "1", "true", "True")
    return found


def auth_test(space: Workspace, args: JSON) -> JSON:
    return {
        "url": f"{args['_base']}/",
        "team": TEAMS[args["_team"]]["name"] if args["_team"] in TEAMS else TEAM["name"],
        "team_id": args["_team"],
        "user": BOT_NAME.lower(),
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "is_enterprise_install": False,
    }


def api_test(space: Workspace, args: JSON) -> JSON:
    if args.get("error"):
        raise SlackError(args["error"])
    return {"args": {k: v for k, v in args.items() if k not in ("_base", "token")}}


def post_message(space: Workspace, args: JSON) -> JSON:
    message = space.post(args)
    shown = public(message, metadata=True)
    return {"channel": message["_channel"], "ts": message["ts"], "message": shown}


def update(space: Workspace, args: JSON) -> JSON:
    message = space.update(args)
    shown = public(message, metadata=True)
    where = {"channel": message["_channel"], "ts": message["ts"]}
    return {**where, "text": message["text"], "message": shown}


def post_ephemeral(space: Workspace, args: JSON) -> JSON:
    who = person(str(args.get("user", "")))
    if who is None or who.id != args.get("user"):
        raise SlackError("user_not_found")
    return {"message_ts": space.whisper(args, who.id)["ts"]}


def delete(space: Workspace, args: JSON) -> JSON:
    channel = space.channel(args.get("channel"))
    space.delete(channel, args.get("ts"))
    return {"channel": channel, "ts": args["ts"]}


def get_permalink(space: Workspace, args: JSON) -> JSON:
    channel, ts = space.channel(args.get("channel")), str(args.get("message_ts", ""))
    if space.message(channel, ts) is None:
        raise SlackError("message_not_found")
    link = f"{args['_base']}/archives/{channel}/p{ts.replace('.', '')}"
    return {"channel": channel, "permalink": link}


def conversations_info(space: Workspace, args: JSON) -> JSON:
    channel = space.channel(args.get("channel"))
    return {"channel": {**(channel_object(channel) or {}), **space.shown.get(channel, {})}}


def conversations_list(space: Workspace, args: JSON) -> JSON:
    everywhere = (*CHANNELS, *elsewhere.CHANNELS)
    ours = [c["id"] for c in everywhere if installation(team_of(c["id"])) == args["_team"]]
    channels = [channel_object(each) for each in ours]
    return {"channels": channels, "response_metadata": {"next_cursor": ""}}


def conversations_open(space: Workspace, args: JSON) -> JSON:
    users = str(args.get("users") or "").split(",")
    who = person(users[0])
    if who is None or len(users) != 1 or who.id != users[0]:
        raise SlackError("user_not_found" if users[0] else "users_list_not_supplied")
    return {"channel": {"id": who.im}}


def page_of(messages: list[JSON], args: JSON) -> JSON:
    """One page: `limit`, `cursor`, `oldest`, `latest` and `inclusive` as Slack has them."""
    oldest, latest = str(args.get("oldest") or "0"), str(args.get("latest") or "9")
    even = bool(args.get("inclusive"))
    found = [
        m for m in messages if oldest < m["ts"] < latest or (even and m["ts"] in (oldest, latest))
    ]
    start, size = int(args.get("cursor") or 0), min(int(args.get("limit") or 100), 999)
    more = len(found) > start + size
    with_metadata = bool(args.get("include_all_metadata"))
    return {
        "messages": [public(m, metadata=with_metadata) for m in found[start : start + size]],
        "has_more": more,
        "response_metadata": {"next_cursor": str(start + size) if more else ""},
    }


def conversations_history(space: Workspace, args: JSON) -> JSON:
    messages = space.messages(space.channel(args.get("channel")))
    # Slack shows the newest first, and replies only where they were sent to the channel too.
    top = [m for m in messages if m.get("thread_ts", m["ts"]) == m["ts"] or "subtype" in m]
    return page_of(top[::-1], args)


def conversations_replies(space: Workspace, args: JSON) -> JSON:
    channel, ts = space.channel(args.get("channel")), str(args.get("ts", ""))
    if space.message(channel, ts) is None:
        raise SlackError("thread_not_found")
    messages = space.messages(channel)
    return page_of([m for m in messages if ts in (m["ts"], m.get("thread_ts"))], args)


def users_info(space: Workspace, args: JSON) -> JSON:
    found = member(space, str(args.get("user", "")), args["_team"])
    if found is None:
        raise SlackError("user_not_found")
    return {"user": found}


def users_list(space: Workspace, args: JSON) -> JSON:
    members = visible(space, args["_team"])
    return {"members": members, "response_metadata": {"next_cursor": ""}}


def users_lookup(space: Workspace, args: JSON) -> JSON:
    email = args.get("email")
    ours = (p for p in PEOPLE if p.team == TEAM["id"])
    found = next((p for p in ours if p.email == email), None)
    if found is None:
        raise SlackError("users_not_found")
    return {"user": user_object(found.id)}


def _spent(space: Workspace, args: JSON) -> str:
    """The user whose trigger this is; another workspace's trigger is none."""
    user = space.spend_trigger(args.get("trigger_id"))
    who = person(user)
    if who is not None and installation(acting_in(who.team)["id"]) != args["_team"]:
        raise SlackError("invalid_trigger_id")
    return user


def views_open(space: Workspace, args: JSON) -> JSON:
    user = _spent(space, args)
    return {"view": public_view(space.show(args.get("view"), user))}


def views_push(space: Workspace, args: JSON) -> JSON:
    user = _spent(space, args)
    return {"view": public_view(space.show(args.get("view"), user, push=True))}


def views_update(space: Workspace, args: JSON) -> JSON:
    key = str(args.get("view_id") or "")
    if not key and args.get("external_id"):
        for view in space.views.values():
            key = view["id"] if view["external_id"] == args["external_id"] else key
    old = space.views.get(key)
    if old is not None and args.get("hash") not in (None, "", old["hash"]):
        raise SlackError("hash_conflict")
    return {"view": public_view(space.replace(key, args.get("view")))}


def views_publish(space: Workspace, args: JSON) -> JSON:
    who = person(str(args.get("user_id", "")))
    if who is None:
        raise SlackError("user_not_found")
    old = space.home(who.id)
    if old is not None and args.get("hash") not in (None, "", old["hash"]):
        raise SlackError("hash_conflict")
    given: Any = args.get("view")
    if not isinstance(given, dict) or given.get("type") != "home":
        raise SlackError("invalid_arguments", messages=["[ERROR] must be a view of type home"])
    made = space.make_view(given, who.id, old)
    space.store.put("home", who.id, made)
    return {"view": public_view(made)}


def reactions_add(space: Workspace, args: JSON) -> JSON:
    channel = space.channel(args.get("channel"))
    message = space.message(channel, str(args.get("timestamp", "")))
    name = str(args.get("name", "")).strip(":")
    if message is None:
        raise SlackError("message_not_found")
    if not name:
        raise SlackError("invalid_name")
    reactions = message.setdefault("reactions", [])
    if any(r["name"] == name for r in reactions):
        raise SlackError("already_reacted")
    reactions.append({"name": name, "users": [BOT_USER], "count": 1})
    space.save(message)
    return {}


METHODS: dict[str, Callable[[Workspace, JSON], JSON]] = {
    "auth.test": auth_test,
    "api.test": api_test,
    "chat.postMessage": post_message,
    "chat.update": update,
    "chat.postEphemeral": post_ephemeral,
    "chat.getPermalink": get_permalink,
    "chat.unfurl": unfurls.unfurl,
    "chat.delete": delete,
    "conversations.info": conversations_info,
    "conversations.history": conversations_history,
    "conversations.replies": conversations_replies,
    "conversations.list": conversations_list,
    "conversations.open": conversations_open,
    "users.info": users_info,
    "users.list": users_list,
    "users.lookupByEmail": users_lookup,
    "views.open": views_open,
    "views.update": views_update,
    "views.push": views_push,
    "views.publish": views_publish,
    "reactions.add": reactions_add,
}
