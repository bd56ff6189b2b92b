"""What this board says by MQTT, written straight into the client's buffer. The contract's topics and payloads."""

from micropython import const

from firmware.lib.digits import put_bytes, put_hundredths, put_int, put_padded
from firmware.lib.ring import BY_AGE, BY_CLOCK, UNDECIDED, Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.lib.clock import Clock

FIRMWARE = "1.0.0"
#: No reading with its time, names and values takes more.
READING_SIZE = const(140)
_READINGS_TOGETHER = const(5)


def about(sensor_names: "list[str]") -> bytes:
    """What this board is and has."""
    units = ""
    for name in sensor_names:
        before = f"{name}." if name else ""
        units += f'"{before}temperature":"°C","{before}humidity":"%RH",'
    own = '"vitals.free_heap":"B","vitals.rssi":"dBm","vitals.uptime":"s","vitals.longest_gap":"ms"'
    model = '{"model":"esp8266-dht22","firmware":"'
    return f'{model}{FIRMWARE}","actuators":["led"],"units":{{{units}{own}}}}}'.encode()


class Readings:
    """Writes readings out of the ring as telemetry."""

    def __init__(self, ring: Ring, clock: "Clock", boot: str, sensor_names: "list[str]") -> None:
        self._ring = ring
        self._clock = clock
        self._boot = f',"boot":"{boot}"'.encode()
        self._names = [
            (f',"{name}.temperature":'.encode(), f',"{name}.humidity":'.encode())
            if name
            else (b',"temperature":', b',"humidity":')
            for name in sensor_names
        ]

    def put(self, buffer: bytearray, at: int, first: int, last: int) -> "tuple[int, int]":
        """Write readings `first` to `last`, as many as fit; where they end, and the last one written.

        One is an object, several are an array.
        """
        several = last > first
        if several:
            buffer[at] = 0x5B
            at += 1
        seq = first
        while True:
            at = self._put_one(buffer, at, seq)
            if seq == last or seq - first + 1 == _READINGS_TOGETHER or len(buffer) - at < READING_SIZE:
                break
            buffer[at] = 0x2C
            at += 1
            seq += 1
        if several:
            buffer[at] = 0x5D
            at += 1
        return at, seq

    def _put_one(self, buffer: bytearray, at: int, seq: int) -> int:
        ring = self._ring
        ring.load(seq)
        if ring.timed == UNDECIDED:
            self._decide(seq)
        if ring.timed == BY_CLOCK:
            at = put_bytes(buffer, at, b'{"ts":')
            at = put_padded(buffer, put_int(buffer, at, ring.seconds), ring.ms, 3)
        else:
            at = put_bytes(buffer, at, b'{"age":')
            at = put_int(buffer, at, self._clock.age_ms(ring.seconds, ring.ms))
        at = put_int(buffer, put_bytes(buffer, at, b',"seq":'), seq)
        at = put_bytes(buffer, at, self._boot)
        temperature, humidity = self._names[ring.sensor] if ring.sensor < len(self._names) else self._unnamed()
        at = put_hundredths(buffer, put_bytes(buffer, at, temperature), ring.temperature)
        at = put_hundredths(buffer, put_bytes(buffer, at, humidity), ring.humidity)
        buffer[at] = 0x7D
        return at + 1

    def _decide(self, seq: int) -> None:
        """From now on this reading goes with a time, or with its age: the same at each try."""
        ring, clock = self._ring, self._clock
        if clock.known:
            clock.to_utc(ring.seconds, ring.ms)
            ring.set_time(seq, clock.utc_seconds, clock.utc_ms, BY_CLOCK)
        else:
            ring.set_time(seq, ring.seconds, ring.ms, BY_AGE)

    def _unnamed(self) -> "tuple[bytes, bytes]":
        """Names for a sensor that config.json has none for."""
        before = f',"sensor{self._ring.sensor}.'
        return f'{before}temperature":'.encode(), f'{before}humidity":'.encode()


def put_gone(buffer: bytearray, at: int, boot: str, first: int, last: int) -> int:
    """Answer a resend request for what this board has no longer; where the text ends."""
    text = f'{{"boot":"{boot}","gone":[{first},{last}]}}'
    return put_bytes(buffer, at, text.encode())


def put_figures(buffer: bytearray, at: int, clock: "Clock", figures: "list[tuple[bytes, int]]") -> int:
    """Write figures of the board itself as metrics `vitals.<name>`; where the text ends."""
    buffer[at] = 0x7B
    at += 1
    if clock.known:
        clock.advance()
        clock.to_utc(clock.seconds, clock.ms)
        at = put_int(buffer, put_bytes(buffer, at, b'"ts":'), clock.utc_seconds)
        at = put_bytes(buffer, put_padded(buffer, at, clock.utc_ms, 3), b",")
    at = put_bytes(buffer, at, b'"vitals":')
    separator = 0x7B
    for name, number in figures:
        buffer[at] = separator
        at = put_bytes(buffer, at + 1, b'"')
        at = put_bytes(buffer, put_bytes(buffer, at, name), b'":')
        at = put_int(buffer, at, number)
        separator = 0x2C
    return put_bytes(buffer, at, b"}}")
