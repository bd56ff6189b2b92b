"""What became of what the devices sent: their own list against the readings that a SELECT finds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import text

from db import account, engine
from tests.parts.fleet import METRICS, Fleet, Sent

#: A device's sequence number.
Number = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Messages, but for `doubled`: readings that are there more often than they were sent."""

    sent: int
    #: By the broker, to the devices.
    acknowledged: int
    stored: int
    #: Acknowledged, not stored, and it was with us.
    lost: int
    doubled: int
    #: Acknowledged by the broker, not stored, and never acknowledged to it by us: it forgot them.
    undelivered: int
    #: Acknowledged numbers that the tables lack.
    missing: frozenset[Number]


def judge(database_url: str, fleet: Fleet, ours: Iterable[tuple[str, bytes]] | None) -> Verdict:
    """Count.

    `ours`: topic and payload of what the worker acknowledged to its broker, None where the broker lives and remembers,
    so that whatever is missing was lost by us.
    """
    found = readings(database_url)
    sent = Counter(
        (m.device, metric, n + part) for m in fleet.sent for n in m.numbers for metric, part in METRICS.items()
    )
    acknowledged = [fleet.sent[index] for index in fleet.acknowledged]
    lacking = [message for message in acknowledged if not _stored(message, found)]
    with_us = None if ours is None else {number for topic, payload in ours for number in _numbers(topic, payload)}
    lost = [m for m in lacking if with_us is None or any((m.device, n) in with_us for n in m.numbers)]
    return Verdict(
        sent=len(fleet.sent),
        acknowledged=len(acknowledged),
        stored=len(acknowledged) - len(lacking),
        lost=len(lost),
        doubled=(found - sent).total(),
        undelivered=len(lacking) - len(lost),
        missing=frozenset((m.device, n) for m in lacking for n in m.numbers),
    )


def readings(database_url: str) -> Counter[tuple[str, str, float]]:
    """How often each (device, metric, value) is there."""
    query = (
        "SELECT d.name, s.metric, r.value FROM readings r JOIN series s ON s.id = r.series_id "
        "JOIN devices d ON d.id = s.device_id"
    )
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        found = Counter((row[0], row[1], row[2]) for row in connection.execute(text(query)))
    database.dispose()
    return found


def last_numbers(database_url: str) -> dict[str, int]:
    """The highest number of each device that is there. Raises DatabaseAway."""
    query = (
        "SELECT d.name, MAX(r.value) FROM devices d JOIN series s ON s.device_id = d.id AND s.metric = 'v' "
        "JOIN readings r ON r.series_id = s.id GROUP BY d.name"
    )
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        found = {row[0]: int(row[1]) for row in connection.execute(text(query))}
    database.dispose()
    return found


def named_missing(database_url: str, worker: str) -> frozenset[Number]:
    """The numbers that the account names as never arrived, once the worker stopped and all is folded."""
    database = engine.create(database_url)
    with engine.writing(database) as connection:
        while account.fold(connection, worker, "nobody's"):
            pass
        gaps = account.missing(connection, 1_000_000)
    database.dispose()
    return frozenset((gap.device, number) for gap in gaps for number in range(gap.first, gap.last + 1))


def _stored(message: Sent, found: Counter[tuple[str, str, float]]) -> bool:
    return all((message.device, metric, n + part) in found for n in message.numbers for metric, part in METRICS.items())


def _numbers(topic: str, payload: bytes) -> list[Number]:
    document = json.loads(payload)
    items = document if isinstance(document, list) else [document]
    return [(topic.split("/")[-2], item["seq"]) for item in items]
