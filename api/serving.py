"""What the server does with its connections: sends on them at once, and ends open streams when it ends itself."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Final

from runtime import get_runtime

#: How long the server waits for clients to take what it still has for them.
_LEAVE_S: Final = 1.5
#: Of this process, on Linux and macOS alike.
_OPEN_FILES: Final = Path("/dev/fd")


@contextlib.contextmanager
def announced_stop(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """While the server runs in `loop`, tell its open streams of SIGTERM and SIGINT.

    The server itself waits for open responses before it ends, and an event stream never ends by itself. Only the first
    signal goes through: a second Ctrl-C would make it skip the orderly end, which takes less than five seconds anyway.
    A client that stopped reading could hold it for ever; after a while the server is told to go on without it, which
    uvicorn understands as that second Ctrl-C.
    """
    asked = threading.Event()

    def announce(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            return
        asked.set()
        # Later, in the loop: here the main thread may be anywhere, in the middle of get_runtime() as well.
        loop.call_soon_threadsafe(lambda: get_runtime().announce_stop())
        handler = before[number]
        if callable(handler):
            handler(number, frame)
        impatient = before[signal.SIGINT]
        if callable(impatient):
            loop.call_soon_threadsafe(loop.call_later, _LEAVE_S, impatient, signal.SIGINT, None)

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, announce)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def send_at_once() -> None:
    """Let the server's connections send what they have at once.

    Streamlit binds the server's socket in a way by which asyncio leaves Nagle's algorithm on: on a connection that is
    kept, an answer then waits 40 ms for the client to acknowledge its first part. What is set at a socket that listens
    is so at each connection it accepts; which one the server's is nobody tells, so it is all of this process.
    """
    for opened in _OPEN_FILES.iterdir():
        if opened.is_socket():
            with socket.socket(fileno=os.dup(int(opened.name))) as one:
                if one.type == socket.SOCK_STREAM and one.family in (socket.AF_INET, socket.AF_INET6):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
