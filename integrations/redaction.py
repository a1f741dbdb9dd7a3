"""Our own secrets never stand in what is kept or shown, wherever a text came from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from django.conf import settings

HIDDEN = "[hidden]"
# Settings that hold a secret, or a list of them; and those that hold an address with a password in it, perhaps.
SECRETS = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "GITHUB_TOKEN",
    "GITHUB_WEBHOOK_SECRET",
    "SIGNALS_SECRET",
    "SLACK_BOT_TOKEN",
    "SLACK_SIGNING_SECRET",
    "SLACK_APP_TOKEN",
    "SLACK_CONFIG_TOKEN",
    "SLACK_CLIENT_SECRET",
    "SLACK_TOKEN_KEY",
    "EMAIL_HOST_PASSWORD",
)
ADDRESSES = ("REDIS_URL", "MLFLOW_TRACKING_URI", "MLFLOW_PUBLIC_URL", "GITHUB_API_URL")
MLFLOW = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
# Shorter ones are no secrets, and would blot out ordinary words.
SHORTEST = 6
# Tokens of services by their shape, whoever they belong to; a key's text; a password in an address.
_SHAPES = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.|\n)*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
)
_PASSWORD = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")


def redacted(text: str) -> str:
    """The text with every secret of this installation, and whatever looks like a token, taken out."""
    for secret in sorted(set(_known()), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _PASSWORD.sub(HIDDEN, _SHAPES.sub(HIDDEN, text))


def _known() -> Iterator[str]:
    for name in SECRETS:
        value = getattr(settings, name, "")
        for secret in [value] if isinstance(value, str) else value:
            if len(secret) >= SHORTEST:
                yield secret
    for line in settings.GITHUB_APP_PRIVATE_KEY.splitlines():
        if len(line) >= 32 and not line.startswith("-----"):
            yield line
    yield from (value for name in MLFLOW if len(value := os.environ.get(name, "")) >= SHORTEST)
    passwords = [urlsplit(str(getattr(settings, name))).password for name in ADDRESSES]
    passwords.append(str(settings.DATABASES["default"].get("PASSWORD") or ""))
    for password in passwords:
        if password and len(password) >= SHORTEST:
            yield password
            yield unquote(password)
