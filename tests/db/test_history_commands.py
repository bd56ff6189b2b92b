"""`python -m db seal`, `unseal` and `verify` as their user types them."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import inspect, text

from db import copies, readings
from db.engine import Engine, reading, writing
from db.history import DAY_MS
from tests.db.sealed import DAY, Series, every
from tests.parts.program import Run


@pytest.fixture
def series(engine: Engine, temperature: int) -> Series:
    """A day and a half, long ago."""
    found = Series(engine, temperature)
    found.receive(every(60_000, 2160))
    return found


def test_from_rows_to_chunks_and_back(run: Run, series: Series) -> None:
    sealed = run("seal", "--before", str(DAY + DAY_MS + 5))
    assert sealed.exit_code == 0, sealed.output
    assert "1,440 readings of before 2024-10-05T00:00:00Z sealed." in sealed.stdout
    assert run("seal", "--device", "kitchen").exit_code == 0
    assert series.rows() == 0
    verified = run("verify")
    assert (verified.exit_code, "Chunks verified: 1, with 2,160 readings." in verified.stdout) == (0, True)
    back = run("unseal", "--from", "2024-10-04")
    assert (back.exit_code, "2,160 readings are rows again." in back.stdout) == (0, True)
    assert series.rows() == 2160
    series.check()


def test_a_copy_for_sql_tools(run: Run, series: Series, engine: Engine) -> None:
    run("seal", "--before", str(DAY + DAY_MS))
    copied = run("unseal", "--table", "mine", "--to", str(DAY + 2 * DAY_MS))
    assert (copied.exit_code, "2,160 readings were copied into mine" in copied.stdout) == (0, True)
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(text("SELECT ts, value FROM mine ORDER BY ts"))]
    assert found == sorted(series.expected.items())
    assert series.sealed() == 1440
    assert "there is a table mine already" in run("unseal", "--table", "mine").stderr
    assert "is no name for a table" in run("unseal", "--table", "x; DROP TABLE readings").stderr


def test_a_copy_that_was_broken_off_is_made_anew(
    run: Run, series: Series, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert_new = readings.insert_new

    def insert_and_break(*arguments: Any, **options: Any) -> int:
        insert_new(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(copies, "insert_new", insert_and_break)
    assert run("unseal", "--table", "mine").exit_code != 0
    with reading(engine) as connection:
        assert not inspect(connection).has_table("mine")
    monkeypatch.setattr(copies, "insert_new", insert_new)
    copied = run("unseal", "--table", "mine")
    assert (copied.exit_code, "2,160 readings were copied into mine" in copied.stdout) == (0, True)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM mine")) == 2160
        assert not inspect(connection).has_table("mine_unfinished")
    assert series.rows() == 2160


def test_a_damaged_chunk_is_named(run: Run, series: Series, engine: Engine) -> None:
    run("seal")
    with writing(engine) as connection:
        connection.execute(text("UPDATE chunks SET raw = :bytes"), {"bytes": b"PAR1 and no more"})
    found = run("verify")
    assert found.exit_code == 1
    assert f"the chunk of series {series.id} from 2024-10-04T00:00:00Z" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["seal", "--before", "soon"], "is no time"),
        (["seal", "--device", "attic"], "There is no device attic."),
        (["verify", "--device", "attic"], "There is no device attic."),
    ],
)
def test_what_can_not_be_done_is_said(run: Run, series: Series, arguments: list[str], words: str) -> None:
    found = run(*arguments)
    assert (found.exit_code, words in found.stderr) == (2, True)
    assert series.rows() == 2160


def test_where_nothing_is_sealed_by_itself_a_time_is_to_be_said(
    run: Run, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAL_AFTER_DAYS", "0")
    found = run("seal")
    assert (found.exit_code, "SEAL_AFTER_DAYS is 0" in found.stderr) == (2, True)
    assert series.rows() == 2160
