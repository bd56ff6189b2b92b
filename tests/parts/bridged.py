"""A site's Mosquitto with its bridges, prepared and run as `python -m broker run` does, and what its far end heard."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from broker import bridges
from broker.bridge import Bridge
from broker.bridges import Part
from broker.directory import BrokerDirectory
from broker.mosquitto import Version, version
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.process import Process

_RECEIVED: Final = re.compile(r"Received PUBLISH from (\S+) \(d\d, q\d, r\d, m\d+, '([^']*)'")
_LOG: Final = "packets.log"
#: Those of a bridge, each by a packet of its own: commands, probes, $CONTROL.
_SUBSCRIPTIONS: Final = 3


def logged_mosquitto(directory: Path, *extra: str) -> Mosquitto:
    """A broker that keeps all that waits, and writes down each packet at once: its standard output would wait."""
    return Mosquitto(directory, extra=["max_queued_messages 0", f"log_dest file {directory}/{_LOG}", *extra])


def said(broker: Mosquitto) -> str:
    """All that it wrote down."""
    file = broker.process.log.with_name(_LOG)
    return file.read_text(errors="replace") if file.exists() else ""


class BridgedSite:
    """Usable as a context manager. `directory` is made; `release`: as which Mosquitto its bridges are prepared."""

    def __init__(self, directory: Path, *, release: Version | None = None, extra: Sequence[str] = ()) -> None:
        directory.mkdir()
        self.directory = BrokerDirectory(directory)
        self.directory.bridges.mkdir()
        self._release = release or version()
        self.broker = logged_mosquitto(directory, *extra, f"include_dir {self.directory.bridges}")
        self._beside: list[Process] = []

    @property
    def port(self) -> int:
        return self.broker.port

    def add(self, bridge: Bridge, **files: Path) -> None:
        """From the next start on. `files`: ca, certificate, key."""
        parts: dict[Part, bytes] = {part: files[part].read_bytes() for part in bridges.PARTS if part in files}
        bridges.save(self.directory, bridge, parts)

    def start(self) -> None:
        beside = bridges.prepare(self.directory, self._release)
        log = self.directory.path / "beside.log"
        self._beside = [Process(one.command, log=log) for one in beside]
        for process in self._beside:
            process.start()
        self.broker.start()

    def stop(self) -> None:
        self.broker.stop()
        self._end_beside()

    def kill(self) -> None:
        """As a power cut does."""
        self.broker.kill()
        self._end_beside()

    def is_bridged(self, name: str = "cloud") -> bool:
        """Whether the far end has taken the bridge and its subscriptions, since the broker's last start."""
        now = said(self.broker).rpartition("mosquitto version")[2]
        return now.count(f"Received SUBACK from bridge-{name}\n") >= _SUBSCRIPTIONS

    def published_by(self, client_id: str) -> list[str]:
        """Topics of all that a client published here."""
        return published_by(self.broker, client_id)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.broker.process.running:
            self.broker.stop()
        self._end_beside()

    def _end_beside(self) -> None:
        for process in self._beside:
            process.kill()


def published_by(broker: Mosquitto, client_id: str) -> list[str]:
    """Topics of all that a client published there, repetitions included."""
    return [found[2] for found in _RECEIVED.finditer(said(broker)) if found[1] == client_id]


class Hearer:
    """A client of 127.0.0.1:`port` with a session that writes down what comes, usable as a context manager."""

    def __init__(self, port: int, *filters: str, name: str = "hearer", login: tuple[str, str] | None = None) -> None:
        self.heard: list[tuple[str, str]] = []
        self._port, self._filters = port, filters
        self._client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
        if login is not None:
            self._client.username_pw_set(*login)
        self._client.on_message = self._write_down
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = self._subscribed
        self._client.reconnect_delay_set(1, 1)
        self._ready = False

    def payloads(self, topic: str) -> list[str]:
        """What came on a topic, in order."""
        return [payload for name, payload in list(self.heard) if name == topic]

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """The broker has it when this returns."""
        sent = self._client.publish(topic, payload, qos=1, retain=retain)
        sent.wait_for_publish(5)
        assert sent.is_published(), "the broker did not acknowledge within 5 s"

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        eventually(lambda: self._ready, what="a subscription")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _subscribe(self, client: paho.Client, *_: Any) -> None:
        if self._filters:
            client.subscribe([(one, 1) for one in self._filters])
        else:  # its session has some already
            self._ready = True

    def _subscribed(self, *_: Any) -> None:
        self._ready = True

    def _write_down(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.heard.append((message.topic, message.payload.decode()))


def retained(port: int, pattern: str) -> dict[str, str]:
    """What the broker keeps, by topic."""
    found: dict[str, str] = {}
    mark = "a/mark/of/the/tests"
    marked = threading.Event()

    def subscribe(client: paho.Client, *_: Any) -> None:
        client.subscribe([(pattern, 1), (mark, 1)])

    def publish_mark(client: paho.Client, *_: Any) -> None:
        client.publish(mark, b"", qos=1)  # it comes after all that was kept

    def note(_client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        if message.topic == mark:
            marked.set()
        elif message.retain:
            found[message.topic] = message.payload.decode()

    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.on_connect, client.on_subscribe, client.on_message = subscribe, publish_mark, note
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        assert marked.wait(5), "the broker did not send what it keeps within 5 s"
    finally:
        client.disconnect()
        client.loop_stop()
    return found
