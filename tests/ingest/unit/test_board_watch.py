"""The board follows the table of commands, in whatever order transactions end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from db import commands, devices, migrations, removal
from db.commands import Command
from db.devices import ActuatorAbout
from db.engine import Engine, create, reading, writing
from db.rights import Actor, Origin
from ingest.board_watch import KEPT_MS, BoardWatch
from ingest.snapshot import Board, ReadingChange, Snapshot, apply

T = 1_764_000_000_000
KEY = b"k" * 32
ANNA = Actor("anna", "operator", Origin("192.0.2.7"))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    migrations.apply(engine)
    with writing(engine) as connection:
        ids = devices.ensure(connection, ["d"], T)
        for name in ("led", "lamp"):
            devices.store_actuator(connection, ids["d"], ActuatorAbout(name))
    yield engine
    engine.dispose()


@pytest.fixture
def board() -> Board:
    return Board(Snapshot(T, 0, {}))


def ask(engine: Engine, actuator: str = "led") -> Command:
    with writing(engine) as connection:
        return commands.request(connection, KEY, "d", actuator, "ON", by=ANNA, at=T, deadline_ms=60_000)


def end(engine: Engine, command: Command, at: int = T) -> None:
    with writing(engine) as connection:
        commands.move(connection, command.id, "confirmed", "The device reported ON.", at)


def look(watch: BoardWatch, engine: Engine, now: int = T) -> bool:
    with reading(engine) as connection:
        return watch.look(connection, now, T)


def shown(board: Board) -> dict[str, str]:
    return {command_id: now.command.status for command_id, now in board.current.commands.items()}


def test_what_there_is_and_what_comes_is_shown(engine: Engine, board: Board) -> None:
    old, ended = ask(engine), ask(engine, "lamp")
    end(engine, ended, T - KEPT_MS - 1)
    watch = BoardWatch(board)
    assert look(watch, engine)
    assert shown(board) == {old.id: "queued"}
    new = ask(engine, "lamp")
    end(engine, old)
    assert look(watch, engine)
    assert shown(board) == {old.id: "confirmed", new.id: "queued"}
    version = board.current.version
    look(watch, engine)
    assert not look(watch, engine)
    assert board.current.version == version


def test_a_step_whose_number_is_smaller_than_one_that_was_seen_is_not_missed(engine: Engine, board: Board) -> None:
    ask(engine)
    watch = BoardWatch(board)
    look(watch, engine)
    row = "INSERT INTO command_steps (number, command, status, at, evidence) VALUES ({}, 1, 'published', 1, 'x')"
    with writing(engine) as connection:
        connection.execute(text(row.format(9)))
        connection.execute(text("UPDATE commands SET status = 'published'"))
    assert look(watch, engine)
    with writing(engine) as connection:
        connection.execute(text(row.format(8)))
        connection.execute(text("UPDATE commands SET status = 'expired', ended_at = 2"))
    assert look(watch, engine)
    assert shown(board) == {}


def test_beginning_anew_forgets_what_is_no_more(engine: Engine, board: Board) -> None:
    made = ask(engine)
    watch = BoardWatch(board)
    look(watch, engine)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM command_steps"))
        connection.execute(text("DELETE FROM commands"))
    assert not look(watch, engine)
    assert shown(board) == {made.id: "queued"}
    watch.begin()
    look(watch, engine)
    assert shown(board) == {}


def test_a_command_leaves_a_minute_after_its_end_and_a_deleted_device_at_once(engine: Engine, board: Board) -> None:
    end(engine, ask(engine))
    board.update(lambda current: apply(current, [ReadingChange("d", "x", T, 1.0, T)]))
    watch = BoardWatch(board, rest_s=0.0)
    look(watch, engine)
    assert len(shown(board)) == 1
    with writing(engine) as connection:
        removal.ask(connection, KEY, "d", by=ANNA, at=T + 1)
    look(watch, engine, T + KEPT_MS)
    assert "d" not in board.current.devices
    assert len(shown(board)) == 1
    look(watch, engine, T + KEPT_MS + 1)
    assert shown(board) == {}


def test_who_is_silent_is_said_late(engine: Engine, board: Board) -> None:
    for at in (T, T + 1_000):
        board.update(lambda current, at=at: apply(current, [ReadingChange("d", "x", at, 1.0, at)]))  # type: ignore[misc]
    watch = BoardWatch(board, rest_s=0.0)
    words = []
    for now in (T + 2_000, T + 10_000):
        look(watch, engine, now)
        words.append(board.current.devices["d"].presence)
    assert words == ["online", "late"]
