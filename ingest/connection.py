"""Bytes to and from a broker: TCP or TLS, signs of life, and a wait that another thread can end. Knows no protocol
version.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from settings import MqttAddress

#: Bytes asked of the socket at once, and so the most that one `read()` gives.
_CHUNK: Final = 1 << 19
#: A broker that ends a connection this soon after its beginning may have another client with our id.
_SOON_S: Final = 10.0
#: PINGREQ is the same two bytes in every version (MQTT 3.1.1 and 5, section 3.12).
_PING: Final = b"\xc0\x00"
#: DISCONNECT, all being well, is the same two bytes in every version (section 3.14).
_DISCONNECT: Final = b"\xe0\x00"


class BrokerAway(Exception):
    """The broker can't be reached, closed the connection or refused us. The text says which and why."""


class ConnectionClosed(BrokerAway):
    """The broker closed the connection and said nothing."""


@dataclass(frozen=True, slots=True)
class SubscriberSettings:
    """How to connect. `window` is how many unacknowledged messages we ask for at once; times are seconds.

    `persistent`: the broker keeps what comes while we are away. Without, nothing waits for us, nor is it to be
    acknowledged where `qos` is 0. `former_filters` are those that a session kept from before may still have and is to
    lose.
    """

    address: MqttAddress
    client_id: str
    filters: tuple[str, ...]
    largest_payload: int = 1_000_000
    keep_alive_s: int = 60
    session_expiry_s: int = 7 * 86_400
    connect_timeout_s: float = 5.0
    window: int = 2000
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    persistent: bool = True
    qos: Literal[0, 1] = 1
    former_filters: tuple[str, ...] = ()


class BrokerConnection:
    """One connection after the other, with one pair of sockets for `wake()` over all of them."""

    def __init__(self, settings: SubscriberSettings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        self._sent_at = 0.0
        self._pinged_at: float | None = None
        self._subscribed_at: float | None = None
        self._keep_alive_s = float(settings.keep_alive_s)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)

    def open(self) -> None:
        """Connect. Raises BrokerAway."""
        self._pinged_at = self._subscribed_at = None
        self._keep_alive_s = float(self._settings.keep_alive_s)
        try:
            self._socket = self._open()
        except OSError as error:
            raise BrokerAway(_reason(error)) from error

    def subscribed(self, keep_alive_s: float) -> None:
        """The broker let us in and wants a sign of life within so many seconds."""
        self._keep_alive_s = keep_alive_s
        self._subscribed_at = time.monotonic()

    def read(self, timeout_s: float) -> bytes:
        """What has arrived, b"" if nothing did within `timeout_s` or `wake()` was called.

        Raises:
            BrokerAway: If the connection is gone, or the broker has not answered for long.
        """
        sock = self._connected()
        try:
            if not self._await_data(sock, timeout_s):
                return b""
            sock.setblocking(False)
            data = sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return b""  # of TLS: a part of a record, or one without data
        except OSError as error:
            kind = ConnectionClosed if isinstance(error, ConnectionResetError) else BrokerAway
            raise kind(_reason(error)) from error
        if not data:
            raise ConnectionClosed(f"it closed the connection{self._suspicion()}")
        self._pinged_at = None
        return data

    def send(self, data: bytes) -> None:
        """All of it. Raises BrokerAway."""
        sock = self._connected()
        try:
            sock.settimeout(self._settings.connect_timeout_s)
            sock.sendall(data)
        except OSError as error:
            raise BrokerAway(_reason(error)) from error
        self._sent_at = time.monotonic()

    def acknowledge(self, packet_ids: list[int]) -> None:
        """PUBACK with success for each, in one go: the same four bytes in every version (section 3.4)."""
        if packet_ids:
            self.send(b"".join([b"\x40\x02" + packet_id.to_bytes(2, "big") for packet_id in packet_ids]))

    def keep_alive(self) -> None:
        """PINGREQ if a third of the keep-alive passed without a packet from us. Raises BrokerAway."""
        if time.monotonic() - self._sent_at > self._keep_alive_s / 3:
            before = self._sent_at
            self.send(_PING)
            self._pinged_at = self._pinged_at or before

    def wake(self) -> None:
        """End a `read()` that waits. May be called from any thread."""
        with contextlib.suppress(OSError):  # full: it is awake already; closed: there is nothing to wake
            self._wake_out.send(b"\0")

    def close(self) -> None:
        """DISCONNECT and close. Harmless if there is no connection."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):  # it is gone, which is what we want
            self._socket.settimeout(self._settings.connect_timeout_s)
            self._socket.sendall(_DISCONNECT)
        self._socket.close()
        self._socket = None

    def release(self) -> None:
        """Give back the pair of sockets that `wake()` uses."""
        self._wake_in.close()
        self._wake_out.close()

    def _open(self) -> socket.socket:
        settings = self._settings
        address = (settings.address.host, settings.address.port)
        context = None
        if settings.address.tls:  # first: a certificate that can't be read leaves no connection open
            context = ssl.create_default_context(cafile=settings.ca_file)
            if settings.cert_file:
                context.load_cert_chain(settings.cert_file, settings.key_file)
        raw = socket.create_connection(address, settings.connect_timeout_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return raw if context is None else context.wrap_socket(raw, server_hostname=settings.address.host)

    def _await_data(self, sock: socket.socket, timeout_s: float) -> bool:
        """Whether something can be read, within `timeout_s`. Raises BrokerAway if a ping has had no answer for long.

        Only where nothing is there to read: answers that came while we were busy storing are in the buffer.
        """
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = select.poll()  # not select(), which takes no descriptor above 1023
        for watched in (sock, self._wake_in):
            poll.register(watched, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(timeout_s * 1000)}
        if self._wake_in.fileno() in ready:
            self._wake_in.recv(4096)
        if sock.fileno() in ready:
            return True
        if self._pinged_at is not None and time.monotonic() - self._pinged_at > self._keep_alive_s / 2:
            raise BrokerAway("it does not answer any more")
        return False

    def _suspicion(self) -> str:
        """Some brokers, Mosquitto 2.0.11 for one, do not say that another client took over our id."""
        if self._subscribed_at is None or time.monotonic() - self._subscribed_at > _SOON_S:
            return ""
        hint = f"{self._settings.client_id} (MQTT_CLIENT_ID)"
        return f" soon after it let us in; maybe another worker uses the client id {hint}"

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise BrokerAway("there is no connection")
        return self._socket


def _reason(error: OSError) -> str:
    """The cause in a few words: `Connection refused`, `timed out`, what TLS objects to."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (MQTT_CA_FILE)"
    return error.strerror or str(error) or type(error).__name__
