"""Mosquitto and MariaDB as in production, on free loopback ports, their files in a directory that goes afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pymysql
from sqlalchemy import make_url

from tests.parts.mariadb import MariaDB, install
from tests.parts.mosquitto import Mosquitto

#: A server of its own, as README asks for it; the parts of the tests have small buffers, which start faster.
_DATABASE_SETTINGS: Final = ("--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M")
#: As README says, but for a queue without a limit. A log of every packet would cost more than the packet.
_BROKER_SETTINGS: Final = (
    "max_queued_messages 0",
    "log_dest stderr",  # stdout it writes in blocks, and we wait for what it says
    "log_type none",
    "log_type error",
    "log_type subscribe",
)


@contextmanager
def directory() -> Iterator[Path]:
    """An empty directory with a short path."""
    path = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)  # an hour of measuring must not end at a leftover file


@contextmanager
def broker() -> Iterator[Mosquitto]:
    """A running Mosquitto with the settings that README names."""
    with directory() as path, Mosquitto(path, extra=_BROKER_SETTINGS) as running:
        yield running


@contextmanager
def database_template() -> Iterator[Path]:
    """The system tables of a new MariaDB, for several servers to begin with."""
    with directory() as path:
        yield install(path / "template")


@contextmanager
def database_server(template: Path | None = None) -> Iterator[MariaDB]:
    """A running MariaDB: 1 GiB of buffer, 512 MiB of log, each commit on the disk."""
    with directory() as path:
        (path / "server").mkdir()
        template = template or install(path / "template")
        with MariaDB(path / "server", template, settings=_DATABASE_SETTINGS) as server:
            yield server


def connect(url: str) -> pymysql.Connection[pymysql.cursors.Cursor]:
    """A connection of our own to a database of `database_server()`, each statement its own transaction."""
    address = make_url(url)
    return pymysql.connect(
        host=address.host or "",
        port=address.port or 3306,
        user=address.username,
        password=address.password or "",
        database=address.database,
        autocommit=True,
    )


def execute(url: str, *statements: str) -> None:
    """Run statements one after the other."""
    with connect(url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
