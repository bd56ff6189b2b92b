from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from api.health import status_of
from db.resends import ResendCounts
from ingest.follower import SILENT_AFTER_MS
from ingest.health import (
    Account,
    BrokerHealth,
    Counts,
    DatabaseHealth,
    Health,
    Rates,
    State,
    ThreadHealth,
    WorkerHealth,
)
from tests.api.server import Place

ACCOUNT = Account(Counts(5, 2, 1, 3), Counts(10, 4, 2, 6))


def health(
    broker: State = "connected",
    database: State = "connected",
    problem: str | None = None,
    threads: tuple[ThreadHealth, ...] = (),
) -> Health:
    return Health(
        "thread",
        1,
        BrokerHealth(broker, 1, "mqtt://b", problem if broker != "connected" else None),
        DatabaseHealth(database, 1, "sqlite://", problem=problem if database != "connected" else None),
        ACCOUNT,
        Rates(),
        threads,
    )


def elsewhere(*ages: int) -> Health:
    workers = tuple(WorkerHealth(f"w{age}", age, "connected", age == min(ages)) for age in ages)
    broker, database = BrokerHealth("stopped", 1, "mqtt://b"), DatabaseHealth("connected", 1, "mysql://d")
    return Health("off", 1, broker, database, ACCOUNT, Rates(), (), workers)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (health(), "ok"),
        (health(broker="connecting"), "starting"),
        (health(database="connecting"), "starting"),
        (health(broker="connecting", problem="refused"), "degraded"),
        (health(database="connecting", problem="refused"), "degraded"),
        (health(threads=(ThreadHealth("ingest", False, 1, "ValueError: x"),)), "degraded"),
        (elsewhere(SILENT_AFTER_MS), "ok"),
        (elsewhere(SILENT_AFTER_MS + 1, 5), "ok"),
        (elsewhere(SILENT_AFTER_MS + 1), "degraded"),
        (elsewhere(), "degraded"),
    ],
)
def test_one_word_says_how_it_is(found: Health, status: str) -> None:
    assert status_of(found) == status


def test_all_well_is_200_with_the_account(here: Place, client: TestClient) -> None:
    answer = client.get("/api/health/")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body["status"] == "ok"
    assert body["broker"] == {
        "state": "connected",
        "since": here.vitals.broker.since,
        "address": "mqtt://127.0.0.1:1883",
        "problem": None,
        "window": 2000,
        "embedded": False,
        "protocol": None,
        "backlog": None,
        "catch_up_ms": None,
        "dropped": None,
        "version": None,
    }
    assert body["database"]["product"] == "SQLite"
    nothing = {"received": 0, "stored": 0, "duplicate": 0, "rejected": 0, "waiting": 0}
    assert body["ingest"]["readings"] == nothing
    assert nothing.items() <= body["ingest"].items()
    assert body["ingest"]["rates"] == {
        "messages_per_minute": 0,
        "readings_per_minute": 0,
        "store_ms": None,
        "lag_ms": None,
    }


def test_the_account_adds_up_and_each_worker_is_listed(here: Place, client: TestClient) -> None:
    here.worker.told = elsewhere(7, 20_000)
    answer = client.get("/api/health/")
    ingest = answer.json()["ingest"]
    assert answer.status_code == 200
    assert ingest["mode"] == "off"
    assert [ingest[name] for name in ("received", "stored", "duplicate", "rejected", "waiting")] == [11, 5, 2, 1, 3]
    assert ingest["readings"]["received"] == 22
    assert ingest["workers"] == [
        {"name": "w7", "heartbeat_age_ms": 7, "broker_state": "connected", "keeper": True},
        {"name": "w20000", "heartbeat_age_ms": 20_000, "broker_state": "connected", "keeper": False},
    ]
    assert ingest["keeper"] is False, "there is no worker in this process"


def test_the_worker_in_this_process_may_be_the_keeper(here: Place, client: TestClient) -> None:
    here.worker.told = replace(health(), keeper=True)
    assert client.get("/api/health/").json()["ingest"]["keeper"] is True


def test_dead_letters_are_told_from_memory(here: Place, client: TestClient) -> None:
    here.vitals.dead_letters_counted(7, 12)
    here.worker.told = replace(health(), dead_letters=here.vitals.dead_letters)
    assert client.get("/api/health/").json()["ingest"]["dead_letters"] == {"kept": 7, "removed": 12}


def test_what_is_asked_for_again_is_told_from_memory(here: Place, client: TestClient) -> None:
    here.vitals.resends_counted(ResendCounts(4, 3, 2, 1))
    here.worker.told = replace(health(), resends=here.vitals.resends)
    told = {"waiting": 4, "repaired": 3, "gone": 2, "unanswered": 1}
    assert client.get("/api/health/").json()["ingest"]["resends"] == told


def test_what_is_away_is_503_with_its_reason(here: Place, client: TestClient) -> None:
    here.vitals.broker_lost("connection refused")
    answer = client.get("/api/health/")
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert (answer.json()["status"], answer.json()["broker"]["problem"]) == ("degraded", "connection refused")


def test_a_server_that_was_asked_to_end_says_so(here: Place, client: TestClient) -> None:
    here.runtime.announce_stop()
    answer = client.get("/api/health/")
    assert (answer.status_code, answer.json()["status"]) == (503, "stopping")
