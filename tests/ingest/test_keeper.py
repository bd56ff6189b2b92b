"""One of several workers is the keeper: it takes presence and states, and does the upkeep for all."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import text

from db import account, leases, migrations, receipts, workers
from db.account import BatchKey, Tally
from db.engine import Engine, create, reading, writing
from db.workers import Heartbeat
from ingest.keeper import Keeper
from ingest.upkeep import Upkeep, UpkeepSettings
from ingest.vitals import Vitals
from tests.ingest.conftest import MakeWorker
from tests.ingest.worker import Worker, settled
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher

#: What a keeper that is heard of again only after a minute looks like: one whose heartbeat is frozen.
FROZEN_S = 60.0


def keepers(*found: Worker) -> list[str]:
    return [worker.name for worker in found if worker.health.keeper]


def kept(worker: Worker) -> Tally:
    """What this worker took as the keeper."""
    with reading(worker.database) as connection:
        return account.totals(connection).get(f"{worker.name}-keeper", Tally())


def stored_reports(*found: Worker) -> int:
    return sum(kept(worker).stored for worker in found)


def unfolded(worker: Worker, name: str) -> int:
    with reading(worker.database) as connection:
        count = connection.scalar(text("SELECT COUNT(*) FROM batches WHERE worker = :name"), {"name": name})
    return int(count or 0)


def test_of_two_workers_one_is_the_keeper_and_the_other_follows_it_at_once(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    first = make_worker(database_url, mosquitto.url, topic_root, name=f"{topic_root}-a", lease_s=60)
    first.start()
    eventually(lambda: first.health.keeper)
    second = make_worker(database_url, mosquitto.url, topic_root, name=f"{topic_root}-b", lease_s=60)
    second.start()
    eventually(second.row)
    eventually(lambda: (row := second.row()) and row.heartbeat.broker_state == "connected")
    assert keepers(first, second) == [first.name]
    first.stop()
    assert not first.health.keeper
    eventually(lambda: second.health.keeper, what="an orderly end, for which nobody waits a minute")
    assert [r for r in caplog.records if r.levelname != "INFO"] == []


def test_a_worker_takes_the_place_of_its_own_start_that_was_killed(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    first = make_worker(database_url, mosquitto.url, topic_root, name=topic_root, lease_s=60)
    migrations.apply(first.database)
    with writing(first.database) as connection:
        assert leases.take(connection, leases.KEEPER, topic_root, "the killed one", 60_000, inherit=False)
    other = make_worker(database_url, mosquitto.url, topic_root, name=f"{topic_root}-b", lease_s=60)
    other.start()
    eventually(other.row)
    first.start()
    eventually(lambda: first.health.keeper)
    assert not other.health.keeper


def test_a_keeper_that_falls_silent_is_replaced_and_writes_no_more(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker, caplog: pytest.LogCaptureFixture
) -> None:
    frozen = make_worker(
        database_url, mosquitto.url, topic_root, name=f"{topic_root}-a", group="g", heartbeat_s=FROZEN_S, lease_s=1
    )
    frozen.start()
    eventually(lambda: frozen.health.keeper)
    with Publisher(mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/status", "online", True)])
        eventually(lambda: kept(frozen).stored == 1)
        other = make_worker(database_url, mosquitto.url, topic_root, name=f"{topic_root}-b", group="g", lease_s=1)
        other.start()
        eventually(lambda: other.health.keeper)
        eventually(lambda: not frozen.health.keeper, what="a keeper that knows its lease to be old")
        eventually(lambda: kept(other).stored == 1, what="the retained status, for the new keeper")
        # The frozen one is still subscribed and gets this too.
        device.publish([(f"{topic_root}/d/status", "offline", True), (f"{topic_root}/d/led/state", "ON")])
        eventually(lambda: kept(other).stored == 3)
        eventually(lambda: "Another worker has become the keeper." in caplog.text)
        device.publish([(f"{topic_root}/d/telemetry", '{"v": 1}')])
        eventually(lambda: settled(frozen.health.account) + settled(other.health.account) == 5)
    assert kept(frozen).stored == 1
    assert other.held().letters == []
    assert other.board.current.devices["d"].actuators["led"].state == "ON"
    assert "led" not in frozen.board.current.devices["d"].actuators
    assert [thread.name for thread in frozen.health.threads if thread.alive] == ["ingest", "keeper", "latest", "upkeep"]


def test_the_keeper_comes_back_when_its_successor_leaves(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    first = make_worker(database_url, mosquitto.url, topic_root, name=f"{topic_root}-a", group="g", lease_s=60)
    first.start()
    eventually(lambda: first.health.keeper)
    with writing(first.database) as connection:  # as if it had been silent for long
        assert leases.take(connection, leases.KEEPER, "successor", "s", -1, inherit=False)
    eventually(lambda: not first.health.keeper)
    with Publisher(mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/status", "online", True)])
        with writing(first.database) as connection:
            leases.release(connection, leases.KEEPER, "s")
        eventually(lambda: first.health.keeper)
        eventually(lambda: kept(first).stored == 1, what="what is retained, got by subscribing again")


def test_a_keepers_connection_outlives_its_broker(
    database_url: str, own_mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, own_mosquitto.url, topic_root, group="g")
    worker.start()
    worker.connected()
    own_mosquitto.publish(f"{topic_root}/d/status", "online", retain=True)
    eventually(lambda: kept(worker).stored == 1)
    own_mosquitto.kill()
    problem = eventually(lambda: next((t.problem for t in worker.health.threads if t.name == "keeper"), None))
    assert problem is not None
    assert problem.startswith("its connection to the broker is away: ")
    own_mosquitto.start()
    eventually(lambda: not any(thread.problem for thread in worker.health.threads))
    own_mosquitto.publish(f"{topic_root}/d/status", "offline", retain=True)
    eventually(lambda: worker.board.current.devices["d"].online is False)
    worker.agreed()


def test_a_keeper_whose_database_goes_away_loses_nothing_it_was_sent(
    impatient_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(impatient_url, mosquitto.url, topic_root, group="g", lease_s=0.5)
    worker.start()
    worker.connected()
    mosquitto.publish(f"{topic_root}/d/about", "{}", retain=True)
    eventually(lambda: kept(worker).stored == 1, what="a keeper that has subscribed")
    with locked(impatient_url), Publisher(mosquitto.port) as device:
        device.publish([(f"{topic_root}/d/status", "online"), (f"{topic_root}/d/led/state", "ON")])
        eventually(lambda: worker.health.account.messages.waiting > 0 and worker.health.database.problem)
        eventually(lambda: not worker.health.keeper, what="a keeper that does not claim what it can't know")
    eventually(lambda: kept(worker).stored == 3)
    eventually(lambda: worker.health.keeper and worker.health.can_store)
    worker.agreed()


def test_what_a_dead_worker_left_is_folded_by_the_keeper(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    keeper = make_worker(database_url, mosquitto.url, topic_root, dead_after_s=0.5)
    migrations.apply(keeper.database)
    with writing(keeper.database) as connection:
        for name in ("killed", "killed-keeper"):
            workers.beat(connection, Heartbeat("killed", "k", 1, 0, 0, "connected"))
            for number in range(3):
                assert account.claim_batch(connection, BatchKey(name, "k", number), Tally(stored=2), [], 1)
    keeper.start()
    eventually(lambda: unfolded(keeper, "killed") + unfolded(keeper, "killed-keeper") == 0)
    with reading(keeper.database) as connection:
        totals = account.totals(connection)
    assert (totals["killed"].stored, totals["killed-keeper"].stored) == (6, 6)


@pytest.fixture
def migrated(database_url: str) -> Engine:
    engine = create(database_url, timeout_s=15)
    migrations.apply(engine)
    return engine


def upkeep(engine: Engine, keeper: Keeper) -> Upkeep:
    vitals = Vitals("mqtt://b", "db", embedded=False)
    return Upkeep(engine, UpkeepSettings(), vitals, lambda: Heartbeat("a", "t1", 1, 0, 0, "connected"), keeper)


def beat(engine: Engine, keeper: Keeper) -> bool:
    asked_at = time.monotonic()
    with writing(engine) as connection:
        held = keeper.beat(connection)
    keeper.settle(held, asked_at)
    return held


def test_upkeep_of_one_that_lost_its_place_and_does_not_know_it_is_fenced(migrated: Engine) -> None:
    frozen, other = Keeper("a", "t1", 60), Keeper("b", "t2", 0)
    with writing(migrated) as connection:
        receipts.insert_new(connection, {(1, "boot", 1): 1}, 0)
    assert beat(migrated, frozen)
    assert beat(migrated, other)
    assert [frozen.holds] == [True], "it can't know yet"
    upkeep(migrated, frozen).tidy()
    assert [frozen.holds, other.holds] == [False, False]
    with reading(migrated) as connection:
        assert receipts.existing(connection, [(1, "boot", 1)]), "the old receipt is the new keeper's to remove"
    migrated.dispose()


def test_upkeep_for_all_is_the_keepers(migrated: Engine) -> None:
    keeper, other = Keeper("a", "t1", 60), Keeper("b", "t2", 60)
    with writing(migrated) as connection:
        receipts.insert_new(connection, {(1, "boot", 1): 1}, 0)
    assert beat(migrated, keeper)
    assert not beat(migrated, other)
    upkeep(migrated, other).tidy()
    with reading(migrated) as connection:
        assert receipts.existing(connection, [(1, "boot", 1)])
    upkeep(migrated, keeper).tidy()
    with reading(migrated) as connection:
        assert not receipts.existing(connection, [(1, "boot", 1)])
    migrated.dispose()


def test_two_starts_of_one_name_do_not_take_it_from_each_other_for_ever(migrated: Engine) -> None:
    old, new = Keeper("a", "t1", 60), Keeper("a", "t2", 60)
    assert beat(migrated, old)
    assert beat(migrated, new)
    assert not beat(migrated, old)
    assert not beat(migrated, old)
    assert beat(migrated, new)
    assert [old.holds, new.holds] == [False, True]
    migrated.dispose()
