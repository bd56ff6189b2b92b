from __future__ import annotations

import sys
from random import Random

import numpy as np
import pytest

from db import history, readings
from db.engine import Engine, snapshot, writing
from db.history import HOUR_MS, MINUTE_MS, Buckets, Points
from tests.db.conftest import NOW

START = NOW - NOW % HOUR_MS


@pytest.fixture
def rows(engine: Engine, temperature: int) -> list[tuple[int, float]]:
    """Readings of some hours, with a gap, and one of another series."""
    random = Random(7)  # noqa: S311 - noise
    times = [START + 5000 * n + random.randrange(100) for n in range(3000) if not 700 < n < 1500]
    found = [(ts, random.uniform(-40, 80)) for ts in times]
    with writing(engine) as connection:
        readings.insert_new(connection, [(temperature, ts, value) for ts, value in found])
        readings.insert_new(connection, [(temperature + 1, START, 1.0)])
    return found


def _pairs(points: Points) -> list[tuple[int, float]]:
    return list(zip(points.ts.tolist(), points.value.tolist(), strict=True))


def _is(found: Buckets, expected: Buckets) -> bool:
    same = all(np.array_equal(getattr(found, name), getattr(expected, name)) for name in ("ts", "n", "lo", "hi"))
    return same and np.allclose(found.total, expected.total, rtol=1e-9, atol=1e-9)


def test_raw_readings_from_start_to_before_the_end(
    engine: Engine, temperature: int, rows: list[tuple[int, float]]
) -> None:
    with snapshot(engine) as connection:
        found = history.raw(connection, temperature, rows[3][0], rows[90][0])
        assert _pairs(found) == rows[3:90]
        assert (found.ts.dtype.name, found.value.dtype.name) == ("int64", "float64")
        assert len(history.raw(connection, temperature, 5, 5)) == 0
        assert history.extent(connection, temperature) == (rows[0][0], rows[-1][0])
        assert history.extent(connection, temperature + 7) is None


def test_minutes_and_hours_are_folded_from_readings(
    engine: Engine, temperature: int, rows: list[tuple[int, float]]
) -> None:
    ts, value = np.array([one[0] for one in rows]), np.array([one[1] for one in rows])
    inside = (ts >= START + HOUR_MS) & (ts < START + 3 * HOUR_MS)
    with snapshot(engine) as connection:
        minutes = history.minutes(connection, temperature, START + HOUR_MS, START + 3 * HOUR_MS)
        hours = history.hours(connection, temperature, START + HOUR_MS, START + 3 * HOUR_MS)
        assert len(history.minutes(connection, temperature + 7, 0, START)) == 0
    assert _is(minutes, history.fold(ts[inside], value[inside], MINUTE_MS))
    assert _is(hours, history.fold(ts[inside], value[inside], HOUR_MS))


def test_raw_in_pieces(
    engine: Engine, temperature: int, rows: list[tuple[int, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_PIECE", 1000)
    with snapshot(engine) as connection:
        pieces = list(history.raw_pieces(connection, temperature, 0, rows[-1][0]))
    assert all(0 < len(piece) <= 1000 for piece in pieces)
    assert [pair for piece in pieces for pair in _pairs(piece)] == rows[:-1]


def test_a_sum_beyond_all_floats_is_the_largest(engine: Engine, temperature: int) -> None:
    largest = sys.float_info.max
    with writing(engine) as connection:
        readings.insert_new(connection, [(temperature, START + n, largest) for n in range(3)])
    with snapshot(engine) as connection:
        assert history.hours(connection, temperature, START, START + HOUR_MS).total.tolist() == [largest]
