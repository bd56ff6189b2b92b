"""The button and the status LED, looked at and driven in one task."""

import time
from asyncio import sleep_ms

from machine import Pin
from micropython import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.esp8266.config import Config
    from firmware.esp8266.led import Led

#: What the status LED says by the number of its flashes.
WELL = const(0)
NO_WIFI = const(1)
NO_BROKER = const(2)
NO_FRAMES = const(3)
SENSOR_FAULT = const(4)

_LOOK_EVERY_MS = const(20)
#: A level counts once it has been the same so often in a row: contacts bounce for some 5 ms.
_STEADY = const(2)
_FLASH_MS = const(150)
_PAUSE_MS = const(1500)


class Lamps:
    """Toggles the LED at each press of the button, and shows on the status LED what is wrong."""

    def __init__(self, config: "Config", led: "Led", trouble: "Callable[[], int]", sign: "Callable[[], None]") -> None:
        self._led = led
        self._trouble = trouble
        self._sign = sign
        self._button = Pin(config.button_pin, Pin.IN, Pin.PULL_UP)
        self._pressed = False
        self._steady = 0
        self._status_on = config.status_on
        self._status = Pin(config.status_pin, Pin.OUT, value=1 - config.status_on)
        self._began = time.ticks_ms()
        self._flashes = 0

    async def run(self) -> None:
        """Look and drive, for ever."""
        while True:
            self._sign()
            self.look()
            self._drive()
            await sleep_ms(_LOOK_EVERY_MS)

    def look(self) -> None:
        """Look at the button."""
        if (self._button.value() == 0) == self._pressed:
            self._steady = 0
            return
        self._steady += 1
        if self._steady >= _STEADY:
            self._steady = 0
            self._pressed = not self._pressed
            if self._pressed:
                self._led.toggle()

    def _drive(self) -> None:
        """Light the status LED as the pattern has it at this time: so many flashes, then a pause."""
        now = time.ticks_ms()
        past = time.ticks_diff(now, self._began)
        flashing = self._flashes * 2 * _FLASH_MS
        if past >= flashing + _PAUSE_MS:
            self._began = now
            self._flashes = self._trouble()
            past = 0
        lit = past < self._flashes * 2 * _FLASH_MS and past // _FLASH_MS % 2 == 0
        level = self._status_on if lit else 1 - self._status_on
        if self._status.value() != level:
            self._status.value(level)
