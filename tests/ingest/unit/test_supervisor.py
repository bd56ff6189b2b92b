"""What systemd is told, on a socket like its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from db.engine import DatabaseFacts
from ingest.health import Account, BrokerHealth, Counts, DatabaseHealth, Health, Rates
from ingest.supervisor import LONGEST_TURN_S, Supervisor, hangs
from ingest.vitals import Vitals

WELL = Health(
    "thread",
    0,
    BrokerHealth("connected", 0, "mqtt://b:1883"),
    DatabaseHealth("connected", 0, "mysql+pymysql://h/m"),
    Account(messages=Counts(stored=3)),
    Rates(),
    turn_s=0.2,
)


@pytest.fixture
def systemd(part_directory: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(part_directory / "notify"))
        listening.settimeout(5)
        yield listening


def beat(systemd: socket.socket, health: Health) -> list[str]:
    Supervisor(systemd.getsockname()).beat(health)
    return systemd.recv(4096).decode().splitlines()


def test_it_lives_as_long_as_its_loop_comes_round(systemd: socket.socket) -> None:
    said = "STATUS=3 received = 3 stored + 0 duplicate + 0 rejected + 0 waiting"
    assert beat(systemd, WELL) == [said, "WATCHDOG=1"]
    hanging = replace(WELL, turn_s=LONGEST_TURN_S + 1)
    assert hangs(hanging)
    assert beat(systemd, hanging) == ["STATUS=The worker's loop has not come round for 91 s."]


@pytest.mark.parametrize("turn_s", [None, 1.0])
def test_an_outage_is_told_and_no_reason_to_start_anew(systemd: socket.socket, turn_s: float | None) -> None:
    away = replace(WELL.database, state="connecting", problem="no\nroute")
    told = beat(systemd, replace(WELL, database=away, turn_s=turn_s))
    assert told == ["STATUS=Waiting for the database: no route", "WATCHDOG=1"]
    alone = replace(WELL.broker, state="connecting", problem=None)
    told = beat(systemd, replace(WELL, broker=alone, turn_s=turn_s))
    assert told == ["STATUS=Waiting for the broker: connecting", "WATCHDOG=1"]


def test_beginning_and_end_are_told(systemd: socket.socket) -> None:
    supervisor = Supervisor.of({"NOTIFY_SOCKET": systemd.getsockname()})
    supervisor.ready()
    supervisor.stopping()
    assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"STOPPING=1"]


def test_a_name_without_a_file_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0smart-monitor-test-{os.getpid()}")
        listening.settimeout(5)
        Supervisor(f"@smart-monitor-test-{os.getpid()}").ready()
        assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    ("environment", "beat_s"),
    [
        ({}, 10),
        ({"WATCHDOG_USEC": "60000000"}, 10),
        ({"WATCHDOG_USEC": "6000000"}, 2),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}, 2),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "1"}, 10),
        ({"WATCHDOG_USEC": "soon"}, 10),
    ],
)
def test_it_beats_three_times_within_the_watchdogs_patience(environment: dict[str, str], beat_s: float) -> None:
    assert Supervisor.of(environment).beat_s == pytest.approx(beat_s)


def test_nobody_is_told_where_nobody_listens(part_directory: Path) -> None:
    Supervisor.of({}).ready()
    Supervisor.of({"NOTIFY_SOCKET": str(part_directory / "gone")}).beat(WELL)


def test_opening_the_database_may_take_its_time() -> None:
    vitals = Vitals("mqtt://b:1883", "sqlite:///m", embedded=False)
    vitals.database_lost("away")
    turns = [vitals.turn_s]  # the loop has not begun to turn
    vitals.turned()
    turns.append(vitals.turn_s)
    vitals.opening()
    vitals.database_connected(DatabaseFacts("SQLite", "3", None))
    turns.append(vitals.turn_s)
    assert [turn is None for turn in turns] == [True, False, True]


def test_a_try_that_failed_is_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    vitals = Vitals("mqtt://b:1883", "sqlite:///m", embedded=False)
    clock = [1000.0]
    monkeypatch.setattr("ingest.vitals.time.monotonic", lambda: clock[0])
    vitals.turned()
    clock[0] += 60
    vitals.database_lost("away", by="upkeep")
    assert vitals.turn_s == 60, "another thread's"
    vitals.database_lost("away")
    assert vitals.turn_s == 0
    clock[0] += 60
    vitals.broker_lost("away")
    assert vitals.turn_s == 0
