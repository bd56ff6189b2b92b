"""Ranges as charts ask for them, against the same worked out from every reading that was stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db import readings, sealing
from db.devices import Series
from db.engine import Engine, snapshot, writing
from db.packing import DAY_MS, HOUR_MS, MINUTE_MS
from db.ranges import BadRange, Gap, Range, Resolution, read
from db.sealing import Sealer
from db.zones import midnights

NOON = 1_764_072_000_000  # 2025-11-25 12:00 UTC
BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
#: Three days at a minute, with a silence of an hour and a peak of one reading in it.
ROWS = [
    (NOON + n * MINUTE_MS + n % 7, 100.0 if n == 2_000 else 20 + n % 50 / 7)
    for n in range(3 * 24 * 60)
    if not 1_000 <= n < 1_060
]


def ms(year: int, month: int, day: int, hour: int = 0, *, zone: tzinfo = UTC) -> int:
    return int(datetime(year, month, day, hour, tzinfo=zone).timestamp() * 1000)


def store(engine: Engine, series_id: int, rows: Sequence[tuple[int, float]]) -> Series:
    with writing(engine) as connection:
        readings.insert_new(connection, [(series_id, ts, value) for ts, value in rows])
    return Series(series_id, "kitchen", "temperature", "°C", None)


def ask(
    engine: Engine,
    series: Series,
    start: int,
    end: int,
    points: int = 1000,
    resolution: Resolution | None = None,
    zone: tzinfo = UTC,
) -> Range:
    with snapshot(engine) as connection:
        return read(connection, series, start, end, points, resolution, zone)


def agree(found: Range, rows: Sequence[tuple[int, float]], zone: tzinfo = UTC) -> None:
    """Each point says exactly what its bucket's readings say, and no reading of the range is in none."""
    frame = found.frame
    assert frame.dtypes.to_dict() == {
        "ts": np.dtype("int64"),
        "n": np.dtype("int64"),
        "mean": np.dtype("float64"),
        "min": np.dtype("float64"),
        "max": np.dtype("float64"),
        "segment": np.dtype("int64"),
    }
    starts = frame["ts"].to_numpy()
    assert (np.diff(starts) > 0).all()
    ts = np.array([row[0] for row in rows], np.int64)
    value = np.array([row[1] for row in rows], np.float64)
    if not len(starts):
        assert not ((ts >= found.start) & (ts < found.end)).any()
        return
    if found.resolution == "days" and found.bucket_ms == DAY_MS:
        edges = midnights(zone, starts[0], starts[-1] + 1)
        ends = edges[np.searchsorted(edges, starts, side="right")]
    else:
        ends = starts + (found.bucket_ms or 1)
    place = np.searchsorted(starts, ts, side="right") - 1
    inside = (place >= 0) & (ts < ends[place])
    assert not ((ts >= found.start) & (ts < found.end) & ~inside).any(), "a reading is in no point"
    groups = pd.Series(value[inside]).groupby(starts[place[inside]])
    assert groups.size().index.tolist() == starts.tolist()
    assert groups.size().tolist() == frame["n"].tolist()
    assert groups.min().tolist() == frame["min"].tolist()
    assert groups.max().tolist() == frame["max"].tolist()
    np.testing.assert_allclose(frame["mean"], groups.mean(), rtol=1e-9)
    assert ((frame["mean"] >= frame["min"]) & (frame["mean"] <= frame["max"])).all()


@pytest.mark.parametrize(
    ("length", "points", "resolution", "bucket_ms"),
    [
        (HOUR_MS, 1000, "raw", None),
        (12 * HOUR_MS, 1000, "raw", None),
        (12 * HOUR_MS, 400, "minutes", 2 * MINUTE_MS),
        (HOUR_MS, 59, "minutes", 2 * MINUTE_MS),
        (HOUR_MS, 20, "minutes", 3 * MINUTE_MS),
        (3 * DAY_MS, 1000, "minutes", 5 * MINUTE_MS),
        (3 * DAY_MS, 5000, "raw", None),
        (3 * DAY_MS, 100, "hours", HOUR_MS),
        (3 * DAY_MS, 20, "hours", 4 * HOUR_MS),
        (3 * DAY_MS, 3, "days", DAY_MS),
        (3 * DAY_MS, 1, "days", 3 * DAY_MS),
        (3650 * DAY_MS, 1000, "days", 4 * DAY_MS),
    ],
)
def test_the_coarsest_resolution_that_loses_nothing(
    engine: Engine, temperature: int, length: int, points: int, resolution: str, bucket_ms: int | None
) -> None:
    series = store(engine, temperature, ROWS)
    found = ask(engine, series, NOON, NOON + length, points)
    assert (found.resolution, found.bucket_ms) == (resolution, bucket_ms)
    assert len(found.frame) <= points + 1
    assert (found.series, found.start, found.end) == (series, NOON, NOON + length)
    agree(found, ROWS)


@pytest.mark.parametrize("zone", [UTC, BERLIN, KOLKATA], ids=str)
@pytest.mark.parametrize("resolution", ["raw", "minutes", "hours", "days"])
def test_a_resolution_that_was_asked_for(
    engine: Engine, temperature: int, resolution: Resolution, zone: tzinfo
) -> None:
    found = ask(engine, store(engine, temperature, ROWS), NOON + 10_001, NOON + 2 * DAY_MS + 7, 1, resolution, zone)
    assert found.resolution == resolution
    agree(found, ROWS, zone)


def test_a_peak_of_one_reading_shows_at_every_width(engine: Engine, temperature: int) -> None:
    series = store(engine, temperature, ROWS)
    for points in (1, 2, 3, 10, 50, 100, 700, 5_000, 20_000):
        assert ask(engine, series, NOON, NOON + 3 * DAY_MS, points).frame["max"].max() == 100.0


def test_a_gap_shows_at_every_width_that_it_is_wider_than(engine: Engine, temperature: int) -> None:
    series = store(engine, temperature, ROWS)
    before, after = NOON + 999 * MINUTE_MS + 999 % 7, NOON + 1_060 * MINUTE_MS + 1_060 % 7
    single = ask(engine, series, NOON, NOON + 3 * DAY_MS, 20_000)
    assert single.gaps == (Gap(before, after),)
    parted = single.frame.groupby("segment")["ts"].agg(["min", "max"])
    assert parted.loc[0, "max"] == before
    assert parted.loc[1, "min"] == after
    minutes = ask(engine, series, NOON, NOON + 3 * DAY_MS, 1_000)
    assert minutes.gaps == (Gap(NOON + 1_000 * MINUTE_MS, NOON + 1_060 * MINUTE_MS),)
    assert minutes.frame["segment"].max() == 1


def test_the_same_bucket_says_the_same_whatever_range_it_is_part_of(engine: Engine, temperature: int) -> None:
    series = store(engine, temperature, ROWS)
    whole = ask(engine, series, NOON, NOON + 3 * DAY_MS, 300).frame
    later = ask(engine, series, NOON + 7 * HOUR_MS + 1, NOON + 3 * DAY_MS + 7 * HOUR_MS + 1, 300).frame
    joined = whole.merge(later, on="ts", suffixes=("", "_later"))
    assert len(joined) > 200
    assert (joined["n"] == joined["n_later"]).all()
    assert (joined["mean"] == joined["mean_later"]).all()


def test_days_are_those_of_the_zone_with_23_and_25_hours(engine: Engine, temperature: int) -> None:
    for first, hours in ((ms(2026, 3, 29, zone=BERLIN), 23), (ms(2026, 10, 25, zone=BERLIN), 25)):
        rows = [(first + n * 10 * MINUTE_MS, float(n)) for n in range(-144, 300)]
        series = store(engine, temperature, rows)
        found = ask(engine, series, first, first + DAY_MS, 1000, "days", BERLIN)
        assert found.frame["ts"].tolist()[0] == first
        assert found.frame["n"].tolist()[0] == hours * 6
        assert found.bucket_ms == DAY_MS


def test_days_of_half_hour_zones_come_from_minutes(engine: Engine, temperature: int) -> None:
    first = ms(2026, 1, 1, zone=KOLKATA)
    rows = [(first + n * 10 * MINUTE_MS, float(n)) for n in range(-100, 300)]
    found = ask(engine, store(engine, temperature, rows), first, first + DAY_MS, 1000, "days", KOLKATA)
    assert found.frame["ts"].tolist() == [first]
    assert found.frame[["n", "min", "max"]].to_numpy().tolist() == [[144, 0, 143]]


def test_buckets_of_several_days_are_utcs(engine: Engine, temperature: int) -> None:
    series = store(engine, temperature, ROWS)
    found = ask(engine, series, NOON, NOON + 3650 * DAY_MS, 1000, None, KOLKATA)
    assert (found.resolution, found.bucket_ms) == ("days", 4 * DAY_MS)
    agree(found, ROWS)


def test_of_single_days_in_a_half_hour_zone_it_says_that_they_are_hours(engine: Engine, temperature: int) -> None:
    series = store(engine, temperature, ROWS)
    found = ask(engine, series, NOON, NOON + 3 * DAY_MS, 3, None, KOLKATA)
    assert (found.resolution, found.bucket_ms) == ("hours", DAY_MS)
    agree(found, ROWS)


@pytest.mark.parametrize("step_ms", [20_000, 20 * MINUTE_MS])
def test_sealing_changes_nothing(engine: Engine, temperature: int, step_ms: int) -> None:
    """Whatever lies in chunks, late beside them, or still in rows: all ranges say the same."""
    rows = [(NOON + n * step_ms + n % 11, float(n * 31 % 97) / 8) for n in range(4_000)]
    late = [(NOON + 400 * step_ms - 1, 500.0)]
    series = store(engine, temperature, rows + late)
    last = rows[-1][0]
    asked: list[tuple[int, int, int, Resolution | None, tzinfo]] = [
        (NOON - 7, last + 7, points, None, zone) for points in (1, 5, 300, 2_000, 20_000) for zone in (UTC, BERLIN)
    ]
    asked += [(NOON + HOUR_MS, NOON + 500 * step_ms, 1_000, name, KOLKATA) for name in ("minutes", "hours", "days")]
    asked += [(NOON - 4_000 * DAY_MS, last + 1, 1_000, None, BERLIN)]
    before = [ask(engine, series, *one) for one in asked]
    sealer = Sealer("w-upkeep", "iot")
    list(sealing.steps(engine, partial(writing, engine), sealer, last // DAY_MS * DAY_MS))
    for number, one in enumerate(asked):
        found = ask(engine, series, *one)
        pd.testing.assert_frame_equal(found.frame, before[number].frame)
        assert (found.resolution, found.bucket_ms) == (before[number].resolution, before[number].bucket_ms)
    more = [(NOON + 600 * step_ms - 1, -500.0)]
    store(engine, temperature, more)
    for one in asked:
        agree(ask(engine, series, *one), rows + late + more, one[-1])


def test_buckets_of_hours_begin_at_the_zones_midnight(engine: Engine, temperature: int) -> None:
    series = store(engine, temperature, ROWS)
    found = ask(engine, series, NOON, NOON + 3 * DAY_MS, 13, None, BERLIN)
    assert found.bucket_ms == 6 * HOUR_MS
    assert set(midnights(BERLIN, NOON, NOON + 3 * DAY_MS)[1:-1].tolist()) <= set(found.frame["ts"])
    agree(found, ROWS, BERLIN)


def test_a_range_without_readings(engine: Engine, temperature: int) -> None:
    empty = Series(temperature, "kitchen", "temperature", None, None)
    for resolution in (None, "raw", "minutes", "hours", "days"):
        found = ask(engine, empty, NOON, NOON + DAY_MS, 10, resolution)
        assert found.frame.empty
        assert found.gaps == ()
        agree(found, [])
    series = store(engine, temperature, [(NOON, 1.0), (NOON + DAY_MS, 2.0)])
    for start in (NOON - DAY_MS, NOON + 1, NOON + DAY_MS + 1):
        assert ask(engine, series, start, start + HOUR_MS).frame.empty
    assert ask(engine, series, NOON, NOON + 1).frame["mean"].tolist() == [1.0]


def test_five_hundred_years_with_two_readings(engine: Engine, temperature: int) -> None:
    rows = [(ms(1700, 1, 1), 1.0), (ms(2200, 1, 1) - 1, 2.0)]
    series = store(engine, temperature, rows)
    assert ask(engine, series, ms(1700, 1, 1), ms(2200, 1, 1)).frame["mean"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("start", "end", "points", "field"),
    [
        (NOON, NOON, 1000, "from"),
        (NOON + 1, NOON, 1000, "from"),
        (NOON, NOON + 1, 0, "points"),
        (NOON, NOON + 1, -1, "points"),
        (NOON, NOON + 1, 20_001, "points"),
        (NOON, NOON + 1, 10**9, "points"),
        (-(2**63), NOON, 1000, "from"),
        (NOON, 2**63 - 1, 1000, "to"),
    ],
)
def test_what_cannot_be_read_is_named(
    engine: Engine, temperature: int, start: int, end: int, points: int, field: str
) -> None:
    with pytest.raises(BadRange) as refused:
        ask(engine, Series(temperature, "a", "b", None, None), start, end, points)
    assert refused.value.field == field


def test_more_single_points_than_an_answer_holds_are_refused_not_cut(
    engine: Engine, temperature: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.ranges.MOST_POINTS", 1_000)
    series = store(engine, temperature, ROWS)
    for resolution in ("raw", "minutes"):
        with pytest.raises(BadRange, match="more than 1,000 points") as refused:
            ask(engine, series, NOON, NOON + 3 * DAY_MS, 10, resolution)
        assert refused.value.field == "from"
    assert len(ask(engine, series, NOON, NOON + 3 * DAY_MS, 10, "hours").frame) == 72


def test_where_there_are_too_many_readings_to_fold_minutes_have_to_do(
    engine: Engine, temperature: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(NOON + n * 1_000, float(n)) for n in range(1_000)]
    series = store(engine, temperature, rows)
    assert ask(engine, series, NOON, NOON + 1_000_000, 500).bucket_ms == 2_000
    monkeypatch.setattr("db.ranges._MOST_FOLDED", 900)
    found = ask(engine, series, NOON, NOON + 1_000_000, 500)
    assert (found.resolution, found.bucket_ms) == ("minutes", MINUTE_MS)
    agree(found, rows)


def test_the_largest_floats(engine: Engine, temperature: int) -> None:
    largest = 1.7976931348623157e308
    series = store(engine, temperature, [(NOON + n, largest) for n in range(5)])
    found = ask(engine, series, NOON, NOON + HOUR_MS, 1)
    assert found.frame[["n", "min", "max"]].to_numpy().tolist() == [[5, largest, largest]]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    distances=st.lists(st.integers(1, 30 * MINUTE_MS), min_size=1, max_size=60),
    start=st.integers(-DAY_MS, DAY_MS),
    length=st.integers(1, 20 * DAY_MS),
    points=st.integers(1, 200),
    resolution=st.sampled_from([None, "raw", "minutes", "hours", "days"]),
    zone=st.sampled_from([UTC, BERLIN, KOLKATA, ZoneInfo("Australia/Lord_Howe")]),
)
def test_any_range_of_anything(
    *,
    engine: Engine,
    temperature: int,
    distances: list[int],
    start: int,
    length: int,
    points: int,
    resolution: Resolution | None,
    zone: tzinfo,
) -> None:
    october = ms(2026, 10, 24, 12)
    times = (october + np.cumsum(distances)).tolist()
    rows = [(ts, float(ts % 97)) for ts in times]
    with writing(engine) as connection:
        connection.exec_driver_sql("DELETE FROM readings")
    series = store(engine, temperature, rows)
    found = ask(engine, series, october + start, october + start + length, points, resolution, zone)
    agree(found, rows, zone)
    if resolution is None:
        assert len(found.frame) <= points + 1
    assert found.gaps == tuple(sorted(found.gaps, key=lambda gap: gap.start))
    for before, after in pairwise(found.frame["segment"]):
        assert 0 <= after - before <= 1
