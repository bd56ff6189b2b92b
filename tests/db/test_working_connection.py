"""A connection that does something else while its server works."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import engine
from db.working_connection import WorkingConnection, meanwhile
from tests.parts.ports import free_port
from tests.parts.tls import make_certificates


def test_work_is_done_once_before_the_answer_is_read(mariadb_url: str) -> None:
    database, done = engine.create(mariadb_url), list[str]()
    with engine.reading(database) as connection, meanwhile(connection, lambda: done.append("work")):
        assert connection.scalar(text("SELECT 1")) == 1
        assert connection.scalar(text("SELECT 2")) == 2
    assert done == ["work"]
    database.dispose()


def test_work_that_fails_leaves_no_answer_behind(mariadb_url: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    database = engine.create(mariadb_url)
    with engine.reading(database) as connection:
        with pytest.raises(ZeroDivisionError), meanwhile(connection, fail):
            connection.execute(text("SELECT 1"))
        assert connection.scalar(text("SELECT 2")) == 2
    database.dispose()


def test_a_statement_that_fails_fails_after_the_work(mariadb_url: str) -> None:
    database, done = engine.create(mariadb_url), list[str]()
    with (
        engine.reading(database) as connection,
        pytest.raises(DBAPIError),
        meanwhile(connection, lambda: done.append("work")),
    ):
        connection.execute(text("SELECT * FROM nothing_of_the_kind"))
    assert done == ["work"]
    database.dispose()


def test_where_there_is_nothing_to_wait_for_nothing_is_done() -> None:
    database, done = engine.create("sqlite://"), list[str]()
    with engine.reading(database) as connection, meanwhile(connection, lambda: done.append("work")):
        assert connection.scalar(text("SELECT 1")) == 1
    assert done == []
    database.dispose()


def test_work_whose_statement_was_never_sent_is_left_to_nobody(mariadb_url: str) -> None:
    database, done = engine.create(mariadb_url), list[str]()
    with engine.reading(database) as connection:
        with meanwhile(connection, lambda: done.append("work")):
            pass
        assert connection.scalar(text("SELECT 1")) == 1
    assert done == []
    database.dispose()


def test_tries_to_connect_share_one_tls_context(mariadb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is half a megabyte, and a worker tries every second while the database is away."""
    made: list[ssl.SSLContext] = []
    original = ssl.create_default_context

    def make(*args: object, **options: object) -> ssl.SSLContext:
        made.append(original(*args, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", make)
    there, away = engine.create(mariadb_url), engine.create(f"mysql+pymysql://u@127.0.0.1:{free_port()}/d")
    beside = engine.lookups(there)
    with engine.reading(there), engine.reading(there):
        assert engine.look_up(beside, lambda connection: connection.scalar(text("SELECT 1"))) == 1
    for _ in range(5):
        with pytest.raises(engine.DatabaseAway), engine.reading(away):
            pass
    assert len(made) <= 1
    for one in (there, beside, away):
        one.dispose()


def test_a_renewed_certificate_is_read_anew(tmp_path: Path) -> None:
    authority = make_certificates(tmp_path).ca

    def context() -> object:
        return vars(WorkingConnection(defer_connect=True, ssl={"ca": str(authority)}))["ctx"]

    first = context()
    assert context() is first
    os.utime(authority, ns=(1, 1))
    renewed = context()
    assert renewed is not first
    assert context() is renewed
