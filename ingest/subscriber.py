"""The MQTT connection in, pulled: `receive()` what has arrived, `acknowledge()` what is safe. Knows MQTT, not readings.

One thread uses it. The broker is the queue: what is not received stays there, and what is not acknowledged comes again.
`wake()` and nothing else may be called from another thread.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

import mqtt5

from ingest.connection import BrokerAway, BrokerConnection, ConnectionClosed, SubscriberSettings
from ingest.health import ProtocolVersion
from ingest.message import Message
from ingest.packets import MalformedPacket, OversizedPublish, Packet, PacketReader

_Answer = TypeVar("_Answer", mqtt5.ConnAckPacket, mqtt5.SubAckPacket)

#: Bytes of a packet beside the payload: header, topic, packet id, properties.
_OVERHEAD: Final = 70_000

__all__ = ["BrokerAway", "Mqtt5Subscriber", "OneVersion", "Subscriber", "SubscriberSettings", "VersionRefused"]


class VersionRefused(BrokerAway):
    """The broker is there and answers CONNECT as one does that does not speak this version of MQTT."""


class Subscriber(Protocol):
    """What the worker needs of a connection, whichever protocol it speaks."""

    @property
    def window(self) -> int | None:
        """How many unacknowledged messages the broker may have with us, None while unknown."""

    @property
    def protocol(self) -> ProtocolVersion:
        """The version of MQTT that is spoken."""

    def connect(self) -> None:
        """Connect and subscribe. Raises BrokerAway."""

    def receive(self, timeout_s: float) -> list[Message]:
        """What has arrived, waiting for it `timeout_s` at most. Raises BrokerAway."""

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these are stored. Raises BrokerAway."""

    def keep_alive(self) -> None:
        """Give a sign of life if one is due. Raises BrokerAway."""

    def wake(self) -> None:
        """End a `receive()` that waits, from another thread."""

    def close(self) -> None:
        """Leave; the broker keeps the session. Harmless if there is no connection."""

    def release(self) -> None:
        """Close, and give back all else it holds. It can't be used again."""


class OneVersion(ABC):
    """What a subscriber is whichever version it speaks; how it is let in and what it reads is for each to say."""

    def __init__(self, settings: SubscriberSettings) -> None:
        self._settings = settings
        self._connection = BrokerConnection(settings)

    def connect(self) -> None:
        """Connect, wait for the broker's answer, subscribe and wait for that answer too.

        Raises:
            VersionRefused: If the broker does not speak this version.
            BrokerAway: If the broker can't be reached, or refuses us or the subscription.
        """
        self.close()
        try:
            self._connection.open()
            self._connection.subscribed(self._enter())
        except BrokerAway:
            self.close()
            raise

    def receive(self, timeout_s: float) -> list[Message]:
        """What has arrived, [] if nothing did within `timeout_s` or `wake()` was called.

        Raises:
            BrokerAway: If the connection is gone. What was received and not acknowledged will come again.
        """
        self.keep_alive()
        return self._arrived(timeout_s)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """PUBACK for each message that has a packet id."""
        self._connection.acknowledge([m.packet_id for m in messages if m.packet_id is not None])

    def keep_alive(self) -> None:
        """PINGREQ if a third of the keep-alive passed without a packet from us."""
        self._connection.keep_alive()

    def wake(self) -> None:
        """End a `receive()` that waits. May be called from any thread."""
        self._connection.wake()

    def close(self) -> None:
        """DISCONNECT and close; the broker keeps the session."""
        self._connection.close()

    def release(self) -> None:
        """Close, and give back the pair of sockets that `wake()` uses."""
        self.close()
        self._connection.release()

    @abstractmethod
    def _enter(self) -> float:
        """CONNECT and SUBSCRIBE on a new connection; the seconds within which the broker wants a sign of life.

        Raises BrokerAway, and VersionRefused.
        """

    @abstractmethod
    def _arrived(self, timeout_s: float) -> list[Message]:
        """What has arrived within `timeout_s`. Raises BrokerAway."""


class Mqtt5Subscriber(OneVersion):
    """MQTT 5 over the sans-I/O package mqtt5, with a persistent session under a fixed client id."""

    def __init__(self, settings: SubscriberSettings) -> None:
        super().__init__(settings)
        self._reader = PacketReader(settings.largest_payload + _OVERHEAD)
        self._early: list[Packet] = []
        self._welcomed = False

    @property
    def window(self) -> int | None:
        """What we announced; a broker may use less of it and does not say so."""
        return self._settings.window

    @property
    def protocol(self) -> ProtocolVersion:
        """MQTT 5."""
        return "5"

    def _enter(self) -> float:
        self._reader = PacketReader(self._settings.largest_payload + _OVERHEAD)
        self._early = []
        self._welcomed = False
        self._connection.send(self._hello().write())
        keep_alive_s = self._welcome()
        self._subscribe()
        return keep_alive_s

    def _arrived(self, timeout_s: float) -> list[Message]:
        packets, self._early = self._early, []
        if not packets:
            packets = self._read(timeout_s)
        now = time.time_ns() // 1_000_000
        messages: list[Message] = []
        for packet in packets:
            message = self._message(packet, now)
            if message is not None:
                messages.append(message)
        return messages

    def _hello(self) -> mqtt5.ConnectPacket:
        settings, address = self._settings, self._settings.address
        return mqtt5.ConnectPacket(
            settings.client_id,
            username=address.username,
            password=address.password.get_secret_value().encode() if address.password else None,
            clean_start=not settings.persistent,
            keep_alive=settings.keep_alive_s,
            session_expiry_interval=settings.session_expiry_s if settings.persistent else 0,
            receive_max=settings.window,
        )

    def _welcome(self) -> float:
        """Wait for CONNACK; the seconds within which the broker wants a sign of life."""
        try:
            answer = self._await(mqtt5.ConnAckPacket)
        except ConnectionClosed as error:  # as rumqttd's port for MQTT 3.1.1 does
            raise VersionRefused(str(error)) from error
        if answer.reason_code == mqtt5.ConnAckReasonCode.UNSUPPORTED_PROTOCOL_VERSION:
            raise VersionRefused("it does not speak MQTT 5")
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise BrokerAway(f"it refuses us: {_words(answer.reason_code.name)}")
        self._welcomed = True
        return float(answer.server_keep_alive or self._settings.keep_alive_s)

    def _subscribe(self) -> None:
        settings = self._settings
        filters = [
            mqtt5.TopicFilter(pattern, max_qos=mqtt5.QoS(settings.qos), retain_as_published=False)
            for pattern in settings.filters
        ]
        self._connection.send(mqtt5.SubscribePacket(1, filters).write())
        answer = self._await(mqtt5.SubAckPacket)
        refused = [code.name for code in answer.reason_codes if int(code) >= 128]  # 3.9.3: an error
        if refused:
            raise BrokerAway(f"it refuses the subscription to {', '.join(settings.filters)}: {_words(refused[0])}")
        if settings.former_filters:
            # After the new ones, so that nothing falls between them. No answer is awaited: rumqttd gives none for a
            # filter that it does not know.
            self._connection.send(mqtt5.UnsubscribePacket(2, list(settings.former_filters)).write())

    def _await(self, kind: type[_Answer]) -> _Answer:
        """The answer of that kind; messages that come before it wait for the next `receive()`."""
        deadline = time.monotonic() + self._settings.connect_timeout_s
        while True:
            packets = self._read(max(0.0, deadline - time.monotonic()))
            for index, packet in enumerate(packets):
                if isinstance(packet, mqtt5.DisconnectPacket):
                    raise BrokerAway(f"it ended the connection: {_words(packet.reason_code.name)}")
                if isinstance(packet, kind):
                    self._early += packets[index + 1 :]
                    return packet
                self._early.append(packet)
            if not packets and time.monotonic() >= deadline:
                raise BrokerAway("it accepts the connection and does not answer; is there an MQTT 5 broker?")

    def _read(self, timeout_s: float) -> list[Packet]:
        data = self._connection.read(timeout_s)
        if not data:
            return []
        try:
            return self._reader.feed(data)
        except MalformedPacket as error:
            kind = BrokerAway if self._welcomed else VersionRefused
            raise kind(f"it sent what is no MQTT 5: {error}") from error

    def _message(self, packet: Packet, now: int) -> Message | None:
        match packet:
            case mqtt5.PublishPacket():
                return Message(
                    packet.topic,
                    packet.payload,
                    len(packet.payload),
                    now,
                    packet.retain,
                    packet.duplicate,
                    packet.packet_id,
                )
            case OversizedPublish():
                return Message(
                    packet.topic, packet.payload, packet.size, now, packet.retain, packet.duplicate, packet.packet_id
                )
            case mqtt5.DisconnectPacket():
                hint = ""
                if packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
                    hint = f"; another worker uses the client id {self._settings.client_id} (MQTT_CLIENT_ID)"
                raise BrokerAway(f"it ended the connection: {_words(packet.reason_code.name)}{hint}")
        return None


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
