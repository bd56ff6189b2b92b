"""The last readings of a board by sequence number: what is still to be sent, and what can be sent again."""

import struct

from micropython import const

#: What is known of a reading's time. Once it went out in one way it goes out in no other: the server knows a repetition
#: by its `ts`, or by its sequence number where there is no `ts`.
UNDECIDED = const(0)  # seconds and ms since this board started; not sent yet
BY_AGE = const(1)  # the same, and sent so
BY_CLOCK = const(2)  # UTC, seconds since 1970 and ms

#: Seconds; ms, sensor and what is known of the time in one number; hundredths of degrees and of percent.
_RECORD = "<IHhH"
_SIZE = const(10)
_SENSOR_AT = const(10)
_TIMED_AT = const(12)


class Ring:
    """Holds the last `capacity` readings, 10 bytes each, in a buffer made once; the oldest leave first, sent or not.

    `first` to `next` - 1 are held, `to_send` is the oldest that the broker has not acknowledged. After `load` the
    attributes are that reading: `seconds` and `ms` as `timed` says, `sensor` 0 to 3, hundredths of °C and percent.
    """

    def __init__(self, capacity: int) -> None:
        self.first = self.next = self.to_send = self.lost = 0
        self.seconds = self.ms = self.timed = self.sensor = self.temperature = self.humidity = 0
        self._capacity = capacity
        self._records = bytearray(capacity * _SIZE)

    def append(self, seconds: int, ms: int, timed: int, sensor: int, temperature: int, humidity: int) -> None:
        """Add the reading with sequence number `next`."""
        place = self.next % self._capacity * _SIZE
        packed = ms | sensor << _SENSOR_AT | timed << _TIMED_AT
        struct.pack_into(_RECORD, self._records, place, seconds, packed, temperature, humidity)
        self.next += 1
        if self.next - self.first > self._capacity:
            self.first += 1

    @property
    def waiting(self) -> int:
        """How many readings are to be sent. What left the ring unsent is counted in `lost` first."""
        if self.to_send < self.first:
            self.lost += self.first - self.to_send
            self.to_send = self.first
        return self.next - self.to_send

    def acknowledged(self, last: int) -> None:
        """The broker has everything up to `last`, even what has left the ring meanwhile."""
        if last >= self.to_send:
            self.to_send = last + 1

    def load(self, seq: int) -> None:
        """Make reading `seq` the present one. Raises IndexError if it is not held."""
        if not self.first <= seq < self.next:
            raise IndexError
        place = seq % self._capacity * _SIZE
        self.seconds, packed, self.temperature, self.humidity = struct.unpack_from(_RECORD, self._records, place)
        self.ms = packed & 0x3FF
        self.sensor = packed >> _SENSOR_AT & 3
        self.timed = packed >> _TIMED_AT

    def set_time(self, seq: int, seconds: int, ms: int, timed: int) -> None:
        """Decide how the time of reading `seq`, the present one, is told from now on."""
        packed = ms | self.sensor << _SENSOR_AT | timed << _TIMED_AT
        struct.pack_into("<IH", self._records, seq % self._capacity * _SIZE, seconds, packed)
        self.seconds, self.ms, self.timed = seconds, ms, timed
