from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import dead_letters
from db.audit import verify
from db.dead_letters import DeadLetter
from db.engine import reading, writing
from ingest.vitals import now_ms
from pages.parts.letter_work import delete, every_letter, replay
from runtime import Runtime
from tests.api.server import place
from tests.parts.doors import ROOT

GOOD = b'{"ts": 1764000000123, "temperature": 21.5}'


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    with place(tmp_path, f"sqlite:///{tmp_path}/monitor.db") as found:
        yield found.runtime


def keep(runtime: Runtime, *payloads: bytes) -> list[int]:
    letters = [DeadLetter(now_ms(), "iot/kitchen/telemetry", one, len(one), "was wrong") for one in payloads]
    with writing(runtime.engine) as connection:
        dead_letters.store(connection, letters)
    return every_letter(runtime)


def recorded(runtime: Runtime) -> list[tuple[str, str, str, str]]:
    log = [one.entry for one in runtime.doors.audit(action="dead_letters.")]
    return [(one.actor, one.action, one.subject, one.detail) for one in log]


def test_one_is_replayed_and_said_so(runtime: Runtime) -> None:
    ids = keep(runtime, GOOD)

    *_, words = replay(runtime, ROOT, ids, "1 on iot/kitchen/telemetry")

    assert words == "What came on iot/kitchen/telemetry is stored now."
    assert every_letter(runtime) == []
    assert recorded(runtime) == [("root", "dead_letters.replay", "1 on iot/kitchen/telemetry", "1 stored")]


def test_all_are_replayed_and_added_up(runtime: Runtime) -> None:
    ids = keep(runtime, GOOD, GOOD, b"<b>")

    *progress, words = replay(runtime, ROOT, ids, "all")

    assert progress[0] == "1 of 3 messages replayed."
    assert words == "1 stored, 1 known already, 1 stay. Each that stays says why."
    assert len(every_letter(runtime)) == 1


def test_deleting_is_recorded_before_anything_else_goes(runtime: Runtime) -> None:
    ids = keep(runtime, *[b"x"] * 600)
    work = delete(runtime, ROOT, ids, "all up to 600")

    assert next(work) == "500 of 600 messages deleted."
    assert recorded(runtime) == [("root", "dead_letters.delete", "all up to 600", "600 messages")]
    *_, words = work

    assert words == "600 messages deleted."
    assert len(recorded(runtime)) == 1
    with reading(runtime.engine) as connection:
        assert verify(connection, runtime.doors.key("audit"), None).ok


def test_letters_that_went_meanwhile_are_told(runtime: Runtime) -> None:
    ids = keep(runtime, b"x", b"y")
    *_, first = delete(runtime, ROOT, ids[:1], "1")

    *_, words = delete(runtime, ROOT, ids, "all")

    assert (first, words) == ("1 message deleted.", "1 message deleted. 1 had gone meanwhile.")
