"""The subscriber for brokers that speak MQTT 3.1.1 alone: paho does the protocol, pulled, without a thread of its own.

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

from ingest.connection import ConnectionClosed
from ingest.health import ProtocolVersion
from ingest.message import Message
from ingest.packets import KEPT_BYTES
from ingest.subscriber import BrokerAway, OneVersion, SubscriberSettings, VersionRefused


class Buffer:
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

    def __init__(self, settings: SubscriberSettings, buffer: Buffer) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            settings.client_id,
            clean_session=not settings.persistent,
            protocol=MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,  # else it answers a refusal by trying MQTT 3.1, on a connection of its own
        )
        self._buffer = buffer

    def _create_socket(self) -> paho.SocketLike:
        return self._buffer


class PahoSubscriber(OneVersion):
    """MQTT 3.1.1 with a persistent session under a fixed client id.

    MQTT 3.1.1 lets a client announce neither a window nor a largest packet, and paho reads a packet whole before it
    shows it: one that is too large is held once, at most 256 MB by the protocol, before all but its beginning is
    dropped. Acknowledgements and signs of life go past paho, whose `ack()` sends a packet each and whose PINGREQ comes
    only after the whole keep-alive.
    """

    def __init__(self, settings: SubscriberSettings) -> None:
        super().__init__(settings)
        self._buffer = Buffer(self._connection.send)
        self._client = _Client(settings, self._buffer)
        self._messages: list[Message] = []
        self._now = 0
        self._welcome: ReasonCode | None = None
        self._granted: list[ReasonCode] | None = None

    @property
    def window(self) -> int | None:
        """Unknown: the broker decides and does not say."""
        return None

    @property
    def protocol(self) -> ProtocolVersion:
        """MQTT 3.1.1."""
        return "3.1.1"

    def _enter(self) -> float:
        settings = self._settings
        self._begin()
        self._client.connect(settings.address.host, settings.address.port, settings.keep_alive_s)
        self._await_welcome()
        filters: list[tuple[str, int]] = [(pattern, settings.qos) for pattern in settings.filters]
        self._client.subscribe(filters)
        self._await(lambda: self._granted is not None)
        if any(code.is_failure for code in self._granted or ()):
            raise BrokerAway(f"it refuses the subscription to {', '.join(settings.filters)}")
        if settings.former_filters:
            self._client.unsubscribe(list(settings.former_filters))
        return float(settings.keep_alive_s)

    def _arrived(self, timeout_s: float) -> list[Message]:
        if not self._messages:
            self._read(timeout_s)
        messages, self._messages = self._messages, []
        return messages

    def _begin(self) -> None:
        """A client for the new connection: nothing of the one before is left in it."""
        settings = self._settings
        self._buffer.fill(b"")
        self._messages, self._welcome, self._granted = [], None, None
        self._client = _Client(settings, self._buffer)
        if settings.address.username is not None:
            password = settings.address.password
            self._client.username_pw_set(settings.address.username, password.get_secret_value() if password else None)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def _await_welcome(self) -> None:
        try:
            self._await(lambda: self._welcome is not None)
        except ConnectionClosed as error:
            raise VersionRefused(str(error)) from error

    def _await(self, answered: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._settings.connect_timeout_s
        while not answered():
            if time.monotonic() >= deadline:
                raise BrokerAway("it accepts the connection and does not answer; is there an MQTT broker?")
            self._read(max(0.0, deadline - time.monotonic()))

    def _read(self, timeout_s: float) -> None:
        """Have paho take apart what has arrived within `timeout_s`. Raises BrokerAway."""
        self._buffer.fill(self._connection.read(timeout_s))
        self._now = time.time_ns() // 1_000_000
        while self._buffer.pending:
            code = self._client.loop_read()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise self._explained(code)

    def _explained(self, code: MQTTErrorCode) -> BrokerAway:
        if self._welcome is not None and self._welcome.is_failure:
            return BrokerAway(f"it refuses us: {str(self._welcome).lower()}")
        if self._welcome is None:
            return VersionRefused("it sent what is no MQTT 3.1.1, or does not speak it")
        return BrokerAway(f"it sent what is no MQTT 3.1.1: {paho.error_string(code)}")

    def _on_connect(
        self,
        _client: paho.Client,
        _data: Any,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._welcome = reason

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _id: int, granted: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._granted = granted

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        payload = message.payload
        size = len(payload)
        if size > self._settings.largest_payload:
            payload = payload[:KEPT_BYTES]
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            raise BrokerAway(f"it sent what is no MQTT 3.1.1: a topic that is no text: {error}") from error
        self._messages.append(
            Message(
                topic,
                bytes(payload),
                size,
                self._now,
                message.retain,
                message.dup,
                message.mid if message.qos else None,
            )
        )
