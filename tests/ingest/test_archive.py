"""The keeper seals days that are over, merges what comes late, and removes what is past its time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from db import account, chunks, devices, history, hours, leases, migrations, readings
from db import engine as database
from db.account import BatchKey, Tally
from db.engine import Connection, Engine, snapshot, writing
from db.leases import LeaseLost
from db.packing import DAY_MS, HOUR_MS
from ingest import audit, audit_report
from ingest.archive import Archive, HistorySettings
from ingest.vitals import now_ms
from tests.ingest.conftest import MakeWorker
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.create(database_url)
    migrations.apply(engine)
    yield engine
    engine.dispose()


def _store(engine: Engine, rows: list[tuple[int, float]]) -> int:
    """What a worker did with these readings of one series; its id."""
    with writing(engine) as connection:
        device = devices.ensure(connection, ["kitchen"], 1)["kitchen"]
        series_id = devices.ensure_series(connection, [(device, "v")], 1)[device, "v"]
        stored = readings.insert_new(connection, [(series_id, ts, value) for ts, value in rows])
        key = BatchKey("w", "t", now_ms())
        assert account.claim_batch(connection, key, Tally(stored=1, readings_stored=stored), [], 1)
    return series_id


def _archive(engine: Engine, settings: HistorySettings) -> Archive:
    return Archive(engine, lambda: writing(engine), settings, "w")


def _work(archive: Archive) -> bool:
    return archive.work(time.monotonic() + 20, threading.Event())


def test_days_are_sealed_once_they_are_old_enough_and_the_audit_adds_up(engine: Engine) -> None:
    today = now_ms() // DAY_MS * DAY_MS
    rows = [(today - 4 * DAY_MS + n * 3_600_000, float(n)) for n in range(4 * 24)]
    series_id = _store(engine, rows)
    assert _work(_archive(engine, HistorySettings(2)))
    with snapshot(engine) as connection:
        assert chunks.sealed_until(connection, series_id) == today - 2 * DAY_MS
        assert (readings.count(connection), chunks.count(connection)) == (48, 48)
        assert history.raw(connection, series_id, 0, today).value.tolist() == [value for _, value in rows]
    _store(engine, [rows[3], (rows[4][0], 55.0), (rows[5][0] + 1, 5.0)])
    assert audit.read(engine, now_ms()).ok
    assert _work(_archive(engine, HistorySettings(2)))
    found = audit.read(engine, now_ms())
    assert found.ok, found.mismatches
    assert (found.rows, found.sealed) == (48, 49)
    assert found.accounts["w-upkeep"].readings.duplicate == 1
    assert "97 (48 rows + 49 sealed)" in audit_report.text(found)


def test_with_nothing_set_all_stays_rows(engine: Engine) -> None:
    _store(engine, [(1000, 1.0)])
    assert _work(_archive(engine, HistorySettings()))
    with snapshot(engine) as connection:
        assert (readings.count(connection), chunks.count(connection)) == (1, 0)


@pytest.mark.parametrize("seal_after_days", [0, 2])
def test_hours_that_are_over_are_folded(engine: Engine, seal_after_days: int) -> None:
    hour = now_ms() // HOUR_MS * HOUR_MS
    series_id = _store(engine, [(hour - 5 * HOUR_MS, 1.0), (hour - 3 * HOUR_MS, 2.0), (hour + 5, 3.0)])
    archive = _archive(engine, HistorySettings(seal_after_days))
    assert _work(archive)
    with snapshot(engine) as connection:
        assert hours.between(connection, series_id, 0, hour).n.tolist() == [1, 1]
    _store(engine, [(hour - 4 * HOUR_MS, 7.0), (hour - 3 * HOUR_MS + 5, 9.0)])
    with snapshot(engine) as connection:
        assert history.hours(connection, series_id, 0, hour).n.tolist() == [1, 1, 2]
        assert hours.between(connection, series_id, 0, hour).n.tolist() == [1, 1]
    assert _work(archive)
    with snapshot(engine) as connection:
        assert hours.between(connection, series_id, 0, hour).n.tolist() == [1, 1, 2]
        assert hours.between(connection, series_id, 0, hour + HOUR_MS).hi.tolist() == [1.0, 7.0, 9.0]
    assert audit.read(engine, now_ms()).ok


def test_what_is_past_its_time_is_removed_and_counted(engine: Engine) -> None:
    today = now_ms() // DAY_MS * DAY_MS
    series_id = _store(engine, [(today - 9 * DAY_MS, 1.0), (today - DAY_MS, 2.0)])
    assert _work(_archive(engine, HistorySettings(0, 5)))
    with snapshot(engine) as connection:
        assert history.raw(connection, series_id, 0, today).value.tolist() == [2.0]
    found = audit.read(engine, now_ms())
    assert found.ok
    assert (found.removed, "after 1 removed" in audit_report.text(found)) == (1, True)


def test_one_that_was_told_to_stop_goes_on_the_next_time(engine: Engine) -> None:
    today = now_ms() // DAY_MS * DAY_MS
    _store(engine, [(today - 100 * DAY_MS, 1.0), (today - 10 * DAY_MS, 2.0)])
    archive = _archive(engine, HistorySettings(2))
    assert not archive.work(time.monotonic() - 1, threading.Event())
    assert _work(archive)
    with snapshot(engine) as connection:
        assert chunks.count(connection) == 2


def test_who_is_not_the_keeper_any_more_seals_nothing(engine: Engine) -> None:
    _store(engine, [(1000, 1.0)])

    @contextmanager
    def fenced() -> Iterator[Connection]:
        with writing(engine) as connection:
            leases.fence(connection, leases.KEEPER, "mine")
            yield connection

    archive = Archive(engine, fenced, HistorySettings(2), "w")
    with pytest.raises(LeaseLost):
        _work(archive)
    with snapshot(engine) as connection:
        assert (readings.count(connection), chunks.count(connection)) == (1, 0)


def test_a_worker_seals_merges_and_rejects_by_itself(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    history_settings = HistorySettings(2, 100, topic_root=topic_root)
    worker = make_worker(database_url, mosquitto.url, topic_root, history=history_settings)
    worker.start()
    worker.connected()
    old = now_ms() - 10 * DAY_MS

    def sealed() -> int:
        with snapshot(worker.database) as connection:
            return chunks.count(connection) if readings.count(connection) == 0 else -1

    with Publisher(mosquitto.port) as device:
        telemetry = f"{topic_root}/d/telemetry"
        device.publish([(telemetry, json.dumps({"ts": old + n, "v": n})) for n in range(20)])
        eventually(lambda: sealed() == 20, what="sealed readings")
        device.publish(
            [(telemetry, json.dumps({"ts": old + 3, "v": 3})), (telemetry, json.dumps({"ts": old + 4, "v": 9}))]
        )
        device.publish([(telemetry, json.dumps({"ts": old - 200 * DAY_MS, "v": 1}))])
        worker.wait_for(23)
        eventually(lambda: sealed() == 20, what="merged readings")
    found = eventually(lambda: (one := audit.read(worker.database, now_ms())).ok and one)
    assert found
    assert (found.total.readings.stored, found.total.readings.duplicate, found.total.readings.rejected) == (20, 1, 2)
    reasons = sorted(letter.reason for letter in worker.held().letters)
    assert len(reasons) == 2
    assert "RETENTION_RAW_DAYS" in reasons[0] + reasons[1]
