"""Publishes much faster than anyone stores: MQTT 3.1.1 packets encoded by hand, QoS 1, over several connections."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Self

_CHUNK: Final = 1 << 16
_PUBACK_BYTES: Final = 4
_SILENCE_S: Final = 30.0
#: Groups are at least so far apart: a publisher that wakes for each message takes a core from those it measures.
_PACE_S: Final = 0.001


class BrokerSilent(Exception):
    """The broker stopped acknowledging. The text says how far it came."""


def encode(topic: str, payload: bytes, packet_id: int) -> bytes:
    """A PUBLISH with QoS 1 (MQTT 3.1.1, section 3.3)."""
    name = topic.encode()
    body = len(name).to_bytes(2, "big") + name + packet_id.to_bytes(2, "big") + payload
    return b"\x32" + _length(len(body)) + body


def _length(number: int) -> bytes:
    encoded = bytearray()
    while True:
        number, digit = divmod(number, 128)
        encoded.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(encoded)


@dataclass(slots=True)
class Connection:
    """One connection of a publisher that keeps nothing at the broker."""

    socket: socket.socket
    sent: int = 0
    acknowledged_bytes: int = 0
    rest: memoryview = field(default_factory=lambda: memoryview(b""))

    @classmethod
    def to(cls, port: int, client_id: str) -> Self:
        """Connected to a broker on 127.0.0.1."""
        connection = socket.create_connection(("127.0.0.1", port), 10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        name = client_id.encode()
        body = b"\x00\x04MQTT\x04\x02\x00\x00" + len(name).to_bytes(2, "big") + name  # clean session, no keep-alive
        connection.sendall(b"\x10" + _length(len(body)) + body)
        answer = connection.recv(4)
        if answer != b"\x20\x02\x00\x00":
            raise ConnectionError(f"the broker refused a publisher: {answer.hex()}")
        return cls(connection)

    @property
    def acknowledged(self) -> int:
        """Messages that the broker has."""
        return self.acknowledged_bytes // _PUBACK_BYTES

    def packet_id(self) -> int:
        """The next packet's id; counts it as sent."""
        self.sent += 1
        return (self.sent - 1) % 65_535 + 1

    def take_acknowledgements(self) -> None:
        """Read what the broker has acknowledged. Raises ConnectionError if it ended the connection."""
        data = self.socket.recv(_CHUNK)
        if not data:
            raise ConnectionError("the broker ended a publisher's connection")
        self.acknowledged_bytes += len(data)


def fill(port: int, messages: Iterable[tuple[str, bytes]], *, connections: int = 4) -> int:
    """Publish all messages as fast as the broker takes them; how many it acknowledged.

    Messages of one topic keep their order: they go over one connection.

    Raises:
        BrokerSilent: If no acknowledgement came for 30 s.
    """
    open_connections = [Connection.to(port, f"fill-{number}") for number in range(connections)]
    packets: list[list[bytes]] = [[] for _ in open_connections]
    for topic, payload in messages:
        number = hash(topic) % connections
        packets[number].append(encode(topic, payload, open_connections[number].packet_id()))
    for connection, own in zip(open_connections, packets, strict=True):
        connection.rest = memoryview(b"".join(own))
    packets.clear()
    with _watched(open_connections) as selector:
        while any(one.acknowledged < one.sent for one in open_connections):
            _turn(selector, open_connections)
    return sum(one.acknowledged for one in open_connections)


@contextmanager
def _watched(connections: Sequence[Connection]) -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.socket.setblocking(False)
            selector.register(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        try:
            yield selector
        finally:
            for connection in connections:
                connection.socket.close()


def _turn(selector: selectors.BaseSelector, connections: Sequence[Connection]) -> None:
    ready = selector.select(_SILENCE_S)
    if not ready:
        done, sent = sum(c.acknowledged for c in connections), sum(c.sent for c in connections)
        raise BrokerSilent(f"the broker acknowledged {done:,} of {sent:,} messages, then nothing for {_SILENCE_S:g} s")
    for key, events in ready:
        connection: Connection = key.data
        if events & selectors.EVENT_READ:
            connection.take_acknowledgements()
        if events & selectors.EVENT_WRITE:
            sent = connection.socket.send(connection.rest[:_CHUNK])
            connection.rest = connection.rest[sent:]
            if not connection.rest:
                selector.modify(connection.socket, selectors.EVENT_READ, connection)


def publish_evenly(port: int, messages: Iterable[tuple[str, bytes]], rate: float) -> int:
    """Publish at `rate` messages a second, in groups a millisecond or more apart; how many were acknowledged.

    `messages` is asked for each only when it is due, so that it may carry the time.
    """
    connection = Connection.to(port, "evenly")
    connection.socket.setblocking(True)
    began, due = time.monotonic(), iter(messages)
    exhausted = False
    with connection.socket:
        while not exhausted:
            owed = int((time.monotonic() - began) * rate) + 1 - connection.sent
            group: list[bytes] = []
            for topic, payload in _at_most(due, owed):
                group.append(encode(topic, payload, connection.packet_id()))
            exhausted = owed > 0 and len(group) < owed
            if group:
                connection.socket.sendall(b"".join(group))
            _drain(connection)
            time.sleep(max(_PACE_S, min(0.05, began + connection.sent / rate - time.monotonic())))
        connection.socket.settimeout(_SILENCE_S)
        while connection.acknowledged < connection.sent:
            connection.take_acknowledgements()
    return connection.acknowledged


def _at_most(messages: Iterator[tuple[str, bytes]], number: int) -> Iterator[tuple[str, bytes]]:
    for _ in range(number):
        try:
            yield next(messages)
        except StopIteration:
            return


def _drain(connection: Connection) -> None:
    connection.socket.setblocking(False)
    try:
        connection.take_acknowledgements()
    except BlockingIOError:
        return
    finally:
        connection.socket.setblocking(True)
