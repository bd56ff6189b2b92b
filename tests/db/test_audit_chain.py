"""The audit log's chain: whatever is done to it without the key is found out, and nothing that was not."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update

from db import audit
from db.audit import Entry, Verdict
from db.engine import Connection, Engine, reading, snapshot, writing
from db.schema import audit_head, audit_log

_ROOT = Path(__file__).parents[2]
KEY = b"k" * 32
OTHER = b"o" * 32
ENTRIES = 12
ENTRY = Entry(1_764_000_000_000, "anna", "192.0.2.1", "user.role", "bert", "ok", "operator")

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=300)
entries = st.builds(
    Entry, st.integers(0, 2**62), TEXTS, TEXTS, TEXTS, TEXTS, st.sampled_from(["ok", "failed", "refused"]), TEXTS
)
examples = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def undone(engine: Engine) -> Iterator[Connection]:
    """A transaction to write in, of which nothing stays."""
    with engine.connect().execution_options(sqlite_begin="IMMEDIATE") as connection:
        yield connection


def write(connection: Connection, count: int, key: bytes = KEY) -> None:
    for number in range(count):
        audit.record(connection, key, replace(ENTRY, subject=f"user {number}"))


def check(engine: Engine, head: str | None = None, key: bytes = KEY) -> Verdict:
    with snapshot(engine) as connection:
        return audit.verify(connection, key, head)


@pytest.fixture
def log(engine: Engine) -> Engine:
    """A log with twelve entries."""
    with writing(engine) as connection:
        write(connection, ENTRIES)
    return engine


def test_an_empty_log_holds(engine: Engine) -> None:
    assert check(engine) == Verdict(0, "")
    verdict = check(engine, "f" * 64)
    assert not verdict.ok
    assert "The head that was noted is not in the log" in str(verdict.problem)


def test_a_log_holds_and_tells_its_head(log: Engine) -> None:
    verdict = check(log)
    assert verdict.ok
    assert (verdict.entries, verdict.bad) == (ENTRIES, None)
    assert check(log, verdict.head).ok
    with writing(log) as connection:
        write(connection, 3)
    assert check(log, verdict.head).ok, "a head that was noted earlier is in it still"


@examples
@given(some=st.lists(entries, min_size=1, max_size=5))
def test_any_text_is_kept_and_holds(engine: Engine, some: list[Entry]) -> None:
    with undone(engine) as connection:
        before = audit.verify(connection, KEY, None)
        assert before.ok
        for entry in some:
            audit.record(connection, KEY, entry)
        verdict = audit.verify(connection, KEY, before.head or None)
        assert (verdict.problem, verdict.entries) == (None, before.entries + len(some))
        kept = audit.search(connection, limit=len(some))[::-1]
        for recorded, entry in zip(kept, some, strict=True):
            assert (recorded.entry.at, recorded.entry.result) == (entry.at, entry.result)
            assert len(recorded.entry.detail) == len(entry.detail)


CHANGES = st.one_of(
    st.tuples(st.just("at"), st.integers(0, 2**62)),
    st.tuples(st.sampled_from(["actor", "address", "action", "subject", "detail"]), st.text("abc \\'%\n", max_size=20)),
    st.tuples(st.just("result"), st.sampled_from(["ok", "failed", "refused"])),
    st.tuples(st.just("mac"), st.text("0123456789abcdef", min_size=64, max_size=64)),
    st.tuples(st.just("number"), st.integers(ENTRIES + 1, 2**62)),
)


@examples
@given(number=st.integers(1, ENTRIES), change=CHANGES)
def test_a_change_is_found_and_named(log: Engine, number: int, change: tuple[str, Any]) -> None:
    column, value = change
    here = audit_log.c.number == number
    with undone(log) as connection:
        assume(connection.scalar(select(audit_log.c[column]).where(here)) != value)
        connection.execute(update(audit_log).where(here).values({column: value}))
        verdict = audit.verify(connection, KEY, None)
        assert (verdict.ok, verdict.bad) == (False, number)


@examples
@given(number=st.integers(1, ENTRIES), head_too=st.booleans())
def test_a_removed_entry_is_found(log: Engine, number: int, head_too: bool) -> None:
    noted = check(log).head
    with undone(log) as connection:
        connection.execute(delete(audit_log).where(audit_log.c.number == number))
        if head_too:
            last = connection.execute(select(audit_log).order_by(audit_log.c.number.desc()).limit(1)).one()
            connection.execute(update(audit_head).values(number=last.number, mac=last.mac))
        verdict = audit.verify(connection, KEY, noted)
        assert (verdict.ok, verdict.bad) == (False, number)
        # The newest, taken away together with the head, is what only a noted head tells.
        assert audit.verify(connection, KEY, None).ok == (head_too and number == ENTRIES)


@examples
@given(first=st.integers(1, ENTRIES), second=st.integers(1, ENTRIES))
def test_two_that_changed_places_are_found(log: Engine, first: int, second: int) -> None:
    assume(first < second)
    with undone(log) as connection:
        for of, to in ((first, -1), (second, first), (-1, second)):
            connection.execute(update(audit_log).where(audit_log.c.number == of).values(number=to))
        assert audit.verify(connection, KEY, None).bad == first


@examples
@given(copied=st.integers(1, ENTRIES))
def test_an_entry_that_was_put_in_is_found(log: Engine, copied: int) -> None:
    with undone(log) as connection:
        row = connection.execute(select(audit_log).where(audit_log.c.number == copied)).one()
        connection.execute(insert(audit_log).values({**row._mapping, "number": ENTRIES + 1}))
        connection.execute(update(audit_head).values(number=ENTRIES + 1))
        assert audit.verify(connection, KEY, None).bad == ENTRIES + 1


def test_a_head_that_was_taken_away_is_found_and_the_log_goes_on(log: Engine) -> None:
    with writing(log) as connection:
        connection.execute(delete(audit_head))
    assert "The head of the log is missing" in str(check(log).problem)
    with writing(log) as connection:
        write(connection, 2)
    assert check(log).ok
    assert check(log).entries == ENTRIES + 2


def test_with_another_key_nothing_holds(log: Engine) -> None:
    verdict = check(log, key=OTHER)
    assert verdict.bad == 1
    assert "not made with this SECRET_KEY" in str(verdict.problem)
    with reading(log) as connection:
        assert audit.is_key(connection, KEY)
        assert not audit.is_key(connection, OTHER)


def begin_anew(engine: Engine, key: bytes) -> int:
    with writing(engine) as connection:
        return audit.begin_anew(connection, key, replace(ENTRY, actor="root"))


def test_a_lost_key_is_followed_by_a_new_chain(log: Engine) -> None:
    with writing(log) as connection:
        write(connection, 2, OTHER)  # by a server that had the new key before anyone noticed
    assert not check(log, key=OTHER).ok
    assert begin_anew(log, OTHER) == ENTRIES + 2
    assert check(log, key=OTHER).ok
    with writing(log) as connection:
        write(connection, 2, OTHER)
        assert audit.is_key(connection, OTHER)
        (begun,) = audit.search(connection, action=audit.BEGIN)
    assert (begun.number, begun.entry.actor) == (ENTRIES + 3, "root")
    assert begun.entry.detail.startswith(f"The key of the {ENTRIES + 2} entries before is lost; their SHA-256 is ")
    assert check(log, key=OTHER).ok
    assert not check(log, key=KEY).ok


@examples
@given(number=st.integers(1, ENTRIES + 4), column=st.sampled_from(["actor", "detail", "mac"]))
def test_a_new_chain_answers_for_what_was_before(log: Engine, number: int, column: str) -> None:
    with undone(log) as connection:
        audit.begin_anew(connection, OTHER, ENTRY)
        write(connection, 3, OTHER)
        assert audit.verify(connection, OTHER, None).ok
        connection.execute(update(audit_log).where(audit_log.c.number == number).values({column: "changed"}))
        verdict = audit.verify(connection, OTHER, None)
        assert not verdict.ok
        if number > ENTRIES + 1:
            assert verdict.bad == number
        else:  # what was before can't be told apart any more: the first entry of the new chain has one digest of it all
            assert verdict.bad in (1, ENTRIES + 1)


def test_a_new_chain_can_not_be_begun_without_the_key(log: Engine) -> None:
    """Else one could change the log and hide it behind a new beginning."""
    with writing(log) as connection:
        connection.execute(update(audit_log).where(audit_log.c.number == 3).values(detail="changed"))
    begin_anew(log, OTHER)
    assert check(log).bad == 3


def test_entries_of_a_transaction_that_is_undone_are_undone(log: Engine) -> None:
    with undone(log) as connection:
        write(connection, 3)
    assert check(log).entries == ENTRIES
    assert check(log).ok


def test_many_threads_make_one_chain(engine: Engine) -> None:
    together = threading.Barrier(6)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            together.wait(10)
            for _ in range(15):
                with writing(engine) as connection:
                    write(connection, 1)
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert failures == []
    assert (check(engine).problem, check(engine).entries) == (None, 90)


_WRITES = """
import sys
from db import audit
from db.engine import create, writing
engine = create(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(30):
    with writing(engine) as connection:
        audit.record(connection, b"k" * 32, audit.Entry(number, sys.argv[2], "", "login", "", "ok", ""))
print("done", flush=True)
"""


def test_several_processes_make_one_chain(engine: Engine, database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITES, database_url, f"process {number}"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.communicate(timeout=40)[0] for process in processes] == ["done\n"] * 2
    assert (check(engine).problem, check(engine).entries) == (None, 60)


def test_search(engine: Engine) -> None:
    with writing(engine) as connection:
        for at, actor, action, subject, detail in [
            (1000, "anna", "login", "anna", ""),
            (2000, "nobody", "login", "bert", "wrong password"),
            (3000, "Root", "user.create", "50%_done", "operator"),
            (4000, "root", "user.role", "anna", "back\\slash 'quoted'"),
            (5000, "root", "key.create", "ÄRGER", "sm_k_abcd"),
        ]:
            audit.record(connection, KEY, Entry(at, actor, "192.0.2.1", action, subject, "ok", detail))

    def numbers(**filters: Any) -> list[int]:
        with reading(engine) as connection:
            return [one.number for one in audit.search(connection, **filters)]

    assert numbers() == [5, 4, 3, 2, 1]
    assert numbers(limit=2) == [5, 4]
    assert numbers(before=4, limit=2) == [3, 2]
    assert numbers(actor="ROOT") == [5, 4, 3]
    assert numbers(action="login") == [2, 1]
    assert numbers(action="user.") == [4, 3]
    assert numbers(action="user") == []
    assert numbers(since=2000, until=4000) == [3, 2]
    assert numbers(text="ANNA") == [4, 1]
    assert numbers(text="%_") == [3]
    assert numbers(text="\\s") == [4]
    assert numbers(text="'quoted'") == [4]
    assert numbers(text="' OR 1=1 -- ") == []
    assert numbers(text="192.0.2") == [5, 4, 3, 2, 1]
    assert numbers(text="wrong", actor="anna") == []
