"""A series to seal, and what must hold whatever is done to it: every resolution is what all that was sent gives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from sqlalchemy import select

from db import account, chunk_check, chunks, days, folding, history, late, readings, sealing
from db.account import BatchKey, Tally
from db.engine import Engine, snapshot, writing
from db.history import DAY_MS, HOUR_MS, MINUTE_MS, Buckets, Points
from db.schema import hours as hours_table
from db.schema import minutes as minutes_table
from db.sealing import Sealer, Step

SEALER = Sealer("w-upkeep", "iot")
#: A day's begin.
DAY = 20_000 * DAY_MS

Reading = tuple[int, float]


@dataclass
class Series:
    """A series in a database, beside what is expected of it: of two values at one time the first stays."""

    engine: Engine
    id: int
    expected: dict[int, float] = field(default_factory=dict)
    received: int = 0

    def receive(self, sent: Iterable[Reading]) -> int:
        """Store readings as a worker does, in a transaction with their place in the account; how many were stored."""
        batch = list(sent)
        self.received += 1
        with writing(self.engine) as connection:
            stored = readings.insert_new(connection, [(self.id, ts, value) for ts, value in dict(batch[::-1]).items()])
            key = BatchKey("w", "t", self.received)
            assert account.claim_batch(connection, key, Tally(stored=1, readings_stored=stored), [], DAY)
        for ts, value in batch:
            self.expected.setdefault(ts, value)
        return stored

    def seal(self, cutoff: int) -> list[Step]:
        """Seal what lies before `cutoff`, to the end."""
        return list(sealing.steps(self.engine, partial(writing, self.engine), SEALER, cutoff))

    def fold(self, now: int) -> int:
        """Fold hours that are over at `now`, and those for which something came late; how many stretches that was."""
        return sum(step.stretches for step in folding.steps(self.engine, partial(writing, self.engine), now))

    def unseal(self, start: int = 0, end: int = 2**62) -> list[Step]:
        """Make rows of it again."""
        return list(sealing.unseal(self.engine, partial(writing, self.engine), SEALER, self.id, start, end))

    def rows(self) -> int:
        with snapshot(self.engine) as connection:
            return readings.count(connection)

    def sealed(self) -> int:
        with snapshot(self.engine) as connection:
            return chunks.count(connection)

    def hours(self) -> list[int]:
        """The begins of stored hours, sealed or not."""
        with snapshot(self.engine) as connection:
            return list(connection.scalars(select(hours_table.c.ts).order_by(hours_table.c.ts)))

    def minutes(self) -> list[int]:
        """The begins of hours that are not sealed and have their minutes stored."""
        with snapshot(self.engine) as connection:
            return list(connection.scalars(select(minutes_table.c.ts).order_by(minutes_table.c.ts)))

    def named(self) -> list[tuple[int, int]]:
        """Hours of it that are to be folded again."""
        with snapshot(self.engine) as connection:
            return late.between(connection, self.id, 0, 2**62)

    def chunks(self) -> list[chunks.Chunk]:
        with snapshot(self.engine) as connection:
            return chunks.between(connection, self.id, 0, 2**62)

    def problems(self) -> list[str]:
        """What `verify` finds."""
        return [problem for found in chunk_check.checks(self.engine, [self.id]) for problem in found.problems]

    def check(self, start: int | None = None, end: int | None = None) -> None:
        """Every resolution of all of it, and of a part, is what was sent; and the account adds up."""
        wanted = sorted(self.expected.items())
        everything = (0, (wanted[-1][0] // HOUR_MS + 1) * HOUR_MS) if wanted else (0, DAY_MS)
        spans = [everything] if start is None or end is None else [everything, (start, end)]
        with snapshot(self.engine) as connection:
            for from_, to in spans:
                part = as_points([one for one in wanted if from_ <= one[0] < to])
                assert_same(history.raw(connection, self.id, from_, to), part)
                pieces = list(history.raw_pieces(connection, self.id, from_, to))
                assert all(len(piece) for piece in pieces)
                assert [ts for piece in pieces for ts in piece.ts.tolist()] == part.ts.tolist()
                assert_close(history.minutes(connection, self.id, from_, to), part, MINUTE_MS)
                hours = history.hours(connection, self.id, from_, to)
                assert_close(hours, part, HOUR_MS)
                whole_days = from_ // DAY_MS * DAY_MS, -(-to // DAY_MS) * DAY_MS
                if from_:
                    by_day = history.refold_evenly(history.hours(connection, self.id, *whole_days), DAY_MS)
                    assert_alike(days.days(connection, self.id, *whole_days), by_day)
                edges = np.array([from_ + n * HOUR_MS for n in (0, 1, 24, 48, 71, 96)] + [to + 999 * HOUR_MS], np.int64)
                hours = history.hours(connection, self.id, int(edges[0]), int(edges[-1]))
                assert_alike(history.spans(connection, self.id, edges), history.refold(hours, edges))
            ends = (wanted[0][0], wanted[-1][0]) if wanted else None
            assert history.extent(connection, self.id) == ends
            assert_same(history.last(connection, self.id, 7), as_points(wanted[-7:]))
            keys = [(self.id, ts) for ts, _ in wanted[::5]]
            assert history.values_at(connection, keys) == {key: self.expected[key[1]] for key in keys}
            held = readings.count(connection) + chunks.count(connection)
            total = sum(account.totals(connection).values(), Tally())
            imported, removed = account.imported_and_removed(connection)
            assert held == total.readings_stored + imported - removed
        assert self.problems() == []


def as_points(found: Sequence[Reading]) -> Points:
    return Points(np.array([ts for ts, _ in found], np.int64), np.array([value for _, value in found], np.float64))


def assert_same(found: Points, expected: Points) -> None:
    assert found.ts.tolist() == expected.ts.tolist()
    assert found.value.tobytes() == expected.value.tobytes()


def assert_close(found: Buckets, points: Points, width: int) -> None:
    """n, lowest and highest exactly, sums within 1e-9 of all sizes."""
    values: dict[int, list[float]] = {}
    for ts, value in zip(points.ts.tolist(), points.value.tolist(), strict=True):
        values.setdefault(ts // width * width, []).append(value)
    assert found.ts.tolist() == sorted(values)
    for start, n, lo, hi, total in zip(
        found.ts.tolist(), found.n.tolist(), found.lo.tolist(), found.hi.tolist(), found.total.tolist(), strict=True
    ):
        of = values[start]
        assert (n, lo, hi) == (len(of), min(of), max(of))
        assert abs(total - math.fsum(of)) <= 1e-9 * math.fsum(map(abs, of))


def assert_alike(found: Buckets, expected: Buckets) -> None:
    for name in ("ts", "n", "lo", "hi"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert np.allclose(found.total, expected.total, rtol=1e-9, atol=1e-3)  # of sums up to 1e10


def every(step_ms: int, count: int, start: int = DAY) -> list[Reading]:
    """Readings at even distances."""
    return [(start + n * step_ms, math.sin(n / 50) * 10 + n % 3) for n in range(count)]
