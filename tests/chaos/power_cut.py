"""A broker that loses power and all it had acknowledged, while devices go on sending; and what is there in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from db import account, engine
from db.engine import Engine
from firmware.messages import Sample
from ingest.vitals import now_ms
from tests.chaos.verdict import Verdict
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.simulated import SimulatedDevices

_NEWEST = text(
    "SELECT MAX(r.ts) FROM readings r JOIN series s ON s.id = r.series_id WHERE s.metric = 'temperature' "
    "GROUP BY s.device_id"
)
_STORED = text(
    "SELECT s.metric, r.ts, r.value FROM readings r JOIN series s ON s.id = r.series_id "
    "WHERE s.metric IN ('temperature', 'humidity')"
)
#: What the clocks of the devices may be off.
_CLOCKS_MS = 200


@dataclass(frozen=True, slots=True)
class Scene:
    """`count` devices and what they talk to. `stop` and `start` a worker that the broker keeps a session for."""

    devices: SimulatedDevices
    count: int
    broker: Mosquitto
    database_url: str
    stop: Callable[[], object]
    start: Callable[[], object]


def cut_power(scene: Scene, much: int) -> None:
    """Kill the broker and lose its file while it holds `much` that it acknowledged to the devices.

    When this returns, each of them was heard again.
    """
    devices, broker, database = scene.devices, scene.broker, engine.create(scene.database_url)
    try:
        eventually(lambda: len(_newest(database)) == scene.count and devices.acknowledged > much, what="all devices")
        scene.stop()
        before = devices.acknowledged
        eventually(lambda: devices.acknowledged > before + much, 60, what="messages that the broker holds")
        broker.kill()
        broker.forget()
        broker.start()
        scene.start()
        again = now_ms() + _CLOCKS_MS
        eventually(lambda: min(_newest(database)) > again, 60, what="a message of each device after that")
    finally:
        database.dispose()


def count_up(database_url: str, devices: SimulatedDevices) -> Verdict:
    """What is stored, by the devices' own list."""
    taken: Sequence[Sample] = list(devices.taken)
    sent = Counter(
        (metric, one.ts, value)
        for one in taken
        for metric, value in (("temperature", one.temperature), ("humidity", one.humidity))
    )
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        found = Counter((row[0], row[1], row[2]) for row in connection.execute(_STORED))
    database.dispose()
    stored = sum(
        ("temperature", one.ts, one.temperature) in found and ("humidity", one.ts, one.humidity) in found
        for one in taken
    )
    return Verdict(
        sent=len(taken),
        acknowledged=devices.acknowledged,
        stored=stored,
        lost=0,
        doubled=(found - sent).total(),
        undelivered=len(taken) - stored,
        missing=frozenset(),
    )


def nothing_missing(database_url: str) -> bool:
    """Whether the account names no number that never came."""
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        found = account.missing(connection, 1)
    database.dispose()
    return not found


def _newest(database: Engine) -> list[int]:
    with engine.reading(database) as connection:
        return list(connection.scalars(_NEWEST))
