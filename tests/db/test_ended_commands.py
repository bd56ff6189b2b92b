from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from db import audit, commands, migrations
from db.ended_commands import prune, settle
from db.engine import Engine, create, reading, writing
from tests.db.conftest import NOW
from tests.db.orders import KEY, ask, found, make_actuators
from tests.parts.statements import counted


@pytest.fixture
def engine(engine: Engine) -> Engine:
    make_actuators(engine, "kitchen", "cellar")
    return engine


def test_each_end_is_recorded_once(engine: Engine) -> None:
    good, bad, still = ask(engine), ask(engine, 5, "fan"), ask(engine, device="cellar")
    with writing(engine) as connection:
        commands.move(connection, good.id, "confirmed", "The device reported ON.", NOW)
        commands.move(connection, bad.id, "expired", "Nothing was heard.", NOW)
        assert settle(connection, KEY, NOW + 7, limit=1) == 1
    with writing(engine) as connection:
        assert settle(connection, KEY, NOW + 8) == 1
        assert settle(connection, KEY, NOW + 9) == 0
    with reading(engine) as connection:
        entries = [one.entry for one in audit.search(connection, action="command.")]
        assert audit.verify(connection, KEY, None).ok
    assert [(one.action, one.result, one.at) for one in entries[:2]] == [
        ("command.expired", "failed", NOW + 8),
        ("command.confirmed", "ok", NOW + 7),
    ]
    assert entries[0].detail == f"5, command {bad.id}: Nothing was heard."
    assert entries[1].actor == "anna"
    assert found(engine, still).open


def test_what_has_long_ended_goes_once_it_is_recorded(engine: Engine) -> None:
    old, still = ask(engine), ask(engine, 5, "fan")
    with writing(engine) as connection:
        commands.move(connection, old.id, "confirmed", "It says so.", NOW)
        assert prune(connection, NOW + 1) == 0
        settle(connection, KEY, NOW)
        assert prune(connection, NOW) == 0
        assert prune(connection, NOW + 1) == 1
        assert connection.scalar(text("SELECT COUNT(*) FROM command_steps")) == 1
        assert [command.id for command in commands.recent(connection)] == [still.id]


def test_of_two_that_settle_at_once_one_records_it(engine: Engine) -> None:
    made = ask(engine)
    with writing(engine) as connection:
        commands.move(connection, made.id, "confirmed", "It says so.", NOW)
    recorded: list[int] = []

    def end() -> None:
        with writing(engine) as connection:
            recorded.append(settle(connection, KEY, NOW))

    threads = [threading.Thread(target=end) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(recorded) == [0, 0, 0, 1]


def test_many_ends_take_as_few_statements_as_one(engine: Engine) -> None:
    many = 40
    make_actuators(engine, *(f"d{number}" for number in range(many)))
    made = [ask(engine, device=f"d{number}") for number in range(many)]
    with writing(engine) as connection:
        for one in made:
            commands.move(connection, one.id, "confirmed", "It says so.", NOW)
    with counted(engine) as statements, writing(engine) as connection:
        assert settle(connection, KEY, NOW, limit=many) == many
    assert len(statements) < 12
    with reading(engine) as connection:
        assert audit.verify(connection, KEY, None).ok
        entries = audit.search(connection, action="command.confirmed")
    assert [one.entry.detail for one in entries[::-1]] == [f"ON, command {one.id}: It says so." for one in made]


def test_what_another_settles_at_this_moment_is_left_to_it(mariadb_url: str) -> None:
    ours, other = create(mariadb_url), create(mariadb_url)
    migrations.apply(ours)
    make_actuators(ours, "kitchen", "cellar")
    made = [ask(ours, device=name) for name in ("kitchen", "cellar")]
    with writing(ours) as connection:
        for one in made:
            commands.move(connection, one.id, "confirmed", "It says so.", NOW)
    with writing(other) as connection:
        first = text("SELECT number FROM commands WHERE id = :id FOR UPDATE")
        assert connection.execute(first, {"id": made[0].id}).one()
        with writing(ours) as mine:
            assert settle(mine, KEY, NOW) == 1
    with writing(ours) as connection:
        assert settle(connection, KEY, NOW) == 1
    for engine in (ours, other):
        engine.dispose()
