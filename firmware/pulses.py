"""What a DHT22 sends, as the widths of its pulses in µs: what the boards' own driver is fed with on a PC. Pure."""

from __future__ import annotations

from random import Random
from typing import Final

_ANSWER_US: Final = 80
_ZERO_US: Final = 26
_ONE_US: Final = 70


def frame(temperature: float, humidity: float) -> bytes:
    """The 5 bytes of a reading in degrees Celsius and percent: tenths, the temperature as sign and magnitude."""
    tenths = round(abs(temperature) * 10) | (0x8000 if temperature < 0 else 0)
    data = round(humidity * 10).to_bytes(2, "big") + tenths.to_bytes(2, "big")
    return data + bytes([sum(data) & 0xFF])


def widths(data: bytes, random: Random | None = None, jitter_us: int = 0) -> list[int]:
    """The widths of the answer and of each bit, each off by at most `jitter_us`."""
    plain = [_ANSWER_US] + [_ONE_US if byte >> bit & 1 else _ZERO_US for byte in data for bit in range(7, -1, -1)]
    if random is None or not jitter_us:
        return plain
    return [width + random.randint(-jitter_us, jitter_us) for width in plain]


def text(pulses: list[int]) -> str:
    """As the simulated pin reads it."""
    return " ".join(str(width) for width in pulses)
