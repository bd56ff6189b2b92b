"""paho on a connection of ours: it does the protocol, pulled, without a thread of its own.

paho asks its socket for one byte, one byte and the rest of each packet. What it gets for a socket here is a buffer that
was filled in one go, and what it sends goes out at once and whole, so nothing ever waits in its queue and bytes of our
own may go out between two of its packets.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.connection import BrokerAway, BrokerConnection, ConnectionClosed, SubscriberSettings
from ingest.subscriber import VersionRefused


class _Buffer:
    """What paho takes for its socket: reads come from bytes that have arrived, writes go to the connection."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._data = b""
        self._at = 0

    @property
    def pending(self) -> bool:
        """Whether there is something left to read."""
        return self._at < len(self._data)

    def fill(self, data: bytes) -> None:
        """What has arrived; what was there before has been read."""
        self._data, self._at = data, 0

    def recv(self, size: int) -> bytes:
        """As of a socket that never blocks."""
        begin = self._at
        data = self._data[begin : begin + size]
        if not data:
            raise BlockingIOError
        self._at = begin + len(data)
        return data

    def send(self, data: bytes | bytearray) -> int:
        """All of it. Raises BrokerAway, which paho lets through."""
        self._send(bytes(data))
        return len(data)

    def close(self) -> None:
        """The connection is closed by its owner."""

    def fileno(self) -> int:
        """It has none, and we never ask paho to wait for it."""
        return -1

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""
        del flag


class _Client(paho.Client):
    """A paho client on a connection that stands already."""

    def __init__(self, buffer: _Buffer, **options: Any) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            reconnect_on_failure=False,  # else it answers a refusal by trying MQTT 3.1, on a connection of its own
            **options,
        )
        self._buffer = buffer

    def _create_socket(self) -> paho.SocketLike:
        return self._buffer


class PulledPaho:
    """A paho client for each connection after the other. `settings.filters` are not used: it subscribes to nothing."""

    def __init__(self, settings: SubscriberSettings, connection: BrokerConnection) -> None:
        self._settings, self._connection = settings, connection
        self._buffer = _Buffer(connection.send)
        self._version = MQTTProtocolVersion.MQTTv311
        self._welcome: ReasonCode | None = None
        #: What the broker said with its welcome; None by MQTT 3.1.1, which has no properties.
        self.properties: Properties | None = None
        #: UTC ms of the last read, when what is being taken apart had arrived.
        self.read_at = 0
        self.client: paho.Client = _Client(self._buffer)

    def begin(self, version: MQTTProtocolVersion, *, clean: bool, manual_ack: bool = False) -> paho.Client:
        """A client for the next connection: nothing of the one before is left in it.

        `clean`: whether the broker forgets what it kept of us, by MQTT 5 always. `manual_ack`: whether it leaves
        acknowledging to us.
        """
        settings = self._settings
        self._buffer.fill(b"")
        self._version, self._welcome, self.properties = version, None, None
        self.client = _Client(
            self._buffer,
            client_id=settings.client_id,
            clean_session=None if version == MQTTProtocolVersion.MQTTv5 else clean,
            protocol=version,
            manual_ack=manual_ack,
        )
        if settings.address.username is not None:
            password = settings.address.password
            self.client.username_pw_set(settings.address.username, password.get_secret_value() if password else None)
        self.client.on_connect = self._on_connect
        return self.client

    def enter(self) -> None:
        """Say who we are, on the connection that was opened, and wait until the broker lets us in.

        Raises:
            VersionRefused: If it does not speak this version.
            BrokerAway: If it refuses us, or does not answer.
        """
        address = self._settings.address
        more: dict[str, Any] = {"clean_start": True} if self._version == MQTTProtocolVersion.MQTTv5 else {}
        self.client.connect(address.host, address.port, self._settings.keep_alive_s, **more)
        try:
            self.wait(lambda: self._welcome is not None)
        except ConnectionClosed as error:
            raise VersionRefused(str(error)) from error

    def wait(self, answered: Callable[[], bool]) -> None:
        """Read until the broker has answered. Raises BrokerAway."""
        deadline = time.monotonic() + self._settings.connect_timeout_s
        while not answered():
            if time.monotonic() >= deadline:
                raise BrokerAway("it accepts the connection and does not answer; is there an MQTT broker?")
            self.read(max(0.0, deadline - time.monotonic()))

    def read(self, timeout_s: float) -> None:
        """Have paho take apart what has arrived within `timeout_s`. Raises BrokerAway."""
        self._buffer.fill(self._connection.read(timeout_s))
        self.read_at = time.time_ns() // 1_000_000
        while self._buffer.pending:
            code = self.client.loop_read()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self._explained(code)

    def _explained(self, code: MQTTErrorCode) -> BrokerAway:
        version = "5" if self._version == MQTTProtocolVersion.MQTTv5 else "3.1.1"
        if self._welcome is None:
            return VersionRefused(f"it sent what is no MQTT {version}, or does not speak it")
        if self._welcome.is_failure:
            words = str(self._welcome).lower()
            kind = VersionRefused if "protocol version" in words else BrokerAway
            return kind(f"it refuses us: {words}")
        return BrokerAway(f"it ended the connection, or sent what is no MQTT {version}: {paho.error_string(code)}")

    def _on_connect(
        self,
        _client: paho.Client,
        _data: Any,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._welcome, self.properties = reason, properties
