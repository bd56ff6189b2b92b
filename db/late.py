"""Readings that come when their hour is over: which hours have to be folded again.

Whoever inserts rows names the hours of those that come late, in the same transaction, in a row of its own: nobody waits
for anybody. Until they were folded again, these hours are read from rows. Times are UTC ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from db.packing import HOUR_MS, MINUTE_MS
from db.schema import late
from db.statements import in_chunks

#: A series and the whole hours [start, until) of it.
Span = tuple[int, int, int]

#: An hour is folded so long after its end; what comes later than the other is named. Between the two lies what clocks
#: of workers may differ by.
CLOSED_AFTER_MS: Final = 15 * MINUTE_MS
_NAMED_AFTER_MS: Final = MINUTE_MS
#: Series in a row, so that it fits into a statement.
_SERIES_A_ROW: Final = 5_000
#: Rows that a reader looks into; where there are more, it takes every hour between the first and the last for named.
_LOOKED_INTO: Final = 50
_DECODER: Final = msgspec.msgpack.Decoder(list[Span])


def closed_before(now: int) -> int:
    """The end of the last hour that is over at `now`, and can be folded."""
    return (now - CLOSED_AFTER_MS) // HOUR_MS * HOUR_MS


def name(connection: Connection, rows: Sequence[tuple[int, int, float]], now: int) -> None:
    """Name the hours of rows (series, ts, value) that come late. `now`: taken after they were inserted.

    So a row that was inserted before its hour was folded is waited for by who folds it, and one that was inserted after
    that is named.
    """
    before = (now - _NAMED_AFTER_MS) // HOUR_MS * HOUR_MS
    if not rows or min([ts for _, ts, _ in rows]) >= before:
        return
    ends: dict[int, list[int]] = {}
    for series_id, ts, _ in rows:
        if ts < before:
            known = ends.get(series_id)
            if known is None:
                ends[series_id] = [ts, ts]
            elif ts > known[1]:
                known[1] = ts
            elif ts < known[0]:
                known[0] = ts
    spans = [
        (series_id, first // HOUR_MS * HOUR_MS, last // HOUR_MS * HOUR_MS + HOUR_MS)
        for series_id, (first, last) in ends.items()
    ]
    for some in in_chunks(spans, _SERIES_A_ROW):
        start, until = min(span[1] for span in some), max(span[2] for span in some)
        connection.execute(insert(late), {"start": start, "until": until, "named": msgspec.msgpack.encode(some)})


def between(connection: Connection, series_id: int, start: int, end: int) -> list[tuple[int, int]]:
    """Named hours of a series in [start, end), both on a whole hour, as stretches that neither touch nor overlap."""
    if start >= end:
        return []
    touching = (late.c.start < end, late.c.until > start)
    count, first, last = connection.execute(
        select(func.count(), func.min(late.c.start), func.max(late.c.until)).where(*touching)
    ).one()
    if count > _LOOKED_INTO:
        return [(max(start, first), min(end, last))]
    if not count:
        return []
    found = connection.scalars(select(late.c.named).where(*touching))
    spans = [span for named in found for span in _DECODER.decode(named) if span[0] == series_id]
    return stretches((max(start, first), min(end, until)) for _, first, until in spans if first < end and until > start)


def stretches(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans joined where they touch or overlap, by time."""
    found: list[tuple[int, int]] = []
    for start, until in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(until, found[-1][1]))
        else:
            found.append((start, until))
    return found


def oldest(connection: Connection, limit: int) -> tuple[list[int], dict[int, list[tuple[int, int]]]]:
    """The ids of the first `limit` rows, and what they name: stretches by series."""
    rows: Sequence[Any] = connection.execute(select(late.c.id, late.c.named).order_by(late.c.id).limit(limit)).all()
    spans: dict[int, list[tuple[int, int]]] = {}
    for row in rows:
        for series_id, start, until in _DECODER.decode(row.named):
            spans.setdefault(series_id, []).append((start, until))
    return [row.id for row in rows], {series_id: stretches(of) for series_id, of in sorted(spans.items())}


def remove(connection: Connection, ids: Sequence[int]) -> None:
    """Forget rows of these ids: their hours were folded after they were read."""
    for some in in_chunks(ids, 500):
        connection.execute(delete(late).where(late.c.id.in_(some)))
