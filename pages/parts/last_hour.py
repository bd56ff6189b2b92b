"""The last hour of a device as one frame for a chart: thinned into buckets, with its gaps marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd

from db import devices, readings
from db.engine import Engine, reading

HOUR_MS: Final = 3_600_000
BUCKET_MS: Final = 5_000
#: Readings of one series that are looked at: five a second for an hour.
LIMIT: Final = 18_000
#: Metrics of one device that are looked at, the first by name.
METRICS_READ: Final = 12
_GAP_INTERVALS: Final = 3
_COLUMNS: Final = {
    "metric": "object",
    "unit": "object",
    "time": "datetime64[ms, UTC]",
    "mean": "float64",
    "low": "float64",
    "high": "float64",
    "segment": "int64",
}


@dataclass(frozen=True, slots=True)
class LastHour:
    """A device's last hour.

    `frame`: a row a metric and bucket of 5 s that holds readings, by metric and time. Columns: metric, unit (empty if
    unknown), time (UTC, of the bucket's first reading), mean, low, high, segment (rises at each gap).
    `metrics`: all metrics of the device by name, also those without readings in this hour. `start`, `end`: UTC ms.
    """

    frame: pd.DataFrame
    metrics: tuple[str, ...]
    start: int
    end: int


def read_last_hour(engine: Engine, device: str, now: int) -> LastHour:
    """The hour before `now` (UTC ms) of a device. Raises DatabaseAway."""
    start = now - HOUR_MS
    parts = []
    with reading(engine) as connection:
        every = devices.every_series(connection, device)
        for series in every[:METRICS_READ]:
            part = bucketed(readings.frame(connection, series.id, start, now, LIMIT))
            if not part.empty:
                parts.append(part.assign(metric=series.metric, unit=series.unit or ""))
    return LastHour(_joined(parts), tuple(series.metric for series in every), start, now)


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in _COLUMNS.items()})
    return pd.concat(parts, ignore_index=True)[list(_COLUMNS)]


def bucketed(raw: pd.DataFrame) -> pd.DataFrame:
    """Raw readings (`time`, `value`, oldest first) as a row a bucket: time, mean, low, high, segment."""
    bucket = raw["time"].dt.floor(f"{BUCKET_MS}ms")
    rows = (
        raw.groupby(bucket.rename("bucket"))
        .agg(time=("time", "first"), mean=("value", "mean"), low=("value", "min"), high=("value", "max"))
        .reset_index(drop=True)
    )
    seconds = rows["time"].diff().dt.total_seconds()
    usual = max(float(seconds.median()), BUCKET_MS / 1000) if len(rows) > 1 else 0.0
    return rows.assign(segment=(seconds > _GAP_INTERVALS * usual).cumsum())
