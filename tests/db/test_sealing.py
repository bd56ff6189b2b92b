from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, update

from db import account, chunks, dead_letters, history, readings, sealing
from db.chunks import MONTH_MS, Chunk, DamagedChunk
from db.engine import Connection, Engine, snapshot, writing
from db.history import DAY_MS, HOUR_MS, MINUTE_MS
from db.leases import LeaseLost
from db.schema import chunks as chunks_table
from tests.db.sealed import DAY, SEALER, Series, every


@pytest.fixture
def series(engine: Engine, temperature: int) -> Series:
    return Series(engine, temperature)


def _limit(monkeypatch: pytest.MonkeyPatch, most: int, slow: int) -> None:
    """Small chunks, so that a test need not store many readings."""
    monkeypatch.setattr(sealing, "MOST", most)
    monkeypatch.setattr(sealing, "SLOW", slow)


def test_days_that_are_over_become_chunks_and_the_rest_stays_rows(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit(monkeypatch, 100_000, 100)
    series.receive(every(120_000, 1800))  # two days and a half
    steps = series.seal(DAY + 2 * DAY_MS)
    assert [(step.rows, step.readings, step.problem) for step in steps] == [(720, 720, None)] * 2
    assert [(c.start, c.until, c.n) for c in series.chunks()] == [
        (DAY, DAY + DAY_MS, 720),
        (DAY + DAY_MS, DAY + 2 * DAY_MS, 720),
    ]
    assert (series.rows(), series.sealed()) == (360, 1440)
    series.check(DAY + 7 * HOUR_MS, DAY + DAY_MS + 3 * HOUR_MS)
    assert series.seal(DAY + 2 * DAY_MS) == []
    assert all(chunk.interval_ms == 120_000 for chunk in series.chunks())


def test_minutes_are_kept_where_readings_are_many(series: Series) -> None:
    series.receive(every(10_000, 4100) + every(60_000, 100, DAY + DAY_MS))
    series.seal(DAY + 2 * DAY_MS)
    assert [chunk.minutes is None for chunk in series.chunks()] == [False, True]
    series.check(DAY + 5 * HOUR_MS, DAY + DAY_MS + HOUR_MS)


def test_a_slow_series_gathers_and_grows_up_to_a_month(series: Series) -> None:
    series.receive(every(3 * HOUR_MS, 60 * 8))
    series.seal(DAY + 3 * DAY_MS)
    (first,) = series.chunks()
    series.seal(DAY + 5 * DAY_MS)
    (grown,) = series.chunks()
    assert (first.n, grown.n, grown.start, grown.until) == (24, 40, DAY, DAY + 5 * DAY_MS)
    series.seal(DAY + 60 * DAY_MS)
    found = series.chunks()
    assert len(found) == 2
    assert all(chunk.until - chunk.start <= MONTH_MS and chunk.minutes is None for chunk in found)
    series.check(DAY + 10 * DAY_MS, DAY + 40 * DAY_MS)


def test_no_chunk_holds_more_than_it_may(series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    _limit(monkeypatch, 100, 10)
    hours = [one for hour in range(6) for one in every(60_000, 40, DAY + hour * HOUR_MS)]
    crowded = every(5_000, 250, DAY + 6 * HOUR_MS)  # one hour alone is too much
    series.receive(hours + crowded)
    series.seal(DAY + DAY_MS)
    found = series.chunks()
    assert max(chunk.n for chunk in found) <= 100
    assert all(chunk.start % MINUTE_MS == 0 and chunk.until % MINUTE_MS == 0 for chunk in found)
    series.check(DAY + 2 * HOUR_MS, DAY + 7 * HOUR_MS)
    series.receive(every(5_000, 250, DAY + 6 * HOUR_MS + 1))  # late ones make it more crowded still
    series.check()
    series.seal(DAY + DAY_MS)
    assert series.rows() == 0
    assert max(chunk.n for chunk in series.chunks()) <= 100
    series.check(DAY + 2 * HOUR_MS, DAY + 7 * HOUR_MS)


def test_late_readings_are_seen_at_once_and_merged(series: Series) -> None:
    series.receive(every(60_000, 2000))
    series.seal(DAY + DAY_MS)
    late = [(DAY + 90_500, 99.0), (DAY + HOUR_MS + 1, -99.0), (DAY - 3 * DAY_MS, 5.0)]
    assert series.receive(late) == 3
    series.check(DAY + HOUR_MS, DAY + 3 * HOUR_MS)
    series.seal(DAY + DAY_MS)
    assert series.rows() == 560
    series.check(DAY + HOUR_MS, DAY + 3 * HOUR_MS)


def test_a_doubled_late_reading_moves_in_the_account_and_one_with_another_value_to_the_dead_letters(
    series: Series, engine: Engine
) -> None:
    sent = every(60_000, 1440)
    series.receive(sent)
    series.seal(DAY + DAY_MS)
    again = [*sent[10:15], (sent[20][0], 77.5)]
    assert series.receive(again) == 6
    series.check()  # until they are merged, the chunk's value is shown
    steps = series.seal(DAY + DAY_MS)
    assert [(step.rows, step.readings, step.duplicate, step.rejected) for step in steps] == [(6, 0, 5, 1)]
    series.check()
    with snapshot(engine) as connection:
        moved = account.totals(connection)[SEALER.account]
        (stored,) = dead_letters.newest(connection, 10)
    assert (moved.readings_stored, moved.readings_duplicate, moved.readings_rejected) == (-6, 5, 1)
    assert stored.letter.topic == "iot/kitchen/telemetry"
    assert json.loads(stored.letter.payload) == [{"ts": sent[20][0], "temperature": 77.5}]
    assert "temperature: 77.5 at " in stored.letter.reason
    assert f"contradicts {sent[20][1]!r}" in stored.letter.reason


def test_a_reading_that_is_committed_while_its_day_is_being_packed(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    series.receive(every(60_000, 1440))
    came: list[int] = []
    pack = sealing._pack

    def pack_while_one_comes(*arguments: Any) -> list[Chunk]:
        if len(came) < 2:
            came.append(series.receive([(DAY + 12 * HOUR_MS + 1 + len(came), 1000.0)]))
        return pack(*arguments)

    monkeypatch.setattr(sealing, "_pack", pack_while_one_comes)
    steps = series.seal(DAY + DAY_MS)
    assert came == [1, 1]
    assert [(step.rows, step.problem) for step in steps] == [(1442, None)]
    assert (series.rows(), series.sealed()) == (0, 1442)
    series.check()


def test_where_readings_go_on_coming_the_day_is_left_for_the_next_pass(
    series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    series.receive(every(60_000, 1440))
    came: list[int] = []
    pack = sealing._pack

    def pack_while_one_comes(*arguments: Any) -> list[Chunk]:
        came.append(series.receive([(DAY + 1 + len(came), 1000.0)]))
        return pack(*arguments)

    monkeypatch.setattr(sealing, "_pack", pack_while_one_comes)
    (step,) = series.seal(DAY + DAY_MS)
    assert step.problem is not None
    assert (step.rows, series.sealed()) == (0, 0)
    series.check()


def test_two_that_seal_at_once_lose_and_double_nothing(series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    series.receive(every(60_000, 3 * 1440))
    series.seal(DAY + DAY_MS)
    series.receive([(DAY + 500, 3.0), every(60_000, 1)[0]])
    together = threading.Barrier(2)
    pack = sealing._pack

    def pack_together(*arguments: Any) -> list[Chunk]:
        made = pack(*arguments)
        try:
            together.wait(0.3)
        except threading.BrokenBarrierError:
            together.reset()
        return made

    monkeypatch.setattr(sealing, "_pack", pack_together)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            series.seal(DAY + 3 * DAY_MS)
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, name=f"seals-{n}") for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    series.check()
    assert series.rows() == 0


def test_who_lost_the_lease_writes_nothing(series: Series, engine: Engine) -> None:
    series.receive(every(60_000, 1440))

    @contextmanager
    def fenced() -> Iterator[Connection]:
        with writing(engine) as connection:
            yield connection
            raise LeaseLost("another worker has become the keeper")

    with pytest.raises(LeaseLost):
        list(sealing.steps(engine, fenced, SEALER, DAY + DAY_MS))
    assert (series.rows(), series.sealed()) == (1440, 0)
    series.check()


def _spoil(engine: Engine, column: str, change: Callable[[bytes], bytes]) -> None:
    with writing(engine) as connection:
        first = chunks_table.c.start == DAY
        packed = connection.scalar(select(chunks_table.c[column]).where(first))
        assert packed is not None
        connection.execute(update(chunks_table).where(first).values({column: change(bytes(packed))}))


@pytest.mark.parametrize("change", [lambda packed: packed[:-9], lambda packed: packed[:500] + b"?" + packed[501:]])
def test_damaged_readings_are_named_and_the_rest_is_usable(
    series: Series, engine: Engine, change: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    _limit(monkeypatch, 100_000, 100)
    series.receive(every(10_000, 2 * 8640))
    series.seal(DAY + 2 * DAY_MS)
    _spoil(engine, "raw", change)
    (problem,) = series.problems()
    assert f"the chunk of series {series.id} from 2024-10-04T00:00:00Z to 2024-10-05T00:00:00Z" in problem
    with snapshot(engine) as connection:
        with pytest.raises(DamagedChunk, match="2024-10-04"):
            history.raw(connection, series.id, DAY, DAY + HOUR_MS)
        assert len(history.raw(connection, series.id, DAY + DAY_MS, DAY + 2 * DAY_MS)) == 8640
        assert history.minutes(connection, series.id, DAY, DAY + DAY_MS).n.sum() == 8640
        assert history.hours(connection, series.id, DAY, DAY + DAY_MS).n.sum() == 8640
    series.receive([(DAY + 1, 1.0), (DAY + DAY_MS + 1, 1.0)])
    steps = series.seal(DAY + 2 * DAY_MS)
    assert [step.problem is None for step in steps] == [False, True]
    assert series.rows() == 1, "what comes late for the damaged one stays a row"


def test_damaged_minutes_are_named_and_made_from_the_readings(series: Series, engine: Engine) -> None:
    series.receive(every(10_000, 8640))
    series.seal(DAY + DAY_MS)
    _spoil(engine, "minutes", lambda packed: packed[:50] + b"?" + packed[51:])
    (problem,) = series.problems()
    assert "the bytes of its minutes were changed" in problem
    with snapshot(engine) as connection:
        assert history.minutes(connection, series.id, DAY, DAY + DAY_MS).n.sum() == 8640


def test_hours_that_are_not_those_of_the_readings_are_named(series: Series, engine: Engine) -> None:
    series.receive(every(60_000, 1440))
    series.seal(DAY + DAY_MS)
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "UPDATE hours SET hi = hi + 1 WHERE ts = (SELECT m FROM (SELECT MIN(ts) AS m FROM hours) AS x)"
        )
    (problem,) = series.problems()
    assert "its hours in the table hours" in problem
    with writing(engine) as connection:
        connection.exec_driver_sql(f"INSERT INTO hours VALUES ({series.id}, {DAY - DAY_MS}, 5, 1, 1, 5)")
    assert any("its chunks hold 1440" in line for line in series.problems())


def test_unsealed_it_is_rows_again_and_can_be_sealed_again(series: Series, monkeypatch: pytest.MonkeyPatch) -> None:
    _limit(monkeypatch, 100_000, 100)
    sent = every(60_000, 3 * 1440)
    series.receive(sent)
    series.seal(DAY + 3 * DAY_MS)
    series.receive([sent[2000], (sent[2001][0], 500.0), (sent[2002][0] + 1, 5.0)])
    steps = series.unseal(DAY + DAY_MS, DAY + 2 * DAY_MS)
    assert [(step.readings, step.duplicate, step.rejected) for step in steps] == [(1440, 1, 1)]
    assert (series.rows(), series.sealed()) == (1441, 2880)
    series.check(DAY + HOUR_MS, DAY + 30 * HOUR_MS)
    series.unseal()
    assert (series.rows(), series.sealed(), series.chunks()) == (4321, 0, [])
    series.check(DAY + HOUR_MS, DAY + 30 * HOUR_MS)
    series.seal(DAY + 3 * DAY_MS)
    assert series.rows() == 0
    series.check()


def test_only_the_series_that_are_asked_for(series: Series, engine: Engine) -> None:
    series.receive(every(60_000, 100))
    assert list(sealing.steps(engine, partial(writing, engine), SEALER, DAY + DAY_MS, [series.id + 1])) == []
    assert len(list(sealing.steps(engine, partial(writing, engine), SEALER, DAY + DAY_MS, [series.id]))) == 1


def test_the_newest_reading_is_found_where_it_is_sealed(series: Series, engine: Engine) -> None:
    sent = every(60_000, 1440)
    series.receive(sent)
    series.seal(DAY + DAY_MS)
    with snapshot(engine) as connection:
        (newest,) = readings.newest(connection)
        assert (newest.ts, newest.value) == sent[-1]
        assert history.interval(connection, series.id) == 60_000
        assert chunks.sealed_until(connection, series.id) == DAY + DAY_MS
