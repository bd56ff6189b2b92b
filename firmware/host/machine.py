"""MicroPython's `machine`, as far as the boards' firmware uses it. See firmware/host/__init__.py."""

import io
import os
import select
import termios
import time

from outside import path, read, tell

PWRON_RESET = 0
WDT_RESET = 1
SOFT_RESET = 4
HARD_RESET = 6

_VMIN = 6
_VTIME = 5
_POLL = 3
_GET_FD = 10
_FED_EVERY_MS = 100
#: How long a reading holds the board up: the start signal of the driver in C.
_DHT_MS = int(os.getenv("DHT_MS") or 0)


def reset() -> None:
    """End this process as a reset ends a program; whoever started it starts it again."""
    tell("reset")
    raise SystemExit(3)


def reset_cause() -> int:
    """Why this board started."""
    return int(read("reset_cause") or PWRON_RESET)


def unique_id() -> bytes:
    """A number of this board's own."""
    return b"\xde\xad\xbe\xef"


class RTC:
    """Only its memory, which survives a reset."""

    def memory(self, data: "bytes | None" = None) -> "bytes | None":
        """The memory, or put something else there."""
        if data is not None:
            with open(path("rtc"), "wb") as file:
                file.write(data)
            return None
        try:
            with open(path("rtc"), "rb") as file:
                return file.read()
        except OSError:
            return b""


class Pin:
    """An output remembers its level and tells of a change; an input reads its file."""

    IN = 0
    OUT = 1
    OPEN_DRAIN = 2
    PULL_UP = 1

    def __init__(
        self, name: "int | str", mode: int = -1, pull: "int | None" = None, value: "int | None" = None
    ) -> None:
        if name in (read("unknown_pins") or "").split():
            raise ValueError(name)
        self.name = name
        self._level = 0
        self._out = False
        self.init(mode, pull, value)

    def init(self, mode: int = -1, pull: "int | None" = None, value: "int | None" = None) -> None:
        """Make it an input or an output."""
        if pull == Pin.PULL_UP:
            self._level = 1
        self._out = mode == Pin.OUT
        if value is not None:
            self.value(value)

    def __call__(self, level: "int | None" = None) -> "int | None":
        """The level, or set it."""
        return self.value(level)

    def value(self, level: "int | None" = None) -> "int | None":
        """The level, or set it."""
        if level is not None:
            self._level = 1 if level else 0
            tell("pin", self.name, self._level)
            return None
        if self._out:
            return self._level
        given = read(f"pin{self.name}")
        return int(given) if given else self._level


class WDT:
    """Tells when it is fed; whoever started this process ends it when that does not happen for `timeout` ms."""

    def __init__(self, _id: int = 0, timeout: int = 5000) -> None:
        self._fed = time.ticks_ms()
        tell("wdt", timeout)

    def feed(self) -> None:
        """Keep the board from being reset."""
        now = time.ticks_ms()
        if time.ticks_diff(now, self._fed) >= _FED_EVERY_MS:
            self._fed = now
            tell("fed")


class UART(io.IOBase):
    """A pseudo-terminal. Nothing of it waits: what nobody reads is lost, as on a wire."""

    def __init__(self, number: int, _baudrate: int = 115200, **_others: object) -> None:
        self._file = open(path(f"uart{number}"), "r+b")  # a board never closes its UART
        self._fd = self._file.fileno()
        termios.setraw(self._fd)
        attributes = termios.tcgetattr(self._fd)
        attributes[6][_VMIN] = attributes[6][_VTIME] = 0
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        self._poller = select.poll()
        self._poller.register(self._file, select.POLLIN | select.POLLOUT)

    def any(self) -> int:
        """Whether something has come."""
        return 1 if self._ready() & select.POLLIN else 0

    def read(self, size: int = 64) -> "bytes | None":
        """What has come, at most `size` bytes; None if nothing has."""
        return self._file.read(size) or None if self.any() else None

    def readinto(self, buffer: bytearray) -> "int | None":
        """Read what has come into `buffer`; how much, None if nothing has."""
        return self._file.readinto(buffer) or None if self.any() else None

    def write(self, data: bytes, size: int = -1) -> int:
        """Send all, or the first `size` bytes; it never waits."""
        size = len(data) if size < 0 else size
        if self._ready() & select.POLLOUT:
            self._file.write(data, size)
        return size

    def ioctl(self, request: int, argument: int) -> int:
        """MicroPython asks here whether a read or write would wait."""
        if request == _POLL:
            return self._ready() & argument
        return self._fd if request == _GET_FD else 0

    def _ready(self) -> int:
        for _, events in self._poller.ipoll(0):
            if events & (select.POLLHUP | select.POLLERR):
                return 0  # nobody holds the other end
            return events
        return 0


def dht_readinto(pin: Pin, buffer: bytearray) -> None:
    """What drivers/dht/dht.c does with the widths of 41 pulses, in µs: the answer and the bits, each in its file.

    Raises OSError(ETIMEDOUT) as it does where a pulse is missing or too long.
    """
    time.sleep_ms(_DHT_MS)
    widths = [int(width) for width in (read(f"dht{pin.name}") or "").split()]
    if not widths or not 0 <= widths[0] <= 150:
        raise OSError(110)
    for bit in range(40):
        width = widths[bit + 1] if bit + 1 < len(widths) else -1
        if not 0 <= width <= 100:
            raise OSError(110)
        buffer[bit // 8] = (buffer[bit // 8] << 1 | (width > 48)) & 0xFF
