"""One WebSocket to Slack. slack_sdk connects it (TLS, proxies, handshake); frames are read and written here.

Its own reader spins when Slack goes away without a word, loses a frame that arrives slowly, and its writer knows
no frame of more than 65,535 bytes nor a send that was taken only in part.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from slack_sdk.errors import SlackClientError
from slack_sdk.proxy_env_variable_loader import load_http_proxy_from_env
from slack_sdk.socket_mode.builtin.connection import Connection

from integrations.errors import Unavailable

JSON = dict[str, Any]
CONTINUATION, TEXT, CLOSE, PING, PONG = 0x0, 0x1, 0x8, 0x9, 0xA
CONNECT_SECONDS = 10.0
# How long one read or write of the socket may take.
TURN_SECONDS = 1.0
WRITE_SECONDS = 3.0
# Slack pings every few seconds, and answers ours; a line that is silent for so long is dead.
PING_SECONDS = 10.0
SILENCE_SECONDS = 30.0
# What Slack sends is far smaller; whoever sends more is not Slack.
MOST_BYTES = 8 * 1024 * 1024

_quiet = logging.getLogger("countersign.slack.line")
_quiet.setLevel(logging.CRITICAL)  # its words may hold the address, which is as good as a password


def frame(opcode: int, content: bytes) -> bytes:
    """One masked frame, as clients send them (RFC 6455, 5.2)."""
    size = len(content)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    mask = os.urandom(4)
    return head + mask + bytes(a ^ b for a, b in zip(content, cycle(mask), strict=False))


def unframe(buffer: bytearray) -> tuple[int, bool, bytes] | None:
    """Take one whole frame off the front: its opcode, whether it ends a message, its content.

    None: not all of it is here yet. Raises ValueError for what no server sends.
    """
    if len(buffer) < 2:
        return None
    opcode, last, size, start = buffer[0] & 0x0F, bool(buffer[0] & 0x80), buffer[1] & 0x7F, 2
    if buffer[1] & 0x80:
        raise ValueError("a masked frame from the server")
    for mark, form, more in ((126, "!H", 2), (127, "!Q", 8)):
        if size == mark:
            if len(buffer) < 2 + more:
                return None
            (size,) = struct.unpack(form, buffer[2 : 2 + more])
            start = 2 + more
            break
    if size > MOST_BYTES:
        raise ValueError("a frame that is too large")
    if len(buffer) < start + size:
        return None
    content = bytes(buffer[start : start + size])
    del buffer[: start + size]
    return opcode, last, content


class Line:
    """An open WebSocket. One thread reads; any may send."""

    def __init__(self, url: str) -> None:
        """Connect. Raises Unavailable; its words hold nothing of the address, which is a ticket."""
        errors: list[Exception] = []
        connection = Connection(
            url,
            _quiet,
            proxy=load_http_proxy_from_env(_quiet) if url.startswith("wss:") else None,
            receive_timeout=CONNECT_SECONDS,
            on_error_listener=errors.append,
        )
        connection.connect()
        if connection.sock is None:
            why = type(errors[0]).__name__ if errors else "the handshake was refused"
            raise Unavailable(f"Slack's WebSocket could not be opened ({why}).")
        self._socket: socket.socket = connection.sock
        self._socket.settimeout(TURN_SECONDS)
        # One lock for both ways: a TLS connection must not be read and written by two threads at once.
        self._lock = threading.Lock()
        self._open = True
        self.heard_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        return self._open

    def messages(self) -> Iterator[JSON]:
        """Slack's messages until the line is closed, by whomever. Raises nothing."""
        buffer, parts, pinged, first = bytearray(), bytearray(), time.monotonic(), True
        try:
            while self._open:
                while self._open and (found := unframe(buffer)) is not None:
                    opcode, last, content = found
                    if opcode == PING:
                        self._send(PONG, content)
                    elif opcode == CLOSE:
                        self._send(CLOSE, content[:2])
                        return
                    elif opcode in (TEXT, CONTINUATION):
                        parts += content
                        if last:
                            text, parts = bytes(parts), bytearray()
                            said = json.loads(text)
                            if isinstance(said, dict):
                                yield said
                now = time.monotonic()
                if now - self.heard_at > SILENCE_SECONDS:
                    return
                if now - pinged > PING_SECONDS:
                    self._send(PING, b"countersign")
                    pinged = now
                buffer += self._receive()
                if first and buffer:
                    # slack_sdk leaves the last line end of the handshake unread; no frame begins so.
                    first = False
                    if buffer[:1] == b"\n":
                        del buffer[:1]
        except (OSError, ValueError, SlackClientError):
            return
        finally:
            self.close()

    def _receive(self) -> bytes:
        """What has arrived, perhaps nothing. Raises OSError when the line is gone."""
        pending = getattr(self._socket, "pending", lambda: 0)()
        if not pending and not select.select([self._socket], [], [], TURN_SECONDS)[0]:
            return b""
        with self._lock:
            try:
                content = self._socket.recv(65_536)
            except TimeoutError:  # half a TLS record
                return b""
        if not content:
            raise ConnectionResetError("closed without a word")
        self.heard_at = time.monotonic()
        return content

    def send(self, message: JSON) -> None:
        """Send JSON. Raises Unavailable when the line is gone."""
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"))
        try:
            self._send(TEXT, text.encode("utf-8", "replace"))
        except OSError as error:
            self.close()
            raise Unavailable(f"The line to Slack is gone ({type(error).__name__}).") from error

    def _send(self, opcode: int, content: bytes) -> None:
        with self._lock:
            self._socket.settimeout(WRITE_SECONDS)
            try:
                self._socket.sendall(frame(opcode, content))
            finally:
                if self._open:
                    self._socket.settimeout(TURN_SECONDS)

    def close(self) -> None:
        """Close at once; who reads notices. Harmless twice."""
        if not self._open:
            return
        self._open = False
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        finally:
            self._socket.close()
