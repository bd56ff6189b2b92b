"""From a real broker into each kind of database: stored once, counted once."""

from __future__ import annotations

import json

from ingest.vitals import now_ms
from tests.ingest.conftest import AnySubscriber, MakeWorker
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher

TS = 1_764_000_000_000


def telemetry(**fields: object) -> str:
    return json.dumps(fields)


def test_what_is_published_is_stored_once(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    with Publisher(mosquitto.port) as device:
        device.publish(
            (f"{topic_root}/d{n % 3}/telemetry", telemetry(ts=TS + n, seq=n, boot="a", v=n, w={"x": n / 7}))
            for n in range(300)
        )
    mosquitto.publish(f"{topic_root}/bare/temperature", "21.5")
    worker.wait_for(301)
    held = worker.held()
    assert [held.values(f"d{device}") for device in range(3)] == [[*range(device, 300, 3)] for device in range(3)]
    assert held.values("d1", "w.x") == [n / 7 for n in range(1, 300, 3)]
    assert held.values("bare", "temperature") == [21.5]
    tally = worker.check_account()
    assert (tally.stored, tally.duplicate, tally.rejected, tally.readings_stored) == (301, 0, 0, 601)
    assert held.letters == []


def test_the_same_again_is_a_duplicate_and_another_value_a_conflict(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    topic = f"{topic_root}/d/telemetry"
    first, without_ts = telemetry(ts=TS, v=1), telemetry(boot="b", seq=1, w=1)
    with Publisher(mosquitto.port) as device:
        device.publish([(topic, first), (topic, without_ts)])
        worker.wait_for(2)
        device.publish([(topic, first), (topic, without_ts), (topic, telemetry(ts=TS, v=2))])
    worker.wait_for(5)
    tally = worker.check_account()
    assert (tally.stored, tally.duplicate, tally.rejected) == (2, 2, 1)
    held = worker.held()
    assert (held.values("d"), held.values("d", "w")) == ([1.0], [1.0])
    assert [letter.payload for letter in held.letters] == [telemetry(ts=TS, v=2).encode()]
    assert "contradicts 1.0" in held.letters[0].reason


def test_a_new_start_continues_the_account_and_the_snapshot(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    topic, recent = f"{topic_root}/d/telemetry", now_ms()
    first = make_worker(database_url, mosquitto.url, topic_root)
    first.start()
    first.connected()
    mosquitto.publish(topic, telemetry(ts=recent, v=1))
    first.wait_for(1)
    first.stop()
    mosquitto.publish(topic, telemetry(ts=recent + 1, v=2))
    second = make_worker(database_url, mosquitto.url, topic_root)
    second.start()
    second.wait_for(2)
    assert second.check_account().stored == 2
    assert second.held().values("d") == [1.0, 2.0]
    series = eventually(lambda: second.board.current.devices["d"].metrics["v"])
    assert (series.value, series.ts) == (2.0, recent + 1)
    assert {bin_.low for bin_ in series.bins} & {1.0}, "the sparkline begins with what was stored before"


def test_status_about_and_state_reach_the_tables_and_the_snapshot(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    about = json.dumps({"model": "m1", "firmware": "1.0", "actuators": ["led"], "units": {"v": "°C"}})
    with Publisher(mosquitto.port) as device:
        device.publish(
            [
                (f"{topic_root}/d/status", "online"),
                (f"{topic_root}/d/about", about),
                (f"{topic_root}/d/telemetry", '{"v": 1}'),
                (f"{topic_root}/d/led/state", '{"state": "ON"}'),
                (f"{topic_root}/d/led/set", '{"state": "OFF"}'),
            ]
        )
    worker.wait_for(4)
    tally = worker.check_account()
    assert (tally.stored, tally.readings_stored) == (4, 1), "our own /set is passed over, uncounted"
    device_now = worker.board.current.devices["d"]
    assert (device_now.online, device_now.model, device_now.firmware) == (True, "m1", "1.0")
    assert device_now.metrics["v"].unit == "°C"
    assert device_now.actuators["led"].state == "ON"


def test_a_large_message_becomes_a_dead_letter_and_the_next_is_stored(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker, subscriber: AnySubscriber
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root, subscriber=subscriber)
    worker.start()
    worker.connected()
    large = b'{"v": "' + b"x" * 1_500_000 + b'"}'
    with Publisher(mosquitto.port) as device:
        device.publish(
            [
                (f"{topic_root}/d/telemetry", telemetry(ts=TS, v=1)),
                (f"{topic_root}/d/telemetry", large),
                (f"{topic_root}/d/telemetry", telemetry(ts=TS + 1, v=2)),
            ]
        )
    worker.wait_for(3)
    held = worker.held()
    assert held.values("d") == [1.0, 2.0]
    (letter,) = held.letters
    assert (letter.size, letter.payload) == (len(large), large[:65_536])
    assert f"{len(large)} bytes" in letter.reason
    assert worker.check_account().rejected == 1


def test_what_the_broker_retained_is_old(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker, subscriber: AnySubscriber
) -> None:
    with Publisher(mosquitto.port) as device:
        device.publish(
            [
                (f"{topic_root}/with-ts/telemetry", telemetry(ts=TS, v=1), True),
                (f"{topic_root}/without-ts/telemetry", telemetry(v=2), True),
                (f"{topic_root}/bare/v", "3", True),
                (f"{topic_root}/known/status", "online", True),
            ]
        )
    first = make_worker(database_url, mosquitto.url, topic_root, subscriber=subscriber)
    first.start()
    first.wait_for(4)
    tally = first.check_account()
    assert (tally.stored, tally.duplicate, tally.rejected) == (2, 0, 2)
    held = first.held()
    assert held.rows == [("with-ts", "v", TS, 1.0)]
    assert sorted(letter.topic for letter in held.letters) == [
        f"{topic_root}/bare/v",
        f"{topic_root}/without-ts/telemetry",
    ]
    assert all("retained" in letter.reason and "time is unknown" in letter.reason for letter in held.letters)
    first.stop()
    second = make_worker(database_url, mosquitto.url, topic_root, subscriber=subscriber)
    second.start()
    second.wait_for(8)
    tally = second.check_account()
    assert tally.duplicate == 1, "the one with a ts is known by now"
    assert second.held().rows == held.rows


def test_a_retained_value_without_a_time_that_is_the_newest_is_a_duplicate(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    first = make_worker(database_url, mosquitto.url, topic_root)
    first.start()
    first.connected()
    with Publisher(mosquitto.port) as device:
        device.publish([(f"{topic_root}/bare/v", "3", True)])
    first.wait_for(1)
    first.stop()
    second = make_worker(database_url, mosquitto.url, topic_root)
    second.start()
    second.wait_for(2)
    tally = second.check_account()
    assert (tally.stored, tally.duplicate, tally.rejected) == (1, 1, 0)
    assert second.held().letters == []
