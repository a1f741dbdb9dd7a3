"""Addresses that people paste: Slack tells the app of those of its domain, and the app may show what they lead to.

Source: Slack's reference of the event link_shared and of chat.unfurl, as of 2026-11.
"""

from __future__ import annotations

import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from sandbox.slack import limits
from sandbox.slack.workspace import SlackError, Workspace, give_ids
from sandbox.slack.world import APP_ID, BOT_ID, JSON

ADDRESS = re.compile(r"https?://[^\s<>|]+")
MOST = 5


def shared(message: JSON, app_address: str) -> JSON | None:
    """The event link_shared for the addresses of the app's domain in a message; None where there are none.

    A domain is registered without a port, so here every port of the app's host counts; which of them are its own
    the app finds out itself. Slack tells of no address in a message of the app's own.
    """
    domain = urlsplit(app_address).hostname
    text = message["text"].replace("&amp;", "&")
    found = [each.rstrip(".,;:!?)") for each in ADDRESS.findall(text)]
    links = [{"domain": domain, "url": url} for url in dict.fromkeys(found) if _host(url) == domain]
    if not links or message.get("bot_id") == BOT_ID:
        return None
    event: JSON = {
        "type": "link_shared",
        "channel": message["_channel"],
        "is_bot_user_member": True,
        "user": message["user"],
        "message_ts": message["ts"],
        "unfurl_id": f"{message['_channel']}-{message['ts']}-{secrets.token_hex(8)}",
        "source": "conversations_history",
        "links": links[:MOST],
        "event_ts": message["ts"],
    }
    return event | ({"thread_ts": message["thread_ts"]} if message.get("thread_ts") else {})


def marked(text: str) -> str:
    """Escaped text with its addresses between < and >, as Slack keeps what people write."""
    return ADDRESS.sub(lambda hit: _between(hit[0]), text)


def _between(found: str) -> str:
    address = found.rstrip(".,;:!?)")
    return f"<{address}>{found[len(address) :]}"


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def unfurl(space: Workspace, args: JSON) -> JSON:
    """chat.unfurl: what is shown below a message for an address in it; a second time replaces it."""
    unfurls: Any = args.get("unfurls")
    if not isinstance(unfurls, dict) or not unfurls:
        raise SlackError("missing_unfurls")
    channel = space.channel(args.get("channel"))
    message = space.message(channel, str(args.get("ts") or ""))
    if message is None:
        raise SlackError("cannot_find_message")
    for url, shown in unfurls.items():
        if url not in message["text"].replace("&amp;", "&"):
            raise SlackError("cannot_unfurl_url")
        blocks = shown.get("blocks") if isinstance(shown, dict) else None
        problems = limits.check_blocks(blocks) if blocks else []
        if problems:
            raise SlackError("invalid_blocks", messages=list(problems))
        give_ids(blocks or [])
        kept = [each for each in message.get("attachments") or [] if each.get("from_url") != url]
        number = len(kept) + 1
        message["attachments"] = [
            *kept,
            {
                **shown,
                "id": number,
                "from_url": url,
                "app_unfurl_url": url,
                "is_app_unfurl": True,
                "app_id": APP_ID,
                "bot_id": BOT_ID,
            },
        ]
    space.save(message)
    return {}
