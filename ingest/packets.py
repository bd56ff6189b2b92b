"""A stream of bytes -> MQTT 5 packets. Pure: no socket, no clock.

The package mqtt5 parses a packet but can't tell one that is cut short from one that is malformed, and would have us
hold a packet of any size. So the fixed header is read here: it tells how long the packet is, and one that is too large
is cut while it streams past, its topic and the beginning of its payload kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import mqtt5

#: Bytes of an oversized payload that are kept.
KEPT_BYTES: Final = 65_536
_PUBLISH: Final = 3
_RETAIN, _QOS, _DUP = 0b0001, 0b0110, 0b1000
_LONGEST_HEADER: Final = 5


class MalformedPacket(Exception):
    """The other side does not speak MQTT 5, or the stream lost its place. The connection is useless."""


@dataclass(frozen=True, slots=True)
class OversizedPublish:
    """A PUBLISH larger than allowed: what was kept of it. `size` is the length of its whole payload in bytes."""

    topic: str
    payload: bytes
    size: int
    packet_id: int | None
    retain: bool
    duplicate: bool


Packet = mqtt5.Packet | OversizedPublish


class PacketReader:
    """Collects bytes and gives out whole packets. Holds at most one packet of the largest size, and one chunk."""

    def __init__(self, largest: int) -> None:
        """`largest`: bytes of a packet, its header included, from which on a PUBLISH is cut."""
        self._largest = largest
        self._rest = b""
        self._cut: _CutPublish | None = None

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that are complete with these bytes, in order.

        Raises:
            MalformedPacket: If what came can't be MQTT 5.
        """
        found: list[Packet] = []
        buffer = self._rest + data if self._rest else data
        view = memoryview(buffer)
        at = 0
        while at < len(view):
            if self._cut is not None:
                at += self._cut.take(view[at:])
                if self._cut.complete:
                    found.append(self._cut.finish())
                    self._cut = None
                continue
            try:
                packet, length = mqtt5.read(view[at:])
            except (IndexError, ValueError) as error:
                taken = self._incomplete(view[at:], error)
                if taken == 0:
                    break
                at += taken
                continue
            found.append(packet)
            at += length
        self._rest = bytes(view[at:])
        return found

    def _incomplete(self, view: memoryview, error: Exception) -> int:
        """What to do with bytes that mqtt5 refused: wait for more (0), or begin to cut (how many bytes were taken)."""
        header = _fixed_header(view)
        if header is None:
            return 0
        kind, start, total = header
        if total > self._largest:
            if kind != _PUBLISH:
                raise MalformedPacket(f"a control packet of {total} bytes") from error
            self._cut = _CutPublish(total)
            return self._cut.take(view)
        if len(view) < total:
            return 0
        raise MalformedPacket(f"packet type {kind} of {total} bytes: {error}; begins {bytes(view[: start + 8]).hex()}")


def _fixed_header(view: memoryview) -> tuple[int, int, int] | None:
    """Packet type, length of the fixed header, length of the whole packet; None while it is cut short.

    MQTT 5, section 1.5.5: the remaining length is a variable byte integer of one to four bytes.
    """
    length = 0
    for index in range(1, _LONGEST_HEADER):
        if index >= len(view):
            return None
        length |= (view[index] & 0x7F) << 7 * (index - 1)
        if not view[index] & 0x80:
            return view[0] >> 4, index + 1, index + 1 + length
    raise MalformedPacket(f"a length of more than four bytes: {bytes(view[:_LONGEST_HEADER]).hex()}")


class _CutPublish:
    """An oversized PUBLISH while it streams past: its beginning is kept, the rest is counted."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._passed = 0
        # The topic is at most 65,535 bytes, properties come before the payload: room for both, unless those are absurd.
        self._head = bytearray()
        self._keep = min(total, KEPT_BYTES + 2 * 65_536)

    @property
    def complete(self) -> bool:
        return self._passed == self._total

    def take(self, view: memoryview) -> int:
        size = min(len(view), self._total - self._passed)
        room = self._keep - len(self._head)
        if room > 0:
            self._head += view[: min(size, room)]
        self._passed += size
        return size

    def finish(self) -> OversizedPublish:
        """Read what was kept (MQTT 5, section 3.3). Properties are skipped, whatever their size."""
        head = bytes(self._head)
        _, at = _variable_byte_integer(head, 1)
        flags, topic_at = head[0] & 0x0F, at + 2
        at = topic_at + int.from_bytes(head[at:topic_at], "big")
        try:
            topic = head[topic_at:at].decode()
        except UnicodeDecodeError as error:
            raise MalformedPacket(f"an oversized packet whose topic can't be read: {error}") from error
        packet_id = None
        if flags & _QOS:
            packet_id = int.from_bytes(head[at : at + 2], "big")
            at += 2
        properties, at = _variable_byte_integer(head, at)
        at += properties
        if at > self._total:
            raise MalformedPacket(f"an oversized packet of {self._total} bytes whose properties end at {at}")
        return OversizedPublish(
            topic, head[at : at + KEPT_BYTES], self._total - at, packet_id, bool(flags & _RETAIN), bool(flags & _DUP)
        )


def _variable_byte_integer(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends (MQTT 5, section 1.5.5)."""
    number = 0
    for index in range(4):
        byte = data[at + index] if at + index < len(data) else 0x80
        number |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return number, at + index + 1
    raise MalformedPacket(f"a length of more than four bytes at byte {at} of an oversized packet")
