"""DHT22 sensors at this board's own pins, for a board without an STM32."""

import time
from asyncio import sleep_ms

from machine import Pin
from micropython import const

from firmware.lib.dht22 import Sensor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.esp8266.config import Config
    from firmware.esp8266.intake import Intake

_LOOK_EVERY_MS = const(20)


class Own:
    """DHT22 sensors at this board's own pins, in turn. Each reading holds everything up for 0.27 s."""

    def __init__(self, config: "Config", intake: "Intake", sign: "Callable[[], None]") -> None:
        #: Readings that were tried, as a board with a UART counts frames; none of them is ever damaged.
        self.frames = self.bad_frames = 0
        self._intake = intake
        self._sign = sign
        self._sensors = [Sensor(Pin(pin)) for pin in config.sensor_pins]
        self._turn_ms = config.period_ms // len(self._sensors)
        self._warm_up_ms = config.sensor_rest_ms // 2

    async def run(self) -> None:
        """Measure for ever."""
        number = 0
        due = time.ticks_add(time.ticks_ms(), self._warm_up_ms)
        while True:
            self._sign()
            now = time.ticks_ms()
            if time.ticks_diff(now, due) >= 0:
                late = time.ticks_diff(now, due) > self._turn_ms
                due = time.ticks_add(now if late else due, self._turn_ms)
                sensor = self._sensors[number]
                fault = sensor.measure()
                self.frames += 1
                self._intake.take(number, fault, sensor.temperature, sensor.humidity)
                number = (number + 1) % len(self._sensors)
            await sleep_ms(_LOOK_EVERY_MS)
