"""The database away while devices go on: the worker stops reading, the broker holds the rest, all comes in order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from db import engine
from db.engine import DatabaseError
from tests.chaos.stage import Fault, Stage
from tests.chaos.verdict import Verdict, judge, last_numbers
from tests.parts.eventually import eventually


def _away(stage: Stage) -> None:
    stage.mariadb.kill()


#: `python -m ingest` at either size: it is the memory of a process that is looked at.
AWAY: Final = Fault("backpressure", _away, own_server=True, program=("-m", "ingest"))


@dataclass(frozen=True, slots=True)
class Findings:
    """`behind_s`: how long after a reading was stored `latest` knew it, at the longest."""

    verdict: Verdict
    #: How long the devices took to publish while the database was away.
    published_s: float
    worker_peak_mb: float
    #: Messages that the worker had received and not acknowledged when the database came back.
    in_hand: int
    #: Messages that the broker held then, and what each cost it, in memory and in its file.
    held: int
    bytes_held: float
    bytes_filed: float
    behind_s: float
    #: Devices without a clock whose readings are not stored in the order in which they were sent.
    out_of_order: list[str]


def hold_back(stage: Stage) -> Findings:
    """Publish all of the scale's messages while the database is away, at the scale's rate."""
    fleet, patience = stage.fleet, stage.scale.patience_s
    stage.worker.start()
    fleet.publish(stage.scale.messages // 20)
    eventually(stage.all_stored, patience, what="what came before")
    before = _memory(stage.broker.process.pid, "VmRSS")
    stored = len(fleet.acknowledged)
    stage.fault.act(stage)
    begun = time.monotonic()
    fleet.publish(stage.scale.messages)
    published_s = time.monotonic() - begun
    held = len(fleet.acknowledged) - stored
    grown = _memory(stage.broker.process.pid, "VmRSS") - before
    file = stage.directory / "broker" / "mosquitto.db"
    eventually(file.exists, patience, what="the broker's file, which it writes once a second")
    filed = file.stat().st_size
    in_hand = stage.wire.unacknowledged()
    stage.mariadb.start()
    fleet.publish_last()
    behind_s = _catch_up(stage)
    peak = _memory(stage.process.pid, "VmHWM")
    stage.worker.stop()
    return Findings(
        judge(stage.url, fleet, None),
        published_s,
        peak / 1e6,
        in_hand,
        held,
        grown / held,
        filed / held,
        behind_s,
        [device for device in fleet.devices if device.startswith("plain") and not _in_order(stage.url, device)],
    )


def _catch_up(stage: Stage) -> float:
    """Wait until all is stored and in `latest`; how far that was behind at the worst, in seconds."""
    behind = 0.0
    stored: list[tuple[float, dict[str, int]]] = []
    end = time.monotonic() + stage.scale.patience_s
    database = engine.create(stage.url)  # one for all looks: a new connection takes longer than the look
    while time.monotonic() < end:
        time.sleep(0.05)
        try:
            with engine.reading(database) as connection:
                latest, now = _numbers(connection, _LATEST), time.monotonic()
                while stored and all(latest.get(device, -1) >= number for device, number in stored[0][1].items()):
                    behind = max(behind, now - stored.pop(0)[0])
                newest = _numbers(connection, _NEWEST)
            stored.append((time.monotonic(), newest))
        except DatabaseError:
            continue
        if latest == stage.fleet.last_numbers():
            database.dispose()
            return behind
    raise AssertionError(f"not all was stored: {last_numbers(stage.url)} of {stage.fleet.last_numbers()}")


_LATEST: Final = "SELECT series_id, value FROM latest"
#: As `last_numbers`, and quick whatever is stored: here times rise with numbers, so it takes a seek a series.
_NEWEST: Final = (
    "SELECT series_id, value FROM series s JOIN readings ON series_id = s.id AND ts = "
    "(SELECT MAX(ts) FROM readings WHERE series_id = s.id)"
)


def _numbers(connection: Connection, values: str) -> dict[str, int]:
    """By device."""
    query = (
        f"SELECT d.name, l.value FROM ({values}) l JOIN series s ON s.id = l.series_id AND s.metric = 'v' "
        "JOIN devices d ON d.id = s.device_id"
    )
    return {row[0]: int(row[1]) for row in connection.execute(text(query))}


def _in_order(database_url: str, device: str) -> bool:
    query = (
        "SELECT r.value FROM readings r JOIN series s ON s.id = r.series_id AND s.metric = 'v' "
        "JOIN devices d ON d.id = s.device_id WHERE d.name = :device ORDER BY r.ts"
    )
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        values = list(connection.scalars(text(query), {"device": device}))
    database.dispose()
    return values == sorted(values)


def _memory(pid: int, what: str) -> int:
    """Bytes, as the kernel counts them."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what + ":"))
