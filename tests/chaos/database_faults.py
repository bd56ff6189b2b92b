"""The database killed, stopped, frozen, cut off, locked by others, full, and read-only."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pymysql
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import IntegrityError

from db import engine
from tests.chaos.stage import STAGED, Fault, Stage
from tests.parts.eventually import eventually
from tests.parts.locked import locked

_AWAY: Final = "Waiting for the database"
_MARIADB: Final = ("mariadb",)
_SQLITE: Final = ("sqlite",)


def _killed(stage: Stage) -> None:
    stage.mariadb.kill()
    stage.hold(5)
    stage.mariadb.start()


def _stopped(stage: Stage) -> None:
    stage.mariadb.stop()
    stage.hold(5)
    stage.mariadb.start()


def _frozen(stage: Stage) -> None:
    stage.mariadb.freeze()
    stage.hold(120)
    stage.mariadb.thaw()


def _cut_mid_transaction(stage: Stage) -> None:
    """Each time a transaction that waits for a lock is cut in two; the last time by a restart."""
    for _ in range(stage.scale.repeats):
        with locked(stage.url):
            (connection,) = eventually(lambda: _waiting(stage), what="a transaction that waits")
            stage.mariadb.run(f"KILL CONNECTION {connection}")
    other = engine.create(stage.url)
    with other.connect() as connection_of_other:
        connection_of_other.execute(text("LOCK TABLES readings WRITE"))
        eventually(lambda: _waiting(stage), what="a transaction that waits")
        stage.mariadb.restart()
        connection_of_other.invalidate()
    other.dispose()


def _deadlock(stage: Stage) -> None:
    """Another session takes a reading's place, then the batch's row; the server makes the lighter one, us, give way."""
    stage.mariadb.run(f"CREATE TABLE {_name(stage)}.weight (a INT)")
    for _ in range(stage.scale.repeats):
        _get_in_the_way(stage)
    # A batch whose lock wait timed out before we wanted its row met no deadlock.
    eventually(
        lambda: stage.fault.said in stage.worker.output() or _get_in_the_way(stage),
        stage.scale.patience_s,
        what="a deadlock",
    )


def _get_in_the_way(stage: Stage) -> bool:
    """Be the other session once; whether the worker has said by then that it met a deadlock."""
    with _other_session(stage) as other:
        other.execute(text("INSERT INTO weight SELECT seq FROM seq_1_to_20000"))
        _take_places(other, stage)
        eventually(lambda: _in_lock_wait(stage), what="a batch that waits for a place")
        key = _batch_in_hand(stage)
        if key is not None:
            row = f"'{key[0]}', '{key[1]}', {key[2]}, 0, 0, 0, 0, 0, 0, 0, ''"
            with contextlib.suppress(IntegrityError):  # the batch in hand gave up; the row is that of one before
                other.execute(text(f"INSERT INTO batches VALUES ({row})"))
    # Rolled back: nothing of the other session's stays.
    return stage.fault.said in stage.worker.output()


def _lock_wait(stage: Stage) -> None:
    with _other_session(stage) as other:
        _take_places(other, stage)
        stage.hold(35)


def _small_packets(stage: Stage) -> None:
    """64 KiB a packet, and messages that need more."""
    stage.mariadb.run("SET GLOBAL max_allowed_packet = 65536")
    try:
        _end_connections(stage)
        stage.flow.end()
        stage.fleet.publish_backlog(3000)
        stage.broker.publish(f"{stage.root}/d/telemetry", b"\0'" * 32_768)
        eventually(stage.all_stored, stage.scale.patience_s, what="what was too large for one packet")
        letter = f"SELECT size, LENGTH(payload) < size, reason LIKE '%%JSON%%' FROM {_name(stage)}.dead_letters"
        eventually(lambda: stage.mariadb.run(letter) == ((65_536, 1, 1),), what="a dead letter, cut")
    finally:
        stage.mariadb.run("SET GLOBAL max_allowed_packet = 16777216")
        _end_connections(stage)


def _gone_away(stage: Stage) -> None:
    """The server ends each connection while nothing is stored: it is dead when it is wanted."""
    for _ in range(stage.scale.repeats):
        stage.flow.end()
        eventually(stage.all_stored, stage.scale.patience_s)
        _end_connections(stage)
        stage.fleet.publish(20)


def _table_full(stage: Stage) -> None:
    """The one file that all tables share may not grow further, until the server is started with a larger one."""
    name = _name(stage)
    stage.mariadb.run("SET GLOBAL innodb_flush_log_at_trx_commit = 0")
    stage.mariadb.run(f"CREATE TABLE {name}.ballast (a LONGBLOB)")
    for size in (1 << 20, 1 << 16, 1 << 14):
        try:
            while True:
                stage.mariadb.run(f"INSERT INTO {name}.ballast VALUES (REPEAT('x', {size}))")
        except pymysql.err.OperationalError as full:
            assert full.args[0] == 1114  # noqa: PT017 - the loop above ends no other way
    stage.mariadb.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    for number in range(5):  # large ones, which need new pages even where a page of readings has room
        stage.broker.publish(f"{stage.root}/d/telemetry", f"no JSON {number} ".encode() * 6000)
    stage.hold(10)
    stage.mariadb.restart_with(*_one_file("512M"))


def _one_file(largest: str) -> tuple[str, str]:
    return "--innodb-file-per-table=0", f"--innodb-data-file-path=ibdata1:12M:autoextend:max:{largest}"


def _read_only_server(stage: Stage) -> None:
    stage.mariadb.run("SET GLOBAL read_only = 1")
    try:
        stage.hold(10)
    finally:
        stage.mariadb.run("SET GLOBAL read_only = 0")


def _disk_full(stage: Stage) -> None:
    """No file of the worker grows, and nothing beyond its 32 KiB can be written."""
    resource.prlimit(stage.process.pid, resource.RLIMIT_FSIZE, (32_768, resource.RLIM_INFINITY))
    stage.hold(10)
    resource.prlimit(stage.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _pages_full(stage: Stage) -> None:
    stage.process.pull(pages=1)  # not less than it has
    stage.hold(10)
    stage.process.pull(pages=1_073_741_823)


def _read_only_file(stage: Stage) -> None:
    """A worker that starts while nothing can be written, as after a remount that a disk error caused."""
    file = Path(make_url(stage.url).database or "")
    stage.flow.end()
    stage.process.stop()
    mode = file.stat().st_mode
    file.chmod(0o444)
    stage.process.process.begin()
    stage.hold(10)
    for one in file.parent.glob(f"{file.name}*"):  # SQLite gives its -wal and -shm the modes of the file
        one.chmod(mode)


def _who_obeys_modes() -> tuple[str, ...]:
    """Root passes over the modes of files, unless that capability is taken from it."""
    return ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--") if os.geteuid() == 0 else ("env",)


@contextmanager
def _other_session(stage: Stage) -> Iterator[Connection]:
    """A transaction of somebody else's, rolled back at the end."""
    other = engine.create(stage.url)
    with other.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        yield connection
        connection.rollback()
    other.dispose()


def _batch_in_hand(stage: Stage) -> tuple[str, str, int] | None:
    """The key of the batch that the worker has not committed yet; None if it has just given up."""
    peeping = engine.create(stage.url)
    with peeping.connect().execution_options(isolation_level="READ UNCOMMITTED") as connection:
        newest = "SELECT worker, token, number FROM batches ORDER BY committed_at DESC, number DESC LIMIT 1"
        row = connection.execute(text(newest)).one_or_none()
    peeping.dispose()
    return None if row is None else (row.worker, row.token, row.number)


def _take_places(other: Connection, stage: Stage) -> None:
    """Lock where the next readings of the first device would go."""
    series = other.scalar(
        text("SELECT s.id FROM series s JOIN devices d ON d.id = s.device_id WHERE d.name = :name AND metric = 'v'"),
        {"name": stage.fleet.devices[0]},
    )
    other.execute(text(f"SELECT ts FROM readings WHERE series_id = {series} AND ts > 0 FOR UPDATE"))


def _name(stage: Stage) -> str:
    return str(make_url(stage.url).database)


def _connections(stage: Stage) -> list[int]:
    found = stage.mariadb.run(f"SELECT id FROM information_schema.processlist WHERE db = '{_name(stage)}'")
    return [row[0] for row in found]


def _end_connections(stage: Stage) -> None:
    for connection in _connections(stage):
        with contextlib.suppress(pymysql.err.OperationalError):  # it ended by itself
            stage.mariadb.run(f"KILL CONNECTION {connection}")


def _waiting(stage: Stage) -> list[int]:
    found = stage.mariadb.run(
        f"SELECT id FROM information_schema.processlist WHERE db = '{_name(stage)}' "
        "AND state = 'Waiting for table metadata lock' AND info LIKE 'INSERT%'"
    )
    return [row[0] for row in found]


def _in_lock_wait(stage: Stage) -> bool:
    """Whether a statement on this server waits for a row.

    Asked of the server's status: `innodb_trx` answers from a cache that is renewed only after 0.1 s without a look,
    so that whoever looks more often sees its first answer for ever.
    """
    ((_, waiting),) = stage.mariadb.run("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'")
    return int(waiting) > 0


DATABASE_FAULTS: Final = (
    Fault("database killed", _killed, _AWAY, _MARIADB, own_server=True),
    Fault("database stopped in order", _stopped, _AWAY, _MARIADB, own_server=True),
    Fault("database frozen", _frozen, "timed out", _MARIADB, own_server=True),
    Fault("connections cut mid-transaction", _cut_mid_transaction, _AWAY, _MARIADB, own_server=True),
    Fault("deadlock", _deadlock, "Deadlock found", _MARIADB),
    Fault("lock wait timeout", _lock_wait, "Lock wait timeout exceeded", _MARIADB),
    Fault("packets of 64 KiB", _small_packets, databases=_MARIADB),
    Fault("server has gone away", _gone_away, databases=_MARIADB),
    Fault(
        "table full",
        _table_full,
        "is full",
        _MARIADB,
        own_server=True,
        server_settings=_one_file("40M"),
    ),
    Fault("read-only server", _read_only_server, "read-only", _MARIADB),
    Fault("no file can grow", _disk_full, "disk I/O error", _SQLITE, program=STAGED),
    Fault("disk full", _pages_full, "database or disk is full", _SQLITE, program=STAGED),
    Fault("read-only file", _read_only_file, "readonly", _SQLITE, prefix=_who_obeys_modes),
)
