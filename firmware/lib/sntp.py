"""Asks a time server, without holding anything else up: SNTP over UDP."""

import os
import socket
import struct
import time
from asyncio import sleep_ms

from micropython import const

_PORT = const(123)
_SIZE = const(48)
#: From 1900, where NTP counts from, to 1970.
_TO_1970 = 2_208_988_800
#: NTP's seconds of 2024-01-01: what is less has wrapped, which happens in 2036.
_SURELY_PAST = 3_913_056_000
_LOOK_EVERY_MS = const(20)


async def ask(host: str, port: int, timeout_ms: int) -> "tuple[int, int] | None":
    """UTC now in seconds since 1970 and ms, by the server at this address; None if it does not answer rightly in time.

    `port` 0 is the usual one. Raises OSError where the network refuses.
    """
    target = socket.getaddrinfo(host, port or _PORT)[0][-1]
    question = bytearray(_SIZE)
    question[0] = 0x23  # version 4, a client
    question[40:48] = os.urandom(8)  # comes back in the answer, so that no other is taken for it
    connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        connection.setblocking(False)
        asked = time.ticks_ms()
        connection.sendto(question, target)
        while time.ticks_diff(time.ticks_ms(), asked) < timeout_ms:
            await sleep_ms(_LOOK_EVERY_MS)
            try:
                answer = connection.recv(_SIZE)
            except OSError:
                continue  # nothing yet
            if _is_answer(answer, question):
                return _time(answer, time.ticks_diff(time.ticks_ms(), asked) // 2)
        return None
    finally:
        connection.close()


def _is_answer(answer: bytes, question: bytearray) -> bool:
    if len(answer) < _SIZE or answer[24:32] != question[40:48]:
        return False
    return answer[0] & 7 == 4 and 1 <= answer[1] <= 15  # from a server that itself knows the time


def _time(answer: bytes, way_ms: int) -> "tuple[int, int]":
    seconds, fraction = struct.unpack("!II", answer[40:48])
    if seconds < _SURELY_PAST:
        seconds += 1 << 32
    ms = (fraction * 1000 >> 32) + way_ms
    return seconds - _TO_1970 + ms // 1000, ms % 1000
