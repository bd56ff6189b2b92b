"""A device that is told something by MQTT: what those have in common that obey, and those that send again."""

from __future__ import annotations

import json
import threading
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion


class ToldDevice:
    """On 127.0.0.1, usable as a context manager. It hears what comes on `<base>/<topic>`, documents all of them.

    `told` is every one of them, in order, and `retained` how many of these the broker had kept.
    """

    def __init__(self, port: int, base: str, topic: str) -> None:
        self.told: list[dict[str, Any]] = []
        self.retained = 0
        self._port, self._base, self._topic = port, base, topic
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        self._client.on_connect = self._begin
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Say something; the broker has it when this returns."""
        info = self._client.publish(f"{self._base}/{topic}", payload, qos=1, retain=retain)
        info.wait_for_publish(5)
        assert info.is_published(), "the broker did not acknowledge within 5 s"

    def answer(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Say something from where it was told something: nothing is waited for."""
        self._client.publish(f"{self._base}/{topic}", payload, qos=1, retain=retain)

    def obey(self, order: dict[str, Any]) -> None:
        """What it does when it is told something."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _begin(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(f"{self._base}/{self._topic}", 1)

    def _hear(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        order = json.loads(message.payload)
        self.retained += message.retain
        self.told.append(order)
        self.obey(order)
