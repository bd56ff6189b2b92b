"""Presence that can be believed: over restarts of ours and of the broker, and over a bridge that is away."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from db import devices, migrations, places, readings
from db.engine import writing
from db.places import PlaceChange
from ingest.follower import Follower
from ingest.snapshot import Board
from ingest.vitals import now_ms
from tests.ingest.command_desk import ANNA
from tests.ingest.conftest import MakeWorker
from tests.ingest.worker import KEY, Worker
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher

SECOND, MINUTE = 1_000, 60_000


class Words:
    """Every word that a board has said of each device."""

    def __init__(self, board: Board) -> None:
        self.said: dict[str, list[str]] = {}
        self._board = board
        self._note()
        board.listen(self._note)

    def now(self, device: str) -> str:
        return self.said.get(device, ["nothing"])[-1]

    def once_online(self, device: str) -> list[str]:
        """What was said of it from the first `online` on."""
        said = self.said[device]
        return said[said.index("online") :]

    def _note(self) -> None:
        for device in self._board.current.devices.values():
            said = self.said.setdefault(device.name, [])
            if said[-1:] != [device.presence]:
                said.append(device.presence)


@pytest.fixture
def silent(database_url: str, own_mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker) -> Worker:
    """A worker, not started, and two devices that sent every 10 s until 9 minutes ago: one of them tells its status."""
    worker = make_worker(database_url, own_mosquitto.url, topic_root, commands=True)
    migrations.apply(worker.database)
    last = now_ms() - 9 * MINUTE
    with writing(worker.database) as connection:
        ids = devices.ensure(connection, ["telling", "mute"], last)
        devices.store_status(connection, ids["telling"], devices.Status("telling", online=True), last - MINUTE)
        series = devices.ensure_series(connection, [(one, "v") for one in ids.values()], last)
        rows = [(one, last - ago, 1.0) for one in series.values() for ago in (20 * SECOND, 10 * SECOND, 0)]
        readings.insert_new(connection, rows)
        readings.store_latest(connection, [(one, last, 1.0, last) for one in series.values()])
    return worker


def look(worker: Worker) -> None:
    """Wait until the board was looked through twice, as it is every second: what comes with a look is there then."""
    for label in ("first look", "second look"):
        with writing(worker.database) as connection:
            devices.ensure(connection, ["other"], now_ms())
            said = places.change(connection, KEY, "other", PlaceChange(label=label), by=ANNA, at=now_ms())
        eventually(lambda: worker.board.current.places.get("other") == said)  # noqa: B023


def test_no_restart_makes_a_silent_device_offline_or_late_or_online(silent: Worker, own_mosquitto: Mosquitto) -> None:
    words = Words(silent.board)
    silent.start()
    silent.connected()
    eventually(lambda: words.now("telling") == "online", what="a status that still holds: nobody listened")
    look(silent)
    own_mosquitto.stop()
    eventually(lambda: not silent.health.can_store)
    look(silent)
    own_mosquitto.start()
    silent.connected()
    look(silent)
    assert words.said["telling"] == ["unknown", "online"]
    assert words.said["mute"] == ["unknown"]


def test_an_old_offline_that_the_broker_keeps_does_not_make_a_talking_device_offline(
    database_url: str, own_mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    with Publisher(own_mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/status", "offline", True)])
        first = make_worker(database_url, own_mosquitto.url, topic_root, commands=True)
        words = Words(first.board)
        first.start()
        eventually(lambda: words.now("d") == "offline")
        device.publish([(f"{topic_root}/d/telemetry", '{"v": 1}')])
        eventually(lambda: words.now("d") == "online")
        first.stop()
        again = make_worker(database_url, own_mosquitto.url, topic_root, commands=True)
        after = Words(again.board)
        again.start()
        again.connected()
        eventually(lambda: after.now("d") == "online")
        device.publish([(f"{topic_root}/e/telemetry", '{"v": 1}')])  # after what is kept
        eventually(lambda: after.now("e") == "online")
        look(again)
    own_mosquitto.restart()
    own_mosquitto.publish(f"{topic_root}/f/telemetry", '{"v": 1}')
    eventually(lambda: after.now("f") == "online")
    look(again)
    assert set(after.said["d"]) <= {"unknown", "online"}


Started = Callable[[], Worker]


@pytest.fixture
def of_sites(database_url: str, own_mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker) -> Started:
    """Starts a worker that takes what comes over bridges, each time of the same name."""

    def start() -> Worker:
        worker = make_worker(database_url, own_mosquitto.url, f"+/{topic_root}", name=topic_root, commands=True)
        worker.start()
        worker.connected()
        return worker

    return start


def test_devices_are_unknown_while_the_bridge_of_their_site_is_away(
    of_sites: Started, own_mosquitto: Mosquitto, topic_root: str, follower: tuple[Follower, Board]
) -> None:
    worker = of_sites()
    words, elsewhere = Words(worker.board), Words(follower[1])
    with Publisher(own_mosquitto.port) as bridge:
        bridge.publish([("s1/bridge/state", "1", True), ("s2/bridge/state", "1", True)])
        for site in ("s1", "s2"):
            bridge.publish(
                [(f"{site}/{topic_root}/d/status", "online", True), (f"{site}/{topic_root}/d/telemetry", '{"v": 1}')]
            )
        eventually(
            lambda: [one.now(f"{site}/d") for one in (words, elsewhere) for site in ("s1", "s2")] == ["online"] * 4
        )
        bridge.publish([("s1/bridge/state", "0", True)])
        eventually(lambda: words.now("s1/d") == elsewhere.now("s1/d") == "unknown")
        worker.stop()
        again = of_sites()
        after = Words(again.board)
        eventually(lambda: after.now("s2/d") == "online")
        look(again)
        assert after.said["s1/d"] == ["unknown"]
        bridge.publish([("s1/bridge/state", "1", True)])
        eventually(lambda: after.now("s1/d") == elsewhere.now("s1/d") == "online")
    for one in (words, elsewhere, after):
        assert one.once_online("s2/d") == ["online"]
    assert set(again.board.current.devices) == {"s1/d", "s2/d"}, "a bridge is no device"
    again.agreed()


def test_what_a_bridge_can_not_mean_is_a_dead_letter(of_sites: Started, own_mosquitto: Mosquitto) -> None:
    worker = of_sites()
    own_mosquitto.publish("s1/bridge/state", "maybe")
    eventually(lambda: worker.held().letters)
    assert "expected 1 or 0" in worker.held().letters[0].reason


def test_the_keeper_of_those_that_share_hears_bridges(
    database_url: str, own_mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, own_mosquitto.url, f"+/{topic_root}", name=topic_root, group="g", commands=True)
    worker.start()
    worker.connected()
    words = Words(worker.board)
    with Publisher(own_mosquitto.port) as bridge:
        bridge.publish([(f"s1/{topic_root}/d/telemetry", '{"v": 1}')])
        eventually(lambda: words.now("s1/d") == "online")
        bridge.publish([("s1/bridge/state", "0", True)])
        eventually(lambda: words.now("s1/d") == "unknown")
