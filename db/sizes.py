"""How much the database takes: by table, a reading, how it grows, and when its disk is full at this rate.

What is stored is known from the account, so nothing is counted by looking at every row.
"""

from __future__ import annotations

import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, case, func, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from db import account
from db.engine import Engine, file_of, reading
from db.packing import DAY_MS
from db.schema import account as account_table
from db.schema import chunks, devices

#: A SQLite file that is larger is not walked through, which reads all of it, and is told as a whole.
_WALKED_BYTES: Final = 4 << 30
#: What is said of fewer readings would be said of the pages that are half empty.
_ENOUGH: Final = 10_000
#: The growth is that of so many days, or of what there is, if that is an hour at least.
_DAYS: Final = 7
_LEAST_MS: Final = 3_600_000
#: Who is asked on a server of the same machine; another one's disk can't be seen from here.
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1", None})

#: The one table of a database whose tables can't be told apart.
WHOLE: Final = "all"


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its indexes. `taken`: bytes on the disk; `free`: those of them that its next rows fill first."""

    name: str
    taken: int
    free: int = 0


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the database took at `at` (UTC ms), in bytes.

    Attributes:
        tables: The largest first.
        free: What is free in a SQLite file beside its tables, and is filled before it grows.
        rows: Readings that lie as rows.
        sealed: Readings that lie in chunks.
        ever: Readings whose sums are in `hours`, also those that are past their time.
        stored_a_day: Readings that came in a day, of late; None if it is too early to say.
        removed_a_day: Readings that were past their time, or deleted, in a day.
        over_ms: The time by which that was told.
        disk_free: What is free on the disk of the database; None if it can't be seen from here.
    """

    at: int
    tables: tuple[TableSize, ...]
    free: int
    rows: int
    sealed: int
    ever: int
    stored_a_day: float | None
    removed_a_day: float
    over_ms: int
    disk_free: int | None

    @property
    def taken(self) -> int:
        """All of it."""
        return sum(table.taken for table in self.tables) + self.free

    @property
    def kept(self) -> int:
        """Readings that are there."""
        return self.rows + self.sealed

    def used(self, *names: str) -> int | None:
        """Bytes of these tables that are in use; None where tables can't be told apart."""
        if any(table.name == WHOLE for table in self.tables):
            return None
        return sum(table.taken - table.free for table in self.tables if table.name in names)

    @property
    def bytes_a_reading(self) -> float | None:
        """With all resolutions and indexes; None if there are too few to say."""
        if self.kept < _ENOUGH:
            return None
        used = self.used("readings", "chunks", "hours")
        return (self.taken - self.free if used is None else used) / self.kept


@dataclass(frozen=True, slots=True)
class Growth:
    """Bytes in a day, once what comes in is sealed as fast. `at_most`: nothing was sealed yet, so it is as rows.

    `full_at`: UTC ms at which the disk is full; None if that is not known, or never.
    """

    bytes_a_day: float
    at_most: bool
    full_at: int | None


def measure(engine: Engine, now: int, *, walked_bytes: int = _WALKED_BYTES) -> Sizes:
    """What it takes at `now` (UTC ms). SQLite reads its whole file for it, if that has no more than `walked_bytes`.

    Raises DatabaseAway.
    """
    with reading(engine) as connection:
        total = sum(account.totals(connection).values(), account.Tally()).readings_stored
        imported, removed = account.imported_and_removed(connection)
        sealed, gone = _in_chunks(connection)
        stored_a_day, removed_a_day, over_ms = _rates(connection, now)
    with reading(engine) as connection:
        sqlite = engine.dialect.name == "sqlite"
        tables, free = _of_file(connection, walked_bytes) if sqlite else (_of_server(connection), 0)
        disk = _disk_of_file(engine) if sqlite else _disk_of_server(engine, connection)
    kept = total + imported - removed
    return Sizes(
        now,
        tuple(sorted(tables, key=lambda table: (-table.taken, table.name))),
        free,
        max(0, kept - sealed),
        sealed,
        max(kept, sealed) + gone,
        stored_a_day,
        removed_a_day,
        over_ms,
        disk,
    )


def growth(sizes: Sizes, seal_after_days: int) -> Growth | None:
    """How it grows; None if it is too early to say. `seal_after_days`: SEAL_AFTER_DAYS."""
    if sizes.stored_a_day is None or sizes.bytes_a_reading is None:
        return None
    at_most = False
    whole = sizes.used() is None
    chunks, hours, rows = (sizes.used(name) or 0 for name in ("chunks", "hours", "readings"))
    more = sizes.stored_a_day - sizes.removed_a_day
    if whole:
        grows = more * sizes.bytes_a_reading
    elif seal_after_days and sizes.sealed >= _ENOUGH:
        grows = more * chunks / sizes.sealed
    elif sizes.rows:
        grows, at_most = more * rows / sizes.rows, seal_after_days > 0
    else:
        grows = more * sizes.bytes_a_reading
    if not whole and sizes.ever:
        grows += sizes.stored_a_day * hours / sizes.ever  # they stay when their readings go
    grows = max(0.0, grows)
    if sizes.disk_free is None or grows < 1:
        return Growth(grows, at_most, None)
    room = sizes.disk_free + sizes.free + sum(table.free for table in sizes.tables)
    return Growth(grows, at_most, sizes.at + round(room / grows * DAY_MS))


def _in_chunks(connection: Connection) -> tuple[int, int]:
    """Readings in chunks, and those that were in chunks whose bytes are gone."""
    there = case((chunks.c.raw_crc.is_not(None), chunks.c.n), else_=0)
    every, left = connection.execute(select(func.sum(chunks.c.n), func.sum(there))).one()
    return int(left or 0), int(every or 0) - int(left or 0)


def _rates(connection: Connection, now: int) -> tuple[float | None, float, int]:
    """Readings that came and went in a day, and the ms of which that is the mean.

    Imported ones, which come once, do not count.
    """
    today = now // DAY_MS
    first = connection.scalar(select(func.min(devices.c.created_at)))
    start = max((today - _DAYS) * DAY_MS, now if first is None else int(first))
    over_ms = now - start
    if over_ms < _LEAST_MS:
        return None, 0.0, max(0, over_ms)
    sums = (func.sum(account_table.c.readings_stored), func.sum(account_table.c.readings_removed))
    row = connection.execute(select(*sums).where(account_table.c.day >= start // DAY_MS)).one()
    days = over_ms / DAY_MS
    return int(row[0] or 0) / days, int(row[1] or 0) / days, over_ms


def _of_file(connection: Connection, walked_bytes: int) -> tuple[list[TableSize], int]:
    """Tables of a SQLite file, and what is free in it."""
    page, pages, free = (
        int(connection.scalar(text(f"PRAGMA {name}")) or 0) for name in ("page_size", "page_count", "freelist_count")
    )
    whole = [TableSize(WHOLE, (pages - free) * page)]
    if pages * page > walked_bytes:
        return whole, free * page
    # `aggregate` is a column of its own kind: it asks for a row a tree instead of one a page.
    query = text(
        "SELECT COALESCE(named.tbl_name, tree.name), SUM(tree.pgsize) FROM dbstat AS tree "
        "LEFT JOIN sqlite_schema AS named ON named.name = tree.name WHERE tree.aggregate = TRUE GROUP BY 1"
    )
    try:
        return [TableSize(str(name), int(taken)) for name, taken in connection.execute(query)], free * page
    except OperationalError:  # not every SQLite is built with it
        return whole, free * page


def _of_server(connection: Connection) -> list[TableSize]:
    """Tables of this database on MySQL or MariaDB, with what their files take where we may know."""
    mariadb = bool(getattr(connection.dialect, "is_mariadb", False))
    if not mariadb:  # MySQL would tell what it knew a day ago
        connection.execute(text("SET SESSION information_schema_stats_expiry = 0"))
    query = text(
        "SELECT table_name, data_length + index_length, data_free FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
    )
    known = {str(name): (int(used or 0), int(free or 0)) for name, used, free in connection.execute(query)}
    files = _files(connection, "INNODB_SYS_TABLESPACES" if mariadb else "INNODB_TABLESPACES")
    return [TableSize(name, max(files.get(name, 0), used + free), free) for name, (used, free) in known.items()]


def _files(connection: Connection, tablespaces: str) -> dict[str, int]:
    """Bytes of each table's file; of none without the right to see them (PROCESS)."""
    query = text(
        f"SELECT name, file_size FROM information_schema.{tablespaces} "  # noqa: S608 - one of two names of ours
        "WHERE SUBSTRING_INDEX(name, '/', 1) = DATABASE()"
    )
    try:
        return {str(name).partition("/")[2]: int(taken) for name, taken in connection.execute(query)}
    except (OperationalError, ProgrammingError):
        return {}


def _disk_of_file(engine: Engine) -> int | None:
    path = file_of(str(engine.url))
    return None if path is None else _free(path.absolute().parent)


def _disk_of_server(engine: Engine, connection: Connection) -> int | None:
    """The free disk of a server on this machine, as its own files lie there."""
    host, directory = connection.execute(text("SELECT @@hostname, @@datadir")).one()
    if engine.url.host not in _HERE or str(host) != socket.gethostname():
        return None
    return _free(Path(str(directory)))


def _free(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
