"""A connection that does something else while its server works."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from db import engine


def test_work_is_done_once_before_the_answer_is_read(mariadb_url: str) -> None:
    database, done = engine.create(mariadb_url), list[str]()
    with engine.reading(database) as connection, engine.meanwhile(connection, lambda: done.append("work")):
        assert connection.scalar(text("SELECT 1")) == 1
        assert connection.scalar(text("SELECT 2")) == 2
    assert done == ["work"]
    database.dispose()


def test_work_that_fails_leaves_no_answer_behind(mariadb_url: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    database = engine.create(mariadb_url)
    with engine.reading(database) as connection:
        with pytest.raises(ZeroDivisionError), engine.meanwhile(connection, fail):
            connection.execute(text("SELECT 1"))
        assert connection.scalar(text("SELECT 2")) == 2
    database.dispose()


def test_a_statement_that_fails_fails_after_the_work(mariadb_url: str) -> None:
    database, done = engine.create(mariadb_url), list[str]()
    with (
        engine.reading(database) as connection,
        pytest.raises(DBAPIError),
        engine.meanwhile(connection, lambda: done.append("work")),
    ):
        connection.execute(text("SELECT * FROM nothing_of_the_kind"))
    assert done == ["work"]
    database.dispose()


def test_where_there_is_nothing_to_wait_for_nothing_is_done() -> None:
    database, done = engine.create("sqlite://"), list[str]()
    with engine.reading(database) as connection, engine.meanwhile(connection, lambda: done.append("work")):
        assert connection.scalar(text("SELECT 1")) == 1
    assert done == []
    database.dispose()


def test_work_whose_statement_was_never_sent_is_left_to_nobody(mariadb_url: str) -> None:
    database, done = engine.create(mariadb_url), list[str]()
    with engine.reading(database) as connection:
        with engine.meanwhile(connection, lambda: done.append("work")):
            pass
        assert connection.scalar(text("SELECT 1")) == 1
    assert done == []
    database.dispose()
