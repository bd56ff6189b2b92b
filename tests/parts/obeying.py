"""A device with an LED that is told what to do by MQTT, and answers as the test wants: rightly, wrongly or not."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

#: What it says to a `set`: payloads for its `state`.
Answers = Callable[[dict[str, Any]], Iterable[dict[str, Any] | str]]


def rightly(order: dict[str, Any]) -> list[dict[str, Any] | str]:
    """The state that was asked for, with the id."""
    return [{"id": order["id"], "state": order["state"]}]


def without_id(order: dict[str, Any]) -> list[dict[str, Any] | str]:
    """The bare state."""
    return [str(order["state"])]


def never(_order: dict[str, Any]) -> list[dict[str, Any] | str]:
    """Nothing."""
    return []


class ObeyingDevice:
    """On 127.0.0.1, usable as a context manager. It remembers ids: a repeated one is answered and not applied again.

    `told` is every `set` it got, in order, and `applied` what it did: ids in order.
    """

    def __init__(
        self, port: int, root: str, name: str = "d", answers: Answers = rightly, *, actuator: str = "led"
    ) -> None:
        self.told: list[dict[str, Any]] = []
        self.applied: list[str] = []
        self.retained = 0
        self.answers = answers
        self._base, self._actuator, self._port = f"{root}/{name}", actuator, port
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._obey
        self._client.on_connect = self._begin
        self._client.on_subscribe = lambda *_: self._subscribed.set()

    def report(self, state: dict[str, Any] | str, *, retain: bool = True) -> None:
        """Say what the actuator does."""
        payload = state if isinstance(state, str) else json.dumps(state)
        self.publish(f"{self._actuator}/state", payload, retain=retain)

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Say something; the broker has it when this returns."""
        info = self._client.publish(f"{self._base}/{topic}", payload, qos=1, retain=retain)
        info.wait_for_publish(5)
        assert info.is_published(), "the broker did not acknowledge within 5 s"

    def introduce(self, state: str = "OFF") -> None:
        """Say what it has, that it is there and how things are."""
        self.publish("about", json.dumps({"actuators": [self._actuator]}), retain=True)
        self.publish("status", "online", retain=True)
        self.report(state)

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _begin(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(f"{self._base}/{self._actuator}/set", 1)

    def _obey(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        order = json.loads(message.payload)
        self.retained += message.retain
        self.told.append(order)
        if order["id"] not in self.applied:
            self.applied.append(order["id"])
        for answer in self.answers(order):
            payload = answer if isinstance(answer, str) else json.dumps(answer)
            client.publish(f"{self._base}/{self._actuator}/state", payload, qos=1, retain=True)
