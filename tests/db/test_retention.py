from __future__ import annotations

from functools import partial

import pytest

from db import account, dead_letters, devices, history, ranges, retention, sealing
from db.engine import Engine, snapshot, writing
from db.history import DAY_MS, HOUR_MS
from db.retention import Kept, kept
from db.sealing import Step
from tests.db.sealed import DAY, SEALER, Series, every

_NOW = DAY + 10 * DAY_MS + 5 * HOUR_MS


@pytest.fixture
def series(engine: Engine, temperature: int, monkeypatch: pytest.MonkeyPatch) -> Series:
    """Six days of a reading a quarter of an hour, each day a chunk once it is sealed."""
    monkeypatch.setattr(sealing, "SLOW", 10)
    found = Series(engine, temperature)
    found.receive(every(900_000, 6 * 96))
    return found


def remove(series: Series, limits: Kept) -> list[Step]:
    return list(retention.removals(series.engine, partial(writing, series.engine), SEALER, limits))


def removed(series: Series) -> int:
    with snapshot(series.engine) as connection:
        return account.imported_and_removed(connection)[1]


def test_what_is_kept() -> None:
    assert kept(_NOW, None, 5) == Kept()
    assert kept(_NOW, 3, None) == Kept(_NOW - 3 * DAY_MS, None)
    assert kept(_NOW, 3, 30) == Kept(_NOW - 3 * DAY_MS, _NOW - 30 * DAY_MS)
    assert kept(_NOW, 30, 3) == Kept(_NOW - 30 * DAY_MS, _NOW - 30 * DAY_MS), "hours never go before their readings"


def test_without_a_limit_nothing_goes(series: Series) -> None:
    series.seal(DAY + 6 * DAY_MS)
    assert remove(series, Kept()) == []
    series.check()


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "rows"])
def test_readings_go_and_their_hours_stay(series: Series, sealed: bool) -> None:
    if sealed:
        series.seal(DAY + 6 * DAY_MS)
    limit = DAY + 2 * DAY_MS + 30 * 60_000
    remove(series, Kept(limit))
    with snapshot(series.engine) as connection:
        assert history.raw(connection, series.id, 0, DAY + 2 * DAY_MS).ts.tolist() == []
        assert len(history.raw(connection, series.id, limit, _NOW)) == 4 * 96 - 2
        assert len(history.minutes(connection, series.id, 0, DAY + 2 * DAY_MS)) == 0
        hours = history.hours(connection, series.id, 0, DAY + 6 * DAY_MS)
        assert (len(hours), hours.n.tolist()) == (6 * 24, [4] * 6 * 24)
        extent = history.extent(connection, series.id)
    assert extent == (DAY, DAY + 6 * DAY_MS - 900_000)
    assert removed(series) == 2 * 96
    assert series.rows() + series.sealed() == 4 * 96
    assert series.problems() == []
    assert [step.readings for step in remove(series, Kept(limit))] == []


def test_what_comes_too_late_all_the_same_is_rejected(series: Series) -> None:
    series.seal(DAY + 6 * DAY_MS)
    limit = DAY + 2 * DAY_MS
    remove(series, Kept(limit))
    series.receive([(DAY + 1, 1.0), (DAY + 900_000, 2.0)])
    with snapshot(series.engine) as connection:
        assert len(history.raw(connection, series.id, 0, DAY + DAY_MS)) == 0
        assert history.hours(connection, series.id, DAY, DAY + HOUR_MS).n.tolist() == [4]
    (step,) = series.seal(DAY + 6 * DAY_MS)
    assert (step.rows, step.rejected) == (2, 2)
    with snapshot(series.engine) as connection:
        assert history.hours(connection, series.id, DAY, DAY + HOUR_MS).n.tolist() == [4]
        (stored,) = dead_letters.newest(connection, 10)
        assert account.totals(connection)[SEALER.account].readings_rejected == 2
    assert "is older than what is kept (RETENTION_RAW_DAYS)" in stored.letter.reason
    assert series.rows() + series.sealed() == 4 * 96


def test_hours_go_at_last(series: Series) -> None:
    series.seal(DAY + 6 * DAY_MS)
    remove(series, Kept(DAY + 4 * DAY_MS, DAY + 2 * DAY_MS))
    with snapshot(series.engine) as connection:
        hours = history.hours(connection, series.id, 0, DAY + 6 * DAY_MS)
    assert (hours.ts[0], len(hours)) == (DAY + 2 * DAY_MS, 4 * 24)
    assert len(series.chunks()) == 4
    assert series.problems() == []


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "rows"])
def test_a_chart_over_the_time_of_which_hours_alone_are_left(series: Series, sealed: bool) -> None:
    if sealed:
        series.seal(DAY + 6 * DAY_MS)
    else:
        series.fold(DAY + 6 * DAY_MS)
    hour = min(ts for ts, value in series.expected.items() if value == max(series.expected.values())) // HOUR_MS
    remove(series, Kept(DAY + 4 * DAY_MS))
    with snapshot(series.engine) as connection:
        (one,) = devices.every_series(connection)
        everything = ranges.read(connection, one, DAY, DAY + 6 * DAY_MS, 1_000)
        gone = ranges.read(connection, one, DAY + DAY_MS, DAY + 2 * DAY_MS, 1_000)
        by_day = ranges.read(connection, one, DAY, DAY + 6 * DAY_MS, 6)
        single = ranges.read(connection, one, DAY + 5 * DAY_MS, DAY + 6 * DAY_MS, 1_000)
        found = ranges.statistics(connection, one, DAY, DAY + 6 * DAY_MS)
    assert (everything.resolution, everything.bucket_ms) == ("hours", HOUR_MS)
    assert everything.frame["n"].tolist() == [4] * 6 * 24
    highest = everything.frame["max"].to_numpy()
    assert everything.frame["ts"].to_numpy()[highest.argmax()] == hour * HOUR_MS, "no peak is hidden"
    assert highest.max() == max(series.expected.values())
    assert (gone.resolution, gone.frame["n"].tolist(), gone.gaps) == ("hours", [4] * 24, ())
    assert (by_day.resolution, by_day.frame["n"].tolist()) == ("days", [96] * 6)
    assert (single.resolution, len(single.frame)) == ("raw", 96)
    assert (found.n, found.max) == (6 * 96, max(series.expected.values()))
