"""Frames from the UART, which the STM32 sends."""

from asyncio import sleep_ms

from machine import UART, Pin
from micropython import const

from firmware.lib.frame import FAULTS, FIRST, SEQ_MODULO, Decoder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware.esp8266.config import Config
    from firmware.esp8266.intake import Intake

_LOOK_EVERY_MS = const(5)
_PIECE = const(64)
_PIECES = const(4)
_SENSORS = const(4)


class Line:
    """Frames from the UART. `run` reads what has come every few ms; the UART's own buffer holds 22 ms of it."""

    def __init__(self, config: "Config", intake: "Intake", sign: "Callable[[], None]") -> None:
        self._decoder = Decoder(self._taken)
        self._intake = intake
        self._sign = sign
        self._expected = [-1] * _SENSORS
        self._piece = bytearray(_PIECE)
        if config.uart_rx == 13:
            # The pins beside: what the boot loader says on the usual ones reaches nobody.
            self._uart = UART(0, config.baud, rxbuf=256, tx=Pin(15), rx=Pin(13))
        else:
            self._uart = UART(0, config.baud, rxbuf=256)

    @property
    def frames(self) -> int:
        """How many frames came as they were sent."""
        return self._decoder.good

    @property
    def bad_frames(self) -> int:
        """How many frames were damaged."""
        return self._decoder.bad

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
            self._decoder.feed(self._piece, length)
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
