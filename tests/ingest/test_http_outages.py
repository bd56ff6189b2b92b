"""A database that is away, slow or lost, and an end in mid-sentence: nothing is lost, nothing counted that is not."""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event, make_url

from db.account import Tally
from db.engine import DatabaseAway
from ingest.health import Counts
from tests.ingest.conftest import MakeDesk
from tests.ingest.http_desk import Desk
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.mariadb import MariaDB
from tests.parts.process import Process
from tests.parts.proxy import LossyProxy

ROOT = Path(__file__).parents[2]
TS = 1_764_000_000_000


def refused(desk: Desk, n: int) -> str:
    """Why a reading can't be stored now."""
    with pytest.raises(DatabaseAway) as caught:
        desk.told({"ts": TS + n, "v": n})
    return str(caught.value)


def test_before_the_database_was_reached_nothing_is_taken(tmp_path: Path, make_desk: MakeDesk) -> None:
    blocked = tmp_path / "folder"
    blocked.mkdir()
    desk = make_desk(f"sqlite:///{blocked}", opened=False)
    eventually(lambda: "unable to open" in refused(desk, 0))
    assert desk.http.account.messages == Counts()
    assert any(thread.name == "http-readings" and thread.alive for thread in desk.vitals.threads)


def test_a_database_that_dies_and_comes_back(own_mariadb: MariaDB, make_desk: MakeDesk) -> None:
    desk = make_desk(own_mariadb.fresh_database())
    stored = [n for n in range(20) if desk.told({"boot": "a", "seq": n, "v": n}).stored]
    own_mariadb.kill()
    missed = 0
    for n in range(20, 60):
        with pytest.raises(DatabaseAway):
            desk.told({"boot": "a", "seq": n, "v": n})
        missed += 1
        assert desk.http.account.messages == Counts(stored=20), "what was refused is neither received nor waits"
    eventually(lambda: desk.vitals.database.state == "connecting")
    own_mariadb.start()
    eventually(lambda: desk.vitals.database.state == "connected")
    stored += [n for n in range(20, 60) if desk.told({"boot": "a", "seq": n, "v": n}).stored]
    assert (stored, missed) == (list(range(60)), 40)
    assert [row[3] for row in desk.rows()] == [float(n) for n in range(60)]
    assert desk.check_account() == Tally(stored=60, readings_stored=60)


def test_devices_that_retry_lose_and_double_nothing(own_mariadb: MariaDB, make_desk: MakeDesk) -> None:
    desk = make_desk(own_mariadb.fresh_database())
    tries = threading.Event()

    def report(device: str) -> int:
        refusals = 0
        for n in range(150):
            while True:
                try:
                    assert desk.told({"seq": n, "boot": "a", "v": n}, device).outcome in ("stored", "duplicate")
                except DatabaseAway:
                    refusals += 1
                    tries.wait(0.01)  # as a device keeps to Retry-After
                else:
                    break
            if n == 50:
                tries.set()
        return refusals

    with ThreadPoolExecutor(5) as devices:
        running = [devices.submit(report, f"d{n}") for n in range(5)]
        assert tries.wait(20)
        tries.clear()
        own_mariadb.kill()
        own_mariadb.start()
        refusals = sum(one.result(40) for one in running)
    assert refusals > 0
    assert [row[3] for row in desk.rows()] == [float(n) for n in range(150)] * 5
    tally = desk.check_account()
    assert (tally.stored, tally.rejected) == (750, 0)


def test_a_commit_whose_answer_was_lost_is_recognised(own_mariadb: MariaDB, make_desk: MakeDesk) -> None:
    url = own_mariadb.fresh_database()
    with LossyProxy(own_mariadb.port) as proxy:
        behind = make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
        desk = make_desk(behind, flush_s=60, fold_s=60)
        desk.told({"ts": TS, "v": 0})
        eventually(lambda: desk.count("latest") == 1, what="all other commits done")
        proxy.lose_next_commit()
        told = desk.told({"seq": 1, "boot": "a", "v": 1})
        assert proxy.lost.is_set()
        assert (told.outcome, told.stored) == ("stored", 1), "the batch's own row tells"
        assert desk.check_account() == Tally(stored=2, readings_stored=2)
        desk.stop()


def test_who_gave_up_waiting_does_not_stand_in_the_account(database_url: str, make_desk: MakeDesk) -> None:
    desk = make_desk(database_url, flush_s=60, fold_s=60)
    desk.told({"ts": TS, "v": 0})
    eventually(lambda: desk.count("latest") == 1, what="all other commits done")
    with locked(database_url):
        in_hand = desk.send({"ts": TS + 1, "v": 1})
        eventually(lambda: desk.http.account.messages == Counts(stored=1, waiting=1))
        behind = desk.send({"ts": TS + 2, "v": 2})
        assert in_hand.cancel()
        assert behind.cancel()
        assert desk.http.account.messages == Counts(stored=1)
        assert desk.http.account.readings == Counts(stored=1)
    eventually(lambda: desk.http.account.messages.stored == 2, what="what was in hand, stored all the same")
    assert desk.told({"ts": TS + 1, "v": 1}).outcome == "duplicate"
    assert desk.told({"ts": TS + 2, "v": 2}).outcome == "stored", "what had not been begun was not stored"
    assert desk.check_account().stored == 3


def test_a_mistake_of_ours_costs_one_message(
    tmp_path: Path, make_desk: MakeDesk, caplog: pytest.LogCaptureFixture
) -> None:
    desk = make_desk(f"sqlite:///{tmp_path}/monitor.db", flush_s=60, fold_s=60)
    desk.told({"ts": TS, "v": 0})
    eventually(lambda: desk.count("latest") == 1, what="all other commits done")
    stumbles = [True]

    def stumble(*_: object) -> None:
        if stumbles and threading.current_thread().name == "http-readings":
            stumbles.clear()
            raise ZeroDivisionError("on purpose")

    event.listen(desk.engine, "commit", stumble)
    told = desk.told({"ts": TS + 1, "v": 1})
    assert (told.outcome, told.problems) == ("rejected", ("it can't be stored: ZeroDivisionError: on purpose",))
    assert desk.told({"ts": TS + 1, "v": 1}).outcome == "stored"
    assert "can't be stored" in caplog.text


@pytest.mark.parametrize("identity", [{"ts": TS}, {"boot": "a", "seq": 7}])
def test_killed_between_commit_and_answer_a_retry_is_a_duplicate(
    database_url: str, part_directory: Path, make_desk: MakeDesk, identity: dict[str, object]
) -> None:
    payload = json.dumps(identity | {"v": 21.5})
    command = [sys.executable, "-m", "tests.ingest.killed_desk", database_url, payload]
    process = Process(command, log=part_directory / "log", directory=ROOT, environment=dict(os.environ))
    process.start()
    eventually(lambda: not process.running, what="an end between commit and answer")
    assert "answered" not in process.output()
    desk = make_desk(database_url)
    assert desk.check_account() == Tally(stored=1, readings_stored=1)
    told = desk.told(payload.encode())
    assert (told.outcome, told.duplicate) == ("duplicate", 1)
    assert [row[3] for row in desk.rows()] == [21.5]
    assert desk.check_account() == Tally(stored=1, duplicate=1, readings_stored=1, readings_duplicate=1)
