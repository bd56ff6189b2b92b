"""Where readings come from: frames from the UART, or a DHT22 at this board itself. Both put them into the ring."""

import time
from asyncio import sleep_ms

from machine import UART, Pin
from micropython import const

from firmware.lib.frame import FAULTS, FIRST, NO_FAULT, SEQ_MODULO, Decoder
from firmware.lib.ring import BY_CLOCK, UNDECIDED, Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.esp8266.config import Config
    from firmware.lib.clock import Clock

_LOOK_EVERY_MS = const(5)
_PIECE = const(64)
_PIECES = const(4)
_SENSORS = const(4)
#: So long without a frame means that nobody sends: three periods of the slowest usual board.
_SILENT_MS = const(10_000)


class Intake:
    """Readings on their way into the ring, with the time of their arrival, and the counts of what went wrong."""

    def __init__(self, ring: Ring, clock: "Clock") -> None:
        #: Readings that a sensor could not take, and frames that never came, by their sequence numbers.
        self.faults = self.missed = 0
        self.last_fault = NO_FAULT
        self._ring = ring
        self._clock = clock
        self._heard = time.ticks_ms()

    @property
    def silent(self) -> bool:
        """Whether nothing has come for too long."""
        return time.ticks_diff(time.ticks_ms(), self._heard) > _SILENT_MS

    def take(self, sensor: int, fault: int, temperature: int, humidity: int) -> None:
        """Put a reading into the ring, or count a fault."""
        self._heard = time.ticks_ms()
        self.last_fault = fault
        if fault != NO_FAULT:
            self.faults += 1
            return
        clock = self._clock
        clock.advance()
        if clock.known:
            clock.to_utc(clock.seconds, clock.ms)
            self._ring.append(clock.utc_seconds, clock.utc_ms, BY_CLOCK, sensor, temperature, humidity)
        else:
            self._ring.append(clock.seconds, clock.ms, UNDECIDED, sensor, temperature, humidity)


class Line:
    """Frames from the UART. `run` reads what has come every few ms; the UART's own buffer holds 22 ms of it."""

    def __init__(self, config: "Config", intake: Intake, sign: "Callable[[], None]") -> None:
        self.decoder = Decoder(self._taken)
        self._intake = intake
        self._sign = sign
        self._expected = [-1] * _SENSORS
        self._piece = bytearray(_PIECE)
        if config.uart_rx == 13:
            # The pins beside: what the boot loader says on the usual ones reaches nobody.
            self._uart = UART(0, config.baud, rxbuf=256, tx=Pin(15), rx=Pin(13))
        else:
            self._uart = UART(0, config.baud, rxbuf=256)

    async def run(self) -> None:
        """Read for ever."""
        while True:
            self._sign()
            self.read()
            await sleep_ms(_LOOK_EVERY_MS)

    def read(self) -> None:
        """Take what has come, at most what the UART's buffer holds."""
        for _ in range(_PIECES):
            length = self._uart.readinto(self._piece)
            if not length:
                return
            self.decoder.feed(self._piece, length)
            if length < _PIECE:
                return

    def _taken(self, frame: Decoder) -> None:
        if frame.sensor >= _SENSORS:
            return
        expected = self._expected[frame.sensor]
        if expected >= 0 and not frame.flags & FIRST:
            missed = frame.seq - expected
            if missed > 0:
                self._intake.missed += missed
        self._expected[frame.sensor] = (frame.seq + 1) % SEQ_MODULO
        self._intake.take(frame.sensor, frame.flags & FAULTS, frame.temperature, frame.humidity)


class Own:
    """DHT22 sensors at this board's own pins, in turn. Each reading holds everything up for 0.27 s."""

    def __init__(self, config: "Config", intake: Intake, sign: "Callable[[], None]") -> None:
        from firmware.lib.dht22 import Sensor  # noqa: PLC0415  # a board with a UART has no room for what it never uses

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
                self._intake.take(number, fault, sensor.temperature, sensor.humidity)
                number = (number + 1) % len(self._sensors)
            await sleep_ms(_LOOK_EVERY_MS * 4)
