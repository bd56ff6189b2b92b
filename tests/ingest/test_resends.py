"""What never arrived is asked for again: a real worker, a real broker, and devices that answer in every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from db import account, resends
from db.engine import reading
from db.resends import Resend, ResendCounts
from ingest.resend_plan import ResendSettings
from tests.ingest.conftest import MakeWorker
from tests.ingest.worker import Worker
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.recalling import Pulse, RecallingDevice, gone, never

#: So short that a test can wait for it, but for one that may not come: that is an hour.
SOON = ResendSettings(settle_s=0.05, first_s=3600, calm_s=0.05, behind_s=3600, look_s=0.05)
Make = Callable[..., Worker]


@pytest.fixture
def start(database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker) -> Iterator[Make]:
    def make(how: ResendSettings = SOON, *, root: str = topic_root, keeps: bool = True, **more: object) -> Worker:
        worker = make_worker(database_url, mosquitto.url, root, commands=True, resends=how, **more)
        worker.start()
        worker.connected()
        eventually(lambda: worker.health.keeper is keeps)
        return worker

    with Pulse(mosquitto.port, f"{topic_root}/pulse/x"), Pulse(mosquitto.port, f"site1/{topic_root}/pulse/x"):
        yield make


def ranges(worker: Worker) -> list[Resend]:
    with reading(worker.database) as connection:
        return resends.every(connection)


def stored(worker: Worker, device: str = "d") -> list[float]:
    return worker.held().values(device)


def missing(worker: Worker) -> list[tuple[int, int]]:
    with reading(worker.database) as connection:
        return [(gap.first, gap.last) for gap in account.missing(connection, 100)]


def briefly(worker: Worker) -> list[tuple[int, int, str | None, int]]:
    return [(one.first, one.last, one.outcome, one.tries) for one in ranges(worker)]


@pytest.mark.parametrize("clock", [True, False], ids=["ts", "age"])
def test_what_never_arrived_is_asked_for_once_and_stored_once(
    start: Make, mosquitto: Mosquitto, topic_root: str, *, clock: bool
) -> None:
    worker = start()
    with RecallingDevice(mosquitto.port, f"{topic_root}/d", clock=clock) as device:
        device.send(0, 1, 2, 6, 7)
        eventually(
            lambda: briefly(worker) == [(3, 5, "repaired", 1)] and not missing(worker), what="what was asked for"
        )
        assert device.told == [{"boot": "a1", "from": 3, "to": 5}]
        assert device.retained == 0
        device.send(8)
        eventually(lambda: 8 in stored(worker) and worker.health.resends == ResendCounts(repaired=3), what="its count")
    assert sorted(stored(worker)) == list(range(9))
    messages = worker.health.account.messages
    assert (messages.duplicate, messages.rejected) == (0, 0)


def test_a_site_is_asked_by_its_own_topic(start: Make, mosquitto: Mosquitto, topic_root: str) -> None:
    worker = start(root=f"+/{topic_root}")
    with RecallingDevice(mosquitto.port, f"site1/{topic_root}/d") as device:
        device.send(0, 4)
        eventually(lambda: briefly(worker) == [(1, 3, "repaired", 1)], what="what was asked for")
    assert stored(worker, "site1/d") == [0, 1, 2, 3, 4]


def test_what_the_device_has_no_longer_is_not_asked_for_again(
    start: Make, mosquitto: Mosquitto, topic_root: str
) -> None:
    worker = start()
    with RecallingDevice(mosquitto.port, f"{topic_root}/d", gone) as device:
        device.send(0, 4, 5, 9)
        eventually(
            lambda: (
                briefly(worker) == [(1, 3, "gone", 1), (6, 8, "gone", 1)]
                and worker.health.resends == ResendCounts(gone=6)
            ),
            what="the answers",
        )
        assert device.told == [{"boot": "a1", "from": first, "to": first + 2} for first in (1, 6)]
        device.send(10)
        eventually(lambda: 10 in stored(worker), what="the last number")
        assert len(device.told) == 2
    assert sorted(missing(worker)) == [(1, 3), (6, 8)]
    assert worker.held().letters == []


def test_a_device_that_has_a_part_sends_it(start: Make, mosquitto: Mosquitto, topic_root: str) -> None:
    worker = start()

    def partly(request: dict[str, int]) -> list[object]:
        return [
            {"boot": "a1", "gone": [request["from"], 4]},
            *([device.reading(number)] for number in range(5, request["to"] + 1)),
        ]

    with RecallingDevice(mosquitto.port, f"{topic_root}/d", partly) as device:
        device.send(0, 8)
        eventually(lambda: briefly(worker) == [(1, 4, "gone", 1), (5, 7, "repaired", 1)], what="both parts")
    assert stored(worker) == [0, 5, 6, 7, 8]


def test_a_device_that_never_answers_is_let_alone_in_the_end(
    start: Make, mosquitto: Mosquitto, topic_root: str
) -> None:
    worker = start(replace(SOON, first_s=0.05, tries=3))
    with RecallingDevice(mosquitto.port, f"{topic_root}/d", never) as device:
        device.send(0, 4)
        eventually(
            lambda: (
                briefly(worker) == [(1, 3, "unanswered", 3)] and worker.health.resends == ResendCounts(unanswered=3)
            ),
            what="the end",
        )
        device.send(6)
        eventually(lambda: (5, 5) in missing(worker), what="another gap")
        assert len(device.told) == 3
        assert briefly(worker) == [(1, 3, "unanswered", 3)]


def test_a_device_that_is_offline_is_asked_once_it_is_back(start: Make, mosquitto: Mosquitto, topic_root: str) -> None:
    how = replace(SOON, settle_s=0.3)
    start(how).stop()
    with RecallingDevice(mosquitto.port, f"{topic_root}/d") as device:
        device.send(0, 4)
        device.publish("status", "offline", retain=True)  # all of it waits at the broker
        worker = start(how)

        def is_due_and_offline() -> bool:
            with reading(worker.database) as connection:
                due = resends.due(connection, 2**62)
            known = worker.board.current.devices.get("d")
            return bool(due) and known is not None and known.presence == "offline"

        eventually(is_due_and_offline, what="a range that is due")
        # A second device shows that the dispatcher has looked since.
        with RecallingDevice(mosquitto.port, f"{topic_root}/e") as other:
            other.send(0, 4)
            eventually(lambda: other.told, what="a request to another device")
        assert device.told == []
        device.publish("status", "online", retain=True)
        eventually(lambda: (1, 3, "repaired", 1) in briefly(worker) and device.told, what="the request")


def test_a_device_that_names_no_start_is_not_asked(start: Make, mosquitto: Mosquitto, topic_root: str) -> None:
    worker = start()
    with (
        RecallingDevice(mosquitto.port, f"{topic_root}/plain", boot=None) as plain,
        RecallingDevice(mosquitto.port, f"{topic_root}/d") as device,
    ):
        plain.send(0, 4)
        device.send(0, 4)
        eventually(lambda: briefly(worker) == [(1, 3, "repaired", 1)], what="the other's")
        assert plain.told == []
        assert missing(worker) == [(1, 3)]


def test_another_keeper_does_not_ask_again(start: Make, mosquitto: Mosquitto, topic_root: str) -> None:
    first = start(name=f"{topic_root}-1")
    with RecallingDevice(mosquitto.port, f"{topic_root}/d", never) as device:
        device.send(0, 4)
        eventually(lambda: device.told and briefly(first) == [(1, 3, None, 1)], what="a request")
        first.stop()
        second = start(name=f"{topic_root}-2")
        with RecallingDevice(mosquitto.port, f"{topic_root}/e") as other:
            other.send(0, 4)
            eventually(lambda: other.told, what="a request of the new keeper")
        assert len(device.told) == 1
        assert (1, 3, None, 1) in briefly(second)


def test_of_workers_that_share_the_keeper_asks_and_any_takes_the_answer(
    start: Make, mosquitto: Mosquitto, topic_root: str
) -> None:
    how = replace(SOON, settle_s=1.0)
    keeper = start(how, name=f"{topic_root}-1", group="g")
    start(how, name=f"{topic_root}-2", group="g", keeps=False)

    def partly(_request: object) -> list[object]:
        return [{"boot": "a1", "gone": [5, 5]}, *([device.reading(number)] for number in (6, 7, 8))]

    with RecallingDevice(mosquitto.port, f"{topic_root}/d", partly) as device:
        device.send(*range(5), *range(9, 15))
        eventually(
            lambda: {(5, 5, "gone", 1), (6, 8, "repaired", 1)} <= set(briefly(keeper)),
            what="answers, by whom they came",
        )
    assert sorted(set(stored(keeper))) == [0, 1, 2, 3, 4, *range(6, 15)] == sorted(stored(keeper))
