"""URL -> engine, the settings each database needs, reading and writing transactions, and what an error means."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pymysql
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DataError as _DataError
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_after_delay, wait_random

from db.working_connection import WorkingConnection

T = TypeVar("T")

__all__ = [
    "Connection",
    "DatabaseAway",
    "DatabaseError",
    "DatabaseFacts",
    "Engine",
    "RefusedRows",
    "create",
    "facts",
    "file_of",
    "is_deadlock",
    "look_up",
    "lookups",
    "reading",
    "snapshot",
    "translated_errors",
    "write",
    "writing",
]

#: Codes by which MySQL and MariaDB refuse a row and which the driver takes for failures of the server: a trigger's
#: SIGNAL (1644), and a CHECK that a row violates (3819 on MySQL, 4025 on MariaDB).
_REFUSALS: Final = frozenset({1644, 3819, 4025})
#: SQLite's codes for a file that can't be written, read or opened.
_DISK_TROUBLE: Final = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
#: Key in a connection's `info`: bytes of the largest statement its server takes. SQLite has no such limit.
LARGEST_PACKET: Final = "largest_packet"
#: Bytes of many values that a server may hand over as one text.
CONCATENATED: Final = 1 << 26
#: Bytes of a packet beside a statement's rows.
_PACKET_ROOM: Final = 1_000
#: A connection that committed no longer ago is taken to be alive, in seconds.
_TRUSTED_S: Final = 0.5
#: Codes by which MySQL and MariaDB end one of two transactions that wait for each other.
_DEADLOCK: Final = 1213
#: Longest silence of a server in a lookup, in seconds: somebody waits for it at a page.
_LOOKUP_S: Final = 5.0
#: How often a transaction is tried that another one's deadlock ended.
_WRITE_TRIES: Final = 5
#: How long SQLite waits for another writer, in seconds.
SQLITE_BUSY_S = 20.0


class DatabaseError(Exception):
    """What db/ raises. The tree: DatabaseError -> DatabaseAway, RefusedRows, leases.LeaseLost."""


class DatabaseAway(DatabaseError):
    """The database can't be reached or can't work now. Nothing was stored; trying again later is right."""


class RefusedRows(DatabaseError):
    """The database is well and refuses these rows. Trying the same again is useless."""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What the database says of itself. `warning` is a sentence for the System page, or None."""

    product: str
    version: str
    warning: str | None


def create(url: str, *, timeout_s: float = 20.0, lock_wait_s: int = 10) -> Engine:
    """An engine for SQLite, MySQL or MariaDB. Opens no connection yet; makes the folder of a SQLite file.

    Args:
        url: SQLAlchemy URL.
        timeout_s: Longest silence of a MySQL server before a statement is given up: at most a third of MQTT's
            keep-alive.
        lock_wait_s: How long a statement on MySQL waits for rows that another transaction holds, in whole seconds.

    Raises:
        DatabaseAway: If the folder of a SQLite file can't be made.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _create_sqlite(url, parsed.database or "")
    engine = create_engine(
        parsed,
        pool_recycle=1800,
        pool_reset_on_return=None,  # _give_back does, where there is something to undo
        pool_size=8,
        max_overflow=8,
        connect_args=_connect_args(timeout_s, lock_wait_s),
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # among them are digests of passwords
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _learn_largest_packet)
    event.listen(engine, "checkout", _check_if_idle)
    event.listen(engine, "reset", _give_back)
    return engine


def _connect_args(timeout_s: float, lock_wait_s: int) -> dict[str, Any]:
    return {
        "charset": "utf8mb4",
        "connect_timeout": max(1, min(5, round(timeout_s))),
        "read_timeout": timeout_s,
        "write_timeout": timeout_s,
        "init_command": "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', "
        f"innodb_lock_wait_timeout = {lock_wait_s:d}, group_concat_max_len = {CONCATENATED:d}",
    }


def lookups(engine: Engine) -> Engine:
    """An engine beside `engine` for `look_up`: on MySQL a statement costs one round trip, while `reading` adds three.

    On SQLite it is `engine` itself.
    """
    if engine.dialect.name == "sqlite":
        return engine
    beside = create_engine(
        engine.url,
        pool_recycle=1800,
        pool_size=4,
        max_overflow=12,
        pool_reset_on_return=None,  # a statement that commits by itself leaves nothing behind
        skip_autocommit_rollback=True,
        connect_args=_connect_args(_LOOKUP_S, round(_LOOKUP_S)),
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
    )
    event.listen(beside, "do_connect", _connect)
    return beside


def _connect(_dialect: Any, _record: Any, args: Any, options: Any) -> WorkingConnection:
    return WorkingConnection(*args, **options)


def look_up(engine: Engine, what: Callable[[Connection], T]) -> T:
    """Read by statements of which each sees its own moment, on an engine made by `lookups`. Raises DatabaseAway.

    A connection that the server closed while it lay idle is found out only now, and all is asked once more then.
    """
    with translated_errors():
        try:
            with engine.connect() as connection:
                return what(connection)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        with engine.connect() as connection:
            return what(connection)


def is_deadlock(error: BaseException) -> bool:
    """Whether a DatabaseAway means that two transactions waited for each other: doing this one again is right."""
    cause_ = error.__cause__
    arguments = cause_.orig.args if isinstance(cause_, DBAPIError) and cause_.orig is not None else ()
    return bool(arguments) and arguments[0] == _DEADLOCK


def _check_if_idle(connection: WorkingConnection, _record: Any, _proxy: Any) -> None:
    """Make sure that a connection is alive which lay idle. To ask before each batch costs a tenth of a small one."""
    if connection.committed_at is None or time.monotonic() - connection.committed_at > _TRUSTED_S:
        try:
            connection.ping(reconnect=False)
        except pymysql.err.Error as error:
            raise DisconnectionError(str(error)) from error


def _give_back(connection: WorkingConnection, _record: Any, _state: Any) -> None:
    """Undo what was not committed, before somebody else gets the connection."""
    if connection.committed_at is None:
        connection.rollback()


def _learn_largest_packet(connection: Any, record: Any) -> None:
    """A statement larger than the server takes ends the connection, and would again whenever it is tried."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        record.info[LARGEST_PACKET] = largest = int(cursor.fetchone()[0])
    if largest < connection.cursorclass.max_stmt_length + _PACKET_ROOM:  # what executemany() joins into one statement
        room = {"max_stmt_length": largest - _PACKET_ROOM}
        connection.cursorclass = type("SmallStatements", (connection.cursorclass,), room)


def file_of(url: str) -> Path | None:
    """The file of a SQLite database, None for a server's."""
    parsed = make_url(url)
    return Path(parsed.database or "") if parsed.get_backend_name() == "sqlite" else None


def _create_sqlite(url: str, database: str) -> Engine:
    try:
        Path(database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseAway(f"The folder {Path(database).parent} can't be made: {error.strerror}") from error
    engine = create_engine(
        url, connect_args={"timeout": SQLITE_BUSY_S, "check_same_thread": False}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, else Python begins at a moment of its own choice
        try:
            # Of several that open a new file at once, all but one may be told that it is locked, without the wait that
            # SQLite keeps elsewhere: who changes the journal's mode must be alone.
            _until_unlocked(lambda: connection.execute("PRAGMA journal_mode = WAL").close())
            for setting in ("synchronous = FULL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {setting}").close()
        except sqlite3.Error:
            connection.close()  # the pool does not, and one that is open keeps those that follow read-only
            raise

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'DEFERRED')}")

    @event.listens_for(engine, "handle_error")
    def _distrust(context: Any) -> None:
        # Opened while the disk was in trouble, a connection may stay read-only after that has passed, and with it all
        # that the process opens before it is closed. Its cursor, which the exception holds, would keep it open.
        if getattr(context.original_exception, "sqlite_errorcode", 0) & 0xFF in _DISK_TROUBLE:
            context.is_disconnect = True
            if context.execution_context is not None:
                context.execution_context.cursor.close()

    return engine


def _until_unlocked(what: Callable[[], None]) -> None:
    """Try for as long as SQLite itself waits for a lock. Raises sqlite3.Error."""
    retrying = Retrying(
        retry=retry_if_exception(lambda error: getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY),
        wait=wait_random(0.001, 0.05),
        stop=stop_after_delay(SQLITE_BUSY_S),
        reraise=True,
    )
    retrying(what)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction to read in: a snapshot on SQLite, while on MySQL each statement sees what is committed.

    Raises DatabaseAway for what the database fails at.
    """
    with translated_errors(), engine.connect() as connection, connection.begin():
        yield connection


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """One transaction to read in, in which every statement sees the same moment. Raises DatabaseAway."""
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with translated_errors(), engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction to write in, begun as a write at once (SQLite fails a read that turns into a write at random).

    Commits at the end, rolls back on any exception. Raises DatabaseAway or RefusedRows.
    """
    with (
        translated_errors(),
        engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection,
        connection.begin(),
    ):
        yield connection


def write(
    engine: Engine, what: Callable[[Connection], T], *, again: Callable[[BaseException], bool] | None = None
) -> T:
    """Do `what` in one transaction; anew if it met another in a deadlock, or for an error that `again` says so of.

    Raises DatabaseAway, RefusedRows, and what `what` raises.
    """

    def once() -> T:
        with writing(engine) as connection:
            return what(connection)

    retrying = Retrying(
        retry=retry_if_exception(lambda error: is_deadlock(error) or (again is not None and again(error))),
        wait=wait_random(0.0, 0.02),
        stop=stop_after_attempt(_WRITE_TRIES),
        reraise=True,
    )
    return retrying(once)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what SQLAlchemy raises into DatabaseAway or RefusedRows, in words that name the cause and no secret."""
    try:
        yield
    except (_DataError, IntegrityError) as error:
        raise RefusedRows(cause(error)) from error
    except DBAPIError as error:
        if _refuses_rows(error):
            raise RefusedRows(cause(error)) from error
        raise DatabaseAway(cause(error)) from error
    except SQLAlchemyError as error:
        raise DatabaseAway(cause(error)) from error


def _refuses_rows(error: DBAPIError) -> bool:
    arguments = error.orig.args if error.orig is not None else ()
    return bool(arguments) and arguments[0] in _REFUSALS


def cause(error: SQLAlchemyError) -> str:
    """The driver's own message, on one line, without statement and parameters."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        arguments = error.orig.args
        message = str(arguments[-1]) if arguments else type(error.orig).__name__
    else:
        message = str(error)
    return " ".join(message.split())[:500]


def facts(connection: Connection) -> DatabaseFacts:
    """Product, version, and whether a commit survives a power cut there."""
    dialect = connection.dialect
    if dialect.name == "sqlite":
        return DatabaseFacts("SQLite", str(connection.scalar(text("SELECT sqlite_version()"))), None)
    version = str(connection.scalar(text("SELECT VERSION()")))
    product = "MariaDB" if "mariadb" in version.lower() else "MySQL"
    durable = connection.scalar(text("SELECT @@innodb_flush_log_at_trx_commit"))
    warning = None
    if durable != 1:
        warning = (
            f"innodb_flush_log_at_trx_commit is {durable}: a power cut at the database loses up to a second of "
            "readings that were already acknowledged. Set it to 1."
        )
    return DatabaseFacts(product, version.split("-", maxsplit=1)[0], warning)
