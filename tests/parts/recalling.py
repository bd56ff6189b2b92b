"""A device that numbers its readings, and when it is asked for some again answers as the test wants: or not at all."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.parts.told import ToldDevice

#: What it says to a request: documents for its telemetry.
Answers = Callable[[dict[str, Any]], Iterable[Any]]


def never(_request: dict[str, Any]) -> list[Any]:
    """Nothing."""
    return []


def gone(request: dict[str, Any]) -> list[Any]:
    """It has none of them."""
    return [{"boot": request["boot"], "gone": [request["from"], request["to"]]}]


class RecallingDevice(ToldDevice):
    """`clock`: its readings carry `ts`, else in an answer their `age`. A reading's number is its value `v`."""

    def __init__(
        self, port: int, base: str, answers: Answers | None = None, *, boot: str | None = "a1", clock: bool = True
    ) -> None:
        super().__init__(port, base, "resend/set")
        self.answers = answers or self.rightly
        self._boot, self._clock = boot, clock
        #: UTC ms of its number 0.
        self.started_ms = time.time_ns() // 1_000_000 - 1000

    def rightly(self, request: dict[str, Any]) -> list[Any]:
        """All of them, as a backlog."""
        age = {} if self._clock else {"age": 500}
        return [[self.reading(number) | age for number in range(request["from"], request["to"] + 1)]]

    def reading(self, number: int) -> dict[str, Any]:
        """A reading as it was sent at first."""
        boot = {} if self._boot is None else {"boot": self._boot}
        return {"seq": number, "v": number} | boot | ({"ts": self.started_ms + number} if self._clock else {})

    def send(self, *numbers: int) -> None:
        """Send these readings, one message each; the broker has them when this returns."""
        for number in numbers:
            self.publish("telemetry", json.dumps(self.reading(number)))

    def obey(self, order: dict[str, Any]) -> None:
        """Answer as the test wants."""
        for answer in self.answers(order):
            self.answer("telemetry", json.dumps(answer))


class Pulse:
    """A device that sends a number 20 times a second, as `topic`, usable as a context manager.

    The newest batch of a worker is not folded into the account before another comes.
    """

    def __init__(self, port: int, topic: str) -> None:
        self._topic, self._port = topic, port
        self._over = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _beat(self) -> None:
        while not self._over.wait(0.05):
            self._client.publish(self._topic, "1", qos=1)
