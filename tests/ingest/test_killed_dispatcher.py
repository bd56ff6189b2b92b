"""`kill -9` of the worker at each step of a command's life loses nothing and applies nothing twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from db import audit, commands, devices, polls
from db.commands import Command
from db.engine import reading, snapshot, writing
from ingest.vitals import now_ms
from tests.ingest.command_desk import Desk
from tests.ingest.conftest import MakeDesk, MakeWorker
from tests.ingest.doomed import Doomed
from tests.ingest.killed_dispatcher import ASKING, BY_HAND, EXPIRY, HAND_OVER, HANDING_OVER, LIFE
from tests.ingest.worker import KEY
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.obeying import ObeyingDevice, never

MakeDoomed = Callable[..., Doomed]


@pytest.fixture
def doom(database_url: str, mosquitto: Mosquitto, topic_root: str) -> MakeDoomed:
    """Starts a worker that is killed at a step; its successor is `desk`'s."""
    return partial(Doomed, database_url=database_url, broker_url=mosquitto.url, root=topic_root)


@pytest.fixture
def desk(database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker) -> Desk:
    """A worker of the same name, not started, and who asks."""
    return Desk(make_worker(database_url, mosquitto.url, topic_root, commands=True))


@pytest.fixture
def device(mosquitto: Mosquitto, topic_root: str) -> ObeyingDevice:
    return ObeyingDevice(mosquitto.port, topic_root)


def recorded(desk: Desk) -> list[str]:
    """What the audit log says of commands, newest first; it holds."""
    with snapshot(desk.worker.database) as connection:
        assert audit.verify(connection, KEY, None).ok
        return [one.entry.action for one in audit.search(connection, action="command.")]


def every(desk: Desk) -> list[Command]:
    with reading(desk.worker.database) as connection:
        return commands.recent(connection)


@pytest.mark.parametrize("step", list(LIFE))
def test_at_each_step_of_one_that_is_answered(step: str, doom: MakeDoomed, desk: Desk, device: ObeyingDevice) -> None:
    with doom(step) as doomed, device:
        device.introduce()
        eventually(desk.is_stored)
        made = desk.ask("TOGGLE", nudge=False)
        doomed.dies()
        desk.worker.start()
        ended = desk.ends(made)
        assert (ended.status, ended.state) == ("confirmed", "ON")
        eventually(lambda: recorded(desk) == ["command.confirmed", "command.request"])
        assert desk.path(made).count("confirmed") == 1
        assert device.applied == [made.id]
        assert {(order["id"], order["state"]) for order in device.told} == {(made.id, "ON")}
        assert len(device.told) <= 2


@pytest.mark.parametrize("step", ["before the report is committed", "after the report is committed"])
def test_at_the_report_of_a_device_that_does_the_opposite(
    step: str, doom: MakeDoomed, desk: Desk, device: ObeyingDevice
) -> None:
    device.answers = lambda order: [{"id": order["id"], "state": "OFF"}]
    with doom(step) as doomed, device:
        device.introduce()
        eventually(desk.is_stored)
        made = desk.ask(nudge=False)
        doomed.dies()
        desk.worker.start()
        assert desk.ends(made).status == "contradicted"
        eventually(lambda: recorded(desk) == ["command.contradicted", "command.request"])
        assert device.applied == [made.id]


@pytest.mark.parametrize("step", list(EXPIRY))
def test_at_the_end_of_one_that_nobody_answers(step: str, doom: MakeDoomed, desk: Desk, device: ObeyingDevice) -> None:
    device.answers = never
    with doom(step) as doomed, device:
        device.introduce()
        eventually(desk.is_stored)
        made = desk.ask(nudge=False, deadline_ms=1_000)
        doomed.dies()
        desk.worker.start()
        assert desk.ends(made).status == "expired"
        eventually(lambda: recorded(desk) == ["command.expired", "command.request"])
        assert desk.path(made).count("expired") == 1
        assert len(device.told) <= 1


@pytest.mark.parametrize("step", list(ASKING))
def test_while_a_second_one_takes_the_place_of_the_first(
    step: str, doom: MakeDoomed, desk: Desk, device: ObeyingDevice
) -> None:
    device.answers = lambda order: [{"id": order["id"], "state": "OFF"}] if order["state"] == "OFF" else []
    with doom(step) as doomed, device:
        device.introduce()
        eventually(desk.is_stored)
        doomed.ask("ON")
        (first,) = eventually(lambda: [one for one in every(desk) if one.status == "published"])
        doomed.ask("OFF")
        doomed.dies()
        if step == "before a second one is committed":
            assert [one.id for one in every(desk)] == [first.id], "who asked got no answer, and nothing is half done"
            assert desk.now(first).status == "published"
            assert recorded(desk) == ["command.request"]
            desk.ask("OFF", nudge=False)
        second = every(desk)[0]
        desk.worker.start()
        assert desk.ends(second).status == "confirmed"
        assert desk.now(first).steps[-1].status == "cancelled"
        assert "this one had gone out" in desk.now(first).steps[-1].evidence
        eventually(lambda: len(recorded(desk)) == 4)
        assert sorted(recorded(desk)) == ["command.cancelled", "command.confirmed", *["command.request"] * 2]
        assert device.applied == [first.id, second.id]


@pytest.mark.parametrize("step", list(HANDING_OVER))
def test_while_a_polling_device_fetches_it(
    step: str, doom: MakeDoomed, desk: Desk, make_desk: MakeDesk, database_url: str, topic_root: str
) -> None:
    with doom(step) as doomed:
        with writing(desk.worker.database) as connection:
            ids = devices.ensure(connection, ["d"], now_ms())
            devices.store_actuator(connection, ids["d"], devices.ActuatorAbout("led"))
            polls.note(connection, "d", now_ms(), now_ms() + 20_000)
        made = desk.ask(nudge=False)
        doomed.ask(HAND_OVER)
        doomed.dies()
    desk.worker.start()
    with writing(desk.worker.database) as connection:
        given = commands.hand_over(connection, commands.waiting_for(connection, "d", now_ms()), now_ms())
    assert [one.id for one in given] == [made.id], "the answer may have been lost, so it is given again"
    make_desk(database_url, root=topic_root).http.submit_state(
        "d", "led", b'{"id": "%s", "state": "ON"}' % made.id.encode()
    )
    assert desk.ends(made).status == "confirmed"
    assert desk.path(made) == ["queued", "published", "confirmed"]
    eventually(lambda: recorded(desk) == ["command.confirmed", "command.request"])


def test_while_it_is_held_back(doom: MakeDoomed, desk: Desk, device: ObeyingDevice) -> None:
    def is_offline() -> bool:
        with reading(desk.worker.database) as connection:
            return [one.online for one in devices.every(connection)] == [False]

    def held(command: Command) -> bool:
        return "is offline" in desk.now(command).steps[-1].evidence

    with doom(BY_HAND) as doomed, device:
        device.introduce()
        eventually(desk.is_stored)
        device.publish("status", "offline", retain=True)
        eventually(is_offline)
        made = desk.ask(nudge=False)
        eventually(lambda: held(made))
        doomed.kill()
        with writing(desk.worker.database) as connection:
            (device_id,) = devices.ids(connection, ["d"]).values()
            devices.store_actuator(connection, device_id, devices.ActuatorAbout("lamp"))
        other = desk.ask(actuator="lamp", nudge=False)
        desk.worker.start()
        eventually(lambda: held(other), what="a look at all that wait")
        assert desk.path(made) == ["queued", "queued"], "what was said before the restart is not said again"
        device.publish("status", "online", retain=True)
        assert desk.ends(made).status == "confirmed"
        assert [order["id"] for order in device.told] == device.applied == [made.id]


@pytest.mark.parametrize(
    "step",
    [
        "after it is noted to go out",
        "after it went out",
        "after its acknowledgement is noted",
        "before the report is committed",
        "before its end is recorded",
    ],
)
def test_another_worker_takes_over_a_killed_keepers_command(
    step: str,
    doom: MakeDoomed,
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    device: ObeyingDevice,
) -> None:
    other = make_worker(
        database_url, mosquitto.url, topic_root, name=f"{topic_root}-b", group="g", lease_s=1.0, commands=True
    )
    desk = Desk(other)
    with doom(step, name=f"{topic_root}-a", group="g") as doomed, device:
        device.introduce()
        eventually(desk.is_stored)
        made = desk.ask(nudge=False)
        doomed.dies()
        other.start()
        assert desk.ends(made).status == "confirmed"
        eventually(lambda: recorded(desk) == ["command.confirmed", "command.request"])
        assert desk.path(made).count("confirmed") == 1
        assert device.applied == [made.id]
        assert len(device.told) <= 2
