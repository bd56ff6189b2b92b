from __future__ import annotations

from api.gaps import gaps


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
