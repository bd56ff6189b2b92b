"""On MicroPython: how long the status LED is lit and dark, in ms, while what is wrong has the number argv[1]."""

import sys

from firmware.esp8266 import lamps

_STEP_MS = 10


class Settings:
    """What Lamps takes from config.json."""

    button_pin = 0
    status_pin = 2
    status_on = 0


class Time:
    """A clock that goes only when it is told to."""

    now = 0

    def ticks_ms(self) -> int:
        return self.now

    def ticks_diff(self, later: int, earlier: int) -> int:
        return later - earlier


def main() -> None:
    clock = lamps.time = Time()
    lamp = lamps.Lamps(Settings(), None, lambda: int(sys.argv[1]), lambda: None)
    levels = []
    while clock.now < 10_000:
        lamp._drive()
        levels.append(lamp._status.value())
        clock.now += _STEP_MS
    before, since = levels[0], 0
    for step, level in enumerate(levels):
        if level != before:
            print("lit" if before == 0 else "dark", (step - since) * _STEP_MS)
            before, since = level, step


main()
