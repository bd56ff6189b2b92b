"""Devices that go on publishing whatever happens to their broker, and keep a list of what it acknowledged to them."""

from __future__ import annotations

import json
import random
import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Final, Self

import mqtt5

from ingest.packets import PacketReader

#: A reading's number makes its values, so that a row in the database tells which one it is.
METRICS: Final = {"v": 0.0, "w": 0.5}
_WINDOW: Final = 200
_BACKLOG_SHARE: Final = 0.15


@dataclass(frozen=True, slots=True)
class Sent:
    """One message: the sequence numbers of the readings in it."""

    device: str
    numbers: range


class Fleet:
    """`devices` over one MQTT 5 connection to 127.0.0.1:`port` with QoS 1, usable as a context manager.

    Every second device has a clock and sends `ts`; the others send `seq` and `boot` alone, so that only a receipt tells
    a repetition. Some messages are backlogs. After a lost connection what was not acknowledged goes out again.

    `rate` is messages a second, None as fast as the broker acknowledges; `login` is a user name and a password.
    """

    def __init__(
        self,
        port: int,
        root: str,
        *,
        devices: int,
        seed: int = 4,
        rate: float | None = None,
        login: tuple[str, str] | None = None,
    ) -> None:
        self.devices = [f"{'clock' if index % 2 == 0 else 'plain'}{index}" for index in range(devices)]
        self.sent: list[Sent] = []
        #: By position in `sent`.
        self.acknowledged: set[int] = set()
        #: The `ts` of each clock's number 0, UTC ms.
        self.started_ms = time.time_ns() // 1_000_000
        self._port, self._root, self._rate, self._login = port, root, rate, login
        self._random = random.Random(seed)  # noqa: S311 - dice, and no secret
        self._next = dict.fromkeys(self.devices, 0)
        self._flying: dict[int, int] = {}
        self._packet_id = 0
        self._socket: socket.socket | None = None
        self._reader = PacketReader(1 << 20)
        self._given_up = threading.Event()

    def publish(self, messages: int) -> None:
        """Publish so many messages; the broker has acknowledged each when this returns."""
        chosen = (self._random.choice(self.devices) for _ in range(messages))
        self._run([self._make(device, self._size()) for device in chosen])

    def publish_last(self) -> None:
        """One more message of each device: where these arrived, all that went before has arrived or never will."""
        self._run([self._make(device, 1) for device in self.devices])

    def publish_backlog(self, size: int) -> None:
        """One message with so many readings of one device."""
        self._run([self._make(self.devices[0], size)])

    def last_numbers(self) -> dict[str, int]:
        """The last sequence number of each device."""
        return {device: number - 1 for device, number in self._next.items()}

    def give_up(self) -> None:
        """End a `publish()` in another thread that still waits for its broker."""
        self._given_up.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_up()
        self._drop()

    def _size(self) -> int:
        return self._random.randint(2, 4) if self._random.random() < _BACKLOG_SHARE else 1

    def _make(self, device: str, size: int) -> int:
        first = self._next[device]
        self._next[device] += size
        self.sent.append(Sent(device, range(first, first + size)))
        return len(self.sent) - 1

    def _payload(self, message: Sent) -> bytes:
        items = []
        for number in message.numbers:
            item: dict[str, float | str] = {"seq": number, "boot": "b1"}
            if message.device.startswith("clock"):
                item["ts"] = self.started_ms + number
            items.append(item | {metric: number + part for metric, part in METRICS.items()})
        return json.dumps(items if len(items) > 1 else items[0]).encode()

    def _run(self, messages: list[int]) -> None:
        todo = deque(messages)
        begun = time.monotonic()
        while (todo or self._flying) and not self._given_up.is_set():
            allowed = len(todo)
            if self._rate is not None:
                allowed = int((time.monotonic() - begun) * self._rate) - (len(messages) - len(todo))
            try:
                sock = self._socket or self._connect()
                self._push(sock, todo, min(allowed, _WINDOW - len(self._flying)))
                self._pull(sock)
            except OSError:
                self._drop()
                self._given_up.wait(0.05)

    def _push(self, sock: socket.socket, todo: deque[int], at_most: int) -> None:
        fresh: dict[int, int] = {}
        while todo and len(fresh) < at_most:
            self._packet_id = self._packet_id % 65_535 + 1
            fresh[self._packet_id] = todo.popleft()
        self._flying |= fresh
        if fresh:
            sock.sendall(self._packets(fresh, duplicate=False))

    def _packets(self, flying: dict[int, int], *, duplicate: bool) -> bytes:
        return b"".join(
            mqtt5.PublishPacket(
                f"{self._root}/{self.sent[index].device}/telemetry",
                self._payload(self.sent[index]),
                qos=mqtt5.QoS.AT_LEAST_ONCE,
                packet_id=packet_id,
                duplicate=duplicate,
            ).write()
            for packet_id, index in flying.items()
        )

    def _pull(self, sock: socket.socket) -> None:
        ready, _, _ = select.select([sock], [], [], 0.002 if self._rate else 0.05)
        if not ready:
            return
        data = sock.recv(1 << 18)
        if not data:
            raise ConnectionResetError
        for packet in self._reader.feed(data):
            if isinstance(packet, mqtt5.PubAckPacket):
                index = self._flying.pop(packet.packet_id)
                if int(packet.reason_code) < 128:
                    self.acknowledged.add(index)

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self._port), 2)
        try:
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._greet(sock)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        if self._flying:
            sock.sendall(self._packets(self._flying, duplicate=True))
        return sock

    def _greet(self, sock: socket.socket) -> None:
        """CONNECT, and wait to be let in. Raises OSError."""
        self._reader = PacketReader(1 << 20)
        user, password = self._login or (None, None)
        hello = mqtt5.ConnectPacket(
            f"fleet-{self._root}",
            clean_start=True,
            keep_alive=0,
            username=user,
            password=password.encode() if password is not None else None,
        )
        sock.sendall(hello.write())
        welcome = self._reader.feed(sock.recv(4096))
        if not welcome or not isinstance(welcome[0], mqtt5.ConnAckPacket) or int(welcome[0].reason_code) != 0:
            raise ConnectionRefusedError

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
