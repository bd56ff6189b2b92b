"""Dead letters stored again: never lost, never doubled, whatever happens in between."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from db import account, dead_letters, devices, migrations
from db import engine as database
from db.account import Tally
from db.dead_letters import DeadLetter, Selection
from db.engine import Engine, reading, writing
from ingest import audit
from ingest.replay import Replay, Replayed
from ingest.writer import Writer
from tests.ingest.unit.messages import LIMIT, NOW, decode
from tests.parts.eventually import eventually
from tests.parts.process import Process

ROOT = Path(__file__).parents[2]
TOPIC = "iot/kitchen/telemetry"


class CrashError(BaseException):
    """Stands for the end of the process: nobody catches it."""


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.create(database_url)
    migrations.apply(engine)
    yield engine
    assert audit.read(engine, NOW).mismatches == []
    engine.dispose()


def receive(engine: Engine, payload: Any, topic: str = TOPIC, **fields: Any) -> None:
    """What the worker does with a message."""
    writer = Writer(engine, "w", uuid4().hex)
    writer.load()
    writer.store([decode(topic, payload, **fields)], NOW)


def keep(engine: Engine, payload: bytes, topic: str = TOPIC, *, at: int = NOW, **fields: Any) -> None:
    """A letter as an earlier version left it, which understood less."""
    with writing(engine) as connection:
        dead_letters.store(connection, [DeadLetter(at, topic, payload, len(payload), "not understood", **fields)])


def replay(engine: Engine, root: str = "iot", limit: int = LIMIT) -> list[Replayed]:
    with reading(engine) as connection:
        ids = dead_letters.select_ids(connection, Selection())
    run = Replay(engine, "w-replay", root, limit)
    results = list(run.run(ids))
    run.fold()
    return results


def values(engine: Engine) -> list[tuple[str, int, float]]:
    """(metric, ms after NOW, value)"""
    query = text("SELECT s.metric, r.ts, r.value FROM readings r JOIN series s ON s.id = r.series_id ORDER BY 1, 2")
    with reading(engine) as connection:
        return [(row[0], row[1] - NOW, row[2]) for row in connection.execute(query)]


def kept(engine: Engine) -> list[DeadLetter]:
    with reading(engine) as connection:
        return [stored.letter for stored in reversed(dead_letters.newest(connection, 100))]


def _tally(engine: Engine) -> Tally:
    with reading(engine) as connection:
        return account.totals(connection).get("w-replay", Tally())


def results(replayed: list[Replayed]) -> list[str]:
    return [one.result for one in replayed]


def test_what_is_understood_now_is_stored_at_its_time_and_leaves(engine: Engine) -> None:
    keep(engine, b'{"ts": 1764000000007, "v": 1}')
    keep(engine, b'{"v": 2, "age": 5}')
    keep(engine, b"21.5", "iot/kitchen/temperature")
    assert results(replay(engine)) == ["stored"] * 3
    assert values(engine) == [("temperature", 0, 21.5), ("v", -5, 2.0), ("v", 7, 1.0)]
    assert kept(engine) == []
    assert _tally(engine) == Tally(stored=3, readings_stored=3)
    assert replay(engine) == []


def test_what_is_still_not_understood_stays_with_its_new_reason(engine: Engine) -> None:
    receive(engine, {"ts": NOW, "v": 1})
    receive(engine, {"ts": NOW, "v": 2})
    keep(engine, b"no JSON")
    assert results(replay(engine)) == ["stays", "stays"]
    first, second = kept(engine)
    assert "contradicts 1.0" in first.reason
    assert "not JSON" in second.reason
    assert _tally(engine) == Tally(rejected=2, readings_rejected=1)


def test_what_is_known_meanwhile_leaves_as_a_duplicate(engine: Engine) -> None:
    keep(engine, b'{"ts": 1764000000000, "v": 1}')
    receive(engine, {"ts": NOW, "v": 1})
    assert results(replay(engine)) == ["duplicate"]
    assert (values(engine), kept(engine)) == ([("v", 0, 1.0)], [])


def test_a_message_that_was_too_large_is_stored_under_a_larger_limit(engine: Engine) -> None:
    payload = b'{"ts": 1764000000000, "v": 1}'
    keep(engine, payload)
    assert "MAX_MESSAGE_BYTES" in replay(engine, limit=len(payload) - 1)[0].problem
    assert results(replay(engine, limit=len(payload))) == ["stored"]


def test_a_cut_letter_is_refused_and_stays(engine: Engine) -> None:
    with writing(engine) as connection:
        dead_letters.store(connection, [DeadLetter(NOW, TOPIC, b'{"v": 1}' + b" " * 70_000, 70_008, "too large")])
    (one,) = replay(engine)
    assert (one.result, "first 65536 of its 70008 bytes" in one.problem) == ("stays", True)
    assert kept(engine)[0].reason == "too large"
    assert _tally(engine) == Tally(), "it was not even received again"


def test_several_without_a_time_that_came_at_once_are_all_stored(engine: Engine) -> None:
    for value in (1, 2, 2):
        keep(engine, b'{"v": %d}' % value)
    assert results(replay(engine)) == ["stored"] * 3
    assert values(engine) == [("v", 0, 1.0), ("v", 1, 2.0), ("v", 2, 2.0)]


@pytest.mark.parametrize("fields", ["", '"boot": "a", "seq": 5, ', '"seq": 5, ', '"ts": 1764000000000, '])
def test_of_a_message_stored_in_part_only_the_rest_is_stored(engine: Engine, fields: str) -> None:
    receive(engine, f'{{{fields}"good": 1, "bad": "text"}}')
    assert results(replay(engine)) == ["stays"], "nobody has taught the dialect yet"
    assert values(engine) == [("good", 0, 1.0)]
    with writing(engine) as connection:  # as the payload would read to a dialect that takes numbers in quotes
        payload = f'{{{fields}"good": 1, "bad": 7}}'.encode()
        connection.execute(text("UPDATE dead_letters SET payload = :p, size = :s"), {"p": payload, "s": len(payload)})
    assert results(replay(engine)) == ["stored"]
    assert values(engine) == [("bad", 0, 7.0), ("good", 0, 1.0)]
    assert kept(engine) == []


def test_a_repetition_of_a_message_stored_in_part_is_not_stored_a_second_time(engine: Engine) -> None:
    payload = '{"boot": "a", "seq": 5, "good": 1, "bad": "text"}'
    receive(engine, payload)
    receive(engine, payload, received_at=NOW + 60_000, redelivered=True)
    assert results(replay(engine)) == ["stays", "stays"]
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM receipts"))  # as after 8 days
    assert "can't be told" in replay(engine)[1].problem
    assert values(engine) == [("good", 0, 1.0)]


def test_a_part_that_is_no_reading_keeps_its_letter(engine: Engine) -> None:
    receive(engine, [{"ts": NOW, "v": 1}, "what is this"])
    assert results(replay(engine)) == ["stays"]
    assert "expected an object" in kept(engine)[0].reason
    assert _tally(engine) == Tally(duplicate=1, readings_duplicate=1)


def test_what_was_retained_is_still_of_unknown_age(engine: Engine) -> None:
    receive(engine, {"v": 3}, retained=True)
    assert results(replay(engine)) == ["stays"]
    assert values(engine) == []
    assert "time is unknown" in kept(engine)[0].reason


def test_the_present_start_of_a_device_without_boot_is_left_alone(engine: Engine) -> None:
    for seq in (500, 501):
        receive(engine, {"seq": seq, "v": seq})
    keep(engine, b'{"seq": 17, "v": 17}', at=NOW - 60_000)
    assert results(replay(engine)) == ["stored"]
    receive(engine, {"seq": 502, "v": 502})
    assert audit.read(engine, NOW).missing == []


def test_a_number_that_was_missing_is_no_more(engine: Engine) -> None:
    for seq in (1, 3):
        receive(engine, {"boot": "a", "seq": seq, "v": seq})
    keep(engine, b'{"boot": "a", "seq": 2, "v": 2}')
    assert [(gap.first, gap.last) for gap in audit.read(engine, NOW).missing] == [(2, 2)]
    assert results(replay(engine)) == ["stored"]
    assert audit.read(engine, NOW).missing == []


def test_a_status_is_no_news_once_its_device_went_on(engine: Engine) -> None:
    keep(engine, b"online", "iot/kitchen/status", at=NOW + 1)
    assert results(replay(engine)) == ["stored"]
    with writing(engine) as connection:
        kitchen = devices.ids(connection, ["kitchen"])["kitchen"]
        devices.store_last_seen(connection, {kitchen: 2 * NOW})
    keep(engine, b"offline", "iot/kitchen/status", at=NOW + 2)
    (one,) = replay(engine)
    assert (one.result, "outdated" in one.problem) == ("stays", True)
    with reading(engine) as connection:
        assert devices.every(connection)[0].online is True


def test_a_bug_in_the_dialect_costs_one_letter_only(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise ZeroDivisionError

    keep(engine, b'{"v": 1}')
    with monkeypatch.context() as patch:
        patch.setattr("ingest.dialects.native.decode", stumble)
        assert replay(engine)[0].problem == "it can't be decoded: ZeroDivisionError"
    assert results(replay(engine)) == ["stored"]


@pytest.mark.parametrize("before", ["DELETE FROM dead_letters", "INSERT", "COMMIT"])
def test_a_crash_at_any_step_loses_and_doubles_nothing(engine: Engine, before: str) -> None:
    keep(engine, b'{"v": 1}')
    armed = [True]

    def crash(statement: str) -> None:
        if armed and statement.startswith(before):
            armed.clear()
            raise CrashError

    def on_statement(_c: object, _cursor: object, statement: str, *_: object) -> None:
        crash(statement)

    event.listen(engine, "before_cursor_execute", on_statement)
    run = Replay(engine, "w-replay", "iot", LIMIT)
    if before == "COMMIT":
        event.listen(engine, "commit", lambda _: crash("COMMIT"))
        armed.clear()
        run._writer.load()
        armed.append(True)
    with pytest.raises(CrashError):
        list(run.run([1, 2]))
    assert (values(engine), len(kept(engine))) == ([], 1)
    assert results(replay(engine)) == ["stored"]
    assert (values(engine), kept(engine)) == ([("v", 0, 1.0)], [])


def test_a_letter_that_somebody_took_meanwhile_is_not_stored_twice(engine: Engine) -> None:
    keep(engine, b'{"v": 1}')
    keep(engine, b'{"v": 2}')
    taken: list[str] = []

    def take(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT dead_letters") and not taken:
            taken.append("")
            taken[:] = results(replay(engine))

    run = Replay(engine, "w-replay", "iot", LIMIT)
    with reading(engine) as connection:
        first, second = dead_letters.select_ids(connection, Selection())
    found = run.run([first, second])
    event.listen(engine, "after_cursor_execute", take)
    assert (results(list(found)), taken) == (["gone", "gone"], ["stored", "stored"])
    assert values(engine) == [("v", 0, 1.0), ("v", 1, 2.0)]
    assert results(list(Replay(engine, "w-replay", "iot", LIMIT).run([first]))) == ["gone"]


def test_a_replay_that_is_killed_before_its_commit(mariadb_url: str, part_directory: Path) -> None:
    engine = database.create(mariadb_url)
    migrations.apply(engine)
    keep(engine, b'{"v": 1}')
    settings = {"DATABASE_URL": mariadb_url, "DATA_DIR": str(part_directory), "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "ingest", "replay"]
    process = Process(command, log=part_directory / "log", directory=ROOT, environment=settings)
    with writing(engine) as connection:
        connection.execute(text("SELECT id FROM dead_letters FOR UPDATE"))
        process.start()
        eventually(lambda: _deletes(engine), what="a replay that waits for its letter, the reading inserted")
        process.kill()
    assert (values(engine), len(kept(engine))) == ([], 1)
    assert results(replay(engine)) == ["stored"]
    assert (values(engine), kept(engine)) == ([("v", 0, 1.0)], [])
    engine.dispose()


def _deletes(engine: Engine) -> bool:
    query = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'DELETE FROM dead_letters%'"
    with reading(engine) as connection:
        return bool(connection.scalar(text(query)))
