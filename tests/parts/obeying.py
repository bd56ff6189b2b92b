"""A device with an LED that is told what to do by MQTT, and answers as the test wants: rightly, wrongly or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from tests.parts.told import ToldDevice

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


class ObeyingDevice(ToldDevice):
    """It remembers ids: a repeated one is answered and not applied again. `applied` is what it did: ids in order."""

    def __init__(
        self, port: int, root: str, name: str = "d", answers: Answers = rightly, *, actuator: str = "led"
    ) -> None:
        super().__init__(port, f"{root}/{name}", f"{actuator}/set")
        self.applied: list[str] = []
        self.answers = answers
        self._actuator = actuator

    def report(self, state: dict[str, Any] | str, *, retain: bool = True) -> None:
        """Say what the actuator does."""
        payload = state if isinstance(state, str) else json.dumps(state)
        self.publish(f"{self._actuator}/state", payload, retain=retain)

    def introduce(self, state: str = "OFF") -> None:
        """Say what it has, that it is there and how things are."""
        self.publish("about", json.dumps({"actuators": [self._actuator]}), retain=True)
        self.publish("status", "online", retain=True)
        self.report(state)

    def obey(self, order: dict[str, Any]) -> None:
        """Do it once, and answer."""
        if order["id"] not in self.applied:
            self.applied.append(order["id"])
        for answer in self.answers(order):
            payload = answer if isinstance(answer, str) else json.dumps(answer)
            self.answer(f"{self._actuator}/state", payload, retain=True)
