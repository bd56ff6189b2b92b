"""Commands where the worker runs elsewhere (INGEST=off), and of devices that speak HTTP."""

from __future__ import annotations

import json

from db import audit, commands, devices, polls
from db.engine import reading, writing
from ingest.follower import Follower
from ingest.snapshot import Board
from ingest.vitals import now_ms
from tests.ingest.command_desk import Desk
from tests.ingest.conftest import MakeDesk
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.obeying import ObeyingDevice


def test_a_server_without_a_worker_sees_a_command_from_begin_to_end(
    desk: Desk, follower: tuple[Follower, Board], mosquitto: Mosquitto, topic_root: str
) -> None:
    service, board = follower
    with ObeyingDevice(mosquitto.port, topic_root) as device:
        device.introduce()
        eventually(lambda: (found := board.current.devices.get("d")) and found.presence == "online" and found.actuators)
        made = desk.ask(nudge=False)
        service.nudge_commands()

        def shown() -> bool:
            known = board.current.commands.get(made.id)
            state = board.current.devices["d"].actuators["led"].state
            return known is not None and (known.command.status, state) == ("confirmed", "ON")

        eventually(shown)
        device.report("OFF")
        eventually(lambda: board.current.devices["d"].actuators["led"].state == "OFF")

    def recorded() -> int:
        with reading(desk.worker.database) as connection:
            return len(audit.search(connection, action="command.confirmed"))

    eventually(recorded)
    assert recorded() == 1


def test_a_polling_device_is_told_by_its_poll_alone_and_reports_by_http(
    desk: Desk, database_url: str, mosquitto: Mosquitto, topic_root: str, make_desk: MakeDesk
) -> None:
    http = make_desk(database_url, root=topic_root)
    with ObeyingDevice(mosquitto.port, topic_root) as device:
        with writing(desk.worker.database) as connection:
            ids = devices.ensure(connection, ["d"], now_ms())
            devices.store_actuator(connection, ids["d"], devices.ActuatorAbout("led"))
            polls.note(connection, "d", now_ms(), now_ms() + 20_000)
        made = desk.ask()
        with writing(desk.worker.database) as connection:
            given = commands.hand_over(connection, commands.waiting_for(connection, "d", now_ms()), now_ms())
        assert [one.id for one in given] == [made.id]
        payload = json.dumps({"id": made.id, "state": "ON"}).encode()
        http.http.submit_state("d", "led", payload).result(20)
        ended = desk.ends(made)
        assert (ended.status, desk.path(made)) == ("confirmed", ["queued", "published", "confirmed"])
        assert device.told == []


def test_what_is_for_a_polling_device_that_has_stopped_waits_until_it_asks_again(desk: Desk) -> None:
    with writing(desk.worker.database) as connection:
        ids = devices.ensure(connection, ["d"], now_ms())
        devices.store_actuator(connection, ids["d"], devices.ActuatorAbout("led"))
        polls.note(connection, "d", now_ms() - 600_000, now_ms() - 600_000)
    made = desk.ask()
    eventually(lambda: "stopped asking" in desk.now(made).steps[-1].evidence)
    assert desk.now(made).status == "queued"
    with writing(desk.worker.database) as connection:
        polls.note(connection, "d", now_ms(), now_ms() + 20_000)
        assert commands.hand_over(connection, commands.waiting_for(connection, "d", now_ms()), now_ms())
    assert desk.now(made).status == "published"
