from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import astuple
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, func, select, text

from db import account, devices, migrations, schema
from db.account import BatchKey, Interval, Missing, SeenRange, Tally, merge_intervals
from db.engine import Engine, create, reading, writing
from tests.db.conftest import NOW

DAY_MS = 86_400_000
TOKEN = "t"
TALLY = Tally(5, 4, 3, 50, 40, 30)


def _claim(
    engine: Engine,
    number: int,
    tally: Tally = TALLY,
    ranges: Sequence[SeenRange] = (),
    *,
    worker: str = "w",
    token: str = TOKEN,
    at: int = NOW,
) -> bool:
    with writing(engine) as connection:
        return account.claim_batch(connection, BatchKey(worker, token, number), tally, ranges, at)


def _totals(engine: Engine) -> dict[str, Tally]:
    with reading(engine) as connection:
        return account.totals(connection)


def _fold(engine: Engine, worker: str = "w", token: str | None = TOKEN) -> int:
    """Fold all; how many rows that were."""
    total = 0
    while True:
        with writing(engine) as connection:
            folded = account.fold(connection, worker, token)
        if folded == 0:
            return total
        total += folded


def _seen(engine: Engine) -> list[tuple[int, ...]]:
    columns = schema.seen.c
    with reading(engine) as connection:
        query = select(columns.first, columns.last, columns.seen_at).order_by(columns.first)
        return [tuple(row) for row in connection.execute(query)]


def _count(engine: Engine, table: str) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(schema.metadata.tables[table])) or 0


def test_a_batch_is_claimed_once(engine: Engine) -> None:
    assert _claim(engine, 1)
    assert not _claim(engine, 1, Tally(9, 9, 9, 9, 9, 9))
    assert _totals(engine) == {"w": TALLY}


def test_claims_of_other_workers_starts_and_numbers_are_others(engine: Engine) -> None:
    assert _claim(engine, 1)
    assert _claim(engine, 2)
    assert _claim(engine, 1, token="u")
    assert _claim(engine, 1, worker="W")
    assert _totals(engine) == {"w": TALLY + TALLY + TALLY, "W": TALLY}


def test_totals_of_an_empty_account(engine: Engine) -> None:
    assert _totals(engine) == {}
    assert _fold(engine) == 0


def test_a_claim_rolled_back_can_be_made_again(engine: Engine) -> None:
    with writing(engine) as connection:
        assert account.claim_batch(connection, BatchKey("w", "t", 1), TALLY, (), NOW)
        connection.rollback()
    assert _claim(engine, 1)


def test_fold_keeps_the_newest_row_of_this_start(engine: Engine) -> None:
    for number in (1, 2, 3):
        _claim(engine, number, at=NOW + number)
    assert _fold(engine) == 2
    with reading(engine) as connection:
        assert connection.scalars(select(schema.batches.c.number)).all() == [3]
    assert not _claim(engine, 3), "a commit whose answer was lost is not recognised any more"


def test_fold_keeps_the_newest_row_although_the_clock_stepped_back(engine: Engine) -> None:
    _claim(engine, 9, token="before", at=NOW + DAY_MS)
    _claim(engine, 1, at=NOW + 10)
    _claim(engine, 2, at=NOW)
    assert _fold(engine) == 2
    assert not _claim(engine, 2)
    assert _totals(engine) == {"w": TALLY + TALLY + TALLY}


def test_fold_is_idempotent(engine: Engine) -> None:
    for number in range(4):
        _claim(engine, number, ranges=[(1, "a", number * 10, number * 10 + 5)])
    assert _fold(engine) == 3
    before = _totals(engine), _seen(engine), _count(engine, "account")
    assert _fold(engine) == 0
    assert (_totals(engine), _seen(engine), _count(engine, "account")) == before


def test_fold_takes_one_worker_only(engine: Engine) -> None:
    for number in (1, 2):
        _claim(engine, number)
        _claim(engine, number, worker="other")
    assert _fold(engine) == 1
    assert _count(engine, "batches") == 3


def test_fold_makes_a_row_a_day(engine: Engine) -> None:
    day = NOW // DAY_MS
    for number, at in enumerate([day * DAY_MS, day * DAY_MS + DAY_MS - 1, (day + 1) * DAY_MS, (day + 1) * DAY_MS + 1]):
        _claim(engine, number, at=at)
    _fold(engine)
    with reading(engine) as connection:
        rows = connection.execute(select(schema.account.c.day, schema.account.c.stored).order_by(schema.account.c.day))
        assert [tuple(row) for row in rows] == [(day, 10), (day + 1, 5)]


def test_fold_takes_some_rows_at_once_and_the_account_holds_in_between(engine: Engine) -> None:
    with writing(engine) as connection:
        for number in range(1_100):
            account.claim_batch(connection, BatchKey("w", TOKEN, number), Tally(1), (), NOW)
    for expected in (500, 500, 99, 0):
        with writing(engine) as connection:
            assert account.fold(connection, "w", TOKEN) == expected
        assert _totals(engine) == {"w": Tally(1_100)}
    assert _count(engine, "batches") == 1


def test_fold_takes_fewer_rows_where_each_holds_many_numbers(
    engine: Engine, kitchen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "_RANGES_AT_ONCE", 3)
    for number in range(4):
        _claim(engine, number, ranges=[(kitchen, "a", 10 * number, 10 * number), (kitchen, "b", number, number)])
    with writing(engine) as connection:
        assert account.fold(connection, "w", TOKEN) == 2
        assert account.fold(connection, "w", TOKEN) == 1
    assert sorted(_seen(engine)) == [(0, 0, NOW), (0, 2, NOW), (10, 10, NOW), (20, 20, NOW)]


COUNTS = st.integers(0, 2**40)
TALLIES = st.builds(Tally, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
BATCHES = st.lists(st.tuples(TALLIES, st.integers(0, 3 * DAY_MS), st.sampled_from(["t", "u"])), max_size=8)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=BATCHES, fold_after=st.sets(st.integers(0, 8)))
def test_totals_are_the_same_before_and_after_any_fold(
    engine: Engine, batches: list[tuple[Tally, int, str]], fold_after: set[int]
) -> None:
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM batches"))
        connection.execute(text("DELETE FROM account"))
        expected = Tally()
        for number, (tally, offset, token) in enumerate(batches):
            account.claim_batch(connection, BatchKey("w", token, number), tally, (), NOW + offset)
            expected += tally
            if number in fold_after:
                account.fold(connection, "w", token)
            assert account.totals(connection) == {"w": expected}


def test_totals_are_whole_while_another_connection_folds(engine: Engine) -> None:
    for number in (1, 2):
        _claim(engine, number)
    folded: list[int] = []

    def fold_once(*_: object) -> None:
        if not folded:
            folded.append(0)
            folded[0] = _fold(engine)

    with reading(engine) as connection:
        event.listen(connection, "after_cursor_execute", fold_once)
        assert account.totals(connection) == {"w": TALLY + TALLY}
    assert folded == [1]


def test_a_batch_that_is_committed_while_another_folds_is_the_newest_and_stays(mariadb_url: str) -> None:
    engine = create(mariadb_url)
    migrations.apply(engine)
    for number in (1, 2):
        _claim(engine, number, ranges=[(1, "a", number, number)])

    stored: list[bool] = []

    def store_another(*_: object) -> None:
        if not stored:
            stored.append(_claim(engine, 3, ranges=[(1, "a", 3, 3)]))

    with writing(engine) as connection:
        event.listen(connection, "after_cursor_execute", store_another)
        assert account.fold(connection, "w", TOKEN) == 1
    assert stored == [True]
    assert [row[:2] for row in _seen(engine)] == [(1, 1)]  # and not 3 without 2, as if that had never arrived
    _fold(engine)
    assert [row[:2] for row in _seen(engine)] == [(1, 2)]
    engine.dispose()


def test_letters_that_had_to_leave_are_counted_beside_the_tallies(engine: Engine) -> None:
    for number in (1, 2):
        _claim(engine, number)
    with writing(engine) as connection:
        assert account.letters_removed(connection) == 0
        account.count_letters_removed(connection, "w", 12, NOW)
        account.count_letters_removed(connection, "w", 0, NOW + DAY_MS)
        account.count_letters_removed(connection, "other", 3, NOW + DAY_MS)
    _fold(engine)
    with reading(engine) as connection:
        assert account.letters_removed(connection) == 15
    assert _totals(engine) == {"w": TALLY + TALLY, "other": Tally()}
    assert _count(engine, "account") == 2


# Seen numbers

INTERVALS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(0, 8), st.integers(0, 5), st.integers(0, 5)).map(
        lambda t: (t[0], t[0] + t[1], t[2], t[3])
    ),
    max_size=12,
)


def _numbers(intervals: list[Interval]) -> set[int]:
    return {number for first, last, _, _ in intervals for number in range(first, last + 1)}


@given(intervals=INTERVALS)
def test_merged_intervals_hold_the_same_numbers_and_do_not_touch(intervals: list[Interval]) -> None:
    merged = merge_intervals(intervals)
    assert _numbers(merged) == _numbers(intervals)
    for (_, last, _, _), (first, _, _, _) in pairwise(merged):
        assert first > last + 1
    for first, last, at, last_at in merged:
        assert at == min(a for f, t, a, _ in intervals if first <= f and t <= last)
        assert last_at == min(a for _, t, _, a in intervals if t == last)


@given(intervals=INTERVALS, cut=st.integers(0, 12))
def test_merging_in_steps_is_merging_at_once(intervals: list[Interval], cut: int) -> None:
    at_once = merge_intervals(intervals)
    assert merge_intervals(merge_intervals(intervals[:cut]) + intervals[cut:]) == at_once
    assert merge_intervals(reversed(intervals)) == at_once


def test_missing_are_the_numbers_between(engine: Engine) -> None:
    with writing(engine) as connection:
        ids = devices.ensure(connection, ["attic", "kitchen"], NOW)
    attic, kitchen = ids["attic"], ids["kitchen"]
    _claim(engine, 1, ranges=[(attic, "a", 5, 9), (attic, "A", 1, 1), (kitchen, "a", 0, 0)], at=NOW)
    _claim(engine, 2, ranges=[(attic, "a", 12, 12), (kitchen, "a", 1, 4)], at=NOW + 1)
    _claim(engine, 3, ranges=[(attic, "a", 20, 30), (attic, "a", 10, 10), (attic, "A", 3, 3)], at=NOW + 2)
    _claim(engine, 4, at=NOW + 3)
    _fold(engine)
    with reading(engine) as connection:
        found = account.missing(connection, 10)
        assert account.missing(connection, 1) == found[:1]
    assert sorted(found, key=astuple) == [
        Missing("attic", "A", 2, 2, NOW, NOW + 2),
        Missing("attic", "a", 11, 11, NOW + 1, NOW + 1),
        Missing("attic", "a", 13, 19, NOW + 1, NOW + 2),
    ]
    assert [gap.noticed_at for gap in found] == [NOW + 2, NOW + 2, NOW + 1]
    assert [gap.count for gap in found if gap.first == 13] == [7]


def test_a_gap_keeps_the_time_it_was_noticed_while_the_device_goes_on(engine: Engine, kitchen: int) -> None:
    for number, (first, last) in enumerate([(1, 5), (8, 9), (10, 11), (12, 20), (21, 21)]):
        _claim(engine, number, ranges=[(kitchen, "a", first, last)], at=NOW + number * DAY_MS)
        _fold(engine)
    with reading(engine) as connection:
        assert account.missing(connection, 10) == [Missing("kitchen", "a", 6, 7, NOW, NOW + DAY_MS)]


def test_a_gap_that_is_filled_is_missing_no_more(engine: Engine, kitchen: int) -> None:
    for number, (first, last) in enumerate([(1, 5), (8, 9), (6, 7), (10, 10)]):
        _claim(engine, number, ranges=[(kitchen, "a", first, last)])
    _fold(engine)
    with reading(engine) as connection:
        assert account.missing(connection, 10) == []
    assert _seen(engine) == [(1, 9, NOW)]


def test_of_one_that_ended_every_row_is_folded(engine: Engine) -> None:
    for number in range(3):
        assert _claim(engine, number, ranges=[(1, "a", number, number)])
    assert _fold(engine, token=None) == 3
    assert _count(engine, "batches") == 0
    assert _totals(engine) == {"w": TALLY + TALLY + TALLY}
    assert [row[:2] for row in _seen(engine)] == [(0, 2)]


def test_two_who_fold_the_same_rows_at_once_count_them_once(engine: Engine) -> None:
    for number in range(50):
        assert _claim(engine, number)
    before = _totals(engine)
    barrier = threading.Barrier(2)
    folded: list[int] = []

    def fold(token: str | None) -> None:
        barrier.wait(10)
        folded.append(_fold(engine, token=token))

    threads = [threading.Thread(target=fold, args=(token,)) for token in (TOKEN, None)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(folded) == 50
    assert _totals(engine) == before
