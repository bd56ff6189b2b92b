"""Who is asked at the moment, and who is not: from the table, the board, the broker's state and the workers' own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from db import devices, migrations, resends, workers
from db import engine as database
from db.engine import Engine, reading, writing
from db.resends import Named, Resend
from db.workers import Heartbeat
from ingest.asking import REQUEST, Asking, payload
from ingest.command_sender import Answer
from ingest.health import BrokerHealth
from ingest.resend_plan import ResendSettings
from ingest.snapshot import DeviceNow, Snapshot
from tests.ingest.unit.messages import NOW

HOW = ResendSettings(calm_s=10, behind_s=10, asked_at_once=3, numbers_a_look=100)
BROKER = BrokerHealth("connected", NOW - 10_000, "mqtt://here")
NAMES = ("a", "b", "c", "d")


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Four devices; of each something is missing and due."""
    engine = database.create(database_url)
    migrations.apply(engine)
    with writing(engine) as connection:
        ids = devices.ensure(connection, NAMES, NOW)
        rows = [Resend(ids[name], "x", 5, 9, NOW, next_at=NOW - 10 + n) for n, name in enumerate(NAMES)]
        resends.replace(connection, [], rows, [])
    yield engine
    engine.dispose()


def board(**presence: Any) -> Snapshot:
    return Snapshot(
        NOW,
        1,
        {
            name: DeviceNow(name, None, None, None, None, NOW, 1, 1, {}, {}, presence=presence.get(name, "online"))
            for name in NAMES
        },
    )


def chosen(
    engine: Engine, shown: Snapshot, how: ResendSettings = HOW, *, broker: BrokerHealth = BROKER, root: str = "iot"
) -> list[str]:
    with reading(engine) as connection:
        return names(Asking(how, root).choose(connection, shown, broker, NOW))


def names(found: Sequence[Named]) -> list[str]:
    return [one.device for one in found]


def beat(engine: Engine, state: str = "connected", lag_ms: int | None = None) -> None:
    with writing(engine) as connection:
        workers.beat(connection, Heartbeat("w", "t", NOW, 0, 0, state, lag_ms))


def test_the_longest_due_are_asked_and_not_all_at_once(engine: Engine) -> None:
    assert chosen(engine, board()) == ["a", "b", "c"]
    assert chosen(engine, board(), replace(HOW, numbers_a_look=12)) == ["a", "b"]
    assert chosen(engine, board(), replace(HOW, numbers_a_look=1)) == ["a"]


def test_who_would_not_hear_it_is_not_asked(engine: Engine) -> None:
    assert chosen(engine, board(a="offline", b="unknown", c="late")) == ["c", "d"]
    assert chosen(engine, Snapshot(NOW, 1, {})) == []
    assert chosen(engine, board(), root="+/iot") == []


def test_nobody_is_asked_before_the_broker_was_there_for_a_while(engine: Engine) -> None:
    assert chosen(engine, board(), broker=replace(BROKER, since=NOW - 9_999)) == []
    assert chosen(engine, board(), broker=replace(BROKER, state="connecting")) == []


@pytest.mark.parametrize(
    ("state", "lag_ms", "asked"),
    [("connected", None, 3), ("connected", 10_000, 3), ("connected", 10_001, 0), ("connecting", 0, 0)],
)
def test_nobody_is_asked_while_a_worker_is_away_or_behind(
    engine: Engine, state: str, lag_ms: int | None, asked: int
) -> None:
    beat(engine, state, lag_ms)
    assert len(chosen(engine, board())) == asked
    with writing(engine) as connection:
        workers.stop(connection, "w", "t")
    assert len(chosen(engine, board())) == 3


def test_what_is_noted_is_not_due_before_its_time(engine: Engine) -> None:
    asking = Asking(HOW, "iot")
    assert asking.is_time()
    with reading(engine) as connection:
        found = asking.choose(connection, board(), BROKER, NOW)
    assert not asking.is_time()
    for may in (found, []):
        with writing(engine) as connection:
            assert asking.note(connection, found, NOW) == may
    assert chosen(engine, board()) == ["d"]
    with reading(engine) as connection:
        assert {row.next_at for row in resends.every(connection) if row.tries} == {NOW + 60_000}


def test_what_goes_out(caplog: pytest.LogCaptureFixture) -> None:
    asking = Asking(HOW, "+/iot")
    row = Resend(1, "a1", 120, 161, NOW)
    assert payload(row) == b'{"boot":"a1","from":120,"to":161}'
    assert asking.topic("site1/kitchen") == "site1/iot/kitchen/resend/set"
    assert [asking.expires_in_s(replace(row, tries=tries)) for tries in (0, 1, 2)] == [60, 120, 240]
    command = Answer("an id")
    answers = [Answer(REQUEST), command, *[Answer(REQUEST, "not authorized")] * 2]
    assert asking.without(answers) == [command]
    assert asking.without(answers) == [command]
    assert caplog.text.count("takes no requests") == 1
