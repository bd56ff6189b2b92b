"""A broker that loses power and what it had acknowledged, at small size; `make chaos` plays it with 10,000 messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from db import resends
from db.engine import reading
from db.resends import ResendCounts
from tests.chaos.power_cut import Scene, count_up, cut_power, nothing_missing
from tests.ingest.conftest import MakeWorker
from tests.ingest.test_resends import SOON
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.recalling import Pulse
from tests.parts.simulated import SimulatedDevices

#: Asked again soon where nothing came.
HOW = replace(SOON, settle_s=0.3, first_s=1.0)


class Place:
    """A worker by a name that its broker knows, which is another one after each start; and its database."""

    def __init__(self, make: MakeWorker, database_url: str, broker: Mosquitto, root: str) -> None:
        self.broker, self.root, self.database_url = broker, root, database_url
        self._make = make
        self.start()

    def start(self) -> None:
        self.worker = self._make(self.database_url, self.broker.url, self.root, commands=True, resends=HOW)
        self.worker.start()

    def stop(self) -> None:
        self.worker.connected()
        self.worker.stop()

    def counts(self) -> ResendCounts:
        with reading(self.worker.database) as connection:
            return resends.counts(connection)

    def scene(self, devices: SimulatedDevices, count: int) -> Scene:
        return Scene(devices, count, self.broker, self.database_url, self.stop, self.start)


@pytest.fixture
def place(database_url: str, own_mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker) -> Place:
    made = Place(make_worker, database_url, own_mosquitto, topic_root)
    made.worker.connected()
    return made


def test_every_reading_is_stored_once_though_the_broker_forgot_some(place: Place) -> None:
    url = place.database_url
    with SimulatedDevices(place.broker.url, place.root, count=3, period_s=0.075) as devices:
        cut_power(place.scene(devices, 3), much=20)
        devices.finish()
        with Pulse(place.broker.port, f"{place.root}/pulse/x"):
            eventually(
                lambda: (
                    nothing_missing(url) and count_up(url, devices).undelivered == 0 and place.counts().repaired >= 20
                ),
                what="all that was taken",
            )
        found = count_up(url, devices)
    assert (found.stored, found.doubled, devices.lost) == (found.sent, 0, 0)
    assert found.acknowledged == found.sent > 40


def test_what_a_device_no_longer_holds_is_lost_and_said_to_be(place: Place) -> None:
    url = place.database_url
    with (
        SimulatedDevices(place.broker.url, place.root, count=1, period_s=0.04, ring=8) as devices,
        Pulse(place.broker.port, f"{place.root}/pulse/x"),
    ):
        cut_power(place.scene(devices, 1), much=10)
        eventually(lambda: place.counts().gone >= 10, what="what the device has no longer")
        devices.finish()
        eventually(
            lambda: (
                devices.acknowledged + devices.lost == len(devices.taken)
                and count_up(url, devices).undelivered == place.counts().gone
            ),
            what="the rest",
        )
    assert not nothing_missing(url)
