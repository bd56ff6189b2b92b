"""HTTP/1.1 for a board: one connection that is kept, one request at a time, nothing that waits, buffers made once.

As the MQTT client it is pulled: `poll` sends what is left, takes what has come, and gives the answer's status once the
answer is whole.
"""

import errno
import select
import socket
import time

from micropython import const

from firmware.lib.digits import put_bytes, put_padded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LINE = const(80)
_PIECE = const(64)
#: How often one `poll` reads at most.
_READS = const(16)
_LENGTH_DIGITS = const(5)
_CR = const(0x0D)
_LF = const(0x0A)


class Broken(Exception):
    """The connection is over, or what answers speaks no HTTP; the text tells what."""


class Http:
    """Requests to one server with one token. After `poll` gave a status, `body` and `retry_after` are the answer's."""

    def __init__(self, host: str, token: str, *, in_size: int, out_size: int, patience_ms: int) -> None:
        self.out = bytearray(out_size)
        self.retry_after = 0
        #: Whether a request is under way.
        self.busy = False
        self.skipped = 0
        self._head = (
            f" HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        self._patience_ms = patience_ms
        self._out_view = memoryview(self.out)
        self._in = bytearray(in_size)
        self._in_view = memoryview(self._in)
        self._line = bytearray(_LINE)
        self._piece = bytearray(_PIECE)
        self._socket: Any = None  # a socket while there is a connection
        self._length_at = 0
        self._reset()

    def _reset(self) -> None:
        self.busy = False
        self._sent = self._to_send = 0
        self._status = 0
        self._line_length = 0
        self._body_length = -1  # while the head comes
        self._body_taken = 0
        self._announced = 0
        self._closes = False
        self._patient_ms = self._patience_ms
        self._since = time.ticks_ms()

    @property
    def body(self) -> memoryview:
        """The answer's body, as far as there was room for it."""
        return self._in_view[: min(self._body_taken, len(self._in))]

    @property
    def open(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def connect(self, host: str, port: int) -> None:
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
        self._poller = select.poll()
        self._poller.register(connection, select.POLLOUT)

    def writable(self) -> bool:
        """Whether the connection that was begun stands. Raises Broken if it was refused."""
        for _, events in self._poller.ipoll(0):
            if events & (select.POLLERR | select.POLLHUP):
                raise Broken("nobody takes connections there")
            return True
        return False

    def close(self) -> None:
        """End the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._reset()

    def begin(self, line: bytes) -> int:
        """Begin a request, such as b"GET /path"; where in `out` its body goes."""
        self._reset()
        self.retry_after = 0
        at = put_bytes(self.out, put_bytes(self.out, 0, line), self._head)
        self._length_at = at
        return put_bytes(self.out, at + _LENGTH_DIGITS, b"\r\n\r\n")

    def finish(self, start: int, end: int, extra_ms: int = 0) -> None:
        """Send the request whose body stands from `start` to `end`; its answer may take `extra_ms` longer."""
        put_padded(self.out, self._length_at, end - start, _LENGTH_DIGITS)
        self._to_send = end
        self._patient_ms = self._patience_ms + extra_ms
        self._since = time.ticks_ms()
        self.busy = True
        self._push()

    def poll(self) -> int:
        """The status of the answer once it is whole, 0 before. Raises Broken or OSError when the connection is over."""
        if not self.busy:
            return 0
        if time.ticks_diff(time.ticks_ms(), self._since) > self._patient_ms:
            raise Broken("the server does not answer")
        if not self._push():
            return 0
        for _ in range(_READS):
            got = self._socket.readinto(self._piece)
            if got is None:
                return 0
            if not got:
                raise Broken("the server closed the connection")
            for place in range(got):
                self._take(self._piece[place])
            if self._body_taken == self._body_length:
                return self._whole()
        return 0

    def _push(self) -> bool:
        if self._sent < self._to_send:
            gone = self._socket.write(self._out_view[self._sent : self._to_send])
            if gone:
                self._sent += gone
        return self._sent == self._to_send

    def _whole(self) -> int:
        """The answer is there: make ready for the next request."""
        self.busy = False
        if self._body_length > len(self._in):
            self.skipped += 1
        if self._closes:
            self._socket.close()
            self._socket = None
        return self._status

    def _take(self, byte: int) -> None:
        if self._body_length >= 0:
            if self._body_taken < len(self._in):
                self._in[self._body_taken] = byte
            self._body_taken += 1
        elif byte == _LF:
            self._understand()
            self._line_length = 0
        elif byte != _CR and self._line_length < _LINE:
            self._line[self._line_length] = byte
            self._line_length += 1

    def _understand(self) -> None:
        """A line of the head came."""
        line = bytes(self._line[: self._line_length])
        if not self._status:
            if not line.startswith(b"HTTP/1.") or not line[9:12].isdigit():
                raise Broken("what answers there is no web server")
            self._status = int(line[9:12])
            return
        if not line:
            self._body_length = self._announced
            return
        name, value = (str(line, "utf-8").lower().replace(" ", "") + ":").split(":")[:2]  # no partition on the ESP8266
        if name == "content-length":
            self._announced = _number(value)
        elif name == "retry-after":
            self.retry_after = _number(value)
        elif name == "connection":
            self._closes = value == "close"


def _number(text: str) -> int:
    if not text.isdigit() or len(text) > 8:
        raise Broken("what answers there is no web server")
    return int(text)
