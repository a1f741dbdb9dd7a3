"""Slack's tokens are kept encrypted: who reads the database or a backup of it cannot post with them.

Fernet (AES-128-CBC with HMAC-SHA256) under a key derived from SLACK_TOKEN_KEY where that is set, else from
SECRET_KEY. Former keys still read; what they wrote is encrypted anew by the next look at the workspace, or
by ``manage.py encrypt_slack_tokens``.
"""

from __future__ import annotations

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

PURPOSE = b"countersign slack tokens 1"


class Undecryptable(Exception):
    """None of the keys that are set wrote it."""

    def __init__(self) -> None:
        super().__init__(
            "its token cannot be decrypted, because SECRET_KEY or SLACK_TOKEN_KEY was changed. Set the "
            "former one in SECRET_KEY_FALLBACKS, or after a comma in SLACK_TOKEN_KEY, or install the app "
            "again"
        )


@cache
def _fernet(secret: str) -> Fernet:
    derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
    return Fernet(base64.urlsafe_b64encode(derived))


def _fernets() -> list[Fernet]:
    """The one that encrypts, then those that only read: a key may be introduced, changed and taken away."""
    secrets = [*settings.SLACK_TOKEN_KEY, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return [_fernet(each) for each in dict.fromkeys(secrets)]


def encrypt(token: str) -> str:
    """The token as it is kept; of an empty one, an empty text."""
    return _fernets()[0].encrypt(token.encode()).decode() if token else ""


def decrypt(kept: str) -> str:
    """The token again. Raises Undecryptable."""
    if not kept:
        return ""
    try:
        return MultiFernet(_fernets()).decrypt(kept.encode()).decode()
    except InvalidToken:
        raise Undecryptable from None


def is_current(kept: str) -> bool:
    """Whether the key in force wrote it."""
    try:
        _fernets()[0].decrypt(kept.encode())
    except InvalidToken:
        return not kept
    return True
