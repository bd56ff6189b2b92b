from __future__ import annotations

import threading

import pytest
from sqlalchemy import text

from db import audit, commands, devices, removal
from db.commands import MOST_OPEN, BadState, Command, Step, TooMany, UnknownTarget
from db.devices import ActuatorState
from db.engine import Engine, reading, writing
from db.rights import Actor, Origin
from tests.db.conftest import NOW
from tests.db.orders import ANNA, KEY, ask, found, make_actuators, path
from tests.parts.waiting import fill

BEN = Actor("ben", "admin", Origin("local"))


@pytest.fixture
def engine(engine: Engine) -> Engine:
    make_actuators(engine, "kitchen", "cellar")
    return engine


def report(engine: Engine, state: str, actuator: str = "led") -> None:
    with writing(engine) as connection:
        device_id = devices.ids(connection, ["kitchen"])["kitchen"]
        devices.store_state(connection, device_id, ActuatorState("kitchen", actuator, state, None), NOW)


def test_a_command_is_queued_found_and_recorded(engine: Engine) -> None:
    made = ask(engine, "on")
    step = Step("queued", NOW, "It was asked for.")
    assert made == Command(made.id, "kitchen", "led", "ON", "queued", "anna", "192.0.2.7", NOW, NOW + 60_000, (step,))
    with reading(engine) as connection:
        assert commands.find(connection, made.id) == made
        assert commands.open_commands(connection) == [made]
        assert commands.find(connection, "no such") is None
        (entry,) = audit.search(connection)
    assert (entry.entry.action, entry.entry.actor, entry.entry.subject) == ("command.request", "anna", "kitchen/led")
    assert entry.entry.detail == f"ON, command {made.id}"


@pytest.mark.parametrize(
    ("actuator", "order", "state"),
    [
        ("led", "ON", "ON"),
        ("led", " off ", "OFF"),
        ("fan", 40, "40"),
        ("fan", "40.0", "40"),
        ("fan", -0.0, "0"),
        ("fan", 100.0, "100"),
        ("fan", "33.3", "33.3"),
    ],
)
def test_what_an_actuator_takes(engine: Engine, actuator: str, order: str | float, state: str) -> None:
    assert ask(engine, order, actuator).state == state


@pytest.mark.parametrize(
    ("actuator", "order", "says"),
    [
        ("led", 1, "led takes ON, OFF or TOGGLE"),
        ("led", True, "led takes ON, OFF or TOGGLE"),
        ("led", "BLINK", "led takes ON, OFF or TOGGLE"),
        ("led", "", "led takes ON, OFF or TOGGLE"),
        ("led", "TOGGLE", "led has never said whether it is ON or OFF"),
        ("fan", 101, "fan takes a number from 0 to 100 %"),
        ("fan", -0.5, "fan takes a number from 0 to 100 %"),
        ("fan", "ON", "fan takes a number from 0 to 100 %"),
        ("fan", "TOGGLE", "fan takes a number from 0 to 100 %"),
        ("fan", "nan", "fan takes a number from 0 to 100 %"),
        ("fan", float("inf"), "fan takes a number from 0 to 100 %"),
        ("fan", True, "fan takes a number from 0 to 100 %"),
    ],
)
def test_what_it_does_not_take_is_told_with_the_range(
    engine: Engine, actuator: str, order: str | float, says: str
) -> None:
    with pytest.raises(BadState, match=says) as refused:
        ask(engine, order, actuator)
    assert refused.value.field == "state"
    with reading(engine) as connection:
        assert commands.recent(connection) == []


def test_an_actuator_that_reports_numbers_takes_numbers(engine: Engine) -> None:
    report(engine, "21.5", "setpoint")
    assert ask(engine, 22, "setpoint").state == "22"
    with pytest.raises(BadState, match="setpoint takes a number"):
        ask(engine, "ON", "setpoint")


def test_who_asks_of_something_that_is_not_there_is_told_which(engine: Engine) -> None:
    with pytest.raises(UnknownTarget, match="There is no device attic") as unknown:
        ask(engine, device="attic")
    assert unknown.value.field == "device"
    with pytest.raises(UnknownTarget, match="kitchen has no actuator Led") as unknown:
        ask(engine, actuator="Led")
    assert unknown.value.field == "actuator"


def test_toggle_is_the_opposite_of_what_was_asked_for_else_reported(engine: Engine) -> None:
    report(engine, "ON")
    first = ask(engine, "TOGGLE")
    second = ask(engine, "toggle")
    assert [first.state, second.state] == ["OFF", "ON"]
    with writing(engine) as connection:
        assert commands.move(connection, second.id, "expired", "Nothing.", NOW)
    assert ask(engine, "TOGGLE").state == "OFF"


@pytest.mark.parametrize(
    ("status", "says"),
    [("queued", "had not gone out"), ("sent", "may have gone out"), ("published", "this one had gone out")],
)
def test_a_newer_command_cancels_an_older_one_for_the_same_actuator_alone(
    engine: Engine, status: str, says: str
) -> None:
    other, elsewhere, older = ask(engine, 5, "fan"), ask(engine, device="cellar"), ask(engine, "ON")
    with writing(engine) as connection:
        if status != "queued":
            connection.execute(text("UPDATE commands SET sent_at = 1"))
        if status == "published":
            assert commands.move(connection, older.id, "published", "The broker has it.", NOW + 1)
    newer = ask(engine, "OFF", at=NOW + 5, by=BEN)
    ended = found(engine, older)
    assert ended.steps[-1].status == ended.status == "cancelled"
    assert ended.ended_at == NOW + 5
    assert says in ended.steps[-1].evidence
    with reading(engine) as connection:
        assert [command.id for command in commands.open_commands(connection)] == [other.id, elsewhere.id, newer.id]


def test_a_command_moves_once(engine: Engine) -> None:
    made = ask(engine)
    with writing(engine) as connection:
        assert not commands.move(connection, made.id, "confirmed", "No.", NOW, expected="published")
        assert commands.move(connection, made.id, "published", "The broker has it.", NOW + 1, expected="queued")
        assert not commands.move(connection, made.id, "published", "Again.", NOW + 2, expected="queued")
        assert commands.move(connection, made.id, "confirmed", "It says so.", NOW + 3)
        assert not commands.move(connection, made.id, "expired", "Too late.", NOW + 4)
    assert path(engine, made) == ["queued", "published", "confirmed"]
    assert found(engine, made).ended_at == NOW + 3


def test_of_two_that_move_it_at_once_one_does(engine: Engine) -> None:
    made = ask(engine)
    moved: list[bool] = []

    def end(status: commands.CommandStatus) -> None:
        with writing(engine) as connection:
            moved.append(commands.move(connection, made.id, status, "At once.", NOW))

    threads = [threading.Thread(target=end, args=(status,)) for status in ("confirmed", "expired", "failed", "expired")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(moved) == [False, False, False, True]
    assert len(path(engine, made)) == 2


def test_of_two_that_ask_at_once_one_is_left(engine: Engine) -> None:
    def one(order: str) -> None:
        ask(engine, order)

    threads = [threading.Thread(target=one, args=(order,)) for order in ("ON", "OFF") * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    with reading(engine) as connection:
        every = commands.recent(connection)
        assert len(every) == 8
        assert len(commands.open_commands(connection)) == 1
    assert sorted(command.status for command in every) == ["cancelled"] * 7 + ["queued"]


def test_the_newest_are_listed_first_page_by_page(engine: Engine) -> None:
    made = [ask(engine, number, "fan").id for number in range(5)]
    elsewhere = ask(engine, device="cellar", by=BEN).id
    with reading(engine) as connection:
        assert [command.id for command in commands.recent(connection, limit=2)] == [elsewhere, made[4]]
        assert [command.id for command in commands.recent(connection, limit=2, before=made[4])] == [made[3], made[2]]
        assert [command.id for command in commands.recent(connection, device="kitchen")] == made[::-1]
        assert [command.id for command in commands.recent(connection, by="BEN")] == [elsewhere]
        assert commands.recent(connection, before="no such") == []


def test_who_follows_is_told_of_each_step_once(engine: Engine) -> None:
    first = ask(engine)
    with reading(engine) as connection:
        (at,), told = commands.changed(connection, 0)
        assert [command.id for command in told] == [first.id]
        assert commands.last_step(connection) == at
        assert commands.changed(connection, at) == ([], [])
        assert commands.changed(connection, 0, {at}) == ([], [])
    second = ask(engine, "OFF")
    with reading(engine) as connection:
        numbers, told = commands.changed(connection, at)
    assert numbers == [at + 1, at + 2]
    assert [(command.id, command.status) for command in told] == [(first.id, "cancelled"), (second.id, "queued")]


def test_no_more_are_taken_than_can_wait(engine: Engine) -> None:
    ask(engine, device="cellar")
    ask(engine)
    ask(engine, "OFF", most_open=2)  # in the place of the one before
    with pytest.raises(TooMany, match="2 commands wait already"):
        ask(engine, 5, "fan", most_open=2)
    ask(engine, 5, "fan", most_open=3)


def test_those_that_ended_take_no_room_before_they_are_settled(engine: Engine) -> None:
    made = ask(engine)
    with writing(engine) as connection:
        commands.move(connection, made.id, "confirmed", "It says so.", NOW)
    assert ask(engine, device="cellar", most_open=1).open


def test_ten_thousand_wait_and_the_next_is_refused(engine: Engine) -> None:
    fill(engine, MOST_OPEN - 1)
    ask(engine)
    with pytest.raises(TooMany, match="10,000 commands wait already"):
        ask(engine, 5, "fan")
    assert ask(engine, "OFF").open, "in the place of the one before"


def test_a_polling_device_is_given_what_waits_until_it_reports(engine: Engine) -> None:
    ask(engine, device="cellar")
    made, late = ask(engine), ask(engine, 5, "fan", at=NOW - 60_000)
    waiting: list[Command] = []
    for _ in range(2):
        with writing(engine) as connection:
            waiting = commands.waiting_for(connection, "kitchen", NOW)
            given = commands.hand_over(connection, waiting, NOW + 1)
        assert [command.id for command in given] == [made.id]
        assert given[0].steps[-1] == Step("published", NOW + 1, "Handed to the device, which asked for it.")
    assert path(engine, made) == ["queued", "published"]
    assert path(engine, late) == ["queued"]
    with writing(engine) as connection:
        commands.move(connection, made.id, "confirmed", "It says so.", NOW)
        assert commands.hand_over(connection, waiting, NOW + 2) == []
        assert commands.waiting_for(connection, "kitchen", NOW) == []


def test_a_command_for_a_deleted_device_fails_and_no_other_is_taken(engine: Engine) -> None:
    made = ask(engine)
    with writing(engine) as connection:
        removal.ask(connection, KEY, "kitchen", by=ANNA, at=NOW + 5)
    ended = found(engine, made)
    assert ended.steps[-1] == Step("failed", NOW + 5, "kitchen was deleted.")
    with pytest.raises(UnknownTarget, match="There is no device kitchen"):
        ask(engine)
