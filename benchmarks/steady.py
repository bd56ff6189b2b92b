"""Telemetry that goes on evenly while something else is measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Self

from benchmarks import publisher, telemetry


class Publishing:
    """Publishes at `rate` messages a second until it is left. `sent`: messages, and in how many seconds."""

    def __init__(self, port: int, rate: float, devices: int) -> None:
        self._port, self._rate, self._devices = port, rate, devices
        self._ended = threading.Event()
        self._began = 0.0
        self.sent = (0, 1.0)
        self._thread = threading.Thread(target=self._publish, name="publisher", daemon=True)

    def __enter__(self) -> Self:
        # The first second makes the series, and lets everything warm up.
        start = round(time.time() * 1000)
        publisher.publish_evenly(
            self._port, telemetry.messages(int(self._rate), self._devices, start, boot="b0"), self._rate
        )
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _publish(self) -> None:
        number = publisher.publish_evenly(self._port, self._messages(), self._rate)
        self.sent = number, time.monotonic() - self._began

    def _messages(self) -> Iterator[tuple[str, bytes]]:
        endless = telemetry.messages(1 << 40, self._devices, round(time.time() * 1000) + 60_000)
        for message in endless:
            if self._ended.is_set():
                return
            yield message
