"""A board with one actuator, simulated: it obeys each command once by its id, at once or when the test lets it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

_WAIT_S = 5


class Board:
    """A device (MQTT 3.1.1, QoS 1) on 127.0.0.1 with a `led`, usable as a context manager; it begins with `state`.

    `takes`: what it tells of its actuator beside the name, such as a range. `taken`: the ids of the commands it has
    carried out, in order. `held`: whether commands wait for `release()`.
    """

    def __init__(
        self,
        port: int,
        root: str,
        name: str = "kitchen",
        actuator: str = "led",
        *,
        takes: Mapping[str, Any] | None = None,
        state: str = "OFF",
    ) -> None:
        self.taken: list[str] = []
        self.state = state
        self.held = False
        self._here = f"{root}/{name}"
        self._actuator, self._takes = actuator, takes
        self._port = port
        self._waiting: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.will_set(f"{self._here}/status", "offline", qos=1, retain=True)
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._message

    def press(self, state: str) -> None:
        """Somebody presses the button at the board: it changes and reports without a command."""
        self._become(state, None)

    def release(self) -> None:
        """Carry out what waits, and from now on at once."""
        with self._lock:
            self.held = False
            waiting, self._waiting = self._waiting, []
        for command in waiting:
            self._obey(command)

    @property
    def waiting(self) -> int:
        """How many commands wait for `release()`."""
        return len(self._waiting)

    def leave(self) -> None:
        """Say goodbye as an orderly board does: its status is `offline` then."""
        self._client.publish(f"{self._here}/status", "offline", qos=1, retain=True).wait_for_publish(_WAIT_S)
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(_WAIT_S), "the broker did not take the board's subscription"
        for info in self._introduce():
            info.wait_for_publish(_WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _introduce(self) -> list[paho.MQTTMessageInfo]:
        actuator = self._actuator if self._takes is None else {"name": self._actuator, **self._takes}
        about = json.dumps({"model": "board", "firmware": "1", "actuators": [actuator]})
        return [
            self._client.publish(f"{self._here}/status", "online", qos=1, retain=True),
            self._client.publish(f"{self._here}/about", about, qos=1, retain=True),
            self._report(None),
        ]

    def _connected(self, *_: object) -> None:
        self._client.subscribe(f"{self._here}/+/set", qos=1)

    def _message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        command = json.loads(message.payload)
        with self._lock:
            if self.held:
                self._waiting.append(command)
                return
        self._obey(command)

    def _obey(self, command: dict[str, Any]) -> None:
        if command["id"] in self.taken:
            self._report(command["id"])
            return
        self.taken.append(command["id"])
        self._become(str(command["state"]), command["id"])

    def _become(self, state: str, command_id: str | None) -> None:
        self.state = state
        self._report(command_id)

    def _report(self, command_id: str | None) -> paho.MQTTMessageInfo:
        told = {"state": self.state} if command_id is None else {"id": command_id, "state": self.state}
        return self._client.publish(f"{self._here}/{self._actuator}/state", json.dumps(told), qos=1, retain=True)
