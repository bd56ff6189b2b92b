from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from firmware.device import Tally
from firmware.link import BrokerAddress, Patience
from firmware.simulator import FleetSettings, run_fleet
from tests.broker.mqtt5_client import TIMEOUT_S, Mqtt5Client

QUICK = Patience(first_s=0.02, longest_s=0.1)


@dataclass(frozen=True, slots=True)
class Message:
    """What a device said: the topic without root and device, the payload as text and retained or not."""

    device: str
    topic: str
    text: str
    retained: bool

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Listener:
    """Hears everything under a root, as the server does, and can command."""

    def __init__(self, url: str, root: str, name: str, *, persistent: bool) -> None:
        self._root = root
        expiry_s = 3600 if persistent else 0
        self._client = Mqtt5Client(url, f"{name}-{root}", clean_start=not persistent, session_expiry_s=expiry_s)
        self._client.subscribe(f"{root}/#")

    def next(self, topic: str = "") -> Message:
        """The next message, on `topic` if given; others are passed over. Fails if none comes in time."""
        while True:
            packet = self._client.receive()
            assert packet is not None, f"nothing came on {topic or 'any topic'}"
            self._client.acknowledge(packet)
            _, device, rest = packet.topic.split("/", 2)
            if not rest.endswith("/set") and topic in {"", rest}:
                return Message(device, rest, packet.payload.decode(), packet.retain)

    def samples(self, count: int) -> list[dict[str, Any]]:
        """The next `count` telemetry messages, parsed."""
        return [self.next("telemetry").json for _ in range(count)]

    def command(self, device: str, topic: str, payload: str | dict[str, object]) -> None:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self._client.publish(f"{self._root}/{device}/{topic}", text.encode())

    def close(self) -> None:
        self._client.drop()


class RunningFleet:
    """A fleet in a thread with its own event loop, in this process, so that a test can set what no option sets."""

    def __init__(self, settings: FleetSettings) -> None:
        self._settings = settings
        self._ready = threading.Event()
        self._tally: Tally | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="fleet")
        self._thread.start()
        self._ready.wait(TIMEOUT_S)

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._ready.set()
        self._tally = await run_fleet(self._settings, self._stop)

    def finish(self) -> Tally:
        """Wait for the fleet's own end."""
        self._thread.join(TIMEOUT_S)
        assert self._tally is not None, "the fleet did not end"
        return self._tally

    def stop(self) -> Tally:
        """End the fleet in order."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        return self.finish()


@pytest.fixture
def fleet(topic_root: str) -> Iterator[Callable[..., RunningFleet]]:
    """Starts fleets under this test's root: one quick device, unless asked for otherwise. They end with the test."""
    running: list[RunningFleet] = []

    def start(url: str, **settings: Any) -> RunningFleet:
        defaults: dict[str, Any] = {
            "count": 1,
            "period_s": 0.02,
            "led_delay_s": (0.0, 0.01),
            "patience": QUICK,
            "seed": 1,
        }
        address = BrokerAddress.parse(url)
        running.append(RunningFleet(FleetSettings(address, topic_root, **(defaults | settings))))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def listen(topic_root: str) -> Iterator[Callable[..., Listener]]:
    """Makes listeners to this test's root."""
    listeners: list[Listener] = []

    def make(url: str, name: str = "listener", *, persistent: bool = False) -> Listener:
        listeners.append(Listener(url, topic_root, name, persistent=persistent))
        return listeners[-1]

    yield make
    for listener in listeners:
        listener.close()
