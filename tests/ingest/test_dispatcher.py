"""Commands from the table to a device and back, on a real broker and a real database."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from db import audit, devices, removal
from db.engine import reading, writing
from ingest.vitals import now_ms
from tests.ingest.command_desk import ANNA, Desk
from tests.ingest.conftest import MakeWorker
from tests.ingest.worker import KEY
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.obeying import ObeyingDevice, never, without_id


@pytest.fixture
def device(desk: Desk, mosquitto: Mosquitto, topic_root: str) -> Iterator[ObeyingDevice]:
    with ObeyingDevice(mosquitto.port, topic_root) as device:
        device.introduce()
        eventually(desk.knows)
        yield device


def test_a_command_goes_out_is_confirmed_shown_and_recorded(desk: Desk, device: ObeyingDevice) -> None:
    made = desk.ask()
    ended = desk.ends(made)
    assert ended.status == "confirmed"
    assert desk.path(made)[0] == "queued"
    assert ended.steps[-1].evidence == "The device reported ON with this command's id."
    assert device.told == [{"id": made.id, "state": "ON", "expires": made.deadline_at}]
    assert device.retained == 0
    eventually(lambda: desk.shown(made) == "confirmed" and desk.knows(state="ON"))

    def recorded() -> list[str]:
        with reading(desk.worker.database) as connection:
            return [one.entry.action for one in audit.search(connection, action="command.")]

    eventually(lambda: recorded() == ["command.confirmed", "command.request"])


def test_a_number_goes_out_as_a_number(desk: Desk, mosquitto: Mosquitto, topic_root: str) -> None:
    with ObeyingDevice(mosquitto.port, topic_root, actuator="fan") as device:
        device.publish("about", json.dumps({"actuators": [{"name": "fan", "min": 0, "max": 100, "step": 5}]}))
        eventually(lambda: (found := desk.worker.board.current.devices.get("d")) and "fan" in found.actuators)
        first, second = desk.ask(40, actuator="fan"), 0.5
        assert desk.ends(first).status == "confirmed"
        assert desk.ends(desk.ask(second, actuator="fan")).status == "confirmed"
        assert [order["state"] for order in device.told] == [40, 0.5]


def test_it_is_found_by_itself_where_nobody_nudges(desk: Desk, device: ObeyingDevice) -> None:
    assert desk.ends(desk.ask(nudge=False)).status == "confirmed"
    assert len(device.told) == 1


def test_a_device_that_echoes_no_id_confirms(desk: Desk, device: ObeyingDevice) -> None:
    device.answers = without_id
    ended = desk.ends(desk.ask())
    assert (ended.status, ended.steps[-1].evidence) == ("confirmed", "The device reported ON without an id.")


def test_a_device_that_answers_twice_confirms_once(desk: Desk, device: ObeyingDevice) -> None:
    device.answers = lambda order: [{"id": order["id"], "state": "ON"}] * 2
    made = desk.ask()
    desk.ends(made)
    messages = desk.worker.health.account.messages.stored
    device.report({"id": made.id, "state": "ON"})
    eventually(lambda: desk.worker.health.account.messages.stored > messages)
    assert desk.path(made).count("confirmed") == 1


def test_a_device_that_does_the_opposite_contradicts_at_once(desk: Desk, device: ObeyingDevice) -> None:
    device.answers = lambda order: [{"id": order["id"], "state": "OFF"}]
    assert desk.ends(desk.ask()).status == "contradicted"


def test_a_device_that_goes_on_saying_the_opposite_contradicts_at_the_deadline(
    desk: Desk, device: ObeyingDevice
) -> None:
    device.answers = lambda _order: ["OFF"]
    ended = desk.hasten(desk.ask(), "OFF")
    assert ended.status == "contradicted"
    assert "went on reporting OFF" in ended.steps[-1].evidence
    assert ended.steps[-1].at >= ended.deadline_at


def test_a_device_that_answers_late_finds_it_expired(desk: Desk, device: ObeyingDevice) -> None:
    device.answers = never
    made = desk.ask()
    assert desk.hasten(made).status == "expired"
    device.report({"id": made.id, "state": "ON"})
    eventually(lambda: desk.knows(state="ON"))
    assert desk.now(made).status == "expired"


def test_a_device_whose_clock_is_ahead_takes_it_for_expired_and_so_do_we(desk: Desk, device: ObeyingDevice) -> None:
    ahead = now_ms() + 3_600_000
    device.answers = lambda order: [] if order["expires"] < ahead else [{"id": order["id"], "state": "ON"}]
    assert desk.ends(desk.ask(deadline_ms=500)).status == "expired"


def test_a_device_that_drops_offline_in_between_lets_it_expire(desk: Desk, device: ObeyingDevice) -> None:
    device.answers = never
    made = desk.ask()
    eventually(lambda: desk.now(made).status == "published")
    device.publish("status", "offline", retain=True)
    ended = desk.hasten(made)
    assert ended.status == "expired"
    assert ended.steps[-1].evidence == "It had gone out. The device reported nothing by the deadline."


def test_a_device_that_restarts_before_it_answers_confirms_by_what_it_says_then(
    desk: Desk, device: ObeyingDevice, mosquitto: Mosquitto, topic_root: str
) -> None:
    device.answers = never
    made = desk.ask()
    eventually(lambda: desk.now(made).status == "published")
    with ObeyingDevice(mosquitto.port, topic_root) as again:
        again.introduce("ON")
        assert desk.ends(made).status == "confirmed"


def test_what_is_for_an_offline_device_waits_here_and_goes_out_when_it_is_back(
    desk: Desk, device: ObeyingDevice
) -> None:
    device.publish("status", "offline", retain=True)
    eventually(lambda: desk.worker.board.current.devices["d"].presence == "offline")
    made = desk.ask()
    eventually(lambda: "is offline" in desk.now(made).steps[-1].evidence)
    assert desk.path(made) == ["queued", "queued"]
    assert device.told == []
    device.publish("status", "online", retain=True)
    assert desk.ends(made).status == "confirmed"
    assert [order["id"] for order in device.told] == [made.id]


def test_a_reading_after_offline_lets_it_go_out(desk: Desk, device: ObeyingDevice) -> None:
    device.publish("status", "offline", retain=True)
    eventually(lambda: desk.worker.board.current.devices["d"].presence == "offline")
    made = desk.ask()
    eventually(lambda: "is offline" in desk.now(made).steps[-1].evidence)
    device.publish("telemetry", '{"v": 1}')
    assert desk.ends(made).status == "confirmed"


def test_what_is_for_an_offline_device_expires_and_never_surprises(desk: Desk, device: ObeyingDevice) -> None:
    device.publish("status", "offline", retain=True)
    eventually(lambda: desk.worker.board.current.devices["d"].presence == "offline")
    ended = desk.ends(desk.ask(deadline_ms=400))
    assert (ended.status, ended.steps[-1].evidence) == ("expired", "It never went out, and will not any more.")
    device.publish("status", "online", retain=True)
    assert desk.ends(desk.ask("OFF")).status == "confirmed"
    assert [order["state"] for order in device.told] == ["OFF"]


def test_a_newer_command_cancels_one_that_waits_for_its_answer(desk: Desk, device: ObeyingDevice) -> None:
    device.answers = lambda order: [{"id": order["id"], "state": "OFF"}] if order["state"] == "OFF" else []
    older = desk.ask()
    eventually(lambda: desk.now(older).status == "published")
    newer = desk.ask("OFF")
    assert desk.ends(older).status == "cancelled"
    assert "had gone out" in desk.now(older).steps[-1].evidence
    assert desk.ends(newer).status == "confirmed"
    eventually(lambda: (desk.shown(older), desk.shown(newer)) == ("cancelled", "confirmed"))


def test_another_devices_report_with_its_id_is_stored_and_ends_nothing(
    desk: Desk, device: ObeyingDevice, mosquitto: Mosquitto, topic_root: str
) -> None:
    device.answers = never
    made = desk.ask()
    eventually(lambda: desk.now(made).status == "published")
    with ObeyingDevice(mosquitto.port, topic_root, "other") as other:
        other.report({"id": made.id, "state": "ON"})
        eventually(lambda: desk.knows("other", "ON"))
    assert desk.now(made).status == "published"


def test_a_state_that_is_none_is_a_dead_letter_and_ends_nothing(desk: Desk, device: ObeyingDevice) -> None:
    device.answers = never
    made = desk.ask()
    eventually(lambda: desk.now(made).status == "published")
    device.report({"id": made.id, "state": "maybe"})
    eventually(lambda: desk.worker.health.account.messages.rejected)
    assert desk.now(made).status == "published"


def test_a_device_that_is_deleted_leaves_the_board_and_its_commands_fail(desk: Desk, device: ObeyingDevice) -> None:
    device.answers = never
    made = desk.ask()
    with writing(desk.worker.database) as connection:
        removal.ask(connection, KEY, "d", by=ANNA, at=now_ms())
    desk.worker.service.nudge_commands()
    assert desk.ends(made).status == "failed"
    eventually(lambda: "d" not in desk.worker.board.current.devices)

    def gone() -> bool:
        with reading(desk.worker.database) as connection:
            return not removal.under_way(connection) and not devices.every(connection)

    eventually(gone)
    device.publish("telemetry", '{"v": 1}')
    eventually(lambda: "d" in desk.worker.board.current.devices)


def test_many_at_once_are_each_told_once(desk: Desk, mosquitto: Mosquitto, topic_root: str) -> None:
    names = [f"d{number}" for number in range(60)]
    held = [ObeyingDevice(mosquitto.port, topic_root, name) for name in names[:3]]
    for one in held:
        one.__enter__()
    try:
        for one in held:
            one.introduce()
        with writing(desk.worker.database) as connection:
            ids = devices.ensure(connection, names, now_ms())
            for name in names:
                devices.store_actuator(connection, ids[name], devices.ActuatorAbout("led"))
        made = [desk.ask(device=name, nudge=False) for name in names]
        eventually(lambda: all(desk.now(one).status in ("published", "confirmed") for one in made))
        assert [desk.ends(one).status for one in made[:3]] == ["confirmed"] * 3
        assert [len(one.told) for one in held] == [1, 1, 1]
    finally:
        for one in held:
            one.__exit__()


@pytest.mark.parametrize("mqtt", ["5", "3.1.1"])
def test_either_version_of_mqtt_carries_it(
    mqtt: str, tmp_path: Any, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(f"sqlite:///{tmp_path}/monitor.db", mosquitto.url, topic_root, commands=True, mqtt=mqtt)
    worker.start()
    worker.connected()
    desk = Desk(worker)
    with ObeyingDevice(mosquitto.port, topic_root) as device:
        device.introduce()
        eventually(desk.knows)
        assert desk.ends(desk.ask()).status == "confirmed"


def test_a_broker_that_is_away_is_waited_for(
    database_url: str, own_mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, own_mosquitto.url, topic_root, commands=True)
    worker.start()
    worker.connected()
    desk = Desk(worker)
    with ObeyingDevice(own_mosquitto.port, topic_root) as device:
        device.introduce()
        eventually(desk.knows)
    own_mosquitto.stop()
    eventually(lambda: any(thread.name == "commands" and thread.problem for thread in worker.health.threads))
    late, early = desk.ask(deadline_ms=15_000), desk.ask(deadline_ms=200)
    assert desk.ends(late).status == "cancelled"
    assert desk.ends(early).status == "expired"
    waits = desk.ask()
    own_mosquitto.start()
    eventually(lambda: desk.now(waits).status == "published")


def test_of_two_workers_one_sends(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    names = (f"a-{topic_root}", f"b-{topic_root}")
    workers = [
        make_worker(database_url, mosquitto.url, topic_root, name=name, group="g", commands=True) for name in names
    ]
    for worker in workers:
        worker.start()
        worker.connected()
    desk = Desk(workers[1])
    keepers = eventually(lambda: [worker for worker in workers if worker.health.keeper])
    with ObeyingDevice(mosquitto.port, topic_root) as device:
        device.introduce()
        eventually(lambda: any("d" in worker.board.current.devices for worker in workers))
        made = []
        for order in ("ON", "OFF") * 5:
            made.append(desk.ask(order))
            desk.ends(made[-1])
        assert {desk.now(one).status for one in made} == {"confirmed"}
        assert [order["id"] for order in device.told] == [one.id for one in made]
        began = time.monotonic()
        keepers[0].stop()
        assert time.monotonic() - began < 5
        (other,) = [worker for worker in workers if worker is not keepers[0]]
        last = Desk(other).ask()
        assert Desk(other).ends(last).status == "confirmed"
        assert [order["id"] for order in device.told].count(last.id) == 1
