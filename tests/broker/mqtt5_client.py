"""A blocking MQTT 5 client for tests, on the package mqtt5: it acknowledges only when it is told to."""

from __future__ import annotations

import socket
from collections import deque
from typing import TypeVar
from urllib.parse import urlsplit

import mqtt5

Packet = TypeVar("Packet")
TIMEOUT_S = 20.0


class Mqtt5Client:
    """One connection; `receive` returns the next message, `acknowledge` frees it at the broker."""

    def __init__(self, url: str, client_id: str, *, clean_start: bool = True, session_expiry_s: int = 0) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port), TIMEOUT_S)
        self._rest = b""
        self._early: deque[mqtt5.PublishPacket] = deque()  # messages that came while an answer was awaited
        connect = mqtt5.ConnectPacket(
            client_id, clean_start=clean_start, keep_alive=60, session_expiry_interval=session_expiry_s
        )
        self._socket.sendall(connect.write())
        hello = self._next(mqtt5.ConnAckPacket, TIMEOUT_S)
        assert hello is not None
        assert hello.reason_code == mqtt5.ConnAckReasonCode.SUCCESS
        self.session_present = hello.session_present

    def subscribe(self, pattern: str) -> None:
        """Subscribe with QoS 1 and return once the broker said so."""
        filters = [mqtt5.TopicFilter(pattern, max_qos=mqtt5.QoS.AT_LEAST_ONCE, retain_as_published=True)]
        self._socket.sendall(mqtt5.SubscribePacket(1, filters).write())
        assert self._next(mqtt5.SubAckPacket, TIMEOUT_S) is not None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish with QoS 1 and return once it is acknowledged."""
        packet = mqtt5.PublishPacket(topic, payload, qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=7, retain=retain)
        self._socket.sendall(packet.write())
        assert self._next(mqtt5.PubAckPacket, TIMEOUT_S) is not None

    def receive(self, timeout_s: float = TIMEOUT_S) -> mqtt5.PublishPacket | None:
        """The next message, None if none arrives in time."""
        if self._early:
            return self._early.popleft()
        return self._next(mqtt5.PublishPacket, timeout_s)

    def messages(self, count: int) -> list[mqtt5.PublishPacket]:
        """The next `count` messages, each acknowledged as it arrives."""
        found: list[mqtt5.PublishPacket] = []
        for _ in range(count):
            message = self.receive()
            assert message is not None, f"only {len(found)} of {count} messages arrived"
            self.acknowledge(message)
            found.append(message)
        return found

    def acknowledge(self, message: mqtt5.PublishPacket) -> None:
        """Send PUBACK."""
        if message.packet_id is not None:
            self._socket.sendall(mqtt5.PubAckPacket(message.packet_id).write())

    def drop(self) -> None:
        """Close the socket without DISCONNECT, as a crash does."""
        self._socket.close()

    def _next(self, kind: type[Packet], timeout_s: float) -> Packet | None:
        self._socket.settimeout(timeout_s)
        while True:
            try:
                packet, length = mqtt5.read(memoryview(self._rest))
            except (IndexError, ValueError):
                try:
                    data = self._socket.recv(1 << 20)
                except TimeoutError:
                    return None
                if not data:
                    raise ConnectionError("the broker closed the connection") from None
                self._rest += data
                continue
            self._rest = self._rest[length:]
            if isinstance(packet, kind):
                return packet
            if isinstance(packet, mqtt5.PublishPacket):
                self._early.append(packet)
