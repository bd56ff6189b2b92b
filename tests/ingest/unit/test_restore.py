"""The snapshot as the database has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import devices, migrations, readings
from db.devices import About, ActuatorAbout, ActuatorState, Status
from db.engine import Engine, create, reading, writing
from ingest import restore
from ingest.series import BIN_MS, Bin
from ingest.snapshot import ActuatorNow, Snapshot
from tests.ingest.unit.messages import NOW


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    migrations.apply(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def kitchen(engine: Engine) -> int:
    with writing(engine) as connection:
        return devices.ensure(connection, ["kitchen"], NOW)["kitchen"]


def _store(engine: Engine, device_id: int, metric: str, *points: tuple[int, float], received_at: int | None) -> None:
    with writing(engine) as connection:
        series = devices.ensure_series(connection, [(device_id, metric)], NOW)[device_id, metric]
        readings.insert_new(connection, [(series, ts, value) for ts, value in points])
        if received_at is not None:
            ts, value = points[-1]
            readings.store_latest(connection, [(series, ts, value, received_at)])


def _restored(engine: Engine) -> Snapshot:
    with reading(engine) as connection:
        return restore.snapshot(connection, Snapshot(77, 0, {}), NOW)


def test_an_empty_database(engine: Engine) -> None:
    assert _restored(engine) == Snapshot(77, 1, {})


def test_values_and_history_come_back(engine: Engine, kitchen: int) -> None:
    early = NOW - 4 * BIN_MS
    points = [(NOW - 3_600_000, 0.0), (early, 1.0), (early + 5_000, 3.0), (early + BIN_MS, 2.0)]
    _store(engine, kitchen, "x", *points, received_at=NOW - 9)
    found = _restored(engine).devices["kitchen"].metrics["x"]
    assert (found.ts, found.value, found.received_at, found.version) == (early + BIN_MS, 2.0, NOW - 9, 1)
    assert found.bins == (Bin(early, 1.0, 3.0, 3.0), Bin(early + BIN_MS, 2.0, 2.0, 2.0))
    assert found.interval_ms is not None


def test_a_value_older_than_the_history_is_shown(engine: Engine, kitchen: int) -> None:
    _store(engine, kitchen, "x", (NOW - 86_400_000, 5.0), received_at=None)
    found = _restored(engine).devices["kitchen"].metrics["x"]
    assert (found.ts, found.value, found.received_at) == (NOW - 86_400_000, 5.0, NOW - 86_400_000)


def test_what_a_device_says_of_itself_comes_back(engine: Engine, kitchen: int) -> None:
    about = About(
        "kitchen", "m", "1", (ActuatorAbout("fan", unit="%"), ActuatorAbout("led")), {"x": "°C", "never": "V"}
    )
    with writing(engine) as connection:
        devices.store_about(connection, kitchen, about, NOW)
        devices.store_state(connection, kitchen, ActuatorState("kitchen", "fan", "40", None), NOW - 5)
    _store(engine, kitchen, "x", (NOW, 1.0), received_at=NOW)
    found = _restored(engine).devices["kitchen"]
    assert (found.model, found.firmware, found.units) == ("m", "1", {"x": "°C", "never": "V"})
    assert {name: series.unit for name, series in found.metrics.items()} == {"x": "°C"}
    assert found.actuators == {
        "fan": ActuatorNow("kitchen", "fan", "40", NOW - 5, 1, "%"),
        "led": ActuatorNow("kitchen", "led", None, None, 1, None),
    }


@pytest.mark.parametrize(
    ("online", "received_at", "expected"),
    [(True, NOW + 5, True), (False, NOW - 5, False), (False, NOW, False), (False, NOW + 5, True)],
)
def test_a_reading_after_offline_proves_it_wrong(
    online: bool, received_at: int, expected: bool, engine: Engine, kitchen: int
) -> None:
    with writing(engine) as connection:
        devices.store_status(connection, kitchen, Status("kitchen", online), NOW)
    _store(engine, kitchen, "x", (NOW - 60_000, 1.0), received_at=received_at)
    assert _restored(engine).devices["kitchen"].online is expected


def test_what_the_broker_retains_of_a_device_does_not_bring_it_online(engine: Engine, kitchen: int) -> None:
    """It arrives with each of our starts, and moves `last_seen`."""
    with writing(engine) as connection:
        devices.store_status(connection, kitchen, Status("kitchen", False), NOW)
        devices.store_last_seen(connection, {kitchen: NOW + 5})
    assert _restored(engine).devices["kitchen"].online is False


def test_a_device_that_never_told_is_neither(engine: Engine, kitchen: int) -> None:
    _store(engine, kitchen, "x", (NOW, 1.0), received_at=NOW)
    assert _restored(engine).devices["kitchen"].online is None
