"""What an administrator does to dead letters: replay them, delete them, one or all, in words and in the audit log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Generator, Sequence
from typing import Final

import streamlit as st

from db import audit, dead_letters
from db.audit import Entry, Result
from db.doors import Actor
from db.engine import DatabaseError, reading, writing
from db.statements import in_chunks
from ingest.replay import Replayed, on_board
from pages.parts.clock import now_ms
from pages.parts.format import count, things
from pages.parts.jobs import Bench
from runtime import Runtime

log = logging.getLogger(__name__)

#: Letters that go in one transaction: each holds at most 64 KiB.
_AT_ONCE: Final = 500


@st.cache_resource(show_spinner=False)
def bench() -> Bench:
    """The process's one job on dead letters."""
    return Bench()


def every_letter(runtime: Runtime) -> list[int]:
    """The ids of all letters that are there now, oldest first. Raises DatabaseAway."""
    with reading(runtime.engine) as connection:
        return dead_letters.select_ids(connection, dead_letters.Selection())


def replay(runtime: Runtime, actor: Actor, ids: Sequence[int], subject: str) -> Generator[str]:
    """Replay these letters; how far it is, then what became of them. Raises DatabaseAway."""
    run = on_board(runtime.settings, runtime.engine, runtime.board)
    results: Counter[str] = Counter()
    last: Replayed | None = None
    result: Result = "ok"
    try:
        for last in run.run(ids):
            results[last.result] += 1
            yield f"{count(results.total())} of {things(len(ids), 'message')} replayed."
        run.fold()
    except DatabaseError:
        result = "failed"
        raise
    finally:
        at, address = now_ms(), actor.origin.address
        detail = _sum(results) or "none"
        _record(runtime, Entry(at, actor.name, address, "dead_letters.replay", subject, result, detail))
    yield _one(last) if len(ids) == 1 and last is not None else _all(results)


def _record(runtime: Runtime, entry: Entry) -> None:
    """Note it; where the database went away meanwhile, in the server's log at least."""
    try:
        with writing(runtime.engine) as connection:
            audit.record(connection, runtime.doors.key("audit"), entry)
    except DatabaseError as error:
        log.warning("%s of %s by %s is not in the audit log: %s", entry.action, entry.subject, entry.actor, error)


def _one(replayed: Replayed) -> str:
    words = {
        "stored": f"What came on {replayed.topic} is stored now.",
        "duplicate": f"What came on {replayed.topic} was known already; nothing was stored twice, and it is gone here.",
        "stays": f"What came on {replayed.topic} stays: {replayed.problem}.",
        "gone": "Somebody replayed or deleted it meanwhile.",
    }
    return words[replayed.result]


def _all(results: Counter[str]) -> str:
    why = " Each that stays says why." if results["stays"] else ""
    return f"{_sum(results) or 'There was nothing to replay'}.{why}"


def _sum(results: Counter[str]) -> str:
    """As in "41 stored, 2 known already, 3 stay"."""
    words = {"stored": "stored", "duplicate": "known already", "stays": "stay", "gone": "gone meanwhile"}
    return ", ".join(f"{count(results[name])} {word}" for name, word in words.items() if results[name])


def delete(runtime: Runtime, actor: Actor, ids: Sequence[int], subject: str) -> Generator[str]:
    """Delete these letters; how far it is, then how many went. Raises DatabaseAway.

    The audit log has it in the first transaction, so that nothing goes unrecorded, whatever happens later.
    """
    entry = Entry(
        now_ms(), actor.name, actor.origin.address, "dead_letters.delete", subject, "ok", things(len(ids), "message")
    )
    gone = 0
    for number, chunk in enumerate(in_chunks(ids, _AT_ONCE)):
        with writing(runtime.engine) as connection:
            gone += dead_letters.remove(connection, chunk)
            if number == 0:
                audit.record(connection, runtime.doors.key("audit"), entry)
        yield f"{count(gone)} of {things(len(ids), 'message')} deleted."
    left = len(ids) - gone
    yield f"{things(gone, 'message')} deleted.{f' {count(left)} had gone meanwhile.' if left else ''}"
