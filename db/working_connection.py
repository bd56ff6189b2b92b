"""PyMySQL's connection, with two things added: work while a server answers, and one TLS context for all connections."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import pymysql
from sqlalchemy import Connection


class WorkingConnection(pymysql.connections.Connection):
    """A connection to MySQL or MariaDB that does something else while the server works at a statement."""

    #: Called once, between the next statement's last byte and the wait for its answer.
    meanwhile: Callable[[], None] | None = None
    #: Monotonic time of the last COMMIT, None once anything was sent after it.
    committed_at: float | None = None

    def commit(self) -> None:
        """End the transaction, and remember that there is nothing to undo."""
        super().commit()
        self.committed_at = time.monotonic()

    def query(self, sql: Any, unbuffered: bool = False) -> int:
        """Send a statement."""
        self.committed_at = None
        return super().query(sql, unbuffered)

    # PyMySQL is pinned, and has no public place for either.
    def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
        return sslp if isinstance(sslp, ssl.SSLContext) else _tls(tuple(sorted(sslp.items())), _changed_at(sslp))

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        work, self.meanwhile = self.meanwhile, None
        if work is None:
            return super()._read_query_result(unbuffered)  # type: ignore[misc]
        try:
            work()
        finally:  # an answer that is left unread would be taken for that of the next statement
            affected = super()._read_query_result(unbuffered)  # type: ignore[misc]
        return affected


@contextmanager
def meanwhile(connection: Connection, work: Callable[[], None] | None) -> Iterator[None]:
    """Call `work` while the server works at the first statement inside the `with`, and never after it.

    A statement that could not even be sent leaves nothing to be done by whoever has the connection next, who may be
    another thread. Not where the database works in this process (SQLite): there is nothing to wait for.
    """
    driver = connection.connection.driver_connection
    if work is None or not isinstance(driver, WorkingConnection):
        yield
        return
    driver.meanwhile = work
    try:
        yield
    finally:
        driver.meanwhile = None


@lru_cache(maxsize=8)
def _tls(options: tuple[tuple[str, Any], ...], _changed_at: tuple[int, ...]) -> ssl.SSLContext:
    """The context that PyMySQL makes of these options, once.

    It makes one at each try to connect, to a server without TLS too. One holds half a megabyte outside of Python's heap
    and, where nobody answered, leaves only with a collection of garbage, which is rare here: a worker grew by as much a
    second while the database was away. Certificates that were renewed (`_changed_at`) are read anew.
    """
    maker = pymysql.connections.Connection(defer_connect=True, ssl_disabled=True)
    made: ssl.SSLContext = maker._create_ssl_ctx(dict(options))  # type: ignore[attr-defined]
    return made


def _changed_at(options: dict[str, Any]) -> tuple[int, ...]:
    times = []
    for name in ("ca", "cert", "key"):
        with suppress(OSError, TypeError):  # what is wrong with it the context will say
            times.append(Path(options[name]).stat().st_mtime_ns if name in options else 0)
    return tuple(times)
