from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.packing import (
    HOUR_MS,
    MINUTE_MS,
    Buckets,
    Damaged,
    Floats,
    Ints,
    Points,
    fold,
    joined_buckets,
    joined_points,
    no_buckets,
    no_points,
    overlaid,
    pack,
    pack_buckets,
    refold,
    refold_evenly,
    unpack,
    unpack_buckets,
)

#: So large that sixty of them have a sum.
_LARGE = 1e300
_VALUES = st.floats(-_LARGE, _LARGE).map(lambda value: value + 0.0)
_READINGS = st.dictionaries(st.integers(0, 10 * HOUR_MS), _VALUES, max_size=60).map(lambda found: sorted(found.items()))
_WIDTHS = st.sampled_from([1, 1000, MINUTE_MS, HOUR_MS])


def points(readings: list[tuple[int, float]]) -> Points:
    return Points(
        np.array([ts for ts, _ in readings], np.int64), np.array([value for _, value in readings], np.float64)
    )


def same(one: Buckets, other: Buckets) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("ts", "n", "lo", "hi")
    ) and np.allclose(one.total, other.total, rtol=1e-9, atol=0)


@given(_READINGS)
def test_what_is_packed_comes_back_bit_for_bit(readings: list[tuple[int, float]]) -> None:
    packed = points(readings)
    found = unpack(pack(packed))
    assert found.ts.tobytes() == packed.ts.tobytes()
    assert found.value.tobytes() == packed.value.tobytes()


@given(_READINGS, _WIDTHS)
def test_buckets_come_back_bit_for_bit(readings: list[tuple[int, float]], width: int) -> None:
    packed = fold(*_columns(readings), width)
    found = unpack_buckets(pack_buckets(packed))
    for name in ("ts", "n", "lo", "hi", "total"):
        assert getattr(found, name).tobytes() == getattr(packed, name).tobytes()


def _columns(readings: list[tuple[int, float]]) -> tuple[Ints, Floats]:
    found = points(readings)
    return found.ts, found.value


@given(_READINGS, _WIDTHS)
def test_each_bucket_says_what_lies_in_it(readings: list[tuple[int, float]], width: int) -> None:
    found = fold(*_columns(readings), width)
    expected: dict[int, list[float]] = {}
    for ts, value in readings:
        expected.setdefault(ts // width * width, []).append(value)
    assert found.ts.tolist() == sorted(expected)
    for start, n, lo, hi, total in zip(found.ts.tolist(), found.n, found.lo, found.hi, found.total, strict=True):
        values = expected[start]
        assert (n, lo, hi) == (len(values), min(values), max(values))
        assert abs(total - math.fsum(values)) <= 1e-9 * math.fsum(map(abs, values))


@given(_READINGS)
def test_wider_buckets_are_the_same_from_readings_and_from_narrow_buckets(readings: list[tuple[int, float]]) -> None:
    ts, value = _columns([(at, abs(one)) for at, one in readings])
    minutes, hours = fold(ts, value, MINUTE_MS), fold(ts, value, HOUR_MS)
    assert same(refold_evenly(minutes, HOUR_MS), hours)
    assert same(refold(minutes, np.arange(0, 12 * HOUR_MS, HOUR_MS, dtype=np.int64)), hours)


def test_buckets_outside_the_edges_are_left_out() -> None:
    minutes = fold(*_columns([(n * MINUTE_MS, float(n)) for n in range(10)]), MINUTE_MS)
    found = refold(minutes, np.array([2 * MINUTE_MS, 5 * MINUTE_MS, 6 * MINUTE_MS], np.int64))
    assert (found.ts // MINUTE_MS).tolist() == [2, 5]
    assert (found.n.tolist(), found.total.tolist()) == ([3, 1], [9.0, 5.0])
    assert len(refold(minutes, np.array([20 * MINUTE_MS, 30 * MINUTE_MS], np.int64))) == 0
    assert len(refold(minutes, np.empty(0, np.int64))) == 0


def test_a_sum_beyond_all_floats_is_the_largest() -> None:
    largest = sys.float_info.max
    assert fold(*_columns([(0, largest), (1, largest)]), 10).total.tolist() == [largest]
    assert fold(*_columns([(0, -largest), (1, -largest)]), 10).total.tolist() == [-largest]


@given(_READINGS, _READINGS)
def test_of_two_values_at_one_time_the_first_counts(
    one: list[tuple[int, float]], other: list[tuple[int, float]]
) -> None:
    found = overlaid(points(one), points(other))
    assert dict(zip(found.ts.tolist(), found.value.tolist(), strict=True)) == dict(other) | dict(one)
    assert found.ts.tolist() == sorted(dict(other) | dict(one))


def test_nothing_is_nothing() -> None:
    assert (len(joined_points([])), len(joined_buckets([])), len(no_points()), len(no_buckets())) == (0, 0, 0, 0)
    assert len(fold(no_points().ts, no_points().value, 10)) == 0
    assert len(refold_evenly(no_buckets(), 10)) == 0


@pytest.mark.parametrize("kept", [0, 7, 40, -1])
def test_bytes_that_were_cut_are_told(kept: int) -> None:
    readings = [(n * 5000, float(n % 7)) for n in range(1000)]
    with pytest.raises(Damaged):
        unpack(pack(points(readings))[:kept])
    with pytest.raises(Damaged):
        unpack_buckets(pack_buckets(fold(*_columns(readings), MINUTE_MS))[:kept])


def test_bytes_of_something_else_are_told() -> None:
    for other in (b"x" * 100, bytes(100)):
        with pytest.raises(Damaged):
            unpack(other)
    with pytest.raises(Damaged):
        unpack_buckets(b"x" * 100)
