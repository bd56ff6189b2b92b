from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from db.account import Interval, merge_intervals
from db.resends import GoneRange, Resend
from ingest.resend_plan import ResendSettings, StartNow, planned

NOW = 1_764_000_000_000
HOW = ResendSettings(
    settle_s=90, first_s=60, longest_s=3600, tries=4, give_up_s=86_400, numbers_at_once=1000, ranges_a_device=10
)
SETTLED = NOW + 90_000
HOUR = 3_600_000


def seen(*spans: tuple[int, int], at: int = NOW) -> list[Interval]:
    return [(first, last, at, at) for first, last in spans]


def plan(
    rows: Sequence[Resend],
    intervals: Sequence[Interval],
    *gone: tuple[int, int],
    now: int = NOW,
    newer: int = 0,
    how: ResendSettings = HOW,
) -> list[Resend]:
    said = [GoneRange(number, 1, "a", first, last, now - 1) for number, (first, last) in enumerate(gone)]
    found = planned(rows, {(1, "a"): StartNow(intervals, newer)}, said, now, how)
    return sorted(found, key=lambda row: row.first)


def asked(row: Resend, at: int, how: ResendSettings = HOW) -> Resend:
    """As the dispatcher notes it."""
    return replace(row, tries=row.tries + 1, asked_at=at, next_at=how.next_at(row.tries + 1, at))


def brief(rows: Sequence[Resend]) -> list[tuple[int, int, str | None, int]]:
    return [(row.first, row.last, row.outcome, row.tries) for row in rows]


def test_what_is_missing_is_in_turn_once_it_has_settled() -> None:
    (row,) = plan([], seen((0, 4), (10, 12)))
    assert row == Resend(1, "a", 5, 9, NOW, next_at=SETTLED)
    assert plan([row], seen((0, 4), (10, 12)), now=NOW + 5_000) == [row]


def test_what_comes_by_itself_leaves_no_trace() -> None:
    rows = plan([], seen((0, 4), (10, 12)))
    assert plan(rows, seen((0, 12)), now=NOW + 5_000) == []


def test_what_comes_after_it_was_asked_for_is_repaired_and_the_rest_is_asked_for_alone() -> None:
    (row,) = plan([], seen((0, 4), (10, 12)))
    late = asked(asked(row, SETTLED), SETTLED + 60_000)
    now = SETTLED + 61_000
    found = plan([late], seen((0, 4), (7, 7), (10, 12)), now=now)
    assert brief(found) == [(5, 6, None, 1), (7, 7, "repaired", 2), (8, 9, None, 1)]
    assert [row.next_at for row in found] == [SETTLED + 120_000, None, None]
    assert found[1].ended_at == now
    assert [row.noticed_at for row in found] == [NOW] * 3
    assert brief(plan(found, seen((0, 12)), now=now + 1)) == [(5, 9, "repaired", 1)]


def test_what_is_gone_is_never_asked_for_and_what_arrived_is_not_gone() -> None:
    (row,) = plan([], seen((0, 4), (10, 12)))
    found = plan([asked(row, SETTLED)], seen((0, 4), (10, 12)), (0, 7), (6, 6), now=SETTLED + 1)
    assert brief(found) == [(5, 7, "gone", 1), (8, 9, None, 1)]
    again = plan(found, seen((0, 4), (10, 12)), now=SETTLED + HOUR)
    assert [row.next_at is None for row in again] == [True, False]
    late = plan(again, seen((0, 12)), now=SETTLED + HOUR)
    assert [row.outcome for row in late] == ["repaired"] * len(late)


def test_what_is_gone_before_it_is_asked_for_is_not_asked_for() -> None:
    assert brief(plan([], seen((0, 4), (10, 12)), (5, 9))) == [(5, 9, "gone", 0)]


def test_a_device_that_never_answers_is_asked_ever_more_rarely_and_then_no_more() -> None:
    intervals = seen((0, 4), (10, 12))
    (row,) = plan([], intervals)
    times = []
    while row.outcome is None:
        assert row.next_at is not None
        times.append(row.next_at)
        row = asked(row, row.next_at)
        (row,) = plan([row], intervals, now=times[-1] + HOW.wait_ms(row.tries) - 1)
        assert row.next_at == HOW.next_at(row.tries, times[-1])
        (row,) = plan([row], intervals, now=times[-1] + HOW.wait_ms(row.tries))
    assert [later - earlier for earlier, later in pairwise(times)] == [60_000, 120_000, 240_000]
    assert brief([row]) == [(5, 9, "unanswered", 4)]
    more = seen((0, 4), (10, 12), (15, 15), at=NOW + HOUR)
    assert plan([row], more, now=NOW + 2 * HOUR) == [row]
    answers = replace(row, first=100, last=101, outcome="gone", ended_at=NOW + HOUR)
    assert brief(plan([row, answers], [*more, *seen((99, 99), (102, 102))], now=NOW + 2 * HOUR))[1] == (
        13,
        14,
        None,
        0,
    )


def test_one_range_of_a_device_is_in_turn_and_the_one_that_was_tried_least_comes_next() -> None:
    intervals = seen((0, 4), (10, 12), (20, 20))
    first, second = plan([], intervals)
    assert (first.next_at, second.next_at) == (SETTLED, None)
    rows = [asked(first, SETTLED), second]
    assert [row.next_at for row in plan(rows, intervals, now=SETTLED + 1)] == [None, SETTLED + 60_000]
    rows = plan(rows, seen((0, 12), (20, 20)), now=SETTLED + 1)
    assert brief(rows) == [(5, 9, "repaired", 1), (13, 19, None, 0)]
    assert rows[1].next_at == SETTLED  # at once


def test_a_large_range_is_asked_for_in_parts() -> None:
    rows = plan([], seen((0, 4), (2505, 2510)))
    assert brief(rows) == [(5, 1004, None, 0), (1005, 2504, None, 0)]
    assert [row.next_at for row in rows] == [SETTLED, None]
    assert plan(rows, seen((0, 4), (2505, 2510)), now=NOW + 1) == rows


def test_what_is_too_old_is_let_be() -> None:
    intervals = seen((0, 4), (10, 12))
    (row,) = plan([], intervals)
    day = NOW + 86_400_001
    assert plan([], intervals, now=day) == []
    assert brief(plan([asked(row, SETTLED)], intervals, now=day)) == [(5, 9, "unanswered", 1)]
    assert brief(plan([row], intervals, now=day)) == [(5, 9, "unanswered", 0)]
    assert plan([], intervals, newer=2) == []
    assert len(plan([], intervals, newer=1)) == 1
    assert brief(plan([asked(row, SETTLED)], intervals, now=SETTLED + 1, newer=2)) == [(5, 9, "unanswered", 1)]


def test_what_ended_is_forgotten_after_a_month_and_not_asked_for_again() -> None:
    intervals = seen((0, 4), (10, 12))
    row = replace(asked(plan([], intervals)[0], SETTLED), outcome="unanswered", next_at=None, ended_at=NOW + HOUR)
    month = NOW + HOUR + 30 * 86_400_000
    assert plan([row], intervals, now=month) == [row]
    assert plan([row], intervals, now=month + 1) == []


def test_a_device_has_so_many_ranges_and_the_oldest_count() -> None:
    intervals = seen(*((2 * n, 2 * n) for n in range(30)))
    rows = plan([], intervals)
    assert [row.first for row in rows] == list(range(1, 20, 2))
    ended = [replace(row, tries=1, asked_at=NOW, next_at=None, outcome="gone", ended_at=NOW) for row in rows]
    assert plan(ended, intervals, now=NOW + HOUR) == ended
    assert [row.first for row in plan(ended, intervals, now=NOW + 25 * HOUR)] == [row.first for row in ended]
    repaired = [replace(row, outcome="repaired") for row in ended]
    there = [interval for interval in intervals if interval[0] >= 18]
    found = plan(repaired, merge_intervals([*seen((0, 19)), *there]), now=NOW + HOUR)
    assert len(found) == 10
    assert [row.first for row in found if row.outcome is None] == [21, 23, 25, 27, 29, 31, 33, 35, 37, 39]


def test_all_devices_together_have_so_many() -> None:
    starts = {(device, "a"): StartNow(seen((0, 4), (10, 12))) for device in range(20)}
    assert len(planned([], starts, [], NOW, replace(HOW, ranges=7))) == 7


def test_a_start_that_was_not_looked_at_keeps_its_ranges_and_one_without_numbers_loses_them() -> None:
    row = asked(plan([], seen((0, 4), (10, 12)))[0], SETTLED)
    other = replace(row, boot="b")
    assert planned([row, other], {(1, "a"): StartNow([])}, [], SETTLED + 1, HOW) == [
        replace(other, next_at=SETTLED + 60_000)
    ]


numbers = st.integers(0, 60)
spans = st.tuples(numbers, st.integers(0, 8)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(st.tuples(st.lists(spans, max_size=3), st.lists(spans, max_size=1), st.booleans()), max_size=8))
def test_whatever_comes_in_whatever_order_each_missing_number_has_one_fate(
    steps: list[tuple[list[tuple[int, int]], list[tuple[int, int]], bool]],
) -> None:
    how = replace(HOW, tries=100, numbers_at_once=7, ranges_a_device=1000)
    rows: list[Resend] = []
    intervals: list[Interval] = []
    ever_gone: set[int] = set()
    now = NOW
    for came, gone, asks in steps:
        now += 60_000
        intervals = merge_intervals([*intervals, *seen(*came, at=now)])
        rows = plan(rows, intervals, *gone, now=now, how=how)
        there = {n for first, last, _, _ in intervals for n in range(first, last + 1)}
        missing = set(range(min(there), max(there) + 1)) - there if there else set()
        held = [n for row in rows for n in range(row.first, row.last + 1)]
        assert len(held) == len(set(held))
        repaired = {n for row in rows if row.outcome == "repaired" for n in range(row.first, row.last + 1)}
        assert repaired <= there
        assert set(held) - repaired == missing
        ever_gone |= {n for row in rows if row.outcome == "gone" for n in range(row.first, row.last + 1)}
        waiting = {n for row in rows if row.outcome is None for n in range(row.first, row.last + 1)}
        assert not waiting & ever_gone - there
        in_turn = [row for row in rows if row.next_at is not None]
        assert len(in_turn) == bool(waiting)
        assert all(row.outcome is None and row.count <= 7 for row in in_turn)
        assert plan(rows, intervals, now=now, how=how) == rows
        if asks and in_turn:
            rows = [asked(row, now) if row in in_turn else row for row in rows]
