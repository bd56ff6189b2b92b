"""The messages that are measured with: telemetry of two metrics with `ts`, `seq` and `boot`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

#: Of all messages of one device, 10 ms apart, beginning here (UTC ms).
STEP_MS: Final = 10
METRICS: Final = ("temperature", "humidity")
_HOUR_MS: Final = 3_600_000


def just_now() -> int:
    """Half a minute ago, UTC ms, so that pages have something to show; never in an hour that is over.

    A reading of such an hour is late: it is named, and its hour folded again, which is not what devices do all day.
    """
    now = time.time_ns() // 1_000_000
    return max(now - 30_000, (now - 60_000) // _HOUR_MS * _HOUR_MS)


def device(number: int) -> str:
    """A device's name."""
    return f"device-{number:05d}"


def payload(ts: int, seq: int, boot: str) -> bytes:
    """One message's payload, about 80 bytes. The values differ from message to message as a sensor's do."""
    temperature, humidity = 20 + seq * 7 % 100 / 10, 40 + seq * 13 % 300 / 10
    text = f'{{"ts":{ts},"seq":{seq},"boot":"{boot}","temperature":{temperature},"humidity":{humidity}}}'
    return text.encode()


def messages(
    total: int, devices: int, start: int, *, boot: str = "b1", root: str = "iot", first: int = 0
) -> Iterator[tuple[str, bytes]]:
    """(topic, payload) of messages `first` to `first + total`, one device after the other, `ts` from `start` on."""
    for number in range(first, first + total):
        seq, who = divmod(number, devices)
        yield f"{root}/{device(who)}/telemetry", payload(start + seq * STEP_MS, seq, boot)
