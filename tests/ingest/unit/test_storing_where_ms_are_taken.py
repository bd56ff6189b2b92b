"""The writer on SQLite, where readings without a time of their own find a long stretch of milliseconds taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import devices, migrations, readings
from db.engine import Engine, create, reading, writing
from ingest.writer import Writer
from tests.ingest.unit.messages import NOW, telemetry

#: A day's backlog of a board that sends twice a second, taken in one go.
TAKEN = 150_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    migrations.apply(engine)
    yield engine
    engine.dispose()


def test_a_free_ms_is_found_behind_a_long_backlog(engine: Engine) -> None:
    with writing(engine) as connection:
        device = devices.ensure(connection, ["kitchen"], NOW)["kitchen"]
        series = devices.ensure_series(connection, [(device, "x")], NOW)[device, "x"]
        readings.insert_new(connection, [(series, NOW + n, 1.0) for n in range(TAKEN)])
    writer = Writer(engine, "w", "t")
    writer.load()
    outcome = writer.store([telemetry({"x": 2}), telemetry({"x": 3})], NOW)
    assert outcome.tally.readings_stored == 2
    with reading(engine) as connection:
        assert readings.existing_between(connection, series, NOW + TAKEN, NOW + TAKEN + 9) == {
            (series, NOW + TAKEN): 2.0,
            (series, NOW + TAKEN + 1): 3.0,
        }
