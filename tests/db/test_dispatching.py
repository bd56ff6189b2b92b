"""The dispatcher and those who store reports lock the same commands, in different orders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from db import command_reports, commands, dispatching, migrations
from db.commands import Command
from db.devices import ActuatorState
from db.engine import Connection, Engine, create, reading, writing
from tests.db.conftest import NOW
from tests.db.orders import ask, found, make_actuators

_NAMES = ("attic", "cellar")
#: What the dispatcher does to several commands in one transaction; ids of those it did it to.
Work = Callable[[Connection, list[str]], list[str]]


def note_sending(connection: Connection, ids: list[str]) -> list[str]:
    return dispatching.note_sending(connection, ids, NOW + 1)


def note_published(connection: Connection, ids: list[str]) -> list[str]:
    return dispatching.note_published(connection, dict.fromkeys(ids, "The broker has it."), NOW + 1)


def expire(connection: Connection, _: list[str]) -> list[str]:
    return command_reports.expire(connection, NOW + 60_000)


@pytest.fixture
def engines(mariadb_url: str) -> Iterator[tuple[Engine, Engine]]:
    """Of the dispatcher and of a writer. Not on SQLite, where there is one writer at a time."""
    both = create(mariadb_url), create(mariadb_url)
    migrations.apply(both[0])
    make_actuators(both[0], *_NAMES)
    yield both
    for engine in both:
        engine.dispose()


@pytest.mark.parametrize("work", [note_sending, note_published, expire])
def test_the_dispatcher_waits_for_no_command_that_a_writer_holds(engines: tuple[Engine, Engine], work: Work) -> None:
    dispatcher, writer = engines
    first, second = (ask(dispatcher, device=name) for name in _NAMES)
    done: list[str] = []

    def dispatch() -> None:
        with writing(dispatcher) as connection:
            done.extend(work(connection, [first.id, second.id]))

    thread = threading.Thread(target=dispatch)
    with writing(writer) as connection:
        report(connection, second)
        thread.start()
        thread.join(20)
        assert not thread.is_alive(), "each would wait for the other, and one would be the deadlock's victim"
        report(connection, first)  # which the dispatcher had
    assert done == [first.id]
    assert found(dispatcher, second).status == "confirmed"


@pytest.mark.parametrize("work", [note_sending, note_published, expire])
def test_what_was_left_out_is_found_again(engines: tuple[Engine, Engine], work: Work) -> None:
    dispatcher, writer = engines
    made = ask(dispatcher, device="attic")
    with writing(writer) as connection:
        assert commands.move(connection, made.id, "queued", "Something else of it.", NOW)
        with writing(dispatcher) as other:
            assert work(other, [made.id]) == []
    with writing(dispatcher) as connection:
        assert work(connection, [made.id]) == [made.id]


def report(connection: Connection, command: Command) -> None:
    """As a writer stores it."""
    state = ActuatorState(command.device, command.actuator, command.state, command.id)
    command_reports.take(connection, state, NOW + 2, retained=False, before=None)


def test_what_is_noted(engine: Engine) -> None:
    make_actuators(engine, *_NAMES)
    first, second = (ask(engine, device=name) for name in _NAMES)
    with writing(engine) as connection:
        commands.move(connection, second.id, "confirmed", "It says so.", NOW)
        both = [first.id, second.id]
        assert note_sending(connection, both) == note_sending(connection, both) == [first.id]
        assert note_published(connection, both) == [first.id]
        assert note_published(connection, both) == note_sending(connection, both) == []
    with reading(engine) as connection:
        assert dispatching.waiting(connection, NOW) == []
    assert [step.status for step in found(engine, first).steps] == ["queued", "published"]
