"""A site, its bridge, and the same application in the cloud with TOPIC_ROOT=+/iot: a device is site1/kitchen there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.engine import snapshot
from db.places import Place
from ingest import day_counts
from ingest.resend_plan import ResendSettings
from ingest.vitals import now_ms
from pages.parts.places import every_name
from tests.chaos.bridge_stage import SMALL_BRIDGE, BridgeStage, bridge_staged
from tests.chaos.power_cut import Scene, count_up, cut_power, nothing_missing
from tests.ingest.command_desk import Desk
from tests.ingest.worker import Worker
from tests.parts.eventually import eventually
from tests.parts.obeying import ObeyingDevice
from tests.parts.publisher import Publisher
from tests.parts.recalling import Pulse
from tests.parts.simulated import SimulatedDevices

DAY_MS = 86_400_000
NAME = "site1/kitchen"
#: An expiry counts whole seconds, and ends with the one after it.
FORGOTTEN_MS = 2_000


@pytest.fixture
def stage(part_directory: Path) -> Iterator[BridgeStage]:
    """A site, a bridge and a cloud with its worker, connected."""
    with bridge_staged(part_directory, SMALL_BRIDGE) as stage:
        yield stage


@pytest.fixture
def device(stage: BridgeStage) -> Iterator[ObeyingDevice]:
    """A device at the site with an LED, of which the cloud has heard."""
    with ObeyingDevice(stage.site.port, "iot", "kitchen") as device:
        device.report("OFF")
        device.publish("status", "online", retain=True)
        device.publish("telemetry", json.dumps({"ts": now_ms(), "temperature": 21.5}))
        board = stage.worker.board
        eventually(
            lambda: (
                Desk(stage.worker).knows(NAME)
                and board.current.devices[NAME].presence == "online"
                and NAME in board.current.places
            ),
            what="the device in the cloud",
        )
        yield device


def presence(stage: BridgeStage) -> str:
    return stage.worker.board.current.devices[NAME].presence


def cut(stage: BridgeStage) -> None:
    stage.wire.cut()
    eventually(lambda: presence(stage) == "unknown", what="a device of which nothing can be known")


@pytest.mark.usefixtures("device")
def test_a_device_of_a_site_stands_under_its_site_without_anybody_typing_it(stage: BridgeStage) -> None:
    board = stage.worker.board.current
    assert board.places[NAME] == Place(NAME)
    assert every_name(board)[NAME].area == "site1"


def test_a_command_goes_down_and_its_end_comes_up(stage: BridgeStage, device: ObeyingDevice) -> None:
    desk = Desk(stage.worker)
    asked = desk.ask(device=NAME)
    assert desk.ends(asked).status == "confirmed"
    assert device.applied == [asked.id]
    eventually(lambda: desk.knows(NAME, "ON"), what="the new state in the cloud")


@pytest.mark.usefixtures("device")
def test_while_its_bridge_is_away_a_device_is_unknown(stage: BridgeStage) -> None:
    cut(stage)
    stage.wire.mend()
    eventually(lambda: presence(stage) == "online", what="the device again")


def test_a_command_given_while_the_bridge_is_away_waits_for_it(stage: BridgeStage, device: ObeyingDevice) -> None:
    """It is published: the cloud's broker has it and keeps it for the bridge. Nobody knows the device to be offline."""
    desk = Desk(stage.worker)
    cut(stage)
    asked = desk.ask(device=NAME)
    eventually(lambda: desk.now(asked).status == "published", what="a command that waits at the broker")
    assert device.told == []
    stage.wire.mend()
    assert desk.ends(asked).status == "confirmed"


def test_a_command_that_expired_while_the_bridge_was_away_surprises_nobody(
    stage: BridgeStage, device: ObeyingDevice
) -> None:
    desk = Desk(stage.worker)
    cut(stage)
    late = desk.ask(device=NAME, deadline_ms=1_000)
    assert desk.ends(late).status == "expired"
    eventually(lambda: now_ms() > late.deadline_at + FORGOTTEN_MS, what="the broker to have dropped it too")
    stage.wire.mend()
    eventually(lambda: presence(stage) == "online", what="the device again")
    assert desk.ends(desk.ask("OFF", device=NAME)).status == "confirmed"
    assert late.id not in device.applied


def test_site_and_cloud_hold_the_same_day_by_day(stage: BridgeStage, tmp_path: Path) -> None:
    here = Worker(f"sqlite:///{tmp_path}/site.db", stage.site.broker.url, "iot", name="site-worker")
    here.start()
    here.connected()
    yesterday = now_ms() - DAY_MS
    readings = [json.dumps({"ts": yesterday + n, "seq": n, "boot": "a", "v": n}) for n in range(100)]
    try:
        with Publisher(stage.site.port) as device:
            device.publish(("iot/kitchen/telemetry", one) for one in readings[:50])
            stage.wire.cut()
            device.publish(("iot/kitchen/telemetry", one) for one in readings[50:])
        stage.wire.mend()
        here.wait_for(100)
        stage.worker.wait_for(100)
        eventually(lambda: counted(here).counts == counted(stage.worker, "site1").counts != {}, what="the same counts")
    finally:
        here.stop()
        here.database.dispose()


def test_what_the_sites_broker_forgot_is_asked_for_over_the_bridge(part_directory: Path) -> None:
    soon = ResendSettings(settle_s=0.3, first_s=1.0, calm_s=0.05, behind_s=3600, look_s=0.05)
    with bridge_staged(part_directory, SMALL_BRIDGE, soon) as stage:
        url, site = stage.url, stage.site.broker
        with (
            SimulatedDevices(site.url, "iot", count=3, period_s=0.075) as devices,
            Pulse(stage.cloud.broker.port, "site1/iot/pulse/x"),
        ):
            cut_power(Scene(devices, 3, site, url, stage.wire.cut, stage.wire.mend), much=20)
            devices.finish()
            eventually(lambda: nothing_missing(url) and count_up(url, devices).undelivered == 0, what="all readings")
            found = count_up(url, devices)
    assert (found.stored, found.doubled, devices.lost) == (found.sent, 0, 0)


def counted(worker: Worker, site: str = "") -> day_counts.DayCounts:
    """Of all whole days that there may be, by the names at the site."""
    with snapshot(worker.database) as connection:
        found = day_counts.read(connection, now_ms() + DAY_MS)
    prefix = f"{site}/" if site else ""
    counts = {(device.removeprefix(prefix), day): n for (device, day), n in found.counts.items()}
    return day_counts.DayCounts(found.first, found.end, counts)
