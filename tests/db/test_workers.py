from __future__ import annotations

import time
from dataclasses import replace

from sqlalchemy import update

from db import schema, workers
from db.engine import Engine, reading, writing
from db.workers import FORGOTTEN_AFTER_MS, Heartbeat, Worker

BEAT = Heartbeat("attic", "token-1", 1_764_000_000_000, 7, 70, "connected", 3_000)


def _beat(engine: Engine, heartbeat: Heartbeat) -> None:
    with writing(engine) as connection:
        workers.beat(connection, heartbeat)


def _every(engine: Engine) -> list[Worker]:
    with reading(engine) as connection:
        return workers.every(connection)


def _make_older(engine: Engine, ms: int) -> None:
    with writing(engine) as connection:
        connection.execute(update(schema.workers).values(heartbeat_at=workers.now_ms(connection) - ms))


def test_the_databases_clock_is_utc_milliseconds(engine: Engine) -> None:
    before = time.time_ns() // 1_000_000
    with reading(engine) as connection:
        found = workers.now_ms(connection)
    # The test's databases live on this machine. SQLite's clock is rounded down by a millisecond at most.
    assert before - 1 <= found <= time.time_ns() // 1_000_000 + 1


def test_a_sign_of_life_and_the_next(engine: Engine) -> None:
    _beat(engine, BEAT)
    _beat(engine, replace(BEAT, waiting=1, broker_state="connecting"))
    (worker,) = _every(engine)
    assert worker.heartbeat == replace(BEAT, waiting=1, broker_state="connecting")
    assert not worker.stopped


def test_its_age_is_measured_by_the_database(engine: Engine) -> None:
    _beat(engine, BEAT)
    _make_older(engine, 3_600_000)
    (worker,) = _every(engine)
    assert worker.age_ms >= 3_600_000
    _beat(engine, BEAT)
    assert _every(engine)[0].age_ms < 3_600_000


def test_stop_is_written_by_the_start_that_ends(engine: Engine) -> None:
    _beat(engine, BEAT)
    with writing(engine) as connection:
        workers.stop(connection, "attic", "token-0")
    assert not _every(engine)[0].stopped
    with writing(engine) as connection:
        workers.stop(connection, "attic", "token-1")
    (worker,) = _every(engine)
    assert worker.stopped
    assert worker.heartbeat == replace(BEAT, waiting=0, waiting_readings=0, broker_state="stopped", lag_ms=None)


def test_a_stopped_worker_that_starts_again_runs(engine: Engine) -> None:
    _beat(engine, BEAT)
    with writing(engine) as connection:
        workers.stop(connection, "attic", "token-1")
    _beat(engine, replace(BEAT, token="token-2"))
    (worker,) = _every(engine)
    assert not worker.stopped
    assert worker.heartbeat.token == "token-2"


def test_workers_by_name_and_case(engine: Engine) -> None:
    for name in ("cellar", "attic", "Attic"):
        _beat(engine, replace(BEAT, name=name))
    assert sorted(worker.heartbeat.name for worker in _every(engine)) == ["Attic", "attic", "cellar"]


def test_a_worker_silent_for_a_day_is_forgotten(engine: Engine) -> None:
    _beat(engine, BEAT)
    _make_older(engine, FORGOTTEN_AFTER_MS - 60_000)
    assert len(_every(engine)) == 1
    _make_older(engine, FORGOTTEN_AFTER_MS + 1)
    assert _every(engine) == []


def _silent(engine: Engine, for_ms: int) -> list[str]:
    with reading(engine) as connection:
        return workers.silent(connection, for_ms)


def test_silent_are_those_that_stopped_and_those_not_heard_of(engine: Engine) -> None:
    _beat(engine, BEAT)
    _make_older(engine, 60_000)
    _beat(engine, replace(BEAT, name="cellar"))
    assert _silent(engine, 120_000) == []
    assert _silent(engine, 30_000) == ["attic"]
    with writing(engine) as connection:
        workers.stop(connection, "cellar", "token-1")
    assert _silent(engine, 120_000) == ["cellar"]
