"""A backup and what a restore makes of it, from each kind of database to each."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from sqlalchemy import delete, func, insert, select

from db import account, archive, backup, dead_letters, devices, migrations, readings, restore, workers
from db.account import BatchKey, Tally
from db.archive import BadArchive, Manifest
from db.dead_letters import DeadLetter
from db.engine import DatabaseAway, Engine, create, reading, writing
from db.packing import DAY_MS
from db.restore import RestoreRefused
from db.schema import chunks, metadata
from tests.db.conftest import NOW
from tests.db.sealed import Series
from tests.parts.doors import ROOT, actor, add_user, make_doors
from tests.parts.mariadb import MariaDB

_ROOT = Path(__file__).parents[2]


def nothing(_: int) -> None:
    pass


def make(engine: Engine, file: Path) -> Manifest:
    return backup.make(engine, file, NOW, lambda _: nothing)


def do_restore(engine: Engine, file: Path, *, replace: bool = False) -> restore.Restored:
    with archive.reading(file) as source:
        restore.check(source, nothing)
        return restore.restore(engine, source, nothing, replace=replace)


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    with reading(engine) as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns)).all()
            ]
            for table in metadata.sorted_tables
        }


@pytest.fixture(params=["sqlite", "mariadb"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Another database without tables, of each kind."""
    server: MariaDB | None = None
    url = f"sqlite:///{tmp_path}/other.db"
    if request.param == "mariadb":
        server = request.getfixturevalue("mariadb")
        url = server.fresh_database()
    engine = create(url)
    yield engine
    engine.dispose()
    if server is not None:
        server.drop_database(url)


@pytest.fixture
def filled(engine: Engine, temperature: int) -> Engine:
    """Something in most tables: odd floats, bytes that are no text, names that are no ASCII."""
    odd = [(temperature, NOW + n, value) for n, value in enumerate([0.1, 5e-324, -1.7976931348623157e308, 1 / 3])]
    letter = DeadLetter(NOW, "iot/'; --/\N{SNOWMAN}", bytes(range(256)), 256, "no \N{SNOWMAN}, no; '")
    with writing(engine) as connection:
        readings.insert_new(connection, odd)
        readings.store_latest(connection, [(temperature, NOW + 3, 1 / 3, NOW)])
        account.claim_batch(connection, BatchKey("w", "t", 1), Tally(1, readings_stored=4), [(1, "b", 0, 9)], NOW)
        dead_letters.store(connection, [letter, letter])
    doors = make_doors(engine)
    doors.create_key(actor(add_user(doors, "anna", "admin")), "script")
    doors.create_device_token(ROOT, "kitchen")
    return engine


def test_a_round_trip_gives_back_every_row(filled: Engine, other: Engine, tmp_path: Path) -> None:
    made = make(filled, tmp_path / "b.zip")
    assert do_restore(other, tmp_path / "b.zip") == restore.Restored(made, 0)
    assert everything(other) == everything(filled)
    assert made.rows == sum(len(rows) for rows in everything(filled).values())
    doors = make_doors(other)
    assert doors.verify_audit(None).ok
    add_user(doors, "bert")
    migrations.apply(other)


def test_only_its_owner_reads_it_and_nothing_is_left_beside_it(filled: Engine, tmp_path: Path) -> None:
    file = tmp_path / "new" / "b.zip"
    file.parent.mkdir()
    make(filled, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_run_that_was_killed_leaves_nothing_that_hinders_the_next(filled: Engine, tmp_path: Path) -> None:
    left = (".part", ".copy", ".copy-wal", ".copy-shm") if filled.dialect.name == "sqlite" else (".part",)
    for ending in left:
        (tmp_path / f"b.zip{ending}").write_bytes(b"half of it")
    made = make(filled, tmp_path / "b.zip")
    assert made.rows > 4
    assert {file.name for file in tmp_path.glob("b.zip*")} == {"b.zip"}


def test_a_backup_that_can_not_be_written_leaves_the_old_one(filled: Engine, tmp_path: Path) -> None:
    make(filled, tmp_path / "b.zip")
    before = (tmp_path / "b.zip").read_bytes()

    def fail(_: int) -> Callable[[int], None]:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        backup.make(filled, tmp_path / "b.zip", NOW, fail)
    assert (tmp_path / "b.zip").read_bytes() == before
    assert {file.name for file in tmp_path.glob("b.zip*")} == {"b.zip"}


def test_what_is_written_meanwhile_is_in_it_whole_or_not_at_all(
    engine: Engine, temperature: int, other: Engine, tmp_path: Path
) -> None:
    stop, wrote = threading.Event(), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            with writing(engine) as connection:
                tally = Tally(1, readings_stored=10)
                account.claim_batch(connection, BatchKey("w", "t", number), tally, [(1, "b", number, number)], NOW)
                readings.insert_new(connection, [(temperature, NOW + 10 * number + n, 1.0) for n in range(10)])
            wrote.set()

    thread = threading.Thread(target=write, name="writes-meanwhile")
    thread.start()
    try:
        assert wrote.wait(10)
        made = make(engine, tmp_path / "b.zip")
    finally:
        stop.set()
        thread.join(10)
    restored = do_restore(other, tmp_path / "b.zip")
    assert (made.off_by, restored.off_by) == (0, 0)
    assert made.tables["readings"].rows == 10 * made.tables["batches"].rows > 0


def test_many_rows_and_large_ones_go_in_several_parts(
    engine: Engine, temperature: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_PART_BYTES", 100_000)
    blob = bytes(1_000)
    row = dict.fromkeys((column.name for column in chunks.columns), 0) | {"series_id": temperature, "minutes": None}
    with writing(engine) as connection:
        readings.insert_new(connection, [(temperature, NOW + n, float(n)) for n in range(10_001)])
        connection.execute(insert(chunks), [{**row, "start": n, "raw": blob} for n in range(120)])
    made = make(engine, tmp_path / "b.zip")
    assert [part.rows for part in made.tables["chunks"].parts] == [100, 20]
    assert [part.rows for part in made.tables["readings"].parts] == [10_000, 1]
    before = everything(engine)
    do_restore(engine, tmp_path / "b.zip", replace=True)
    assert everything(engine) == before


def test_what_is_sealed_comes_back_bit_for_bit(engine: Engine, temperature: int, other: Engine, tmp_path: Path) -> None:
    series = Series(engine, temperature)
    series.receive((NOW - 9 * DAY_MS + 1000 * n, 1 / (n + 3)) for n in range(500))
    series.seal(NOW // DAY_MS * DAY_MS)
    series.receive((NOW + n, float(n)) for n in range(3))
    made = make(engine, tmp_path / "b.zip")
    assert (made.tables["chunks"].rows, made.tables["readings"].rows, made.off_by) == (1, 3, 0)
    assert do_restore(other, tmp_path / "b.zip").off_by == 0
    assert everything(other) == everything(engine)
    Series(other, temperature, series.expected).check()


def test_a_number_that_was_given_is_not_given_again(filled: Engine, other: Engine, tmp_path: Path) -> None:
    with writing(filled) as connection:
        last = dead_letters.newest(connection, 1)[0]
        dead_letters.remove(connection, [last.id])
    make(filled, tmp_path / "b.zip")
    do_restore(other, tmp_path / "b.zip")
    with writing(other) as connection:
        dead_letters.store(connection, [last.letter])
        assert dead_letters.newest(connection, 1)[0].id > last.id


def test_a_database_with_readings_is_replaced_only_when_told(filled: Engine, tmp_path: Path) -> None:
    make(filled, tmp_path / "b.zip")
    before = everything(filled)
    with writing(filled) as connection:
        devices.ensure(connection, ["another"], NOW)
    changed = everything(filled)
    with pytest.raises(RestoreRefused, match="holds readings"):
        do_restore(filled, tmp_path / "b.zip")
    assert everything(filled) == changed
    do_restore(filled, tmp_path / "b.zip", replace=True)
    assert everything(filled) == before


def test_a_worker_that_is_at_work_keeps_its_database(filled: Engine, other: Engine, tmp_path: Path) -> None:
    make(filled, tmp_path / "b.zip")
    migrations.apply(other)
    with writing(other) as connection:
        workers.beat(connection, workers.Heartbeat("the-worker", "t", NOW, 0, 0, "connected"))
    with pytest.raises(RestoreRefused, match="the-worker is at work"):
        do_restore(other, tmp_path / "b.zip", replace=True)
    with writing(other) as connection:
        workers.stop(connection, "the-worker", "t")
    do_restore(other, tmp_path / "b.zip")


_KILLED = """
import os, signal, sys
from db import archive, restore
from db.engine import create
left = [int(sys.argv[3])]
def progress(_):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
with archive.reading(__import__("pathlib").Path(sys.argv[2])) as source:
    restore.restore(create(sys.argv[1]), source, progress, replace=False)
"""


@pytest.mark.parametrize("steps", [0, 3, 7])
def test_a_restore_that_was_killed_is_begun_again(filled: Engine, other: Engine, tmp_path: Path, steps: int) -> None:
    make(filled, tmp_path / "b.zip")
    url = other.url.render_as_string(hide_password=False)
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, url, str(tmp_path / "b.zip"), str(steps)],
        cwd=_ROOT,
        check=False,
        capture_output=True,
        timeout=30,
    )
    assert killed.returncode == -9, killed.stderr
    with pytest.raises(DatabaseAway, match="a restore was broken off"):
        migrations.apply(other)
    do_restore(other, tmp_path / "b.zip")
    assert everything(other) == everything(filled)
    migrations.apply(other)


def rewritten(file: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy with other members, and the same manifest unless that is changed too."""
    copy = file.with_name("changed.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return copy


def with_manifest(file: Path, **changes: Any) -> Path:
    def change(name: str, content: bytes) -> bytes:
        if name != "manifest.json":
            return content
        return msgspec.json.encode(msgspec.structs.replace(msgspec.json.decode(content, type=Manifest), **changes))

    return rewritten(file, change)


def test_a_damaged_backup_is_found_out_before_anything_is_changed(filled: Engine, tmp_path: Path) -> None:
    file = tmp_path / "b.zip"
    manifest = make(filled, file)
    part = manifest.tables["readings"].parts[0].name
    before = everything(filled)

    def flip(name: str, content: bytes) -> bytes:
        return content[:40] + bytes([content[40] ^ 1]) + content[41:] if name == part else content

    more = {"readings": archive.Content(9, (archive.Part(part, 9, manifest.tables["readings"].parts[0].sha256),))}
    with pytest.raises(BadArchive, match=f"SHA-256 of {part} is not"):
        do_restore(filled, rewritten(file, flip), replace=True)
    with pytest.raises(BadArchive, match=f"{part} can't be read"):
        do_restore(filled, rewritten(file, lambda name, content: None if name == part else content), replace=True)
    with pytest.raises(BadArchive, match="4 rows in place of 9"):
        do_restore(filled, with_manifest(file, tables={**manifest.tables, **more}), replace=True)
    with pytest.raises(BadArchive, match="newer version"):
        do_restore(filled, with_manifest(file, revision="9999"), replace=True)
    with pytest.raises(BadArchive, match="of form 7"):
        do_restore(filled, with_manifest(file, form=7), replace=True)
    with pytest.raises(BadArchive, match="no manifest"):
        do_restore(
            filled, rewritten(file, lambda name, content: None if name == "manifest.json" else content), replace=True
        )
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadArchive, match="its end is missing"):
        do_restore(filled, file, replace=True)
    assert everything(filled) == before


def test_a_table_that_no_version_knows(filled: Engine, other: Engine, tmp_path: Path) -> None:
    manifest = make(filled, tmp_path / "b.zip")
    strange = with_manifest(tmp_path / "b.zip", tables={**manifest.tables, "x; DROP": archive.Content(0, ())})
    with pytest.raises(BadArchive, match="does not know: x; DROP"):
        do_restore(other, strange)


def test_a_backup_of_an_older_version_is_brought_up(other: Engine, tmp_path: Path) -> None:
    """Its tables have the columns that they had then."""
    device = {"id": 1, "name": "kitchen", "last_seen": NOW, "created_at": NOW}
    day = {"worker": "w", "day": 1, "letters_removed": 0}
    day |= dict.fromkeys(("stored", "duplicate", "rejected", "readings_duplicate", "readings_rejected"), 0)
    rows = {
        "devices": [device],
        "series": [{"id": 7, "device_id": 1, "metric": "t", "created_at": NOW}],
        "readings": [{"series_id": 7, "ts": NOW, "value": 0.1}],
        "account": [{**day, "readings_stored": 1}],
    }
    with archive.writing(tmp_path / "old.zip") as out:
        for name, held in rows.items():
            out.add(name, iter([pa.Table.from_pylist(held)]), None)
        out.finish(made_at=NOW, revision="0002", database="SQLite", off_by=0)
    assert do_restore(other, tmp_path / "old.zip").off_by == 0
    with reading(other) as connection:
        assert readings.existing(connection, [(7, NOW)]) == {(7, NOW): 0.1}
        assert connection.scalar(select(func.count()).select_from(chunks)) == 0
    migrations.apply(other)


def test_what_was_off_before_is_told_and_no_reason_to_refuse(filled: Engine, other: Engine, tmp_path: Path) -> None:
    with writing(filled) as connection:
        connection.execute(delete(metadata.tables["readings"]))
    assert make(filled, tmp_path / "b.zip").off_by == -4
    assert do_restore(other, tmp_path / "b.zip").off_by == -4


@pytest.mark.parametrize("steps", [0, 5])
def test_a_restore_whose_database_went_away_is_begun_again(
    filled: Engine, own_mariadb: MariaDB, tmp_path: Path, steps: int
) -> None:
    make(filled, tmp_path / "b.zip")
    other = create(own_mariadb.fresh_database())
    left = [steps]

    def kill_at_last(_: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            own_mariadb.kill()

    with archive.reading(tmp_path / "b.zip") as source, pytest.raises(DatabaseAway):
        restore.restore(other, source, kill_at_last, replace=False)
    own_mariadb.restart()
    do_restore(other, tmp_path / "b.zip")
    assert everything(other) == everything(filled)
    other.dispose()
