"""Hours that are over are folded before their day is sealed, and every answer is the same as from rows."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, update

from db import chunks, folding, history, late, readings, sealing
from db.engine import Engine, snapshot, writing
from db.history import DAY_MS, HOUR_MS, MINUTE_MS
from db.late import CLOSED_AFTER_MS
from db.schema import hours as hours_table
from db.schema import minutes as minutes_table
from tests.db.sealed import DAY, Series, every

#: When the first ten hours of DAY can be folded.
TEN = DAY + 10 * HOUR_MS + CLOSED_AFTER_MS


@pytest.fixture
def series(engine: Engine, temperature: int) -> Series:
    return Series(engine, temperature)


@pytest.fixture
def in_time(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Readings are stored at this moment (UTC ms), before which nothing is late."""
    clock = [DAY]
    name = late.name
    monkeypatch.setattr(late, "name", lambda connection, rows, _: name(connection, rows, clock[0]))
    return clock


def _hours(first: int, after: int) -> list[int]:
    return [DAY + n * HOUR_MS for n in range(first, after)]


@pytest.mark.usefixtures("in_time")
def test_hours_that_are_over_are_stored_with_their_minutes_and_the_rest_is_folded_from_rows(series: Series) -> None:
    series.receive(every(12_000, 11 * 300) + every(60_000, 50, DAY + 20 * HOUR_MS))
    assert series.fold(TEN - 1) == 1
    assert (series.hours(), series.minutes()) == (_hours(0, 9), _hours(0, 9))
    assert series.fold(TEN) == 1
    assert (series.hours(), series.minutes(), series.named()) == (_hours(0, 10), _hours(0, 10), [])
    series.check(DAY + 3 * HOUR_MS, DAY + 12 * HOUR_MS)
    assert series.fold(TEN) == 0
    with snapshot(series.engine) as connection:
        odd = DAY + HOUR_MS + 7 * MINUTE_MS, DAY + 10 * HOUR_MS + 9 * MINUTE_MS
        assert history.minutes(connection, series.id, *odd).n.tolist() == [5] * (9 * 60 + 2)
        assert history.minutes(connection, series.id, DAY + 90_000_000, DAY + 10**9).n.tolist() == []


@pytest.mark.usefixtures("in_time")
def test_hours_far_apart_and_slow_ones(series: Series) -> None:
    series.receive(every(HOUR_MS // 2, 5) + every(60_000, 90, DAY + 40 * DAY_MS))
    series.fold(DAY + 40 * DAY_MS + 2 * HOUR_MS + CLOSED_AFTER_MS)
    assert len(series.hours()) == 5
    assert series.minutes() == []
    series.check(DAY + HOUR_MS, DAY + 41 * DAY_MS)


def test_what_comes_late_counts_at_once_and_its_hour_is_folded_again(series: Series, in_time: list[int]) -> None:
    series.receive(every(12_000, 11 * 300))
    series.fold(TEN)
    in_time[0] = TEN
    series.receive([(DAY + 10 * HOUR_MS + 5, 1.5)])
    assert series.named() == [], "not yet folded"
    series.receive([(DAY + 2 * HOUR_MS + 5, 99.0), (DAY + 4 * HOUR_MS + 5, -99.0)])
    assert series.named() == [(DAY + 2 * HOUR_MS, DAY + 5 * HOUR_MS)]
    series.check(DAY + 2 * HOUR_MS, DAY + 4 * HOUR_MS)
    series.receive([(DAY - 3 * HOUR_MS, 7.0)])  # before all others
    series.check(DAY - DAY_MS, DAY + 4 * HOUR_MS)
    assert series.fold(TEN) == 2
    assert series.named() == []
    assert series.hours() == [DAY - 3 * HOUR_MS, *_hours(0, 10)]
    series.check(DAY + 2 * HOUR_MS, DAY + 4 * HOUR_MS)


def test_when_much_comes_late_readers_do_not_look_into_all_that_names_it(
    series: Series, in_time: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "_LOOKED_INTO", 3)
    monkeypatch.setattr(folding, "_NAMED_AT_ONCE", 2)
    series.receive(every(60_000, 11 * 60))
    series.fold(TEN)
    in_time[0] = TEN
    for hour in (1, 3, 5, 8):
        series.receive([(DAY + hour * HOUR_MS + 5, 99.0)])
    assert series.named() == [(DAY + HOUR_MS, DAY + 9 * HOUR_MS)]
    series.check(DAY + 2 * HOUR_MS, DAY + 6 * HOUR_MS)
    series.fold(TEN)
    assert series.named() == []
    series.check(DAY + 2 * HOUR_MS, DAY + 6 * HOUR_MS)


def test_only_the_series_of_late_readings_are_named(series: Series, engine: Engine, in_time: list[int]) -> None:
    in_time[0] = TEN
    rows = [(series.id, DAY + 5, 1.0), (series.id + 1, DAY + 9 * HOUR_MS, 1.0), (series.id + 2, TEN, 1.0)]
    with writing(engine) as connection:
        readings.insert_new(connection, rows)
        ids, named = late.oldest(connection, 10)
    assert named == {
        series.id: [(DAY, DAY + HOUR_MS)],
        series.id + 1: [(DAY + 9 * HOUR_MS, DAY + 10 * HOUR_MS)],
    }
    assert len(ids) == 1


@pytest.mark.usefixtures("in_time")
def test_a_transaction_that_is_not_committed_yet_is_waited_for(series: Series, engine: Engine) -> None:
    series.receive(every(60_000, 11 * 60))
    done = threading.Event()

    def fold() -> None:
        series.fold(TEN)
        done.set()

    folder = threading.Thread(target=fold, name="folds")
    with writing(engine) as connection:
        readings.insert_new(connection, [(series.id, DAY + HOUR_MS + 5, 99.0)])
        folder.start()
        assert not done.wait(0.2)
    folder.join(10)
    with snapshot(engine) as connection:
        assert history.hours(connection, series.id, DAY + HOUR_MS, DAY + 2 * HOUR_MS).hi.tolist() == [99.0]
    assert series.hours() == _hours(0, 10)
    assert series.problems() == []


def test_two_that_store_late_readings_and_one_that_folds_do_not_wait_for_each_other(
    series: Series, engine: Engine, in_time: list[int]
) -> None:
    series.receive(every(60_000, 11 * 60))
    series.fold(TEN)
    in_time[0] = TEN
    deadline = time.monotonic() + 1.0
    failures: list[BaseException] = []

    def store(offset: int) -> None:
        number = 0
        try:
            while time.monotonic() < deadline:
                number += 1
                with writing(engine) as connection:
                    ts = DAY + number * 977_777 % (9 * HOUR_MS) // 2 * 2 + offset
                    readings.insert_new(connection, [(series.id, ts, 5.0)])
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=store, args=(offset,), name=f"stores-{offset}") for offset in (0, 1)]
    for thread in threads:
        thread.start()
    while time.monotonic() < deadline:
        series.fold(TEN)
    for thread in threads:
        thread.join(10)
    series.fold(TEN)
    assert failures == []
    assert (series.problems(), series.named()) == ([], [])
    with snapshot(engine) as connection:
        found = history.raw(connection, series.id, 0, DAY + 11 * HOUR_MS)
        assert history.hours(connection, series.id, DAY, DAY + 11 * HOUR_MS).n.sum() == len(found)


@pytest.mark.usefixtures("in_time")
def test_sealed_their_hours_are_those_of_the_chunk(series: Series) -> None:
    series.receive(every(12_000, 30 * 300))
    series.fold(DAY + 29 * HOUR_MS + CLOSED_AFTER_MS)
    assert series.minutes() == _hours(0, 29)
    series.seal(DAY + DAY_MS)
    assert (series.hours(), series.minutes()) == (_hours(0, 29), _hours(24, 29))
    series.check(DAY + 20 * HOUR_MS, DAY + 30 * HOUR_MS)


@pytest.mark.usefixtures("in_time")
def test_a_day_that_was_not_sealed_before_the_next_one_counts_once(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SLOW", 10)
    series.receive(every(600_000, 3 * 144))
    series.fold(DAY + 3 * DAY_MS)
    write = sealing._write

    def write_all_but_the_first(transaction: Any, sealer: Any, stretch: Any, *rest: Any) -> Any:
        if stretch.start == DAY:
            raise sealing.Disturbed
        return write(transaction, sealer, stretch, *rest)

    monkeypatch.setattr(sealing, "_write", write_all_but_the_first)
    series.seal(DAY + 2 * DAY_MS)
    assert [chunk.start for chunk in series.chunks()] == [DAY + DAY_MS]
    assert series.hours()[0] == DAY + DAY_MS
    series.check(DAY + HOUR_MS, DAY + 2 * DAY_MS + HOUR_MS)
    monkeypatch.undo()
    series.seal(DAY + 2 * DAY_MS)
    series.check(DAY + HOUR_MS, DAY + 2 * DAY_MS + HOUR_MS)


def test_made_rows_again_they_are_folded_again(series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "SLOW", 10)
    series.receive(every(600_000, 4 * 144))
    series.fold(DAY + 4 * DAY_MS)
    series.seal(DAY + 3 * DAY_MS)
    series.unseal(DAY + DAY_MS, DAY + 2 * DAY_MS)  # one in the middle
    series.check(DAY + HOUR_MS, DAY + 3 * DAY_MS + HOUR_MS)
    series.fold(DAY + 4 * DAY_MS)
    series.check(DAY + HOUR_MS, DAY + 3 * DAY_MS + HOUR_MS)
    series.unseal(DAY + 2 * DAY_MS, DAY + 3 * DAY_MS)  # and the last
    assert series.hours() == _hours(0, 24)
    series.check(DAY + HOUR_MS, DAY + 3 * DAY_MS + HOUR_MS)
    series.fold(DAY + 4 * DAY_MS)
    assert len(series.hours()) == 4 * 24 - 1
    assert series.named() == []
    series.check(DAY + HOUR_MS, DAY + 3 * DAY_MS + HOUR_MS)


@pytest.mark.usefixtures("in_time")
def test_hours_that_are_not_those_of_their_rows_are_named(series: Series, engine: Engine) -> None:
    series.receive(every(60_000, 11 * 60))
    series.fold(TEN)
    assert series.problems() == []
    with writing(engine) as connection:
        connection.execute(update(hours_table).where(hours_table.c.ts == DAY).values(hi=1e6))
    (problem,) = series.problems()
    assert "its hours from 2024-10-04T00:00:00Z to 2024-10-04T10:00:00Z are not what its rows give" in problem
    with writing(engine) as connection:
        connection.execute(delete(hours_table).where(hours_table.c.ts == DAY))
    assert len(series.problems()) == 1


@pytest.mark.usefixtures("in_time")
def test_minutes_that_were_changed_are_made_from_rows(series: Series, engine: Engine) -> None:
    series.receive(every(10_000, 4 * 360))
    series.fold(DAY + 4 * HOUR_MS + CLOSED_AFTER_MS)
    with writing(engine) as connection:
        connection.execute(update(minutes_table).where(minutes_table.c.ts == DAY + HOUR_MS).values(packed=b"?"))
    series.check(DAY + HOUR_MS, DAY + 2 * HOUR_MS)


@pytest.mark.usefixtures("in_time")
def test_several_series_go_in_one_transaction_and_none_holds_it_for_long(
    series: Series, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writing(engine) as connection:
        for series_id in range(series.id, series.id + 5):
            made = [(series_id, ts, value) for ts, value in every(60_000, 60)]
            readings.insert_new(connection, made)
        connection.exec_driver_sql(
            "INSERT INTO series (id, device_id, metric, created_at) "
            f"SELECT id + 1, device_id, 'b', 0 FROM series WHERE id = {series.id}"
        )

    def folded() -> list[int]:
        return [step.stretches for step in folding.steps(engine, partial(writing, engine), TEN)]

    monkeypatch.setattr(folding, "_HELD_S", 10.0)
    assert folded() == [2]
    monkeypatch.setattr(folding, "_HELD_S", 0.0)
    with writing(engine) as connection:
        connection.execute(delete(hours_table))
    assert folded() == [1, 1]


def test_what_was_sealed_needs_no_folding(series: Series, engine: Engine) -> None:
    series.receive(every(600_000, 200))
    series.seal(DAY + DAY_MS)
    series.fold(DAY + DAY_MS)
    with snapshot(engine) as connection:
        assert chunks.sealed_until(connection, series.id) == DAY + DAY_MS
    assert (series.hours(), series.named()) == (_hours(0, 24), [])
