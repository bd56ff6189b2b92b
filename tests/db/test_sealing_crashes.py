"""Whatever is sent in whatever order, sealed and unsealed in between, and whoever dies at whatever moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, text

from db import devices, folding, late, migrations, sealing
from db.engine import Connection, DatabaseAway, Engine, create, writing
from db.history import DAY_MS, HOUR_MS
from db.schema import metadata
from tests.db.sealed import DAY, SEALER, Reading, Series, every
from tests.parts.eventually import eventually
from tests.parts.mariadb import MariaDB

#: Children of a process that has no other threads: a fork of this one could inherit a lock that one of them holds.
_CHILDREN = multiprocessing.get_context("forkserver")
_CHILDREN.set_forkserver_preload([__name__])


class _Crash(Exception):
    """What a process that dies leaves behind: an open transaction, which the database undoes."""


@contextmanager
def _at_statement(engine: Engine, number: int, what: Callable[[], None]) -> Iterator[None]:
    """Call `what` before the statement of this number, commits counted too."""
    left = [number]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            what()

    event.listen(engine, "before_cursor_execute", count)
    event.listen(engine, "commit", count)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", count)
        event.remove(engine, "commit", count)


def _crash() -> None:
    raise _Crash


_DAYS = 3
_TIMES = st.one_of(
    st.integers(0, _DAYS * DAY_MS - 1),
    st.integers(0, 40).map(lambda n: n * 1_800_000),  # so that some meet
    st.integers(0, 60).map(lambda n: DAY_MS + n * 7),
)
_READINGS = st.lists(
    st.tuples(_TIMES.map(lambda ts: DAY + ts), st.sampled_from([-3.5, 0.0, 0.1, 1e9, 7.25])), min_size=1, max_size=30
)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("receive"), _READINGS),
        st.tuples(st.just("seal"), st.integers(0, _DAYS)),
        st.tuples(st.just("crash"), st.tuples(st.integers(1, _DAYS), st.integers(1, 40))),
        st.tuples(st.just("unseal"), st.integers(0, _DAYS - 1)),
        st.tuples(st.just("fold"), st.integers(0, _DAYS * 24)),
        st.tuples(st.just("crash while folding"), st.tuples(st.integers(0, _DAYS * 24), st.integers(1, 40))),
    ),
    min_size=2,
    max_size=8,
)


def _empty(engine: Engine) -> None:
    with writing(engine) as connection:
        for table in ("readings", "chunks", "hours", "minutes", "late", "account", "batches", "dead_letters"):
            connection.execute(metadata.tables[table].delete())


def test_any_order_of_arrival_sealing_and_crash(engine: Engine, temperature: int) -> None:
    count = 12 if engine.dialect.name == "sqlite" else 5

    @settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(steps=_STEPS, most=st.sampled_from([5, 20, 100_000]), slow=st.sampled_from([3, 15, 4_000]))
    def run(steps: list[tuple[str, Any]], most: int, slow: int) -> None:
        _run(engine, temperature, steps, most, slow)

    run()


def _run(engine: Engine, series_id: int, steps: list[tuple[str, Any]], most: int, slow: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "MOST", most)
        patch.setattr(sealing, "SLOW", slow)
        _empty(engine)
        series = Series(engine, series_id)
        clock = [DAY]
        name = late.name
        patch.setattr(late, "name", lambda connection, rows, _: name(connection, rows, clock[0]))
        for what, how in steps:
            if "fold" in what:
                hour = how if what == "fold" else how[0]
                clock[0] = max(clock[0], DAY + hour * HOUR_MS + late.CLOSED_AFTER_MS)
            if what == "receive":
                series.receive(how)
            elif what == "seal":
                series.seal(DAY + how * DAY_MS)
            elif what == "unseal":
                series.unseal(DAY + how * DAY_MS, DAY + (how + 1) * DAY_MS)
            elif what == "fold":
                series.fold(clock[0])
            elif what == "crash while folding":
                with suppress(_Crash), _at_statement(engine, how[1], _crash):
                    series.fold(clock[0])
            else:
                days, statement = how
                with suppress(_Crash), _at_statement(engine, statement, _crash):
                    series.seal(DAY + days * DAY_MS)
            series.check(DAY + 5 * HOUR_MS, DAY + DAY_MS + 2 * HOUR_MS)
        series.fold(clock[0])
        assert series.named() == []
        series.check(DAY + HOUR_MS, DAY + 30 * HOUR_MS)
        series.seal(DAY + _DAYS * DAY_MS)
        assert series.rows() == 0
        series.check(DAY + HOUR_MS, DAY + 3 * HOUR_MS)


def _seal(engine: Engine) -> None:
    list(sealing.steps(engine, partial(writing, engine), SEALER, DAY + 2 * DAY_MS))


def _fold(engine: Engine) -> None:
    list(folding.steps(engine, partial(writing, engine), DAY + 20 * HOUR_MS))


def _work_until_killed(url: str, statement: int, work: Callable[[Engine], None]) -> None:
    """What a child does: work, and be killed before a statement."""
    engine = create(url)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "SLOW", 10)
        with _at_statement(engine, statement, lambda: os.kill(os.getpid(), signal.SIGKILL)):
            work(engine)
    engine.dispose()


def _killed_at(url: str, statement: int, work: Callable[[Engine], None] = _seal) -> bool:
    child = _CHILDREN.Process(target=_work_until_killed, args=(url, statement, work))
    child.start()
    child.join(30)
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


@pytest.mark.parametrize("first", [1, 2, 3], ids=lambda first: f"from-{first}")
@pytest.mark.parametrize("late", [[], [*every(600_000, 5), (DAY, 55.0), (DAY + 1, 5.0)]], ids=["sealing", "merging"])
def test_killed_at_every_step(
    engine: Engine,
    database_url: str,
    temperature: int,
    late: list[Reading],
    first: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sealing, "SLOW", 10)
    series = Series(engine, temperature)
    series.receive(every(600_000, 144 + 20))
    if late:
        series.seal(DAY + DAY_MS)
        series.receive(late)
    engine.dispose()  # the children are to open their own
    statement = first
    while _killed_at(database_url, statement):
        series.check()
        engine.dispose()
        statement += 3
    assert statement > 10
    assert series.rows() == 0
    series.check()


def test_killed_at_every_other_step_of_folding(engine: Engine, database_url: str, temperature: int) -> None:
    series = Series(engine, temperature)
    series.receive(every(600_000, 100))
    series.fold(DAY + 10 * HOUR_MS)
    series.receive([(DAY + 1, 55.0), (DAY + 5 * HOUR_MS + 1, -55.0)])
    engine.dispose()  # the children are to open their own
    statement = 1
    while _killed_at(database_url, statement, _fold):
        series.check(DAY + HOUR_MS, DAY + 7 * HOUR_MS)
        engine.dispose()
        statement += 2
    assert statement > 10
    assert (series.named(), series.hours()[-1]) == ([], DAY + 16 * HOUR_MS)
    series.check(DAY + HOUR_MS, DAY + 7 * HOUR_MS)


@pytest.mark.parametrize("statement", [1, 6, 9, 11])
def test_a_database_that_goes_away_at_a_step(
    own_mariadb: MariaDB, statement: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "SLOW", 10)
    engine = create(own_mariadb.fresh_database(), timeout_s=2)
    series = _series_in(engine)
    series.receive(every(600_000, 144))
    with pytest.raises(DatabaseAway), _at_statement(engine, statement, own_mariadb.kill):
        series.seal(DAY + DAY_MS)
    own_mariadb.start()
    eventually(lambda: _answers(engine))
    series.check()
    series.seal(DAY + DAY_MS)
    assert series.rows() == 0
    series.check()
    engine.dispose()


def _series_in(engine: Engine) -> Series:
    migrations.apply(engine)
    with writing(engine) as connection:
        device = devices.ensure(connection, ["kitchen"], DAY)["kitchen"]
        return Series(engine, devices.ensure_series(connection, [(device, "v")], DAY)[device, "v"])


def _answers(engine: Engine) -> bool:
    try:
        with writing(engine) as connection:
            return _one(connection)
    except DatabaseAway:
        return False


def _one(connection: Connection) -> bool:
    return bool(connection.scalar(text("SELECT 1")))
