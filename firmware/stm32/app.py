"""The STM32's program: read each sensor in turn, send what came of it, feed the watchdog, and nothing else."""

import time

from machine import UART, WDT, Pin
from micropython import const

from firmware.lib.checks import ConfigError
from firmware.lib.dht22 import Sensor
from firmware.lib.frame import FIRST, LONGEST, SEQ_MODULO, encode
from firmware.stm32.config import Config, read

_RECEIVED = const(32)


def pin(name: str) -> Pin:
    """A pin by its name as the board or the chip has it: PA8 is A8 on a board that names none itself."""
    try:
        return Pin(name)
    except ValueError:
        return Pin(name[1:])


class Node:
    """Reads sensors and sends frames. `step` is one round of the loop and allocates nothing."""

    def __init__(self, config: Config) -> None:
        self._uart = UART(config.uart, config.baud)
        self._sensors = [Sensor(pin(name)) for name in config.sensors]
        self._seqs = [0] * len(self._sensors)
        self._frame = bytearray(LONGEST)
        self._received = bytearray(_RECEIVED)
        self._led = None
        if config.led_pin:
            self._led = pin(config.led_pin)
            self._led.init(Pin.OUT, value=1 - config.led_on)
        self._led_on = config.led_on
        #: Sensors take turns, evenly within a period: a reading holds the board up for 0.27 s.
        self._turn_ms = config.period_ms // len(self._sensors)
        self._turn = 0
        # After power has come a DHT22 needs a second.
        self._due = time.ticks_add(time.ticks_ms(), config.sensor_rest_ms // 2)
        self._second = time.ticks_ms()
        self._uptime = 0

    def step(self) -> None:
        """Read the sensor whose turn it is, if it is time; drop what came on the line."""
        now = time.ticks_ms()
        while time.ticks_diff(now, self._second) >= 1000:
            self._second = time.ticks_add(self._second, 1000)
            self._uptime += 1
        # Nothing is meant for this board: what comes is the other one's noise while it starts.
        self._uart.readinto(self._received)
        late = time.ticks_diff(now, self._due)
        if late < 0:
            return
        # After a delay the turns go on at their pace, they are not made up for: a DHT22 wants its 2 s.
        self._due = time.ticks_add(now if late > self._turn_ms else self._due, self._turn_ms)
        self._take(self._turn)
        self._turn = (self._turn + 1) % len(self._sensors)

    def _take(self, number: int) -> None:
        sensor = self._sensors[number]
        self._light(True)
        flags = sensor.measure()
        self._light(flags != 0)
        seq = self._seqs[number]
        if not seq:
            flags |= FIRST
        length = encode(self._frame, number, seq, self._uptime, flags, sensor.temperature, sensor.humidity)
        self._uart.write(self._frame, length)  # type: ignore[call-arg]  # a stream takes the length as well
        self._seqs[number] = (seq + 1) % SEQ_MODULO

    def _light(self, on: bool) -> None:
        """The LED: a flash at each reading, on as long as the last one failed."""
        if self._led is not None:
            self._led.value(self._led_on if on else 1 - self._led_on)


def main() -> None:
    """Run for ever; with a wrong config.json, or while the pin that prevents it is held low, return to the REPL.

    Whatever else ends it is followed by a reset: nobody feeds the watchdog any more.
    """
    try:
        config = read("config.json")
    except ConfigError as error:
        print("config.json:", error)
        return
    if config.safe_pin:
        safe = pin(config.safe_pin)
        safe.init(Pin.IN, Pin.PULL_UP)
        if not safe.value():
            print("held back by", config.safe_pin)
            return
    node = Node(config)
    watchdog = WDT(timeout=config.watchdog_ms)
    while True:
        node.step()
        watchdog.feed()
        time.sleep_ms(config.loop_ms)
