"""Asks a serving layer which version it serves.

Expected is JSON with a ``version``, or the bare number: ``{"version": 3}``, ``{"version": "v3"}``, ``3``.
"""

from __future__ import annotations

import json
import re
import time

import requests

from integrations.errors import Rejected, Unavailable, outside_transaction, why

TIMEOUT_SECONDS = 5.0
MOST_BYTES = 65_536
NUMBER = re.compile(r"v?(\d{1,9})")


def read_served(address: str) -> int:
    """The version's number. Redirects are not followed: the address is what the configuration says.

    Raises Unavailable (no answer, or an error), Rejected (an answer that names no version).
    """
    outside_transaction()
    until = time.monotonic() + TIMEOUT_SECONDS
    try:
        with requests.get(
            address,
            headers={"Accept": "application/json", "User-Agent": "countersign"},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as answer:
            if 300 <= answer.status_code < 400:
                raise Rejected(f"{address} redirects, which is not followed; name the new address.")
            if answer.status_code != 200:
                raise Unavailable(f"{address} answered {answer.status_code}.")
            body = b""
            for chunk in answer.iter_content(8192):
                body += chunk
                if len(body) > MOST_BYTES:
                    raise Rejected(f"{address} answered more than {MOST_BYTES // 1024} KB.")
                if time.monotonic() > until:
                    raise Unavailable(f"{address} took longer than {TIMEOUT_SECONDS:g} seconds.")
    except requests.RequestException as error:
        raise Unavailable(f"{address} could not be read ({why(error)}).") from error
    number = number_in(body)
    if number is None:
        raise Rejected(f'{address} names no version; {{"version": 3}} or 3 is expected.')
    return number


def number_in(body: bytes) -> int | None:
    """The version's number in an answer; None where there is none."""
    text = body.decode(errors="replace").strip()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = text
    said = data.get("version") if isinstance(data, dict) else data
    if isinstance(said, bool) or not isinstance(said, int | str):
        return None
    found = NUMBER.fullmatch(str(said).strip())
    return int(found[1]) if found else None
