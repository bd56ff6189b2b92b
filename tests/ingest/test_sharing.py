"""Several workers share the telemetry through MQTT_SHARE_GROUP: each message is stored once, whoever gets it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import text

from broker.embedded import EmbeddedBroker
from db import account, engine, workers
from ingest.health import Account
from ingest.worker import connections
from settings import Settings, parse_mqtt_url
from tests.ingest.conftest import MakeWorker
from tests.ingest.test_follower import MakeFollower, board, follow  # noqa: F401  # fixtures
from tests.ingest.worker import Worker, settled
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publication, Publisher
from tests.parts.worker import WorkerProcess


def telemetry(root: str, numbers: range, device: str = "d") -> Iterator[Publication]:
    """The hardest kind: no time of their own, so only a receipt tells a repetition."""
    return ((f"{root}/{device}/telemetry", json.dumps({"seq": n, "boot": "a", "v": n})) for n in numbers)


def reports(root: str) -> list[Publication]:
    about = json.dumps({"model": "m1", "units": {"v": "°C"}, "actuators": ["led"]})
    return [(f"{root}/d/status", "online", True), (f"{root}/d/about", about, True), (f"{root}/d/led/state", "ON", True)]


def sharing(make_worker: MakeWorker, database_url: str, broker_url: str, root: str, names: str) -> list[Worker]:
    """Workers that share, all of them subscribed."""
    found = [make_worker(database_url, broker_url, root, name=f"{root}-{name}", group="g") for name in names]
    for worker in found:
        worker.start()
    for worker in found:
        worker.connected()
    eventually(lambda: any(worker.health.keeper for worker in found))
    return found


def settled_by(some: list[Worker]) -> int:
    return sum(settled(worker.health.account) for worker in some)


def test_two_workers_share_and_each_message_is_stored_once(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    both = sharing(make_worker, database_url, mosquitto.url, topic_root, "ab")
    with Publisher(mosquitto.port) as device:
        device.publish(reports(topic_root))
        device.publish([*telemetry(topic_root, range(400)), (f"{topic_root}/d/led/set", "ON")])
    eventually(lambda: settled_by(both) >= 403)
    tallies = [worker.agreed().tally for worker in both]
    assert [sum(of) for of in zip(*((t.stored, t.duplicate, t.rejected) for t in tallies), strict=True)] == [403, 0, 0]
    assert all(tally.readings_stored > 0 for tally in tallies), "both had a part in it"
    rows = both[0].held().values("d")
    assert sorted(rows) == [float(n) for n in range(400)]
    assert sum(tally.readings_stored for tally in tallies) == len(rows)


def test_reports_are_the_keepers_alone_and_the_next_one_gets_what_is_retained(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    with Publisher(mosquitto.port) as device:
        device.publish(reports(topic_root))
    both = sharing(make_worker, database_url, mosquitto.url, topic_root, "abc")
    (keeper,) = [worker for worker in both if worker.health.keeper]
    others = [worker for worker in both if worker is not keeper]
    eventually(lambda: settled(keeper.health.account) == 3)
    with Publisher(mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/status", "nonsense"), (f"{topic_root}/d/status", "offline", True)])
        eventually(lambda: settled(keeper.health.account) == 5)
        assert settled_by(others) == 0, "uncounted, though each had a part of them in its share"
        assert [letter.topic for letter in keeper.held().letters] == [f"{topic_root}/d/status"]
        keeper.stop()
        eventually(lambda: any(worker.health.keeper for worker in others))
        eventually(lambda: settled_by(others) == 3)
        device.publish([(f"{topic_root}/d/led/state", "OFF", True)])
        eventually(lambda: settled_by(others) == 4)
    (successor,) = [worker for worker in others if worker.health.keeper]
    found = successor.board.current.devices["d"]
    assert (found.online, found.model, found.actuators["led"].state) == (False, "m1", "OFF")
    assert [worker.agreed().tally.stored for worker in (keeper, successor)] == [4, 4]


def test_metrics_whose_names_are_like_those_of_reports_are_shared(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    both = sharing(make_worker, database_url, mosquitto.url, topic_root, "ab")
    with Publisher(mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/state", "1"), (f"{topic_root}/x/d/status", "1")])
    eventually(lambda: settled_by(both) == 2)
    held = both[0].held()
    assert held.values("d", "state") == [1.0]
    assert [letter.topic for letter in held.letters] == [f"{topic_root}/x/d/status"], "no topic of ours, once"


def test_sites_are_shared_too(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    root = f"+/{topic_root}"
    (worker,) = sharing(make_worker, database_url, mosquitto.url, root, "a")
    with Publisher(mosquitto.port) as device:
        device.publish([*telemetry(f"site1/{topic_root}", range(10)), *reports(f"site1/{topic_root}")])
    eventually(lambda: settled(worker.health.account) == 13)
    eventually(lambda: worker.board.current.devices["site1/d"].online)
    assert worker.agreed().tally.stored == 13
    with Publisher(mosquitto.port) as device:
        device.publish((t[0], "", True) for t in reports(f"site1/{topic_root}"))


def test_a_worker_that_begins_to_share_no_longer_gets_everything(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    alone = make_worker(database_url, mosquitto.url, topic_root, name=f"{topic_root}-a")
    alone.start()
    alone.connected()
    alone.stop()
    with Publisher(mosquitto.port) as device:
        device.publish(telemetry(topic_root, range(50)))
        both = sharing(make_worker, database_url, mosquitto.url, topic_root, "ab")
        # What its session held from before is not lost, and from now on it shares.
        eventually(lambda: settled_by(both) == 50)
        device.publish(telemetry(topic_root, range(50, 200)))
        eventually(lambda: settled_by(both) >= 200)
    tallies = [worker.agreed().tally for worker in both]
    assert [sum(of) for of in zip(*((t.stored, t.duplicate) for t in tallies), strict=True)] == [200, 0]


def test_a_worker_that_shares_no_longer_keeps_what_it_took_as_the_keeper(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    (worker,) = sharing(make_worker, database_url, mosquitto.url, topic_root, "a")
    with Publisher(mosquitto.port) as device:
        device.publish([*reports(topic_root), *telemetry(topic_root, range(5))])
    eventually(lambda: settled(worker.health.account) == 8)
    worker.stop()
    alone = make_worker(database_url, mosquitto.url, "nothing-here", name=worker.name)
    alone.start()
    alone.connected()
    assert alone.health.account.messages.stored == 8
    assert alone.agreed().tally.stored == 8


def test_the_follower_sums_up_the_workers_and_knows_the_keeper(
    database_url: str,
    mosquitto: Mosquitto,
    topic_root: str,
    make_worker: MakeWorker,
    follow: MakeFollower,  # noqa: F811
) -> None:
    follower = follow(database_url)
    both = sharing(make_worker, database_url, mosquitto.url, topic_root, "ab")
    with Publisher(mosquitto.port) as device:
        device.publish([*reports(topic_root), *telemetry(topic_root, range(100))])
    eventually(lambda: settled_by(both) == 103)

    def as_told() -> bool:
        told = follower.health()
        keepers = [w.name for w in told.workers if w.keeper]
        everything = sum((worker.health.account for worker in both), Account())
        everyone = [w.name for w in told.workers] == [worker.name for worker in both]
        return everyone and told.account == everything and keepers == [w.name for w in both if w.health.keeper]

    eventually(as_told)
    assert not follower.health().keeper
    (keeper,) = [worker for worker in both if worker.health.keeper]
    (other,) = [worker for worker in both if worker is not keeper]
    keeper.stop()
    eventually(lambda: [w.name for w in follower.health().workers if w.keeper] == [other.name])


def stored(database_url: str) -> Counter[int]:
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        found = Counter(int(value) for value in connection.scalars(text("SELECT value FROM readings")))
    database.dispose()
    return found


def accounts(database_url: str) -> dict[str, account.Tally]:
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        found = account.totals(connection)
    database.dispose()
    return found


def process(directory: Path, database_url: str, broker_url: str, root: str, name: str) -> WorkerProcess:
    (directory / name).mkdir()
    settings = {"DATABASE_URL": database_url, "MQTT_URL": broker_url, "TOPIC_ROOT": root, "MQTT_SHARE_GROUP": "g"}
    return WorkerProcess(directory / name, settings | {"MQTT_CLIENT_ID": f"{root}-{name}"})


def waiting(database_url: str) -> set[str]:
    """Names of the workers that have something in hand."""
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        found = {worker.heartbeat.name for worker in workers.every(connection) if worker.heartbeat.waiting > 0}
    database.dispose()
    return found


@contextmanager
def one_of_two_killed(
    directory: Path, database_url: str, broker_url: str, port: int, root: str
) -> Iterator[tuple[WorkerProcess, Publisher]]:
    """Two workers, `a` and `b`, get 300 messages which the database does not take; then `a` is killed, with its share.

    Gives `a`, dead, and the device that published them; `b` goes on.
    """
    first, second = (process(directory, database_url, broker_url, root, name) for name in "ab")
    first.process.start()
    try:
        with second, Publisher(port) as device:
            first.process.wait_until(lambda: "Connected to the broker" in first.output())
            with locked(database_url):
                device.publish(telemetry(root, range(300)))
                eventually(lambda: waiting(database_url) == {f"{root}-a", f"{root}-b"})
                first.kill()
            yield first, device
    finally:
        first.kill()


def test_mosquitto_keeps_what_a_killed_worker_had_for_that_worker(
    mariadb_url: str, mosquitto: Mosquitto, topic_root: str, part_directory: Path
) -> None:
    parts = (part_directory, mariadb_url, mosquitto.url, mosquitto.port, topic_root)
    with one_of_two_killed(*parts) as (first, device):
        # Its share goes on waiting for it, old messages and new; what the second gets is stored meanwhile.
        device.publish(telemetry(topic_root, range(300, 400)))
        eventually(lambda: any(value >= 300 for value in stored(mariadb_url)))
        assert len(stored(mariadb_url)) < 400
        first.start()
        eventually(lambda: len(stored(mariadb_url)) == 400)
    assert set(stored(mariadb_url).values()) == {1}
    found = accounts(mariadb_url)
    assert sum(tally.stored for tally in found.values()) == 400
    assert all(found[f"{topic_root}-{name}"].stored > 0 for name in "ab")


def test_the_embedded_broker_gives_what_a_killed_worker_had_to_the_others(
    mariadb_url: str, topic_root: str, part_directory: Path
) -> None:
    broker = EmbeddedBroker.start(part_directory, port=0)
    parts = (part_directory, mariadb_url, broker.mqtt5_url, parse_mqtt_url(broker.mqtt_url).port, topic_root)
    try:
        with one_of_two_killed(*parts):
            eventually(lambda: len(stored(mariadb_url)) == 300, what="everything, with the first one dead")
    finally:
        broker.stop()
    assert set(stored(mariadb_url).values()) == {1}, "what came twice was recognised"
    assert accounts(mariadb_url)[f"{topic_root}-b"].stored == 300


def test_how_the_settings_connect() -> None:
    address = parse_mqtt_url("mqtt://b")
    alone = Settings(mqtt_url=SecretStr("mqtt://b"), mqtt_client_id="w", topic_root="+/iot")
    telemetry_of_one, none = connections(alone, address)
    assert none is None
    assert (telemetry_of_one.client_id, telemetry_of_one.filters) == ("w", ("+/iot/#", "+/bridge/state"))
    assert (telemetry_of_one.former_filters, telemetry_of_one.persistent) == ((), True)
    shared, keeping = connections(alone.model_copy(update={"mqtt_share_group": "g"}), address)
    assert (shared.client_id, shared.filters, shared.persistent) == ("w", ("$share/g/+/iot/#",), True)
    assert shared.former_filters == telemetry_of_one.filters
    assert keeping is not None
    assert (keeping.client_id, keeping.persistent) == ("w-keeper", False)
    assert keeping.filters == ("+/iot/+/status", "+/iot/+/about", "+/iot/+/+/state", "+/bridge/state")
