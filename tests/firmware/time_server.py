"""A time server as boards ask it: SNTP over UDP."""

from __future__ import annotations

import socket
import struct
import threading
import time
from typing import Final, Self

_TO_1970: Final = 2_208_988_800


class TimeServer:
    """On 127.0.0.1, usable as a context manager. One that is not `right` answers with somebody else's answers."""

    def __init__(self, *, right: bool = True) -> None:
        self.asked = 0
        self._right = right
        self._socket = socket.socket(type=socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._socket.settimeout(0.1)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while not self._end.is_set():
            try:
                question, sender = self._socket.recvfrom(64)
            except TimeoutError:
                continue
            self.asked += 1
            nonce = question[40:48] if self._right else bytes(8)
            now = time.time()
            seconds, fraction = int(now) + _TO_1970, int(now % 1 * 2**32)
            answer = bytes([0x24, 2, 0, 0]) + bytes(20) + nonce + bytes(8)
            self._socket.sendto(answer + struct.pack("!II", seconds & 0xFFFF_FFFF, fraction), sender)
