"""Readings by HTTP: stored before they are answered, counted by themselves, recognised when they come again."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from db import devices, readings
from db.account import Tally
from db.engine import reading
from ingest import audit
from ingest.dialects.topics import UnknownTopic
from ingest.health import Account, Counts
from ingest.http_readings import Busy
from ingest.vitals import now_ms
from tests.ingest.conftest import MakeDesk
from tests.parts.eventually import eventually
from tests.parts.locked import locked

TS = 1_764_000_000_000


def test_a_reading_is_answered_when_it_is_stored_and_shown(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url)
    told = desk.told({"ts": TS, "temperature": 21.5, "humidity": 40})
    assert (told.outcome, told.stored, told.duplicate, told.rejected, told.problems) == ("stored", 2, 0, 0, ())
    assert desk.rows() == [("kitchen", "humidity", TS, 40.0), ("kitchen", "temperature", TS, 21.5)]
    assert desk.board.current.devices["kitchen"].metrics["temperature"].value == 21.5, "on Live at once"
    assert desk.check_account() == Tally(stored=1, readings_stored=2)
    assert audit.read(desk.engine, now_ms()).mismatches == []
    with reading(desk.engine) as connection:
        assert [device.name for device in devices.every(connection)] == ["kitchen"]


@pytest.mark.parametrize(
    "fields", [{"ts": TS}, {"ts": TS, "seq": 4}, {"boot": "a", "seq": 4}, {"boot": "a", "seq": 4, "age": 10}]
)
def test_a_retry_is_recognised(database_url: str, make_desk: MakeDesk, fields: dict[str, Any]) -> None:
    desk = make_desk(database_url)
    payload = fields | {"temperature": 21.5}
    assert desk.told(payload).outcome == "stored"
    again = desk.told(payload)
    assert (again.outcome, again.stored, again.duplicate) == ("duplicate", 0, 1)
    assert desk.check_account() == Tally(stored=1, duplicate=1, readings_stored=1, readings_duplicate=1)
    assert desk.letters() == []


def test_without_time_and_number_each_is_one(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url)
    assert [desk.told({"temperature": 21.5}).outcome for _ in range(3)] == ["stored"] * 3
    assert len(desk.rows()) == 3


def test_an_array_is_a_backlog(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url)
    backlog = [{"ts": TS + n, "seq": n, "boot": "a", "v": n} for n in range(500)]
    assert desk.told(backlog).stored == 500
    told = desk.told([*backlog, {"ts": TS + 500, "v": 500}])
    assert (told.outcome, told.stored, told.duplicate) == ("stored", 1, 500)
    assert [row[3] for row in desk.rows()] == [float(n) for n in range(501)]


def test_another_value_is_a_conflict_that_leaves_a_letter(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url)
    desk.told({"ts": TS, "temperature": 21.5, "humidity": 40})
    told = desk.told({"ts": TS, "temperature": 22.5, "humidity": 40})
    assert (told.outcome, told.stored, told.duplicate, told.rejected, told.conflicts) == ("rejected", 0, 1, 1, 1)
    assert told.problems[0].startswith("temperature: 22.5 at 2025-11-24T16:00:00.000+00:00 contradicts 21.5")
    (letter,) = desk.letters()
    assert (letter.topic, letter.reason) == ("iot/kitchen/telemetry", told.problems[0])
    assert desk.check_account() == Tally(1, 0, 1, 2, 1, 1)


def test_what_can_not_be_understood_costs_itself_alone(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url)
    told = desk.told({"ts": TS, "temperature": 21.5, "humidity": "wet"})
    assert (told.outcome, told.stored, told.rejected, told.conflicts) == ("stored", 1, 1, 0)
    assert told.problems == ("humidity: a text ('wet'); expected a number",)
    assert desk.told(b"no JSON").outcome == "rejected"
    assert [letter.payload for letter in desk.letters()][1:] == [b"no JSON"]
    assert desk.check_account() == Tally(stored=1, rejected=1, readings_stored=1, readings_rejected=1)


def test_requests_that_wait_together_are_one_transaction(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url, flush_s=60, fold_s=60)
    desk.told({"ts": TS, "v": 0})
    eventually(lambda: desk.count("latest") == 1, what="all other commits done")
    in_commit, go_on = threading.Event(), threading.Event()

    def on_commit(_: object) -> None:
        if threading.current_thread().name == "http-readings":
            in_commit.set()
            assert go_on.wait(20)

    event.listen(desk.engine, "commit", on_commit)
    first = desk.send({"ts": TS + 1, "v": 1})
    assert in_commit.wait(20)
    assert desk.http.account.messages == Counts(stored=1, waiting=1), "the batch in hand waits, and nothing else"
    others = [desk.send({"ts": TS + n, "v": n}, f"d{n % 7}") for n in range(2, 102)]
    assert not first.done(), "nothing is answered before its commit"
    before = desk.count("batches")
    go_on.set()
    assert [one.result(20).stored for one in (first, *others)] == [1] * 101
    assert desk.count("batches") - before <= 2
    event.remove(desk.engine, "commit", on_commit)
    assert desk.check_account().stored == 102


def test_each_of_a_batch_hears_of_its_own(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url, batch_requests=50)
    payloads = [
        {"ts": TS, "v": 1},
        {"ts": TS, "v": 1},
        {"ts": TS, "v": 2},
        {"seq": 1, "v": "x"},
        b"",
        {"ts": TS + 1, "v": 1, "w": None, "x": [1]},
        {"boot": "b", "seq": 1, "v": 3},
        {"boot": "b", "seq": 1, "v": 3},
    ]
    with locked(database_url):
        held = desk.send({"ts": TS - 1, "v": 0})
        answers = [desk.send(payload) for payload in payloads]
    assert held.result(20).outcome == "stored"
    outcomes = [answer.result(20).outcome for answer in answers]
    assert outcomes == [
        "stored",
        "duplicate",
        "rejected",
        "rejected",
        "rejected",
        "stored",
        "stored",
        "duplicate",
    ]
    assert desk.check_account() == Tally(4, 2, 3, 4, 2, 3)


def test_devices_side_by_side_each_hear_of_their_own(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url)

    def report(device: str) -> None:
        for n in range(20):
            told = desk.told({"ts": TS + n, "seq": n, "boot": "a", "v": n}, device)
            assert (told.outcome, told.stored) == ("stored", 1)

    threads = [threading.Thread(target=report, args=(f"d{n}",)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(desk.rows()) == 100
    assert desk.check_account().stored == 100
    assert audit.read(desk.engine, now_ms()).missing == []


def test_its_account_is_its_own_and_outlives_it(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url, fold_s=0.05)
    for n in range(5):
        desk.told({"ts": TS + n, "v": n})
    eventually(lambda: desk.count("batches") == 1, what="all but the newest batch folded")
    desk.stop()
    again = make_desk(database_url)
    assert again.check_account().stored == 5
    assert again.told({"ts": TS, "v": 0}).outcome == "duplicate"
    eventually(lambda: again.count("batches") == 1, what="the batches of the start before folded")
    assert again.health().account.messages == Counts(stored=5, duplicate=1)
    beside = again.health(held=Account(Counts(stored=7, waiting=2), Counts(stored=9)))
    assert beside.account.messages == Counts(stored=12, duplicate=1, waiting=2)
    off = again.health("off", Account(Counts(stored=6)))
    assert off.account.messages == Counts(stored=6), "the sums of the database hold what is stored"


def test_what_is_new_stands_in_latest_within_a_moment(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url)
    desk.told({"ts": TS + 5, "v": 5})
    desk.told({"ts": TS, "v": 0})

    def latest() -> list[tuple[int, float]]:
        with reading(desk.engine) as connection:
            return [(row.ts, row.value) for row in readings.changed_latest(connection, 0)]

    eventually(lambda: latest() == [(TS + 5, 5.0)], what="the newest reading in `latest`")
    with reading(desk.engine) as connection:
        assert devices.every(connection)[0].last_seen > TS


def test_a_stop_stores_what_waits_and_takes_no_more(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url, batch_requests=1)
    answers = [desk.send({"ts": TS + n, "v": n}) for n in range(30)]
    desk.stop()
    assert [answer.result(0).stored for answer in answers] == [1] * 30
    with pytest.raises(Exception, match="about to end"):
        desk.send({"ts": TS, "v": 0})
    assert desk.check_account().stored == 30


def test_what_waits_has_bounds(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url, waiting_requests=3, waiting_bytes=1_000, flush_s=60, fold_s=60)
    desk.told({"ts": TS, "v": 0})
    eventually(lambda: desk.count("latest") == 1, what="all other commits done")
    with locked(database_url):
        in_hand = desk.send({"ts": TS + 1, "v": 1})
        eventually(lambda: desk.http.account.messages.waiting == 1, what="a batch in hand")
        waiting = [desk.send({"ts": TS + n, "v": n}) for n in (2, 3, 4)]
        with pytest.raises(Busy):
            desk.send({"ts": TS + 5, "v": 5})
        assert desk.http.account.messages.received == 2, "what only waits for its turn is not received yet"
    done, _ = wait([in_hand, *waiting], 20)
    assert len(done) == 4
    large = b'{"v": 1, "s": "' + b"x" * 2_000 + b'"}'
    with locked(database_url):
        desk.send({"ts": TS + 6, "v": 6})
        eventually(lambda: desk.http.account.messages.waiting == 1, what="a batch in hand")
        alone = desk.send(large)
        with pytest.raises(Busy):
            desk.send({"ts": TS + 7, "v": 7})
    assert alone.result(20).stored == 1
    assert desk.check_account().stored == 7


def test_a_device_is_who_it_is_whatever_it_says(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url)
    desk.told({"ts": TS, "v": 1, "device": "cellar"})
    assert [letter.reason for letter in desk.letters()] == ["device: a text ('cellar'); expected a number"]
    assert desk.rows() == [("kitchen", "v", TS, 1.0)]
    for name in ("../cellar", "a/b", "", "#", "kitchen/telemetry", "x" * 65):
        with pytest.raises(UnknownTopic):
            desk.send({"v": 1}, name)
    assert desk.check_account().stored == 1


def test_a_site_is_part_of_the_name(tmp_path: Path, make_desk: MakeDesk) -> None:
    desk = make_desk(f"sqlite:///{tmp_path}/monitor.db", root="+/iot")
    assert desk.told({"ts": TS, "v": 1}, "site1/kitchen").stored == 1
    assert desk.rows() == [("site1/kitchen", "v", TS, 1.0)]
    with pytest.raises(UnknownTopic):
        desk.send({"v": 1})
