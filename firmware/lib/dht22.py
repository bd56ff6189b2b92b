"""A DHT22 read by MicroPython's own driver, its faults told apart and its values as whole numbers."""

from dht import DHT22
from micropython import const

TYPE_CHECKING = False
if TYPE_CHECKING:
    from machine import Pin

_NO_FAULT = const(0)
_MISSING = const(1)  # nothing answered: no sensor, no power, no pull-up
_BROKEN_OFF = const(2)  # it began to answer and stopped
_CHECKSUM = const(3)
_IMPOSSIBLE = const(4)  # a temperature or humidity that the sensor cannot measure
_EMPTY = const(5)  # all zero, which passes the checksum: a line held low

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
        """Take a reading: 0 with `temperature` and `humidity` in hundredths, else the number of a fault, and both 0."""
        self.temperature = self.humidity = 0
        buffer = self._driver.buf
        for place in range(5):
            buffer[place] = _UNTOUCHED
        try:
            self._driver.measure()
        except OSError:
            return _MISSING if self._untouched() else _BROKEN_OFF
        except Exception:  # noqa: BLE001  # the driver says a wrong checksum with nothing more special
            return _CHECKSUM
        humidity = (buffer[0] << 8 | buffer[1]) * 10
        temperature = ((buffer[2] & 0x7F) << 8 | buffer[3]) * 10
        if buffer[2] & 0x80:
            temperature = -temperature
        elif not humidity and not temperature:
            return _EMPTY
        if not _COLDEST <= temperature <= _WARMEST or humidity > _WETTEST:
            return _IMPOSSIBLE
        self.temperature, self.humidity = temperature, humidity
        return _NO_FAULT

    def _untouched(self) -> bool:
        buffer = self._driver.buf
        for place in range(5):
            if buffer[place] != _UNTOUCHED:
                return False
        return True
