"""The messages that are measured with: telemetry of two metrics with `ts`, `seq` and `boot`. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

#: Of all messages of one device, 10 ms apart, beginning here (UTC ms).
STEP_MS: Final = 10
METRICS: Final = ("temperature", "humidity")


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
