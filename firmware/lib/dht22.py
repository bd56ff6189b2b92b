"""A DHT22 read by MicroPython's own driver, its faults told apart and its values as whole numbers."""

from dht import DHT22
from micropython import const

from firmware.lib.frame import BROKEN_OFF, CHECKSUM, EMPTY, IMPOSSIBLE, MISSING, NO_FAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine import Pin

#: The sensor's own limits, in hundredths of a degree Celsius and of a percent.
_COLDEST = const(-4000)
_WARMEST = const(8000)
_WETTEST = const(10000)
#: Put into the driver's buffer before each reading: where it still stands, no bit has come.
_UNTOUCHED = const(0xA5)


class Sensor:
    """A DHT22 at `pin`. `measure` at most every 2 s; it holds the board up for 0.27 s, because the driver waits."""

    def __init__(self, pin: "Pin") -> None:
        self.temperature = self.humidity = 0
        self._driver = DHT22(pin)

    def measure(self) -> int:
        """Take a reading: NO_FAULT with `temperature` and `humidity` in hundredths, else the fault, and both 0."""
        self.temperature = self.humidity = 0
        buffer = self._driver.buf
        for place in range(5):
            buffer[place] = _UNTOUCHED
        try:
            self._driver.measure()
        except OSError:
            return MISSING if self._untouched() else BROKEN_OFF
        except Exception:  # noqa: BLE001  # the driver says a wrong checksum with nothing more special
            return CHECKSUM
        humidity = (buffer[0] << 8 | buffer[1]) * 10
        temperature = ((buffer[2] & 0x7F) << 8 | buffer[3]) * 10
        if buffer[2] & 0x80:
            temperature = -temperature
        elif not humidity and not temperature:
            return EMPTY
        if not _COLDEST <= temperature <= _WARMEST or humidity > _WETTEST:
            return IMPOSSIBLE
        self.temperature, self.humidity = temperature, humidity
        return NO_FAULT

    def _untouched(self) -> bool:
        buffer = self._driver.buf
        for place in range(5):
            if buffer[place] != _UNTOUCHED:
                return False
        return True
