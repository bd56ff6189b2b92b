"""A TCP proxy between a worker and its broker that writes down what passes, and can fall silent as a cut cable does."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Self

import mqtt5

from ingest.packets import OversizedPublish, PacketReader

#: The same in every version of MQTT.
_PINGRESP = b"\xd0\x00"
_SUBSCRIBE = 0x82


@dataclass(slots=True)
class _Link:
    """One connection. `passed` is in order: (from the broker, bytes)."""

    ends: tuple[socket.socket, ...]
    passed: list[tuple[bool, bytes]] = field(default_factory=list)
    cut: threading.Event = field(default_factory=threading.Event)


class Tap:
    """Listens on `host`:`port` (0: a free one) for a broker on 127.0.0.1:`target`, usable as a context manager."""

    def __init__(self, target: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._target = target
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self._links: list[_Link] = []
        self._cut = threading.Event()

    def cut(self) -> None:
        """From now on nothing passes and nothing ends, no FIN and no RST: both sides are left waiting."""
        self._cut.set()
        for link in self._links:
            link.cut.set()

    def mend(self) -> None:
        """New connections pass again; those that were cut stay dead."""
        self._cut.clear()

    def close(self) -> None:
        """End everything and refuse what comes."""
        with contextlib.suppress(OSError):  # it is closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            for end in link.ends:
                with contextlib.suppress(OSError):  # the other side was faster
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def acknowledged(self) -> list[tuple[str, bytes]]:
        """Topic and payload of every message that the worker acknowledged to its broker."""
        return [message for link in self._links for message in _messages(link)[0]]

    def unacknowledged(self) -> int:
        """How many messages the worker has of its present connection and did not acknowledge."""
        return sum(len(_messages(link)[1]) for link in self._listening())

    def answered_pings(self) -> int:
        """How many signs of life the broker has answered on the worker's present connection."""
        return sum(1 for link in self._listening() for sent in list(link.passed) if sent == (True, _PINGRESP))

    def _listening(self) -> list[_Link]:
        """The present connection that messages come by: commands go out by another one, which subscribes to nothing."""
        found = [
            link for link in self._links if any(not up and data[0] == _SUBSCRIBE for up, data in list(link.passed))
        ]
        return found[-1:]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="tap", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                self._open(self._listener.accept()[0])

    def _open(self, worker: socket.socket) -> None:
        if self._cut.is_set():
            self._links.append(_Link((worker,)))
            return
        try:
            broker = socket.create_connection(("127.0.0.1", self._target), 2)
        except OSError:
            worker.close()
            return
        broker.settimeout(None)
        for end in (worker, broker):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link((worker, broker))
        self._links.append(link)
        for pair in ((worker, broker, False), (broker, worker, True)):
            threading.Thread(target=self._pass_on, args=(link, *pair), name="tap", daemon=True).start()

    def _pass_on(self, link: _Link, source: socket.socket, sink: socket.socket, from_broker: bool) -> None:
        with contextlib.suppress(OSError):  # an end was closed, by its side or by us
            while data := source.recv(1 << 18):
                cut = link.cut.is_set()
                if not (cut and from_broker):
                    link.passed.append((from_broker, data))
                if not cut:
                    sink.sendall(data)
        if not link.cut.is_set():
            with contextlib.suppress(OSError):  # it is gone as well
                sink.shutdown(socket.SHUT_RDWR)


def _messages(link: _Link) -> tuple[list[tuple[str, bytes]], dict[int, tuple[str, bytes]]]:
    """What was acknowledged, in order, and what was not, by packet id."""
    readers = {True: PacketReader(1 << 21), False: PacketReader(1 << 21)}
    flying: dict[int, tuple[str, bytes]] = {}
    found: list[tuple[str, bytes]] = []
    for from_broker, data in list(link.passed):
        for packet in readers[from_broker].feed(data):
            if isinstance(packet, mqtt5.PublishPacket | OversizedPublish) and packet.packet_id is not None:
                flying[packet.packet_id] = (packet.topic, bytes(packet.payload))
            elif isinstance(packet, mqtt5.PubAckPacket) and packet.packet_id in flying:
                found.append(flying.pop(packet.packet_id))
    return found, flying
