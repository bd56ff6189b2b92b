"""Each change is said once, and shown for as long as it lasts."""

from __future__ import annotations

import logging
import threading

import pytest

from db.engine import DatabaseFacts
from ingest.guard import guarded
from ingest.health import ThreadHealth
from ingest.patience import Backoff
from ingest.vitals import Vitals

QUICK = Backoff(0.001, 0.002)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "ingest")
    return caplog


@pytest.fixture
def vitals() -> Vitals:
    return Vitals("mqtt://b:1883", "mysql+pymysql://u:***@h/m", embedded=True)


def test_it_begins_connecting(vitals: Vitals) -> None:
    assert (vitals.broker.state, vitals.broker.address, vitals.broker.embedded) == ("connecting", "mqtt://b:1883", True)
    assert (vitals.database.state, vitals.database.problem) == ("connecting", None)
    assert vitals.threads == ()


def test_a_broker_that_comes_is_said_once(vitals: Vitals, said: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        vitals.broker_connected(2000)
    assert said.messages == ["Connected to the broker at mqtt://b:1883."]
    assert (vitals.broker.state, vitals.broker.window, vitals.broker.problem) == ("connected", 2000, None)


def test_a_broker_that_goes_is_said_once_for_each_reason(vitals: Vitals, said: pytest.LogCaptureFixture) -> None:
    vitals.broker_connected(None)
    for problem in ["it closed the connection", "Connection refused", "Connection refused", "Connection refused"]:
        vitals.broker_lost(problem)
    assert len(said.messages) == 3
    assert "Connection refused" in said.messages[-1]
    assert (vitals.broker.state, vitals.broker.problem) == ("connecting", "Connection refused")
    vitals.broker_connected(None)
    assert said.messages[-1] == "Connected to the broker at mqtt://b:1883."
    assert vitals.broker.problem is None


def test_since_is_when_it_was_lost_whatever_the_reason(vitals: Vitals) -> None:
    vitals.broker_lost("one reason")
    since = vitals.broker.since
    vitals.broker_lost("another reason")
    assert vitals.broker.since == since
    assert vitals.broker.problem == "another reason"


def test_a_broker_we_left_is_stopped(vitals: Vitals) -> None:
    vitals.broker_lost("gone")
    vitals.broker_stopped()
    assert (vitals.broker.state, vitals.broker.problem) == ("stopped", None)


def test_a_database_that_goes_and_comes(vitals: Vitals, said: pytest.LogCaptureFixture) -> None:
    facts = DatabaseFacts("MariaDB", "10.11", "Set it to 1.")
    vitals.database_connected(facts)
    for _ in range(3):
        vitals.database_lost("Connection refused.")
    vitals.database_connected()
    assert said.messages == [
        "Connected to the database at mysql+pymysql://u:***@h/m.",
        "Set it to 1.",
        "Waiting for the database at mysql+pymysql://u:***@h/m: Connection refused.",
        "Connected to the database at mysql+pymysql://u:***@h/m.",
    ]
    known = vitals.database
    assert (known.state, known.product, known.version, known.warning) == (
        "connected",
        "MariaDB",
        "10.11",
        "Set it to 1.",
    )


def test_a_database_is_connected_when_it_is_for_all_who_use_it(vitals: Vitals) -> None:
    states: list[str] = []
    vitals.database_lost("disk full")
    for user in ("upkeep", "ingest"):
        vitals.database_connected(by=user)
        states.append(vitals.database.state)
    assert states == ["connecting", "connected"]


def test_threads_by_name_with_their_restarts(vitals: Vitals) -> None:
    vitals.thread_runs("upkeep")
    vitals.thread_runs("ingest")
    vitals.thread_died("ingest", "KeyError: 1")
    assert vitals.threads == (ThreadHealth("ingest", False, 0, "KeyError: 1"), ThreadHealth("upkeep", True, 0))
    vitals.thread_runs("ingest")
    assert vitals.threads[0] == ThreadHealth("ingest", True, 1)


def test_a_thread_that_fails_begins_again_and_says_so(vitals: Vitals, said: pytest.LogCaptureFixture) -> None:
    states: list[ThreadHealth] = []

    def run() -> None:
        states.append(vitals.threads[0])
        if len(states) < 3:
            raise KeyError(len(states))

    guarded("ingest", run, QUICK, threading.Event(), vitals)
    assert [(state.alive, state.restarts) for state in states] == [(True, 0), (True, 1), (True, 2)]
    assert not vitals.threads[0].alive
    assert len(said.messages) == 2


def test_a_thread_that_fails_while_it_is_stopped_ends(vitals: Vitals) -> None:
    stopping, calls = threading.Event(), list[int]()

    def run() -> None:
        calls.append(1)
        stopping.set()
        raise KeyError("x")

    guarded("ingest", run, Backoff(60, 60), stopping, vitals)
    assert calls == [1]
    assert vitals.threads[0].problem == "KeyError: 'x'"


def test_a_thread_that_is_hindered_is_said_once_for_each_reason(vitals: Vitals, said: pytest.LogCaptureFixture) -> None:
    vitals.thread_runs("keeper")
    vitals.thread_hindered("keeper", None)
    assert said.messages == []
    for problem in ("refused", "refused", None, "refused", None, None):
        vitals.thread_hindered("keeper", problem)
    assert said.messages == [
        "Thread keeper can't work: refused. Trying again until it can.",
        "Thread keeper works again.",
    ]
    vitals.thread_hindered("keeper", "closed")
    assert vitals.threads == (ThreadHealth("keeper", True, 0, "closed"),)
    vitals.thread_hindered("keeper", None)
    assert vitals.threads == (ThreadHealth("keeper", True, 0, None),)
    assert len(said.messages) == 4
