"""A device with a million readings is deleted while the worker that does it is killed again and again."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from db import account, balance, chunks, devices, engine, migrations, readings, removal, sealing
from db.account import BatchKey, Tally
from db.engine import Engine, reading, snapshot, writing
from db.history import DAY_MS
from db.rights import Actor, Origin
from db.sealing import Sealer
from ingest.vitals import now_ms
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.worker import WorkerProcess

SERIES = 4
#: Of each series: every 10 s for 29 days.
EACH = 250_000
KEPT = 10_000
KILLS = 5
STEP_MS = 10_000
PORTION = 50_000
_KEY = b"k" * 32

pytestmark = pytest.mark.timeout(600)


def fill(database: Engine, device: str, metrics: int, each: int, start: int) -> None:
    """Readings as a worker stores them, with their place in the account."""
    with writing(database) as connection:
        device_id = devices.ensure(connection, [device], start)[device]
        names = [f"m{number}" for number in range(metrics)]
        ids = devices.ensure_series(connection, [(device_id, name) for name in names], start)
    for series_id in ids.values():
        for first in range(0, each, PORTION):
            ts = start + np.arange(first, min(first + PORTION, each)) * STEP_MS
            rows = [(series_id, at, at % 1_000 / 10) for at in ts.tolist()]
            with writing(database) as connection:
                stored = readings.insert_new(connection, rows)
                key = BatchKey("w", "t", series_id * 1_000 + first // PORTION)
                assert account.claim_batch(connection, key, Tally(stored=1, readings_stored=stored), [], start)


def under_way(database: Engine) -> int | None:
    """Readings removed so far, None once nothing is under way. The account adds up."""
    with snapshot(database) as connection:
        assert balance.read(connection).off_by == 0
        return next((one.readings for one in removal.under_way(connection)), None)


def test_a_million_readings_are_deleted_over_kills(
    part_directory: Path, database_url: str, own_mosquitto: Mosquitto, topic_root: str, record_line: list[str]
) -> None:
    database = engine.create(database_url)
    migrations.apply(database)
    start = (now_ms() - EACH * STEP_MS) // DAY_MS * DAY_MS
    fill(database, "big", SERIES, EACH, start)
    fill(database, "small", 1, KEPT, start)
    sealer = Sealer("w-upkeep", topic_root)
    assert list(sealing.steps(database, partial(writing, database), sealer, start + 27 * DAY_MS))
    settings = {"DATABASE_URL": database_url, "MQTT_URL": own_mosquitto.url, "TOPIC_ROOT": topic_root}
    settings |= {"MQTT_CLIENT_ID": topic_root, "SEAL_AFTER_DAYS": "0"}
    with WorkerProcess(part_directory, settings) as worker:
        began = time.monotonic()
        with writing(database) as connection:
            by = Actor("anna", "admin", Origin("local"))
            removal.ask(connection, _KEY, "big", by=by, at=now_ms())
        for _ in range(KILLS):
            seen = under_way(database)
            assert seen is not None, "it is over before it was killed often enough"
            eventually(lambda: (now := under_way(database)) is None or now > seen, 60)  # noqa: B023
            worker.kill()
            worker.start()
        eventually(lambda: under_way(database) is None, 120)
        took = time.monotonic() - began
    with reading(database) as connection:
        assert account.imported_and_removed(connection) == (0, SERIES * EACH)
        assert readings.count(connection) + chunks.count(connection) == KEPT
    database.dispose()
    kind = "SQLite" if "sqlite" in database_url else "MariaDB"
    record_line.append(
        f"A device with {SERIES * EACH:,} readings, most of them sealed, was deleted in {took:.0f} s over {KILLS} "
        f"`kill -9` of the worker ({kind}): each reading counted once, none of others gone."
    )
