"""Readings of a file in the database: whole, once, and counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from db import balance, devices, history, imports, migrations, readings, sealing
from db.engine import DatabaseAway, Engine, create, reading, snapshot, writing
from db.incoming import DAY_MS, Incoming
from db.incoming_files import read
from db.schema import chunks
from tests.db.conftest import NOW
from tests.db.sealed import Series
from tests.parts.mariadb import MariaDB

_ROOT = Path(__file__).parents[2]
_OLD = NOW - 100 * DAY_MS
_TODAY = NOW // DAY_MS * DAY_MS


def incoming(path: Path, lines: list[str]) -> Incoming:
    (path / "in.csv").write_text("ts,device,metric,value,unit\n" + "".join(f"{line}\n" for line in lines))
    with (path / "in.csv").open("rb") as opened:
        return read(opened, 0, NOW, None, lambda _: None)


def put(engine: Engine, found: Incoming) -> tuple[int, int]:
    """How many were stored, and known."""
    plan = imports.plan(engine, found, lambda _: None)
    return store(engine, plan), plan.known


def store(engine: Engine, plan: imports.Plan, seal_before: int = 0) -> int:
    return sum(step.stored for step in imports.store(engine, plan.fresh, NOW, seal_before))


def days(count: int) -> list[str]:
    """Two readings of two series on each of so many days."""
    return [
        f"{_OLD + day * DAY_MS + n},{device},temperature,{day}.{n},°C"
        for device in ("attic", "cellar")
        for day in range(count)
        for n in range(2)
    ]


def test_it_is_stored_once_however_often_it_comes(engine: Engine, tmp_path: Path) -> None:
    found = incoming(tmp_path, days(5))
    assert put(engine, found) == (20, 0)
    assert put(engine, incoming(tmp_path, days(6))) == (4, 20)
    with snapshot(engine) as connection:
        assert balance.read(connection) == balance.Balance(24, 24)
        stored = {(one.device, one.metric): one for one in devices.every_series(connection)}
        attic = stored["attic", "temperature"]
        points = history.raw(connection, attic.id, 0, NOW)
    assert attic.unit == "°C"
    assert points.ts.tolist() == [_OLD + day * DAY_MS + n for day in range(6) for n in range(2)]
    assert points.value.tolist() == [float(f"{day}.{n}") for day in range(6) for n in range(2)]


def test_what_is_stored_with_another_value_stays_and_is_named(engine: Engine, temperature: int, tmp_path: Path) -> None:
    with writing(engine) as connection:
        readings.insert_new(connection, [(temperature, _OLD, 1.0), (temperature, _OLD + 5, 2.0)])
    lines = [f"{_OLD + n},kitchen,temperature,1," for n in (5, 0, 2)]
    found = incoming(tmp_path, lines)
    assert put(engine, found) == (1, 1)
    reason = "line 2, value: 1.0 at a time at which 2.0 is stored: the stored one stays"
    assert ([str(one) for one in found.problems.kept], found.problems.count) == ([reason], 1)
    with reading(engine) as connection:
        assert readings.existing_between(connection, temperature, 0, NOW) == {
            (temperature, _OLD): 1.0,
            (temperature, _OLD + 2): 1.0,
            (temperature, _OLD + 5): 2.0,
        }


def test_another_unit_than_the_series_has(engine: Engine, temperature: int, tmp_path: Path) -> None:
    assert put(engine, incoming(tmp_path, [f"{_OLD},kitchen,temperature,1,°C"])) == (1, 0)
    lines = [f"{_OLD + n},kitchen,temperature,1,°F" for n in range(3)] + [f"{_OLD},kitchen,humidity,1,%"]
    found = incoming(tmp_path, lines)
    assert put(engine, found) == (1, 0)
    reason = "line 2, unit: kitchen temperature is kept in '°C', and is in '°F' in this file"
    assert ([str(one) for one in found.problems.kept], found.problems.count) == ([reason], 3)
    with reading(engine) as connection:
        assert len(readings.existing_between(connection, temperature, 0, NOW)) == 1


def test_a_long_span_is_compared_as_a_whole(engine: Engine, tmp_path: Path) -> None:
    lines = [f"{_OLD + day * DAY_MS},kitchen,temperature,{day}," for day in range(0, 100, 3)]
    assert put(engine, incoming(tmp_path, lines)) == (34, 0)
    assert put(engine, incoming(tmp_path, lines)) == (0, 34)
    lines = [f"{_OLD + day * DAY_MS},kitchen,temperature,{day}," for day in range(100)]
    assert put(engine, incoming(tmp_path, lines)) == (66, 34)


def test_nothing_to_store_makes_no_device(engine: Engine, tmp_path: Path) -> None:
    assert put(engine, incoming(tmp_path, [])) == (0, 0)
    assert put(engine, incoming(tmp_path, ["x,kitchen,t,1,"])) == (0, 0)
    with reading(engine) as connection:
        assert devices.every(connection) == []


def test_old_readings_are_not_taken_for_new_ones(engine: Engine, temperature: int, tmp_path: Path) -> None:
    with writing(engine) as connection:
        readings.insert_new(connection, [(temperature, NOW, 1.0)])
        readings.store_latest(connection, [(temperature, NOW, 1.0, NOW)])
    put(engine, incoming(tmp_path, [f"{_OLD},kitchen,temperature,5,", f"{_OLD},attic,temperature,6,"]))
    with reading(engine) as connection:
        newest = {one.device: (one.ts, one.value, one.received_at) for one in readings.newest(connection)}
        assert newest == {"kitchen": (NOW, 1.0, NOW), "attic": (_OLD, 6.0, _OLD)}
        assert readings.changed_latest(connection, 0)[-1].ts == NOW
        assert devices.last_seen(connection, "attic") == _OLD


_KILLED = """
import os, signal, sys
from db import imports, incoming_files
from db.engine import create
imports.SLOW, imports._AT_ONCE = 1, 4
engine = create(sys.argv[1])
found = incoming_files.read(open(sys.argv[2], "rb"), 0, int(sys.argv[4]), None, lambda _: None)
plan = imports.plan(engine, found, lambda _: None)
for step, _ in enumerate(imports.store(engine, plan.fresh, int(sys.argv[4]), int(sys.argv[5]))):
    if step == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("sealed", [False, True])
def test_an_import_that_was_killed_is_completed_by_another(
    engine: Engine, tmp_path: Path, steps: int, sealed: bool
) -> None:
    incoming(tmp_path, days(6))
    url = engine.url.render_as_string(hide_password=False)
    seal_before = _TODAY if sealed else 0
    arguments = [url, str(tmp_path / "in.csv"), str(steps), str(NOW), str(seal_before)]
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, *arguments], cwd=_ROOT, check=False, capture_output=True, timeout=30
    )
    assert killed.returncode == -9, killed.stderr
    with snapshot(engine) as connection:
        half = balance.read(connection)
    assert half == balance.Balance(4 * (steps + 1), 4 * (steps + 1))
    assert put(engine, incoming(tmp_path, days(6))) == (24 - half.held, half.held)
    with snapshot(engine) as connection:
        assert balance.read(connection) == balance.Balance(24, 24)


def test_readings_that_came_by_themselves_meanwhile(engine: Engine, temperature: int, tmp_path: Path) -> None:
    plan = imports.plan(
        engine, incoming(tmp_path, [f"{_OLD + n},kitchen,temperature,1," for n in range(3)]), lambda _: None
    )
    with writing(engine) as connection:
        readings.insert_new(connection, [(temperature, _OLD + 1, 1.0)])
    assert store(engine, plan) == 2


def test_an_import_whose_database_went_away_is_completed_by_another(own_mariadb: MariaDB, tmp_path: Path) -> None:
    engine = create(own_mariadb.fresh_database())
    migrations.apply(engine)
    plan = imports.plan(engine, incoming(tmp_path, days(6)), lambda _: None)
    steps = imports.store(engine, plan.fresh, NOW)
    assert [next(steps).stored for _ in range(2)] == [4, 4]
    own_mariadb.kill()
    with pytest.raises(DatabaseAway):
        next(steps)
    own_mariadb.restart()
    assert put(engine, incoming(tmp_path, days(6))) == (16, 8)
    engine.dispose()


def test_what_is_sealed_is_compared_too(engine: Engine, temperature: int, tmp_path: Path) -> None:
    series = Series(engine, temperature)
    series.receive((_OLD + n, float(n)) for n in range(5))
    series.seal(NOW // DAY_MS * DAY_MS)
    assert (series.rows(), series.sealed()) == (0, 5)
    lines = [f"{_OLD + n},kitchen,temperature,{n if n != 3 else 30}," for n in range(7)]
    found = incoming(tmp_path, lines)
    assert put(engine, found) == (2, 4)
    assert [one.line for one in found.problems.kept] == [5]
    series.seal(NOW // DAY_MS * DAY_MS)
    with snapshot(engine) as connection:
        assert balance.read(connection) == balance.Balance(7, 7)
        assert history.raw(connection, temperature, 0, NOW).value.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_what_is_damaged_can_not_be_compared(engine: Engine, temperature: int, tmp_path: Path) -> None:
    series = Series(engine, temperature)
    series.receive((_OLD + n, float(n)) for n in range(5))
    series.seal(NOW // DAY_MS * DAY_MS)
    with writing(engine) as connection:
        connection.execute(update(chunks).values(raw=b"spoilt"))
    lines = [f"{_OLD + 2},kitchen,temperature,2,", f"{_OLD},attic,temperature,1,"]
    found = incoming(tmp_path, lines)
    assert put(engine, found) == (1, 0)
    assert str(found.problems.kept[0]).startswith("line 2: it can't be compared with what is stored: the chunk of")


def put_sealed(engine: Engine, found: Incoming) -> tuple[int, int]:
    """The same where days that ended two days ago are sealed at once."""
    plan = imports.plan(engine, found, lambda _: None)
    return store(engine, plan, _TODAY - 2 * DAY_MS), plan.known


def _imported(engine: Engine, series_id: int, found: Incoming) -> Series:
    """The series of which all that is known came by the import."""
    series = Series(engine, series_id)
    series.expected.update(zip(found.ts.tolist(), found.value.tolist(), strict=True))
    return series


def test_whole_days_are_sealed_at_once_and_the_last_ones_are_rows(
    engine: Engine, temperature: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "SLOW", 20)
    lines = [f"{_TODAY - 5 * DAY_MS + n * 3_600_000},kitchen,temperature,{n % 7}," for n in range(5 * 24)]
    found = incoming(tmp_path, lines)
    assert put_sealed(engine, found) == (120, 0)
    series = _imported(engine, temperature, found)
    assert (series.rows(), series.sealed(), len(series.chunks())) == (48, 72, 3)
    series.check(_TODAY - 4 * DAY_MS, _TODAY - DAY_MS)
    assert put_sealed(engine, incoming(tmp_path, lines)) == (0, 120)
    with snapshot(engine) as connection:
        assert (readings.newest(connection)[0].ts, balance.read(connection).off_by) == (int(found.ts[-1]), 0)


def test_days_of_a_slow_series_are_sealed_together(engine: Engine, temperature: int, tmp_path: Path) -> None:
    lines = [f"{_OLD + n * DAY_MS},kitchen,temperature,{n}," for n in range(40)]
    found = incoming(tmp_path, lines)
    assert put_sealed(engine, found) == (40, 0)
    series = _imported(engine, temperature, found)
    assert [chunk.n for chunk in series.chunks()] == [31, 9]
    series.check(_OLD // DAY_MS * DAY_MS, _OLD // DAY_MS * DAY_MS + 35 * DAY_MS)


def test_days_of_which_something_is_stored_are_rows_and_merged(
    engine: Engine, temperature: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "SLOW", 1)
    series = Series(engine, temperature)
    start = _TODAY - 9 * DAY_MS
    series.receive([(start + 5, 1.0), (start + 4 * DAY_MS, 2.0)])
    lines = [f"{start + n * 3_600_000},kitchen,temperature,{n}," for n in range(3 * 24)]
    found = incoming(tmp_path, lines)
    assert put_sealed(engine, found) == (72, 0)
    series.expected.update(zip(found.ts.tolist(), found.value.tolist(), strict=True))
    assert (series.rows(), series.sealed()) == (26, 48)
    series.check(start + DAY_MS, start + 3 * DAY_MS)
    series.fold(NOW)
    series.seal(_TODAY - 2 * DAY_MS)
    assert series.rows() == 0
    series.check(start + DAY_MS, start + 3 * DAY_MS)


def test_where_others_store_something_of_these_days_meanwhile_they_are_rows(
    engine: Engine, temperature: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = Series(engine, temperature)
    found = incoming(tmp_path, [f"{_OLD + n},kitchen,temperature,{n}," for n in range(9)])
    pack_days = sealing.pack_days

    def pack_while_one_comes(*arguments: Any) -> sealing.WholeDays:
        series.receive([(_OLD + 3, 3.0), (_OLD + 100, 5.0)])
        return pack_days(*arguments)

    monkeypatch.setattr(sealing, "pack_days", pack_while_one_comes)
    assert put_sealed(engine, found) == (8, 0)
    series.expected.update(zip(found.ts.tolist(), found.value.tolist(), strict=True))
    assert (series.rows(), series.sealed()) == (10, 0)
    series.check()
