from __future__ import annotations

from dataclasses import replace

from sqlalchemy import func, select, text

from db import account, devices, removal, resends
from db.account import BatchKey, RecentStart, SeenRange, Tally
from db.engine import Engine, reading, writing
from db.resends import Gone, Named, Outcome, Resend, ResendCounts
from db.rights import Actor, Origin
from db.schema import resend_gone
from tests.db.conftest import NOW

KEY = b"k" * 32


def _seen(engine: Engine, *batches: tuple[int, list[SeenRange]]) -> None:
    """Batches, each with what it saw at a time (UTC ms), folded."""
    with writing(engine) as connection:
        for number, (at, ranges) in enumerate(batches):
            account.claim_batch(connection, BatchKey("w", f"t{at}", number), Tally(), ranges, at)
        while account.fold(connection, "w", None):
            pass


def _waiting(device_id: int, first: int = 5, *, next_at: int | None = NOW, boot: str = "a") -> Resend:
    return Resend(device_id, boot, first, first + 4, NOW, next_at=next_at)


def _put(engine: Engine, *rows: Resend) -> None:
    with writing(engine) as connection:
        resends.replace(connection, [], rows, [])


def test_starts_that_begin_and_those_with_a_gap_are_found_by_when_that_was(engine: Engine, kitchen: int) -> None:
    _seen(
        engine,
        (NOW, [(kitchen, "old", 0, 4), (kitchen, "a", 0, 9)]),
        (NOW + 10, [(kitchen, "a", 12, 19), (kitchen, "b", 0, 3)]),
        (NOW + 20, [(kitchen, "A", 7, 7), (kitchen, "b", 5, 5), (kitchen, "a", 20, 21)]),
    )
    with reading(engine) as connection:
        found = account.recent_starts(connection, NOW + 10)
        assert sorted(found, key=lambda one: one.boot) == [
            RecentStart(kitchen, "A", NOW + 20, has_gap=False),
            RecentStart(kitchen, "a", None, has_gap=True),
            RecentStart(kitchen, "b", NOW + 10, has_gap=True),
        ]
        assert account.recent_starts(connection, NOW + 21) == []
        assert account.intervals(connection, [(kitchen, "a"), (kitchen, "none")]) == {
            (kitchen, "a"): [(0, 9, NOW, NOW), (12, 21, NOW + 10, NOW + 20)]
        }


def test_ranges_are_replaced_by_what_they_have_become(engine: Engine, kitchen: int) -> None:
    before = [_waiting(kitchen), _waiting(kitchen, 20, boot="A"), _waiting(kitchen, 5, boot="b")]
    _put(engine, *before)
    after = [replace(before[0], last=7, next_at=None), replace(before[0], first=8, outcome="gone"), before[2]]
    with writing(engine) as connection:
        assert resends.every(connection, locked=True) == sorted(before, key=lambda row: row.key)
        resends.replace(connection, before, after, [])
        assert resends.every(connection) == after


def test_what_is_gone_waits_until_it_is_taken(engine: Engine, kitchen: int) -> None:
    with writing(engine) as connection:
        for number in (5, 6):
            resends.note_gone(connection, kitchen, Gone("kitchen", "a", number, 2**63 - 1), NOW)
        said, _ = resends.gone(connection)
        assert (said.device_id, said.boot, said.first, said.last, said.at) == (kitchen, "a", 5, 2**63 - 1, NOW)
        resends.replace(connection, [], [], [said])
        assert [one.first for one in resends.gone(connection)] == [6]
        resends.replace(connection, [], [], resends.gone(connection))
        assert resends.gone(connection) == []


def test_a_range_is_asked_for_once_it_is_due_by_whoever_comes_first(engine: Engine, kitchen: int) -> None:
    row = _waiting(kitchen)
    _put(engine, row, _waiting(kitchen, 20, next_at=None), _waiting(kitchen, 30, next_at=NOW + 1))
    with reading(engine) as connection:
        assert resends.due(connection, NOW - 1) == []
        assert resends.due(connection, NOW) == [Named("kitchen", row)]
    for times in (1, 0):
        with writing(engine) as connection:
            assert len(resends.note_asked(connection, [(row, NOW + 60)], NOW)) == times
    with reading(engine) as connection:
        assert resends.due(connection, NOW + 1)[0].range.first == 30
        assert resends.every(connection)[0] == replace(row, tries=1, asked_at=NOW, next_at=NOW + 60)


def test_what_became_of_them_is_counted_in_messages(engine: Engine, kitchen: int) -> None:
    outcomes: list[Outcome | None] = [None, "repaired", "gone", "unanswered"]
    rows = [replace(_waiting(kitchen, 10 * number), outcome=outcome) for number, outcome in enumerate(outcomes)]
    _put(engine, *rows, Resend(kitchen, "b", 0, 2**63 - 1, NOW), Resend(kitchen, "c", 0, 2**63 - 1, NOW))
    with reading(engine) as connection:
        assert resends.counts(connection) == ResendCounts(5 + 2**64, 5, 5, 5)


def test_the_newest_come_first_and_a_deleted_device_has_none(engine: Engine, kitchen: int) -> None:
    with writing(engine) as connection:
        hall = devices.ensure(connection, ["hall"], NOW)["hall"]
    _put(engine, _waiting(kitchen), replace(_waiting(hall), noticed_at=NOW + 5))
    with writing(engine) as connection:
        resends.note_gone(connection, hall, Gone("hall", "a", 0, 1), NOW)
    with reading(engine) as connection:
        assert [one.device for one in resends.newest(connection)] == ["hall", "kitchen"]
        assert [one.device for one in resends.newest(connection, 1)] == ["hall"]
    with writing(engine) as connection:
        removal.ask(connection, KEY, "hall", by=Actor("anna", "admin", Origin("")), at=NOW + 10)
    with reading(engine) as connection:
        assert [one.device for one in resends.newest(connection)] == ["kitchen"]
        assert resends.there(connection, [hall, kitchen]) == {kitchen}
    for _ in removal.work(engine, lambda: writing(engine), "w", NOW + 20):
        pass
    with reading(engine) as connection:
        assert [row.device_id for row in resends.every(connection)] == [kitchen]
        assert connection.scalar(select(func.count()).select_from(resend_gone)) == 0


def test_what_is_due_is_found_in_an_index(engine: Engine) -> None:
    with reading(engine) as connection:
        lite = connection.dialect.name == "sqlite"
        plan = connection.execute(
            text(f"EXPLAIN {'QUERY PLAN ' if lite else ''}SELECT first FROM resends WHERE next_at <= 5")
        ).all()
    assert "ix_resends_next_at" in str(plan)
