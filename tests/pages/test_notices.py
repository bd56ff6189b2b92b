from __future__ import annotations

from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest.health import Account, BrokerHealth, DatabaseHealth, Health, Rates, ThreadHealth, WorkerHealth
from pages.parts.banner import notices
from pages.parts.service_cards import parts
from tests.pages.cases import ms

NOW = ms("2026-11-23T13:10:00Z")
SINCE = ms("2026-11-23T13:02:00Z")
ZONE = ZoneInfo("Europe/Berlin")
WELL = Health(
    "thread",
    SINCE,
    BrokerHealth("connected", SINCE, "mqtt://127.0.0.1:1883"),
    DatabaseHealth("connected", SINCE, "sqlite:///data/monitor.db"),
    Account(),
    Rates(),
    (ThreadHealth("ingest", True, 0),),
)
REFUSED: dict[str, Any] = {"state": "connecting", "problem": "Connection refused"}


def titles(health: Health) -> list[str]:
    return [notice.title for notice in notices(health, NOW, ZONE)]


def test_all_well_is_not_worth_a_word() -> None:
    assert titles(WELL) == []


def test_a_database_that_is_away() -> None:
    (notice,) = notices(replace(WELL, database=replace(WELL.database, **REFUSED)), NOW, ZONE)

    assert notice.title == "The database has been out of reach since 14:02"
    for said in ("Nothing that was stored is lost", "wait at the broker", "keeps trying", "You can check"):
        assert said in notice.text
    assert notice.cause == "Connection refused"


def test_a_broker_that_is_away() -> None:
    assert titles(replace(WELL, broker=replace(WELL.broker, **REFUSED))) == [
        "The broker has been out of reach since 14:02"
    ]


@pytest.mark.parametrize(("since", "told"), [(NOW - 1_000, 0), (NOW - 4_000, 1)])
def test_a_connection_that_comes_up_is_given_a_moment(since: int, told: int) -> None:
    coming = replace(WELL.broker, state="connecting", since=since)

    assert len(titles(replace(WELL, broker=coming))) == told


def test_a_broker_nobody_has_asked_yet_is_not_called_away() -> None:
    waiting = replace(WELL.broker, state="connecting")

    assert titles(replace(WELL, broker=waiting, database=replace(WELL.database, **REFUSED))) == [
        "The database has been out of reach since 14:02"
    ]


def test_a_thread_that_died() -> None:
    (notice,) = notices(replace(WELL, threads=(ThreadHealth("ingest", False, 2, "boom"),)), NOW, ZONE)

    assert notice.title == "A part of the worker stopped: ingest"
    assert "2 times so far" in notice.text


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        ((), ["No worker is running"]),
        ((WorkerHealth("a", 60_000, "connected"),), ["No worker is running"]),
        ((WorkerHealth("a", 60_000, "connected"), WorkerHealth("b", 900, "connected")), []),
    ],
)
def test_workers_that_run_elsewhere(workers: tuple[WorkerHealth, ...], told: list[str]) -> None:
    assert titles(replace(WELL, mode="off", threads=(), workers=workers)) == told


def test_a_card_for_each_part_with_its_word() -> None:
    assert [(part.name, part.state) for part in parts(WELL, NOW, ZONE)] == [
        ("Broker", "connected"),
        ("Database", "connected"),
        ("Worker", "running"),
    ]


def test_a_narrow_window_is_told() -> None:
    broker, *_ = parts(replace(WELL, broker=replace(WELL.broker, window=20)), NOW, ZONE)

    assert "max_inflight_messages" in broker.trouble[0]


def test_the_keeper_is_named_on_its_card() -> None:
    elsewhere = (WorkerHealth("a", 900, "connected", True), WorkerHealth("b", 900, "connected"))
    *_, keeper, other = parts(replace(WELL, mode="off", threads=(), workers=elsewhere), NOW, ZONE)
    assert any("Keeper" in line for line in keeper.lines)
    assert not any("Keeper" in line for line in other.lines)
    *_, worker = parts(replace(WELL, keeper=True), NOW, ZONE)
    assert any("Keeper" in line for line in worker.lines)


def test_a_thread_that_lives_and_can_not_work_is_told() -> None:
    *_, worker = parts(replace(WELL, threads=(ThreadHealth("keeper", True, 0, "refused"),)), NOW, ZONE)
    assert (worker.state, worker.trouble) == ("running", ("keeper: refused.",))
