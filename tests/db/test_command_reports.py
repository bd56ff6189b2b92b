from __future__ import annotations

import pytest
from sqlalchemy import text

from db import command_reports, commands, devices, dispatching, readings
from db.command_reports import Asked, judge
from db.devices import ActuatorState
from db.engine import Engine, reading, writing
from tests.db.conftest import NOW
from tests.db.orders import ask, found, make_actuators, path

ON = Asked("ours", "ON", sent=True)
FORTY = Asked("ours", "40", sent=True, step=5.0)


@pytest.fixture
def engine(engine: Engine) -> Engine:
    make_actuators(engine, "kitchen", "cellar")
    return engine


def state(text: str, command_id: str | None = None, device: str = "kitchen", actuator: str = "led") -> ActuatorState:
    return ActuatorState(device, actuator, text, command_id)


def hear(engine: Engine, report: ActuatorState, at: int = NOW + 9, *, retained: bool = False) -> list[str]:
    """Store a report as the writer does."""
    with writing(engine) as connection:
        device_id = devices.ids(connection, [report.device])[report.device]
        before = devices.store_state(connection, device_id, report, at)
        return command_reports.take(connection, report, at, retained=retained, before=before)


def send(engine: Engine, *ids: str) -> None:
    with writing(engine) as connection:
        assert dispatching.note_sending(connection, ids, NOW + 1) == list(ids)


def publish(engine: Engine, command_id: str) -> None:
    send(engine, command_id)
    with writing(engine) as connection:
        commands.move(connection, command_id, "published", "The broker has it.", NOW + 2, expected="queued")


@pytest.mark.parametrize(
    ("asked", "report", "verdict"),
    [
        (ON, state("ON", "ours"), "confirmed"),
        (ON, state("OFF", "ours"), "contradicted"),
        (ON, state("1", "ours"), "remembered"),
        (ON, state("ON", "another's"), "nothing"),
        (ON, state("OFF", "another's"), "nothing"),
        (ON, state("ON"), "confirmed"),
        (ON, state("OFF"), "remembered"),
        (Asked("ours", "ON", sent=False), state("ON"), "nothing"),
        (Asked("ours", "ON", sent=False), state("ON", "ours"), "confirmed"),
        (FORTY, state("40", "ours"), "confirmed"),
        (FORTY, state("45"), "confirmed"),
        (FORTY, state("45.1", "ours"), "remembered"),
        (FORTY, state("ON", "ours"), "contradicted"),
        (Asked("ours", "21.1", sent=True), state("21.100000000001"), "confirmed"),
        (Asked("ours", "21.1", sent=True), state("21.2"), "remembered"),
    ],
)
def test_what_a_report_is_to_a_command(asked: Asked, report: ActuatorState, verdict: str) -> None:
    assert judge(asked, report, retained=False, before=None) == verdict


@pytest.mark.parametrize(
    ("report", "before", "verdict"),
    [
        (state("ON"), "ON", "nothing"),
        (state("ON"), "OFF", "confirmed"),
        (state("ON"), None, "confirmed"),
        (state("OFF"), "ON", "remembered"),
        (state("ON", "ours"), "ON", "confirmed"),
        (state("OFF", "ours"), "OFF", "contradicted"),
    ],
)
def test_what_the_broker_has_kept_counts_only_as_news_or_with_the_id(
    report: ActuatorState, before: str | None, verdict: str
) -> None:
    assert judge(ON, report, retained=True, before=before) == verdict


def test_the_devices_own_report_confirms(engine: Engine) -> None:
    made = ask(engine)
    publish(engine, made.id)
    assert hear(engine, state("ON", made.id)) == [made.id]
    ended = found(engine, made)
    assert path(engine, made) == ["queued", "published", "confirmed"]
    assert (ended.steps[-1].at, ended.steps[-1].evidence) == (
        NOW + 9,
        "The device reported ON with this command's id.",
    )
    assert hear(engine, state("ON", made.id)) == []
    assert hear(engine, state("OFF", made.id)) == []
    assert path(engine, made) == ["queued", "published", "confirmed"]


def test_a_device_that_is_quicker_than_the_brokers_acknowledgement_confirms(engine: Engine) -> None:
    made = ask(engine)
    send(engine, made.id)
    assert hear(engine, state("ON")) == [made.id]
    with writing(engine) as connection:
        assert not commands.move(connection, made.id, "published", "The broker has it.", NOW + 20, expected="queued")
    assert path(engine, made) == ["queued", "confirmed"]


def test_what_was_reported_before_it_went_out_confirms_nothing(engine: Engine) -> None:
    made = ask(engine)
    assert hear(engine, state("ON")) == []
    assert found(engine, made).status == "queued"


def test_the_opposite_with_the_id_contradicts_at_once(engine: Engine) -> None:
    made = ask(engine)
    publish(engine, made.id)
    assert hear(engine, state("OFF", made.id)) == [made.id]
    assert path(engine, made) == ["queued", "published", "contradicted"]


def test_the_opposite_without_an_id_contradicts_at_the_deadline(engine: Engine) -> None:
    made = ask(engine)
    publish(engine, made.id)
    assert hear(engine, state("OFF")) == []
    with writing(engine) as connection:
        assert command_reports.expire(connection, made.deadline_at - 1) == []
        assert command_reports.expire(connection, made.deadline_at) == [made.id]
    assert found(engine, made).steps[-1].evidence == "The device went on reporting OFF until the deadline."
    assert path(engine, made)[-1] == "contradicted"


def test_an_opposite_that_is_mended_in_time_is_none(engine: Engine) -> None:
    made = ask(engine, 40, "fan")
    publish(engine, made.id)
    assert hear(engine, state("10", made.id, actuator="fan")) == []
    assert hear(engine, state("25", made.id, actuator="fan")) == []
    assert hear(engine, state("38", made.id, actuator="fan")) == [made.id]
    assert path(engine, made)[-1] == "confirmed"


@pytest.mark.parametrize(
    ("how", "says"),
    [("queued", "It never went out"), ("sent", "It may have gone out"), ("published", "It had gone out")],
)
def test_one_that_nobody_answers_expires_and_says_how_far_it_came(engine: Engine, how: str, says: str) -> None:
    made = ask(engine)
    if how == "sent":
        send(engine, made.id)
    if how == "published":
        publish(engine, made.id)
    with writing(engine) as connection:
        assert command_reports.expire(connection, made.deadline_at) == [made.id]
        assert command_reports.expire(connection, made.deadline_at) == []
    assert found(engine, made).status == "expired"
    assert says in found(engine, made).steps[-1].evidence
    assert hear(engine, state("ON", made.id)) == []
    assert path(engine, made)[-1] == "expired"


def test_another_devices_report_with_this_ones_id_is_nothing_to_it(engine: Engine) -> None:
    made = ask(engine)
    publish(engine, made.id)
    assert hear(engine, state("ON", made.id, device="cellar")) == []
    assert hear(engine, state("ON", made.id, actuator="other")) == []
    assert found(engine, made).status == "published"


def test_an_answer_to_the_older_command_is_none_to_the_newer(engine: Engine) -> None:
    older = ask(engine, "ON")
    publish(engine, older.id)
    newer = ask(engine, "OFF")
    publish(engine, newer.id)
    assert hear(engine, state("ON", older.id)) == []
    assert hear(engine, state("OFF", newer.id)) == [newer.id]
    assert path(engine, older)[-1] == "cancelled"


def test_what_waits_is_told_with_what_is_known_of_its_device(engine: Engine) -> None:
    led, fan, cellar = ask(engine), ask(engine, 5, "fan"), ask(engine, device="cellar")
    ask(engine, device="cellar", actuator="fan", order=1, at=NOW - 60_000)  # past its deadline
    with writing(engine) as connection:
        ids = devices.ids(connection, ["kitchen", "cellar"])
        devices.store_status(connection, ids["cellar"], devices.Status("cellar", online=False), NOW + 3)
    send(engine, fan.id)
    with reading(engine) as connection:
        waiting = dispatching.waiting(connection, NOW)
    assert [one.id for one in waiting] == [led.id, fan.id, cellar.id]
    assert [one.sent_at for one in waiting] == [None, NOW + 1, None]
    assert [one.silent_since for one in waiting] == [None, None, NOW + 3]
    assert {(one.gone, one.poll) for one in waiting} == {(None, None)}
    with writing(engine) as connection:
        series = devices.ensure_series(connection, [(ids["cellar"], "x")], NOW)[ids["cellar"], "x"]
        readings.store_latest(connection, [(series, NOW, 1.0, NOW + 4)])
    with reading(engine) as connection:
        assert dispatching.waiting(connection, NOW)[2].silent_since is None


def test_an_actuator_that_is_gone_is_told(engine: Engine) -> None:
    ask(engine)
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM actuators"))
    with reading(engine) as connection:
        assert dispatching.waiting(connection, NOW)[0].gone == "kitchen has no led any more."


def test_one_that_has_ended_meanwhile_does_not_go_out(engine: Engine) -> None:
    first, second = ask(engine), ask(engine, 5, "fan")
    with writing(engine) as connection:
        commands.move(connection, first.id, "cancelled", "Somebody else.", NOW)
        assert dispatching.note_sending(connection, [first.id, second.id], NOW) == [second.id]
