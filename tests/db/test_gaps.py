from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from db.gaps import Gap, between_buckets, between_points, segments
from db.packing import HOUR_MS, MINUTE_MS, fold


def gaps(times: Sequence[int]) -> list[tuple[int, int]]:
    return [(gap.start, gap.end) for gap in between_points(np.array(times, np.int64))]


def steps(start: int, step: int, count: int) -> list[int]:
    return [start + step * n for n in range(count)]


def test_more_than_three_usual_intervals_without_a_reading_are_a_gap() -> None:
    assert gaps([0, 10, 20, 30, 61, 71, 81]) == [(30, 61)]


def test_exactly_three_usual_intervals_are_none() -> None:
    assert gaps([0, 10, 20, 30, 60, 70, 80]) == []


def test_each_gap_is_told() -> None:
    assert gaps([0, 10, 20, 30, 1000, 1010, 1020, 5000]) == [(30, 1000), (1020, 5000)]


def test_nothing_is_usual_below_three_readings() -> None:
    assert gaps([]) == []
    assert gaps([5]) == []
    assert gaps([5, 5_000_000]) == []


def test_a_device_that_begins_to_send_more_or_less_often_has_no_gap_when_it_did() -> None:
    for slow, fast in ((900, 5), (5, 900)):
        first = steps(0, slow, 500)
        assert gaps(first + steps(first[-1] + fast, fast, 500)) == []


def test_what_is_usual_is_what_was_so_at_that_time() -> None:
    fast = steps(0, 5, 1_001)
    slow = steps(fast[-1] + 900, 900, 1_000)
    del slow[500:505]
    del fast[500:505]
    assert gaps(fast + slow) == [(fast[499], fast[500]), (slow[499], slow[500])]


def test_gaps_of_buckets_lie_between_those_that_hold_readings() -> None:
    ts = np.array([*range(0, 10 * MINUTE_MS, 5_000), *range(20 * MINUTE_MS, 30 * MINUTE_MS, 5_000)], np.int64)
    buckets = fold(ts, np.zeros(len(ts)), MINUTE_MS)
    assert between_buckets(buckets, MINUTE_MS) == (Gap(10 * MINUTE_MS, 20 * MINUTE_MS),)


def test_buckets_that_hold_one_reading_each_have_no_gap_because_they_are_apart() -> None:
    ts = np.array(steps(7, 15 * MINUTE_MS, 300), np.int64)
    assert between_buckets(fold(ts, np.zeros(300), MINUTE_MS), MINUTE_MS) == ()
    half_as_often = np.array(steps(7, 25 * MINUTE_MS, 300), np.int64)
    assert between_buckets(fold(half_as_often, np.zeros(300), HOUR_MS), HOUR_MS) == ()


def test_a_segment_ends_where_a_gap_begins() -> None:
    ts = np.array([0, 10, 20, 100, 110], np.int64)
    assert segments(ts, between_points(ts)).tolist() == [0, 0, 0, 1, 1]
    assert segments(ts, ()).tolist() == [0] * 5
    assert segments(ts[:0], ()).tolist() == []


def test_a_gap_within_a_wide_bucket_parts_nothing() -> None:
    wide = np.array([0, 100, 200], np.int64)
    assert segments(wide, [Gap(130, 160)]).tolist() == [0, 0, 0]
    assert segments(wide, [Gap(130, 210)]).tolist() == [0, 0, 1]
    assert segments(wide, [Gap(100, 200)]).tolist() == [0, 0, 1]
