"""Columns of numbers come whole, in order and bit for bit, however many pieces they come in."""

from __future__ import annotations

import numpy as np
import pytest

from db import columns, hours, migrations
from db.columns import ColumnQuery
from db.engine import DatabaseAway, Engine, create, reading, writing
from db.history import HOUR_MS, Buckets
from tests.db.test_readings import AWKWARD

_HOURS = ColumnQuery({"ts": "i8", "lo": "f8"}, "hours WHERE series_id = :series_id AND ts > :after")


def _store(engine: Engine, values: list[float]) -> Buckets:
    ts = np.arange(len(values), dtype=np.int64) * HOUR_MS
    value = np.array(values, np.float64)
    stored = Buckets(ts, np.arange(len(values), dtype=np.int64) + 1, value, value, value[::-1].copy())
    with writing(engine) as connection:
        hours.replace(connection, 7, 0, HOUR_MS * len(values), stored)
    return stored


def test_hours_come_back_bit_for_bit(engine: Engine) -> None:
    stored = _store(engine, AWKWARD)
    with reading(engine) as connection:
        found = hours.between(connection, 7, 0, HOUR_MS * len(AWKWARD))
    for name in ("ts", "n", "lo", "hi", "total"):
        assert getattr(found, name).tobytes() == getattr(stored, name).tobytes()


def test_neither_the_end_nor_what_lies_before_the_start_belongs_to_it(engine: Engine) -> None:
    _store(engine, [1.0, 2.0, 3.0, 4.0])
    with reading(engine) as connection:
        assert hours.between(connection, 7, HOUR_MS, 3 * HOUR_MS).lo.tolist() == [2.0, 3.0]
        assert len(hours.between(connection, 7, 9 * HOUR_MS, 10 * HOUR_MS)) == 0
        assert len(hours.between(connection, 8, 0, 10 * HOUR_MS)) == 0


@pytest.mark.parametrize("most", [1, 2, 3, 4, 100])
@pytest.mark.parametrize("limit", [None, 0, 1, 2, 5, 9])
def test_many_rows_come_in_several_pieces(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, most: int, limit: int | None
) -> None:
    monkeypatch.setattr(columns, "_AT_ONCE", most)
    _store(engine, [float(n) for n in range(6)])
    with reading(engine) as connection:
        ts, lo = _HOURS.read(connection, after=-1, limit=limit, series_id=7)
    assert lo.tolist() == [float(n) for n in range(6)][:limit]
    assert (ts // HOUR_MS).tolist() == lo.tolist()
    assert (ts.dtype, lo.dtype) == (np.int64, np.float64)


def test_an_answer_that_was_cut_off_is_none(mariadb_url: str) -> None:
    """A server cuts what is longer than it takes, and says so in a warning that nobody reads."""
    engine = create(mariadb_url)
    migrations.apply(engine)
    _store(engine, [float(n) for n in range(6)])
    with reading(engine) as connection:
        for most, told in ((7, "for 6 rows"), (10, "that end in")):
            connection.exec_driver_sql(f"SET SESSION group_concat_max_len = {most}")
            with pytest.raises(DatabaseAway, match=told):
                _HOURS.read(connection, after=-1, series_id=7)
    engine.dispose()
