"""The account against the tables, as it is read while a worker stores into them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from db import account, migrations, readings
from db import engine as database
from db.account import BatchKey, Tally
from db.engine import Engine, writing
from ingest import audit, published
from ingest.audit import Silent
from ingest.health import Counts, DeadLetters
from ingest.writer import Writer
from tests.ingest.conftest import MakeWorker
from tests.ingest.unit.messages import NOW, decode
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publisher

DAY_MS = 86_400_000


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.create(database_url)
    migrations.apply(engine)
    yield engine
    engine.dispose()


def receive(engine: Engine, *payloads: Any, topic: str = "iot/kitchen/telemetry", at: int = NOW) -> None:
    """What a worker does with these messages: a batch each."""
    writer = Writer(engine, "w", uuid4().hex)
    writer.load()
    for payload in payloads:
        writer.store([decode(topic, payload, received_at=at)], at)


def change(engine: Engine, statement: str) -> None:
    with writing(engine) as connection:
        connection.execute(text(statement))


def against(engine: Engine, *lines: dict[str, object]) -> published.Comparison:
    found = audit.read(engine, NOW, published.load(json.dumps(line) for line in lines)).published
    assert found is not None
    return found


def lost(found: published.Comparison) -> Sequence[tuple[int, bool]]:
    return [(one.sent.seq, one.arrived) for one in found.lost]


def test_it_adds_up_at_any_moment_while_a_worker_stores_and_folds(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    audits = [audit.read(worker.database, NOW)]

    def stored(rows: int) -> bool:
        audits.append(audit.read(worker.database, NOW))
        return audits[-1].rows >= rows

    with Publisher(mosquitto.port) as device:
        for start in range(0, 450, 30):
            device.publish(
                (f"{topic_root}/d/telemetry", json.dumps({"ts": NOW + n, "boot": "a", "seq": n, "v": n, "w": n}))
                for n in range(start, start + 30)
            )
            # The group before: the worker goes on storing while we audit.
            eventually(lambda: stored(2 * start), what="the messages of the group before")  # noqa: B023
    eventually(lambda: stored(900), what="all messages")
    assert [found.mismatches for found in audits] == [[]] * len(audits)
    assert [found.missing for found in audits] == [[]] * len(audits)
    worker.check_account()
    eventually(lambda: audit.read(worker.database, NOW).total.messages == Counts(450))


def test_a_new_database_adds_up(engine: Engine) -> None:
    found = audit.read(engine, NOW)
    assert found.ok
    assert (found.rows, found.accounts, found.dead_letters) == (0, {}, DeadLetters())


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "DELETE FROM readings WHERE value = 2",
            "1 readings were stored and are not in the database (3 stored + 0 imported - 0 removed, 2 rows + 0 sealed)",
        ),
        ("INSERT INTO readings VALUES (1, 5, 5)", "1 readings are in the database and were stored by no worker"),
        ("UPDATE batches SET stored = -9, readings_stored = readings_stored", "The account of w counts messages below"),
    ],
)
def test_what_is_off_is_named(engine: Engine, statement: str, words: str) -> None:
    receive(engine, *({"ts": NOW + n, "v": n} for n in range(3)))
    assert audit.read(engine, NOW).ok
    change(engine, statement)
    found = audit.read(engine, NOW)
    assert not found.ok
    assert [words in sentence for sentence in found.mismatches] == [True]


def test_missing_numbers_are_named_before_any_fold_and_forgotten_when_they_come(engine: Engine) -> None:
    receive(engine, *({"ts": NOW + n, "boot": "a", "seq": n, "v": n} for n in (0, 1, 4, 5)))
    found = audit.read(engine, NOW)
    assert [(gap.device, gap.boot, gap.first, gap.last, gap.count) for gap in found.missing] == [
        ("kitchen", "a", 2, 3, 2)
    ]
    assert not found.ok
    with writing(engine) as connection:
        account.fold(connection, "w", "another start")
    assert audit.read(engine, NOW).missing == found.missing
    receive(engine, *({"ts": NOW + n, "boot": "a", "seq": n, "v": n} for n in (3, 2)))
    assert audit.read(engine, NOW).ok


def test_who_is_silent_is_told_apart_and_is_nothing_wrong(engine: Engine) -> None:
    for device in ("steady", "slow", "gone", "back", "lone"):
        step = 3_600_000 if device == "slow" else 5_000
        payloads = [{"ts": NOW - n * step, "v": 1} for n in range(1 if device == "lone" else 10)]
        receive(engine, *payloads, topic=f"iot/{device}/telemetry")
    for device in ("gone", "back"):
        receive(engine, "offline", topic=f"iot/{device}/status", at=NOW + 1_000)
    receive(engine, {"ts": NOW + 2_000, "v": 1}, topic="iot/back/telemetry", at=NOW + 2_000)
    soon = audit.read(engine, NOW + 10_000)
    assert soon.silent == [Silent("gone", NOW, 5_000, offline=True)]
    later = audit.read(engine, NOW + 600_000)
    assert {one.device: (one.since - NOW, one.usual_ms) for one in later.silent} == {
        "steady": (0, 5_000),
        "gone": (0, 5_000),
        "back": (2_000, 5_000),
        "lone": (0, None),
    }
    assert later.ok
    assert "slow" in {one.device for one in audit.read(engine, NOW + 2 * DAY_MS).silent}


def test_the_account_of_each_worker_and_what_a_living_one_holds(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root, heartbeat_s=60)
    worker.start()
    worker.connected()
    eventually(worker.row)
    with writing(worker.database) as connection:
        account.claim_batch(connection, BatchKey("other", "t", 1), Tally(rejected=2, readings_rejected=3), [], NOW)
    change(worker.database, "UPDATE workers SET waiting = 7, waiting_readings = 9")
    found = audit.read(worker.database, NOW)
    assert (found.accounts["other"].messages, found.accounts["other"].readings) == (
        Counts(rejected=2),
        Counts(rejected=3),
    )
    assert (found.accounts[worker.name].messages, found.total.readings) == (
        Counts(waiting=7),
        Counts(rejected=3, waiting=9),
    )
    change(worker.database, "UPDATE workers SET heartbeat_at = heartbeat_at - 11000")
    assert audit.read(worker.database, NOW).total.messages.waiting == 0, "the broker has it again"


def test_against_a_list_with_times(engine: Engine) -> None:
    lines = [
        {"device": "kitchen", "seq": n, "boot": "a", "metric": "v", "value": n / 7, "ts": NOW + n} for n in range(6)
    ]
    receive(engine, *({"ts": NOW + n, "boot": "a", "seq": n, "v": n / 7} for n in range(5) if n != 2))
    change(engine, f"DELETE FROM readings WHERE ts = {NOW + 3}")
    found = against(engine, *lines, lines[0])
    assert (found.lines, lost(found), found.doubled) == (7, [(2, False), (3, True), (5, False)], [])
    assert lost(against(engine, {**lines[0], "value": 1.5})) == [(0, True)], "another value stands there"
    assert lost(against(engine, {"device": "kitchen", "seq": 4, "ts": NOW + 4})) == []
    assert lost(against(engine, {"device": "nobody", "seq": 4, "ts": NOW + 4})) == [(4, False)]


def test_against_a_list_without_times(engine: Engine) -> None:
    receive(engine, *({"boot": "a", "seq": n, "v": 10 + n} for n in range(5) if n != 2))
    change(engine, f"INSERT INTO readings SELECT series_id, {NOW + 99}, value FROM readings WHERE value = 13")
    lines: list[dict[str, object]] = [{"device": "kitchen", "seq": n, "value": 10 + n} for n in range(5)]
    found = against(engine, *lines)
    assert lost(found) == [(2, False)]
    assert [(one.sent.seq, one.times) for one in found.doubled] == [(3, 1)]
    assert against(engine, *(line | {"metric": "v"} for line in lines)).doubled[0].times == 1


def test_of_equal_values_those_are_missing_whose_number_never_came(engine: Engine) -> None:
    receive(engine, *({"boot": "a", "seq": n, "v": 5} for n in (0, 1, 3)))
    lines: list[dict[str, object]] = [{"device": "kitchen", "boot": "a", "seq": n, "value": 5} for n in range(4)]
    assert lost(against(engine, *lines)) == [(2, False)]


def test_against_a_list_of_numbers_alone(engine: Engine) -> None:
    receive(engine, *({"boot": "a", "seq": n, "v": n} for n in (0, 1, 3)), {"boot": "b", "seq": 0, "v": 9})
    numbers = [{"device": "kitchen", "boot": "a", "seq": n} for n in range(4)]
    assert lost(against(engine, *numbers, {"device": "kitchen", "boot": "c", "seq": 1})) == [(2, False), (1, False)]
    found = against(engine, {"device": "kitchen", "seq": 0})
    assert [(one.sent.seq, one.times) for one in found.doubled] == [(0, 1)]
    assert against(engine, {"device": "kitchen", "seq": 0}, {"device": "kitchen", "seq": 0}).agrees


def test_a_long_series_is_compared_a_few_rows_at_a_time(engine: Engine) -> None:
    receive(engine, {"boot": "a", "seq": 0, "v": -1})
    with writing(engine) as connection:
        readings.insert_new(connection, [(1, NOW + n, float(n)) for n in range(1, 25_000)])
    assert lost(
        against(engine, {"device": "kitchen", "seq": 0, "value": 24_999}, {"device": "kitchen", "seq": 0, "value": 0.5})
    ) == [(0, True)]
