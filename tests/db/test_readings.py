from __future__ import annotations

import math
import struct
from random import Random
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, text

from db import devices, readings, records
from db.engine import Engine, reading, writing
from db.readings import LatestReading, Row
from db.records import Record
from tests.db.conftest import NOW

AWKWARD = [
    0.1,
    1 / 3,
    5e-324,
    2.2250738585072014e-308,
    1.7976931348623157e308,
    -1.7976931348623157e308,
    9007199254740993.0,
    2.2250738585072011e-308,
    8.41e21,
    9.5e-10,
    123456789.12345678,
    0.0,
]


def _insert(engine: Engine, rows: list[Row]) -> int:
    with writing(engine) as connection:
        return readings.insert_new(connection, rows)


def _bits(values: list[float]) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


def _stored(engine: Engine, rows: list[Row]) -> list[float]:
    with reading(engine) as connection:
        found = readings.existing(connection, [(series_id, ts) for series_id, ts, _ in rows])
    return [found[series_id, ts] for series_id, ts, _ in rows]


def test_existing_keys_keep_their_value(engine: Engine, temperature: int) -> None:
    assert _insert(engine, [(temperature, NOW, 1.5), (temperature, NOW + 1, 2.5)]) == 2
    assert _insert(engine, [(temperature, NOW + 1, 99.0), (temperature, NOW + 2, 3.5)]) == 1
    assert _insert(engine, []) == 0
    with reading(engine) as connection:
        assert readings.existing_between(connection, temperature, NOW, NOW + 9) == {
            (temperature, NOW): 1.5,
            (temperature, NOW + 1): 2.5,
            (temperature, NOW + 2): 3.5,
        }


def test_the_same_key_twice_in_a_batch_goes_in_once(engine: Engine, temperature: int) -> None:
    assert _insert(engine, [(temperature, NOW, 1.0), (temperature, NOW, 1.0)]) == 1


def test_a_batch_larger_than_a_statement(engine: Engine, temperature: int) -> None:
    rows = [(temperature, NOW + n, float(n)) for n in range(11_000)]
    assert _insert(engine, rows) == len(rows)
    assert _insert(engine, rows) == 0
    assert _stored(engine, rows[::7]) == [value for _, _, value in rows[::7]]


def test_times_before_1970_and_far_off(engine: Engine, temperature: int) -> None:
    rows = [(temperature, -(2**62), 1.0), (temperature, -1, 2.0), (temperature, 2**62, 3.0)]
    assert _insert(engine, rows) == 3
    assert _stored(engine, rows) == [1.0, 2.0, 3.0]


def test_awkward_floats_come_back_bit_for_bit(engine: Engine, temperature: int) -> None:
    rows = [(temperature, NOW + n, value) for n, value in enumerate(AWKWARD)]
    assert _insert(engine, rows) == len(rows)
    assert _bits(_stored(engine, rows)) == _bits(AWKWARD)
    with reading(engine) as connection:
        assert _bits(readings.points_between(connection, temperature, NOW, NOW + 99).value.tolist()) == _bits(AWKWARD)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: x != 0.0), max_size=200))
def test_every_finite_float_comes_back_bit_for_bit(engine: Engine, temperature: int, values: list[float]) -> None:
    rows = [(temperature, NOW + n, value) for n, value in enumerate(values)]
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM readings"))
        assert readings.insert_new(connection, rows) == len(rows)
        points = readings.points_between(connection, temperature, NOW, NOW + len(values))
    assert _bits(_stored(engine, rows)) == _bits(values) == _bits(points.value.tolist())
    assert points.ts.tolist() == [ts for _, ts, _ in rows]


def test_minus_zero_equals_zero(engine: Engine, temperature: int) -> None:
    """MariaDB gives 0.0 back for it. The dialect makes it 0.0 before it gets here, so no one sees the difference."""
    _insert(engine, [(temperature, NOW, -0.0)])
    assert _stored(engine, [(temperature, NOW, 0.0)]) == [0.0]


def test_existing_asks_for_any_number_of_keys(engine: Engine, temperature: int) -> None:
    rows = [(temperature, NOW + n, float(n)) for n in range(1_000)]
    _insert(engine, rows)
    keys = [(temperature, NOW + n) for n in range(-500, 1_500)] * 2
    with reading(engine) as connection:
        found = readings.existing(connection, iter(keys))
        assert found == {(series_id, ts): value for series_id, ts, value in rows}
        assert readings.existing(connection, []) == {}


def test_existing_between_includes_both_ends_and_one_series(engine: Engine, kitchen: int, temperature: int) -> None:
    with writing(engine) as connection:
        other = devices.ensure_series(connection, [(kitchen, "other")], NOW)[kitchen, "other"]
    _insert(engine, [(temperature, NOW + n, float(n)) for n in range(5)] + [(other, NOW + 2, 9.0)])
    with reading(engine) as connection:
        found = readings.existing_between(connection, temperature, NOW + 1, NOW + 3)
    assert found == {(temperature, NOW + n): float(n) for n in (1, 2, 3)}


def test_frame(engine: Engine, temperature: int) -> None:
    _insert(engine, [(temperature, NOW + n, n + 0.5) for n in range(10)])
    with reading(engine) as connection:
        found = readings.frame(connection, temperature, NOW + 2, NOW + 9, 4)
        empty = readings.frame(connection, temperature, NOW + 10, NOW + 20, 4)
    expected = pd.DataFrame(
        {
            "time": pd.to_datetime([NOW + n for n in (5, 6, 7, 8)], unit="ms", utc=True).astype("datetime64[ms, UTC]"),
            "value": [5.5, 6.5, 7.5, 8.5],
        }
    )
    pd.testing.assert_frame_equal(found, expected)
    pd.testing.assert_frame_equal(empty, expected.iloc[:0], check_index_type=False)


def test_frame_shows_times_beyond_what_nanoseconds_reach(engine: Engine, temperature: int) -> None:
    year_1600, year_2500 = -11_676_096_000_000, 16_725_225_600_000
    _insert(engine, [(temperature, year_1600, 1.0), (temperature, year_2500, 2.0)])
    with reading(engine) as connection:
        found = readings.frame(connection, temperature, year_1600, year_2500 + 1, 10)
    assert [time.year for time in found["time"]] == [1600, 2500]


def test_newest_is_read_from_the_readings_themselves(engine: Engine, kitchen: int, temperature: int) -> None:
    with writing(engine) as connection:
        humidity = devices.ensure_series(connection, [(kitchen, "humidity"), (kitchen, "never")], NOW)
        rows = [(temperature, NOW, 1.0), (temperature, NOW + 5, 2.0), (humidity[kitchen, "humidity"], NOW + 1, 50.0)]
        readings.insert_new(connection, rows)
        # A crash left `latest` one reading behind for the temperature; for the humidity it is of the newest.
        readings.store_latest(
            connection,
            [
                (temperature, NOW, 1.0, NOW + 3),
                (humidity[kitchen, "humidity"], NOW + 1, 50.0, NOW + 4),
            ],
        )
    with reading(engine) as connection:
        found = sorted(readings.newest(connection), key=lambda one: one.metric)
    assert found == [
        LatestReading("kitchen", "humidity", None, NOW + 1, 50.0, NOW + 4),
        LatestReading("kitchen", "temperature", None, NOW + 5, 2.0, NOW + 5),
    ]


@pytest.mark.parametrize("series_a_statement", [1, 500])
def test_since(
    engine: Engine, kitchen: int, temperature: int, series_a_statement: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "_SERIES_A_STATEMENT", series_a_statement)
    with writing(engine) as connection:
        other = devices.ensure_series(connection, [(kitchen, "other")], NOW)[kitchen, "other"]
        rows = [
            (other, NOW + 1, 7.0),
            (temperature, NOW + 2, 2.0),
            (temperature, NOW + 1, 1.0),
            (temperature, NOW, 0.0),
        ]
        readings.insert_new(connection, rows)
        wanted = [other, temperature]
        found = readings.since(connection, wanted, NOW + 1, 10)
        assert found == [(temperature, NOW + 1, 1.0), (temperature, NOW + 2, 2.0), (other, NOW + 1, 7.0)]
        assert readings.since(connection, wanted, NOW + 1, 2) == found[:2]
        assert readings.since(connection, [other], NOW + 1, 10) == found[2:]
        assert readings.since(connection, [], NOW + 1, 10) == []


def test_records(engine: Engine) -> None:
    with writing(engine) as connection:
        ids = devices.ensure(connection, ["attic", "kitchen", "pump"], NOW)
        wanted = [(ids[device], metric) for device in ("attic", "kitchen") for metric in ("temperature", "humidity")]
        series = devices.ensure_series(connection, [*wanted, (ids["pump"], "flow")], NOW)
        rows = [
            (series[ids["attic"], "temperature"], NOW + 3, 3.0),
            (series[ids["attic"], "temperature"], NOW + 1, 1.0),
            (series[ids["attic"], "humidity"], NOW + 1, 41.0),
            (series[ids["kitchen"], "humidity"], NOW + 3, 43.0),
            (series[ids["kitchen"], "temperature"], NOW, 0.0),
            (series[ids["pump"], "flow"], NOW + 9, 9.0),
        ]
        readings.insert_new(connection, rows)
        everything = [
            Record("attic", NOW + 3, 3.0, None),
            Record("kitchen", NOW + 3, None, 43.0),
            Record("attic", NOW + 1, 1.0, 41.0),
            Record("kitchen", NOW, 0.0, None),
        ]
        assert records.records(connection, None, 100) == everything
        assert records.records(connection, None, 2) == everything[:2]
        assert records.records(connection, "attic", 100) == [everything[0], everything[2]]
        assert records.records(connection, "Attic", 100) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 10])
def test_a_record_among_the_newest_is_whole(engine: Engine, limit: int) -> None:
    """However differently its metrics are spaced: that is what a look at `limit` rows of each must not miss."""
    with writing(engine) as connection:
        device = devices.ensure(connection, ["attic"], NOW)["attic"]
        series = devices.ensure_series(connection, [(device, "temperature"), (device, "humidity")], NOW)
        rows = [(series[device, "temperature"], NOW + n, float(n)) for n in range(12)]
        rows += [(series[device, "humidity"], NOW + n, 40.0 + n) for n in range(0, 12, 5)]
        readings.insert_new(connection, rows)
        found = records.records(connection, "attic", limit)
    newest_first = [Record("attic", NOW + n, float(n), 40.0 + n if n % 5 == 0 else None) for n in range(11, -1, -1)]
    assert found == newest_first[:limit]


def _fleet(connection: Connection, count: int) -> dict[tuple[int, str], int]:
    """Ids of the series of so many devices, by device number and metric."""
    names = [f"d{n:03}" for n in range(count)]
    ids = devices.ensure(connection, names[1::2], NOW) | devices.ensure(connection, names[::2], NOW)  # not by name
    metrics = ("temperature", "humidity", "pressure")
    series = devices.ensure_series(connection, [(one, metric) for one in ids.values() for metric in metrics], NOW)
    return {(n, metric): series[ids[f"d{n:03}"], metric] for n in range(count) for metric in metrics}


@pytest.mark.parametrize("at_once", [1, 3, 300])
@pytest.mark.parametrize("seed", range(4))
def test_records_of_a_fleet_are_those_that_all_readings_make(
    engine: Engine, seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the devices' pace, many at the same ms, metrics apart, some silent for long, some with one metric."""
    monkeypatch.setattr(records, "_SOURCES_A_STATEMENT", at_once)
    chance = Random(seed)  # noqa: S311 - no secret
    with writing(engine) as connection:
        series = _fleet(connection, 12)
        held: dict[tuple[int, str], dict[str, float]] = {}
        rows = []
        for (number, metric), series_id in series.items():
            for ts in chance.sample(range(30), chance.choice([0, 1, 5, 30, 30])):
                since = NOW + ts + 10 * (number % 3)
                rows.append((series_id, since, float(ts)))
                if metric != "pressure":
                    held.setdefault((-since, f"d{number:03}"), {})[metric] = float(ts)
        readings.insert_new(connection, rows)
        expected = [
            Record(device, -since, values.get("temperature"), values.get("humidity"))
            for (since, device), values in sorted(held.items())
        ]
        for limit in (1, 2, 5, 11, 12, 13, 40, 1000):
            assert records.records(connection, None, limit) == expected[:limit]
        alone = [record for record in expected if record.device == "d004"]
        assert records.records(connection, "d004", 3) == alone[:3]


def test_records_of_a_large_fleet_are_two_statements_that_go_by_the_key(engine: Engine) -> None:
    with writing(engine) as connection:
        series = _fleet(connection, 110)
        readings.insert_new(connection, [(one, NOW + n, float(n)) for one in series.values() for n in range(20)])
    said: list[tuple[str, Any]] = []

    def hear(_on: object, _cursor: object, statement: str, parameters: object, _context: object, _many: object) -> None:
        said.append((statement, parameters))

    with reading(engine) as connection:
        event.listen(engine, "before_cursor_execute", hear)
        assert len(records.records(connection, None, 100)) == 100
        event.remove(engine, "before_cursor_execute", hear)
        asked = [one for one in said if not one[0].startswith("BEGIN")]
        assert len(asked) == 2
        assert all(_looks_by_key(connection, *one) for one in asked)


def _looks_by_key(connection: Connection, statement: str, parameters: Any) -> bool:
    """Whether the database goes to `readings` by a series' part of the primary key, each time it does."""
    if connection.dialect.name == "sqlite":
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        looks = [row.detail for row in plan if "readings" in row.detail]
        by_key = [look.startswith("SEARCH readings USING PRIMARY KEY (series_id=?") for look in looks]
    else:
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        by_key = [row.key == "PRIMARY" and row.type in {"ref", "range"} for row in plan if row.table == "readings"]
    return bool(by_key) and all(by_key)


def test_latest_is_inserted_then_replaced(engine: Engine, kitchen: int, temperature: int) -> None:
    with writing(engine) as connection:
        ids = devices.ensure_series(connection, [(kitchen, "humidity")], NOW)
        humidity = ids[kitchen, "humidity"]
        readings.store_latest(connection, [])
        readings.store_latest(connection, [(temperature, NOW, 1.0, NOW + 1)])
        newer, other = (temperature, NOW + 5, math.pi, NOW + 6), (humidity, NOW + 5, math.pi, NOW + 2)
        readings.store_latest(connection, [other, newer])
    with reading(engine) as connection:
        assert readings.changed_latest(connection, 0) == [
            LatestReading("kitchen", "humidity", None, NOW + 5, math.pi, NOW + 2),
            LatestReading("kitchen", "temperature", None, NOW + 5, math.pi, NOW + 6),
        ]
        assert [r.metric for r in readings.changed_latest(connection, NOW + 6)] == ["temperature"]
        assert readings.changed_latest(connection, NOW + 7) == []


def test_rows_are_counted_and_a_series_is_read_from_its_end(engine: Engine, temperature: int) -> None:
    with reading(engine) as connection:
        assert readings.count(connection) == 0
        assert len(readings.last_points(connection, temperature, 3)) == 0
    _insert(engine, [(temperature, NOW + n, float(n)) for n in range(5)] + [(temperature + 1, NOW, 9.0)])
    with reading(engine) as connection:
        assert readings.count(connection) == 6
        assert readings.last_points(connection, temperature, 3).ts.tolist() == [NOW + 2, NOW + 3, NOW + 4]
        assert readings.points_between(connection, temperature, NOW + 1, NOW + 9, 3).value.tolist() == [1.0, 2.0, 3.0]


def test_latest_never_goes_back(engine: Engine, temperature: int) -> None:
    """Of two workers that share a series, the one with the older reading may write last."""
    newest = (temperature, NOW + 5, 5.0, NOW + 6)
    older = (temperature, NOW, 1.0, NOW + 9)
    for row in (newest, older):
        with writing(engine) as connection:
            readings.store_latest(connection, [row])
    again = (temperature, NOW + 5, 5.0, NOW + 7)
    with reading(engine) as connection:
        found = readings.changed_latest(connection, 0)
    assert found == [LatestReading("kitchen", "temperature", None, NOW + 5, 5.0, NOW + 6)]
    with writing(engine) as connection:
        readings.store_latest(connection, [again])
    with reading(engine) as connection:
        assert [row.received_at for row in readings.changed_latest(connection, 0)] == [NOW + 7]
