"""MQTT 3.1.1 for a board: one connection, QoS 1, one message under way, nothing that waits, buffers made once.

The connection is pulled: `poll` sends what is left, takes what has come and raises when the connection is over. What
arrives beyond the size of the buffer streams past. There is no TLS: it does not fit beside the rest in 38 KiB.
"""

import errno
import gc
import select
import socket
import struct
import time

from micropython import const

from firmware.lib.digits import put_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: Room for the fixed header, whose length is known last.
HEADROOM = const(3)

_CONNACK = const(0x20)
_PUBLISH = const(0x30)
_PUBACK = const(0x40)
_SUBACK = const(0x90)
_PINGRESP = const(0xD0)
_RETAIN = const(1)
_QOS1 = const(2)
#: Every command of the server's fits into this, with the longest names. For a larger packet a buffer is made, if
#: there is room in one piece, and given back; else it streams past.
_SMALL = const(320)
#: Of what does not fit, this much is read at a time, and thrown away.
_SCRAP = const(64)
#: How often one `poll` reads at most, so that a flood holds nothing else up.
_READS = const(24)
_REFUSALS = (
    "",
    "it does not speak MQTT 3.1.1",
    "it does not want this client id",
    "it is not ready",
    "user name or password is wrong",
    "this device is not allowed in",
)


class Broken(Exception):
    """The connection is over, or the broker said what no broker says; the text tells what."""


class Client:
    """A connection to a broker. `received` is called with topic, payload and whether it was retained.

    `free` says whether a message may be begun: nothing is left to send, and the one before is acknowledged.
    """

    def __init__(
        self,
        received: "Callable[[str, memoryview, bool], None]",
        *,
        in_size: int,
        out_size: int,
        keep_alive_s: int,
        patience_ms: int,
    ) -> None:
        #: Write payloads here, between what `begin` returns and the end of the buffer.
        self.out = bytearray(out_size)
        #: Whether the broker has taken CONNECT, and whether it then remembered this client.
        self.connected = self.remembered = False
        #: Messages that were too large to be taken, or to be understood.
        self.skipped = 0
        self._received = received
        self._keep_alive_s = keep_alive_s
        self._patience_ms = patience_ms
        self._out_view = memoryview(self.out)
        self._small = memoryview(bytearray(_SMALL))
        self._in_size = in_size
        self._in = self._small
        self._scrap = bytearray(_SCRAP)
        self._one = bytearray(1)
        self._socket: Any = None  # a socket while there is a connection
        self._packet_id = 0
        self._reset()

    def _reset(self) -> None:
        self.connected = self.remembered = False
        self._sent = self._to_send = 0
        self._awaited = 0  # packet id of what is under way
        self._in = self._small
        self._head = 0  # of the packet that comes in; 0: none begun
        self._shift = 0
        self._length = -1  # of its body, -1 while that comes in itself
        self._taken = 0
        self._last_sent = time.ticks_ms()
        self._pinged = False
        self._since = time.ticks_ms()  # when what is awaited was sent
        self._reads = 0

    @property
    def free(self) -> bool:
        """Whether a message may be begun."""
        return self.connected and not self._awaited and self._sent == self._to_send

    @property
    def awaits(self) -> bool:
        """Whether a message is under way that the broker has not acknowledged."""
        return self._awaited != 0

    # Beginning and ending.

    def open(self, host: str, port: int) -> None:
        """Begin to connect; `writable` says when that is done. Raises OSError."""
        self.close()
        connection = socket.socket()
        self._socket = connection
        connection.setblocking(False)
        try:
            connection.connect(socket.getaddrinfo(host, port)[0][-1])
        except OSError as error:
            if error.errno != errno.EINPROGRESS:
                raise
        self._poller: Any = select.poll()
        self._poller.register(connection, select.POLLOUT)

    def writable(self) -> bool:
        """Whether the connection that was begun stands. Raises Broken if it was refused."""
        for _, events in self._poller.ipoll(0):
            if events & (select.POLLERR | select.POLLHUP):
                raise Broken("nobody takes connections there")
            self._poller = None
            return True
        return False

    def hello(self, client_id: bytes, will_topic: bytes, will: bytes, user: bytes, password: bytes) -> None:
        """Send CONNECT for a session that outlives the connection; `connected` says when it was taken."""
        flags = 0x2C  # a will, QoS 1, retained
        if user:
            flags |= 0xC0
        at = put_bytes(self.out, HEADROOM, b"\0\4MQTT\4")
        self.out[at] = flags
        struct.pack_into("!H", self.out, at + 1, self._keep_alive_s)
        at = self._put_text(at + 3, client_id)
        at = self._put_text(at, will_topic)
        at = self._put_text(at, will)
        if user:
            at = self._put_text(at, user)
            at = self._put_text(at, password)
        self._since = time.ticks_ms()
        self._go(0x10, at)

    def close(self) -> None:
        """End the connection without a word, so that the broker speaks the will."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._reset()

    # Sending. Only while `free`.

    def subscribe(self, topic: bytes) -> None:
        """Ask for what comes on a topic, QoS 1."""
        at = self._put_id(HEADROOM)
        at = self._put_text(at, topic)
        self.out[at] = 1
        self._go(0x82, at + 1)

    def begin(self, topic: bytes) -> int:
        """Begin a message with QoS 1; where in `out` its payload goes."""
        return self._put_id(self._put_text(HEADROOM, topic))

    def finish(self, end: int, retain: bool = False) -> None:
        """Send the message whose payload ends there."""
        self._go(_PUBLISH | _QOS1 | (_RETAIN if retain else 0), end)

    def _put_text(self, at: int, text: bytes) -> int:
        struct.pack_into("!H", self.out, at, len(text))
        return put_bytes(self.out, at + 2, text)

    def _put_id(self, at: int) -> int:
        self._packet_id = self._packet_id % 65_535 + 1
        self._awaited = self._packet_id
        self._since = time.ticks_ms()
        struct.pack_into("!H", self.out, at, self._packet_id)
        return at + 2

    def _go(self, head: int, end: int) -> None:
        """Put the fixed header before what stands in `out` from HEADROOM to `end`, and send it."""
        length = end - HEADROOM
        if length < 128:
            self._sent = 1
            self.out[2] = length
        else:
            self._sent = 0
            self.out[1] = length & 0x7F | 0x80
            self.out[2] = length >> 7
        self.out[self._sent] = head
        self._to_send = end
        self._last_sent = time.ticks_ms()
        self._push()

    def _push(self) -> bool:
        """Send what is left; whether all of it went."""
        if self._sent < self._to_send:
            gone = self._socket.write(self._out_view[self._sent : self._to_send])
            if gone:
                self._sent += gone
                self._last_sent = time.ticks_ms()
        return self._sent == self._to_send

    # Receiving.

    def poll(self) -> bool:
        """Send what is left and take what has come; whether anything came. Raises Broken or OSError at the end."""
        self._watch()
        if not self._push():
            return False
        self._reads = _READS
        while self._pull() and self._push():
            pass
        return self._reads < _READS

    def _watch(self) -> None:
        """Keep the connection alive, and notice when it is not."""
        now = time.ticks_ms()
        waits = self._awaited or self._pinged or not self.connected
        if waits and time.ticks_diff(now, self._since) > self._patience_ms:
            raise Broken("the broker does not answer")
        quiet_ms = time.ticks_diff(now, self._last_sent)
        if self._sent < self._to_send:
            if quiet_ms > self._patience_ms:
                raise Broken("the broker takes nothing more")
        elif not waits and quiet_ms > self._keep_alive_s * 500:
            self._pinged = True
            self._since = now
            self._go(0xC0, HEADROOM)

    def _pull(self) -> bool:
        """Take one packet if it is there as a whole; False if more must come first."""
        if self._length < 0 and not self._pull_header():
            return False
        while self._taken < self._length:
            if self._taken < len(self._in):
                got = self._read(self._in[self._taken : min(self._length, len(self._in))])
            else:
                left = self._length - self._taken
                got = self._read(self._scrap if left >= _SCRAP else memoryview(self._scrap)[:left])
            if not got:
                return False
            self._taken += got
        head, length = self._head, self._length
        self._head, self._length, self._taken = 0, -1, 0
        self._understand(head, length)
        self._in = self._small
        return True

    def _pull_header(self) -> bool:
        one = self._one
        if not self._head:
            if not self._read(one):
                return False
            if one[0] < _CONNACK:
                raise Broken("the broker sent what no broker sends")
            self._head = one[0]
            self._shift = 0
            self._taken = 0
        while True:
            if not self._read(one):
                return False
            self._taken |= (one[0] & 0x7F) << self._shift
            self._shift += 7
            if not one[0] & 0x80:
                break
            if self._shift > 21:
                raise Broken("the broker sent a packet without end")
        self._length, self._taken = self._taken, 0
        if _SMALL < self._length <= self._in_size:
            gc.collect()
            try:
                self._in = memoryview(bytearray(self._length))
            except MemoryError:
                self._in = self._small  # it streams past
        return True

    def _read(self, buffer: "bytearray | memoryview") -> int:
        """How much came into `buffer`, 0 if nothing is there, or this `poll` has read enough."""
        got: int | None = self._socket.readinto(buffer) if self._reads else None
        if got is None:
            return 0
        self._reads -= 1
        if got == 0:
            raise Broken("the broker closed the connection")
        return got

    def _understand(self, head: int, length: int) -> None:
        kind = head & 0xF0
        if not self.connected:
            self._welcome(head, length)
        elif kind == _PUBLISH:
            self._message(head, length)
        elif head == _PUBACK and length == 2:
            self._acknowledged()
        elif head == _SUBACK and length == 3:
            if self._in[2] > 1:
                raise Broken("the broker does not allow this device its commands")
            self._acknowledged()
        elif head == _PINGRESP and not length:
            self._pinged = False
        else:
            raise Broken("the broker sent what no broker sends")

    def _welcome(self, head: int, length: int) -> None:
        if head != _CONNACK or length != 2:
            raise Broken("what answers there is no MQTT broker")
        code = self._in[1]
        if code:
            raise Broken(f"the broker refuses: {_REFUSALS[code] if code < len(_REFUSALS) else code}")
        self.connected = True
        self.remembered = self._in[0] == 1

    def _acknowledged(self) -> None:
        if self._in[0] << 8 | self._in[1] == self._awaited:
            self._awaited = 0

    def _message(self, head: int, length: int) -> None:
        size = len(self._in)
        held = min(length, size)
        end = (self._in[0] << 8 | self._in[1]) + 2 if length >= 2 else size + 1
        start = end + (2 if head & 0x06 else 0)
        if head & 0x04 or start > length:
            raise Broken("the broker sent what no broker sends")
        if start > held:
            raise Broken("the broker sent a topic that is none of this device's")
        if length > size:
            self.skipped += 1
        else:
            try:
                self._deliver(end, start, length, head & 1 == 1)
            except MemoryError:
                self.skipped += 1  # no room to understand it: no reason to end
        if head & 0x06:
            self._puback(end)

    def _deliver(self, end: int, start: int, length: int, retained: bool) -> None:
        try:
            topic = str(self._in[2:end], "utf-8")
        except UnicodeError:
            raise Broken("the broker sent a topic that is no text") from None
        self._received(topic, self._in[start:length], retained)

    def _puback(self, at: int) -> None:
        self.out[HEADROOM], self.out[HEADROOM + 1] = self._in[at], self._in[at + 1]
        self._go(_PUBACK, HEADROOM + 2)
