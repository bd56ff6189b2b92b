"""A device as the broker sees it: connects by MQTT 5, which tells why something is not allowed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

ANSWER_S = 20.0


class Denied(Exception):
    """The broker did not let it in; the text is the broker's reason."""


@dataclass
class DeviceClient:
    """One connection, open as a context manager. With `certificate` and `key` it needs no password."""

    port: int
    client_id: str
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    host: str = "127.0.0.1"
    gone: threading.Event = field(default_factory=threading.Event)
    received: list[tuple[str, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, self.client_id, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
        )
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        if self.ca is not None:
            client.tls_set(str(self.ca), _text(self.certificate), _text(self.key))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = lambda _client, _data, message: self.received.append(
            (message.topic, bytes(message.payload))
        )
        self._client = client
        self._answered = threading.Event()
        self._answer = ""

    def another(self) -> DeviceClient:
        """A connection like this one, not yet open."""
        return replace(self, gone=threading.Event(), received=[])

    def publish(self, topic: str, payload: str = "1", *, retain: bool = False) -> str:
        """Publish with QoS 1: `Success`, or why not."""
        return self._ask(lambda: self._client.publish(topic, payload, 1, retain))

    def subscribe(self, topic: str) -> str:
        """Subscribe with QoS 1: `Granted QoS 1`, or why not."""
        return self._ask(lambda: self._client.subscribe(topic, 1))

    def __enter__(self) -> Self:
        self._answered.clear()
        self._client.connect(self.host, self.port)
        self._client.loop_start()
        assert self._answered.wait(ANSWER_S), "the broker does not answer CONNECT"
        if self._answer != "Success":
            self._client.loop_stop()
            raise Denied(self._answer)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _ask(self, question: Any) -> str:
        self._answered.clear()
        question()
        assert self._answered.wait(ANSWER_S), "the broker does not answer"
        return self._answer

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._tell(reason)

    def _on_disconnect(self, *_: Any) -> None:
        self.gone.set()
        if not self._answered.is_set():
            self._tell("hung up")

    def _on_publish(self, _client: Any, _data: Any, _mid: int, reason: Any, _properties: Any) -> None:
        # Nobody being subscribed is a success too.
        self._tell("Success" if not reason.is_failure else reason)

    def _on_subscribe(self, _client: Any, _data: Any, _mid: int, reasons: Any, _properties: Any) -> None:
        self._tell(reasons[0])

    def _tell(self, reason: object) -> None:
        self._answer = str(reason)
        self._answered.set()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
