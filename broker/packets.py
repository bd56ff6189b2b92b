"""A few packets of MQTT 3.1.1 over a socket, one question after the other, where a client with a thread is too much."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import Final

CONNACK: Final = 0x20
SUBACK: Final = 0x90
DISCONNECT: Final = b"\xe0\x00"


class NoAnswer(Exception):
    """The other side says nothing for too long."""


def connect(client_id: str, user: str | None, password: str | None, keepalive_s: int, *, clean: bool) -> bytes:
    """CONNECT. `clean`: what the broker keeps for this client id is thrown away, and nothing is kept later."""
    flags, rest = 0x02 if clean else 0, _text(client_id)
    if user is not None:
        flags, rest = flags | 0x80, rest + _text(user)
    if password is not None:
        flags, rest = flags | 0x40, rest + _text(password)
    return _whole(0x10, _text("MQTT") + bytes([4, flags]) + struct.pack("!H", keepalive_s) + rest)


def subscribe(pattern: str) -> bytes:
    """SUBSCRIBE with QoS 1."""
    return _whole(0x82, struct.pack("!H", 1) + _text(pattern) + b"\x01")


def ask(link: socket.socket, packet: bytes, kind: int, timeout_s: float) -> bytes:
    """The body of the answer of this kind; messages that come meanwhile stay unacknowledged there.

    Raises NoAnswer, or OSError where the connection ends.
    """
    end = time.monotonic() + timeout_s
    with contextlib.suppress(OSError):  # it has ended already, and why is there to be read
        link.sendall(packet)
    try:
        while time.monotonic() < end:
            link.settimeout(max(end - time.monotonic(), 0.001))
            first, body = _packet(link)
            if first & 0xF0 == kind:
                return body
    except TimeoutError:
        pass
    raise NoAnswer


def _packet(link: socket.socket) -> tuple[int, bytes]:
    first = _exactly(link, 1)[0]
    length, shift = 0, 0
    while True:
        digit = _exactly(link, 1)[0]
        length |= (digit & 0x7F) << shift
        if not digit & 0x80:
            return first, _exactly(link, length)
        shift += 7


def _exactly(link: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        data = link.recv(count - len(found))
        if not data:
            raise ConnectionResetError
        found += data
    return found


def _whole(first: int, body: bytes) -> bytes:
    length, count = b"", len(body)
    while True:
        count, digit = divmod(count, 128)
        length += bytes([digit | (0x80 if count else 0)])
        if not count:
            return bytes([first]) + length + body


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data
