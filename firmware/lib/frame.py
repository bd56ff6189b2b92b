r"""The line frame by which the STM32 hands a reading to the ESP8266: text, numbered, with a CRC.

    ~1,<sensor>,<seq>,<uptime>,<flags>,<temperature>,<humidity>*<CRC>\n

All fields are whole decimal numbers: the version 1, the sensor from 0 on, `seq` rising by one modulo 2**30, `uptime` in
seconds, temperature and humidity in hundredths of a degree Celsius and of a percent. The CRC is CRC-16/CCITT-FALSE of
what stands between ~ and *, in four upper-case hexadecimal digits. The low four bits of `flags` are 0, or tell a fault
of the sensor; then both values are 0. Encoder and decoder work in buffers of their own and allocate nothing.
"""

from micropython import const

from firmware.lib.digits import put_int

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: Faults of a sensor, in the low four bits of `flags`: those of dht22.py.
FAULTS = const(0x0F)
#: Set in the first frame of a sensor after the board started.
FIRST = const(0x10)

#: Sequence numbers count modulo this, so that they stay small integers on a 32-bit board.
SEQ_MODULO = const(1 << 30)
#: No frame is longer, with everything.
LONGEST = const(56)

_VERSION = const(1)
_START = const(0x7E)
_STOP = const(0x0A)
_STAR = const(0x2A)
_COMMA = const(0x2C)
_MINUS = const(0x2D)
_ZERO = const(0x30)
_NINE = const(0x39)
_A = const(0x41)
_F = const(0x46)
_LARGEST = const((1 << 30) - 1)


def crc16(buffer: "bytearray | bytes", first: int, end: int) -> int:
    """CRC-16/CCITT-FALSE of buffer[first:end]."""
    crc = 0xFFFF
    for place in range(first, end):
        x = (crc >> 8) ^ buffer[place]
        x ^= x >> 4
        crc = ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x) & 0xFFFF
    return crc


def encode(buffer: bytearray, sensor: int, seq: int, uptime: int, flags: int, temperature: int, humidity: int) -> int:
    """Write a frame at the start of `buffer`, which holds at least LONGEST bytes; its length."""
    buffer[0] = _START
    at = put_int(buffer, 1, _VERSION)
    at = _put_field(buffer, at, sensor)
    at = _put_field(buffer, at, seq)
    at = _put_field(buffer, at, uptime)
    at = _put_field(buffer, at, flags)
    at = _put_field(buffer, at, temperature)
    at = _put_field(buffer, at, humidity)
    crc = crc16(buffer, 1, at)
    buffer[at] = _STAR
    for shift in range(12, -4, -4):
        at += 1
        nibble = (crc >> shift) & 0xF
        buffer[at] = (_ZERO if nibble < 10 else _A - 10) + nibble
    buffer[at + 1] = _STOP
    return at + 2


def _put_field(buffer: bytearray, at: int, number: int) -> int:
    buffer[at] = _COMMA
    return put_int(buffer, at + 1, number)


class Decoder:
    """Finds frames in what a line brings, in pieces of any size, and calls `taken` with itself for each.

    The frame's fields are this object's attributes until the next one. What is no frame is counted: `bad` the frames
    that were cut off, too long or failed their CRC, `noise` the bytes outside frames.
    """

    def __init__(self, taken: "Callable[[Decoder], None]") -> None:
        self.sensor = self.seq = self.uptime = self.flags = self.temperature = self.humidity = 0
        self.good = self.bad = self.noise = 0
        self._taken = taken
        self._body = bytearray(LONGEST)
        self._length = -1  # outside a frame
        self._at = 0

    def feed(self, data: "bytearray | bytes", length: int) -> None:
        """Take the first `length` bytes of `data`."""
        for place in range(length):
            byte = data[place]
            if byte == _START:
                if self._length >= 0:
                    self.bad += 1
                self._length = 0
            elif self._length < 0:
                self.noise += 1
            elif byte == _STOP:
                self._end()
            elif self._length < LONGEST:
                self._body[self._length] = byte
                self._length += 1
            else:
                self.bad += 1
                self._length = -1

    def _end(self) -> None:
        end = self._length - 5
        self._length = -1
        if end > 0 and self._crc_fits(end) and self._parse(end):
            self.good += 1
            self._taken(self)
        else:
            self.bad += 1

    def _crc_fits(self, end: int) -> bool:
        body = self._body
        if body[end] != _STAR:
            return False
        crc = 0
        for place in range(end + 1, end + 5):
            digit = body[place]
            if _ZERO <= digit <= _NINE:
                crc = crc << 4 | (digit - _ZERO)
            elif _A <= digit <= _F:
                crc = crc << 4 | (digit - _A + 10)
            else:
                return False
        return crc == crc16(body, 0, end)

    def _parse(self, end: int) -> bool:
        """Read the fields; False where they are not what this version writes."""
        self._at = 0
        if self._number(end) != _VERSION:
            return False
        sensor = self._number(end)
        seq = self._number(end)
        uptime = self._number(end)
        flags = self._number(end)
        temperature = self._number(end)
        humidity = self._number(end)
        if self._at != end + 1 or sensor < 0 or seq < 0 or uptime < 0 or flags < 0 or humidity < 0:
            return False
        self.sensor, self.seq = sensor, seq
        self.uptime, self.flags = uptime, flags
        self.temperature, self.humidity = temperature, humidity
        return True

    def _number(self, end: int) -> int:
        """The next field, `_at` behind its comma; after a fault `_at` is far behind the end."""
        body = self._body
        at = self._at
        negative = at < end and body[at] == _MINUS
        if negative:
            at += 1
        first = at
        number = 0
        while at < end and _ZERO <= body[at] <= _NINE and number <= _LARGEST // 10:
            number = number * 10 + body[at] - _ZERO
            at += 1
        if at == first or number > _LARGEST or (at < end and body[at] != _COMMA):
            at = LONGEST * 2
        self._at = at + 1
        return -number if negative else number
