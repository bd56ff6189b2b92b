"""Statistics of a range, against the same worked out by pandas from every reading."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from db import readings
from db.devices import Series
from db.engine import Engine, snapshot, writing
from db.packing import DAY_MS, HOUR_MS, MINUTE_MS
from db.ranges import Gap, Statistics, statistics

NOON = 1_764_072_000_000
BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
ROWS = [(NOON + n * 20_000, float((n * 7919) % 101) / 4) for n in range(4_000)]


def ask(
    engine: Engine,
    rows: Sequence[tuple[int, float]],
    series_id: int,
    start: int = NOON,
    end: int = NOON + DAY_MS,
    threshold: float | None = None,
    zone: tzinfo = UTC,
) -> Statistics:
    with writing(engine) as connection:
        readings.insert_new(connection, [(series_id, ts, value) for ts, value in rows])
    with snapshot(engine) as connection:
        return statistics(connection, Series(series_id, "a", "x", None, None), start, end, threshold, zone)


@pytest.fixture(params=["raw", "minutes", "hours"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What it is found from: single readings, or buckets as if there were too many."""
    if request.param != "raw":
        monkeypatch.setattr("db.statistics.MOST_READINGS", 10)
    if request.param == "hours":
        monkeypatch.setattr("db.statistics._MINUTES_MS", 0)
    name: str = request.param
    return name


def test_counts_means_and_extremes_are_exact_from_whatever_they_are_found(
    engine: Engine, temperature: int, source: str
) -> None:
    start, end = NOON + 1_234_567, NOON + 17 * HOUR_MS + 7_654_321
    found = ask(engine, ROWS, temperature, start, end)
    inside = pd.DataFrame([row for row in ROWS if start <= row[0] < end], columns=["ts", "value"])
    assert found.resolution == source
    assert found.n == len(inside)
    assert found.mean == pytest.approx(inside["value"].mean(), rel=1e-9)
    assert (found.min, found.max) == (inside["value"].min(), inside["value"].max())
    assert found.min_at == inside["ts"].iloc[int(inside["value"].argmin())]
    assert found.max_at == inside["ts"].iloc[int(inside["value"].argmax())]
    if source == "raw":
        assert found.sd == pytest.approx(inside["value"].std())
    assert found.distribution["n"].sum() == len(inside)
    assert found.week["n"].sum() == len(inside)


def test_time_above_and_below_a_threshold(engine: Engine, temperature: int) -> None:
    rows = [(NOON + n * 1_000, 1.0 if 10 <= n < 30 else 0.0) for n in range(100)]
    rows += [(NOON + 1_000_000 + n * 1_000, 1.0) for n in range(10)]
    found = ask(engine, rows, temperature, threshold=0.5)
    assert (found.above_ms, found.below_ms) == (20_000 + 9_000, 79_000)
    assert found.gaps == (Gap(NOON + 99_000, NOON + 1_000_000),)
    at = ask(engine, [], temperature, threshold=1.0)
    assert (at.above_ms, at.below_ms) == (0, 108_000)
    none = ask(engine, [], temperature)
    assert (none.above_ms, none.below_ms) == (None, None)


def test_time_above_from_buckets_is_about_the_same(engine: Engine, temperature: int, source: str) -> None:
    rows = [(NOON + n * 10_000, float(np.sin(n / 500))) for n in range(8_000)]
    found = ask(engine, rows, temperature, threshold=0.0)
    assert found.above_ms is not None and found.below_ms is not None
    above = 10_000 * sum(value > 0 for _, value in rows)
    assert found.above_ms == pytest.approx(above, rel=0.01 if source == "raw" else 0.05)
    assert found.above_ms + found.below_ms == pytest.approx(80_000_000, rel=0.05)


@pytest.mark.parametrize("zone", [UTC, BERLIN, KOLKATA], ids=str)
def test_the_week_is_by_the_zones_clocks(engine: Engine, temperature: int, zone: tzinfo, source: str) -> None:
    autumn = int(datetime(2026, 10, 24, tzinfo=UTC).timestamp() * 1000)
    rows = [(autumn + n * 10 * MINUTE_MS, float(n % 13)) for n in range(500)]
    found = ask(engine, rows, temperature, autumn, autumn + 4 * DAY_MS, None, zone)
    assert found.resolution == ("minutes" if (source, zone) == ("hours", KOLKATA) else source)
    local = [datetime.fromtimestamp(ts / 1000, zone) for ts, _ in rows]
    expected = (
        pd.DataFrame(
            {
                "weekday": [moment.weekday() for moment in local],
                "hour": [moment.hour for moment in local],
                "value": [value for _, value in rows],
            }
        )
        .groupby(["weekday", "hour"], as_index=False)
        .agg(n=("value", "size"), mean=("value", "mean"))
    )
    pd.testing.assert_frame_equal(found.week, expected, check_dtype=False)


def test_the_distribution_covers_all_values(engine: Engine, temperature: int) -> None:
    found = ask(engine, ROWS, temperature, NOON, NOON + 2 * DAY_MS).distribution
    values = [value for _, value in ROWS]
    assert (found["low"].iloc[0], found["high"].iloc[-1]) == (min(values), max(values))
    assert found["n"].tolist() == np.histogram(values, 30)[0].tolist()


@pytest.mark.parametrize(
    "values",
    [
        [1.0],
        [1.0, 1.0, 1.0],
        [1.0, 1.0000000000000002],
        [5e-324, 0.0],
        [-1.7976931348623157e308, 1.7976931348623157e308],
        [1.7976931348623157e308] * 5,
    ],
)
def test_values_at_the_ends_of_what_a_float_holds(engine: Engine, temperature: int, values: list[float]) -> None:
    found = ask(engine, [(NOON + n, value) for n, value in enumerate(values)], temperature, threshold=1.0)
    assert (found.n, found.min, found.max) == (len(values), min(values), max(values))
    assert found.mean is not None and min(values) <= found.mean <= max(values)
    assert found.distribution["n"].sum() == len(values)


def test_nothing_at_all(engine: Engine, temperature: int) -> None:
    for _ in range(2):
        found = ask(engine, [], temperature, threshold=1.0)
        assert (found.n, found.mean, found.min, found.max_at, found.sd) == (0, None, None, None, None)
        assert (found.above_ms, found.below_ms, found.gaps) == (0, 0, ())
        assert found.week.empty and found.distribution.empty
        ask(engine, [(NOON + 10 * DAY_MS, 1.0)], temperature)
