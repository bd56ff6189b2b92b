"""Readings of a series as columns: folded into buckets, and packed into bytes. Pure.

Times are UTC ms. Columns are numpy arrays of equal length, in ascending order of `ts`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_CODEC: Final = "zstd"
_LEVEL: Final = 3
#: Bytes before what a packed column was compressed to: its length before that.
_LENGTH: Final = 8
#: Columns of packed buckets, each eight bytes a bucket.
_BUCKET_KINDS: Final = ("<i8", "<i8", "<f8", "<f8", "<f8")
_LARGEST: Final = np.finfo(np.float64).max


class Damaged(ValueError):
    """Bytes that are not what was packed."""


@dataclass(frozen=True, slots=True)
class Points:
    """Single readings: `ts` UTC ms, `value`."""

    ts: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.ts)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Buckets that hold readings: start (UTC ms), how many, lowest, highest, and the sum of them."""

    ts: Ints
    n: Ints
    lo: Floats
    hi: Floats
    total: Floats

    def __len__(self) -> int:
        return len(self.ts)


def no_points() -> Points:
    """None."""
    return Points(np.empty(0, np.int64), np.empty(0, np.float64))


def no_buckets() -> Buckets:
    """None."""
    none = np.empty(0, np.float64)
    return Buckets(np.empty(0, np.int64), np.empty(0, np.int64), none, none, none)


def fold(ts: Ints, value: Floats, width_ms: int) -> Buckets:
    """Buckets of `width_ms`, counted from 1970."""
    if not len(ts):
        return no_buckets()
    start = ts - ts % width_ms
    first = _firsts(start)
    return Buckets(
        start[first],
        np.diff(np.append(first, len(ts))),
        np.minimum.reduceat(value, first),
        np.maximum.reduceat(value, first),
        _sums(value, first),
    )


def refold(buckets: Buckets, edges: Ints) -> Buckets:
    """Wider buckets: one from each edge to the next that holds something. What lies outside all edges is left out.

    `edges` ascend, one more than there can be buckets, and each given bucket lies between two of them as a whole.
    """
    inside = (buckets.ts >= edges[0]) & (buckets.ts < edges[-1]) if len(edges) else np.zeros(len(buckets), bool)
    if not inside.any():
        return no_buckets()
    start = edges[np.searchsorted(edges, buckets.ts[inside], side="right") - 1]
    return _joined(start, *(column[inside] for column in (buckets.n, buckets.lo, buckets.hi, buckets.total)))


def refold_evenly(buckets: Buckets, width_ms: int) -> Buckets:
    """Wider buckets of `width_ms`, counted from 1970. Those of the same start become one."""
    if not len(buckets):
        return no_buckets()
    return _joined(buckets.ts - buckets.ts % width_ms, buckets.n, buckets.lo, buckets.hi, buckets.total)


def _joined(start: Ints, n: Ints, lo: Floats, hi: Floats, total: Floats) -> Buckets:
    first = _firsts(start)
    return Buckets(
        start[first],
        np.add.reduceat(n, first),
        np.minimum.reduceat(lo, first),
        np.maximum.reduceat(hi, first),
        _sums(total, first),
    )


def _firsts(start: Ints) -> NDArray[np.intp]:
    """Where a new start begins."""
    return np.flatnonzero(np.append(True, start[1:] != start[:-1]))


def _sums(value: Floats, first: NDArray[np.intp]) -> Floats:
    """Sums, none beyond what a float64 holds: no database takes an infinite one."""
    with np.errstate(over="ignore"):
        return np.clip(np.add.reduceat(value, first), -_LARGEST, _LARGEST)


def joined_points(parts: Sequence[Points]) -> Points:
    """Points that follow each other, as one."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return no_points()
    return Points(np.concatenate([part.ts for part in parts]), np.concatenate([part.value for part in parts]))


def joined_buckets(parts: Sequence[Buckets]) -> Buckets:
    """Buckets that follow each other, as they are."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return no_buckets()
    columns = [(part.ts, part.n, part.lo, part.hi, part.total) for part in parts]
    return Buckets(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def part(buckets: Buckets, which: slice | NDArray[np.intp]) -> Buckets:
    """Some of them, by place."""
    return Buckets(buckets.ts[which], buckets.n[which], buckets.lo[which], buckets.hi[which], buckets.total[which])


def without(buckets: Buckets, start: int, end: int) -> Buckets:
    """Those that do not begin in [start, end)."""
    outside = (buckets.ts < start) | (buckets.ts >= end)
    return buckets if outside.all() else part(buckets, np.flatnonzero(outside))


def overlaid(first: Points, other: Points) -> Points:
    """Both as one; of two with the same ts the one in `first` counts."""
    if not len(other):
        return first
    if not len(first):
        return other
    ts = np.concatenate((first.ts, other.ts))
    value = np.concatenate((first.value, other.value))
    order = np.argsort(ts, kind="stable")
    ts, value = ts[order], value[order]
    keep = np.append(True, ts[1:] != ts[:-1])
    return Points(ts[keep], value[keep])


def pack(points: Points) -> bytes:
    """Readings as a Parquet file with the columns `ts` and `value`: nobody depends on us to read it."""
    out = io.BytesIO()
    pq.write_table(
        pa.table({"ts": points.ts, "value": points.value}),
        out,
        compression=_CODEC,
        compression_level=_LEVEL,
        use_dictionary=["value"],
        column_encoding={"ts": "DELTA_BINARY_PACKED"},
        write_statistics=False,
        store_schema=False,
    )
    return out.getvalue()


def unpack(packed: bytes) -> Points:
    """What `pack` made. Raises Damaged."""
    try:
        table = pq.ParquetFile(pa.BufferReader(packed)).read(use_threads=False)
        ts, value = (_array(table.column(name)) for name in ("ts", "value"))
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise Damaged(f"its readings can't be unpacked: {error}") from error
    if ts.dtype != np.int64 or value.dtype != np.float64 or len(ts) != len(value):
        raise Damaged("its readings are not what was packed")
    return Points(ts, value)


def _array(column: Any) -> Any:
    return column.chunk(0).to_numpy() if column.num_chunks == 1 else column.to_numpy()


def pack_buckets(buckets: Buckets) -> bytes:
    """Buckets as bytes: the first bytes of all numbers of a column, then their second ones, then zstd."""
    columns = (buckets.ts, buckets.n, buckets.lo, buckets.hi, buckets.total)
    planes = b"".join(
        np.ascontiguousarray(column).astype(kind, copy=False).view(np.uint8).reshape(-1, 8).T.tobytes()
        for column, kind in zip(columns, _BUCKET_KINDS, strict=True)
    )
    compressed: bytes = pa.Codec(_CODEC, compression_level=_LEVEL).compress(planes, asbytes=True)
    return len(planes).to_bytes(_LENGTH, "little") + compressed


def unpack_buckets(packed: bytes) -> Buckets:
    """What `pack_buckets` made. Raises Damaged."""
    length = int.from_bytes(packed[:_LENGTH], "little")
    count, rest = divmod(length, 8 * len(_BUCKET_KINDS))
    if len(packed) < _LENGTH or rest or length > 8 * len(_BUCKET_KINDS) * DAY_MS:
        raise Damaged("its minutes are not what was packed")
    try:
        planes = pa.Codec(_CODEC).decompress(packed[_LENGTH:], decompressed_size=length)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise Damaged(f"its minutes can't be unpacked: {error}") from error
    columns = np.frombuffer(planes, np.uint8).reshape(len(_BUCKET_KINDS), 8, count)
    return Buckets(
        *(
            np.ascontiguousarray(column.T).view(kind).ravel()
            for column, kind in zip(columns, _BUCKET_KINDS, strict=True)
        )
    )
