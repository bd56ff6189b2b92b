"""What the History page reads, each kind in one snapshot, and kept for some seconds, because a page runs often."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd
import streamlit as st

from db import devices, history, ranges, states
from db.devices import Actuator, Series
from db.engine import Connection, reading, snapshot
from db.ranges import Range, Statistics
from pages.parts.periods import HOUR_MS, MINUTE_MS, Period
from runtime import get_runtime

_KEPT_S: Final = 10
#: Points of a series: more than a screen has pixels for are no use, and many series share the work.
_POINTS: Final = 1_000
_POINTS_OF_MANY: Final = 300
_FEW: Final = 5
OVERVIEW_POINTS: Final = 400
#: Each time that an hour, and then more, held too few readings.
_FURTHER: Final = 8


def points_for(count_of_series: int) -> int:
    """How many points each of so many series is drawn by."""
    return _POINTS if count_of_series <= _FEW else _POINTS_OF_MANY


@st.cache_data(ttl=_KEPT_S, show_spinner=False, max_entries=1)
def every_series() -> list[Series]:
    """All series, by device and metric. Raises DatabaseAway."""
    with reading(get_runtime().engine) as connection:
        return devices.every_series(connection)


@st.cache_data(ttl=_KEPT_S, show_spinner=False, max_entries=1)
def acting_devices() -> tuple[str, ...]:
    """Devices with actuators, by name. Raises DatabaseAway."""
    with reading(get_runtime().engine) as connection:
        return tuple(dict.fromkeys(one.device for one in devices.every_actuator(connection)))


@st.cache_data(ttl=_KEPT_S, show_spinner=False, max_entries=200)
def extent_of(series_ids: tuple[int, ...]) -> Period | None:
    """From the first to just after the last reading of these series, at least a minute; None if there is none.

    Raises DatabaseAway.
    """
    with snapshot(get_runtime().engine) as connection:
        found = [extent for one in series_ids if (extent := history.extent(connection, one)) is not None]
    if not found:
        return None
    end = max(last for _, last in found) + 1
    return Period(min(end - MINUTE_MS, *(first for first, _ in found)), end)


@st.cache_data(ttl=_KEPT_S, show_spinner=False, max_entries=200)
def ranges_of(series: tuple[Series, ...], period: Period, points: int, zone: str) -> list[Range]:
    """What is drawn of each series. Raises DatabaseAway."""
    with snapshot(get_runtime().engine) as connection:
        return [
            ranges.read(connection, one, period.start, period.end, points=points, zone=ZoneInfo(zone)) for one in series
        ]


@st.cache_data(ttl=_KEPT_S, show_spinner=False, max_entries=200)
def states_of(devices_shown: tuple[str, ...], period: Period) -> list[tuple[Actuator, pd.DataFrame]]:
    """What the actuators of these devices did, by device and name. Raises DatabaseAway."""
    with snapshot(get_runtime().engine) as connection:
        return [
            (one, states.between(connection, one.device, one.name, period.start, period.end))
            for one in devices.every_actuator(connection)
            if one.device in devices_shown
        ]


@st.cache_data(ttl=_KEPT_S, show_spinner=False, max_entries=200)
def statistics_of(
    series: tuple[Series, ...], thresholds: tuple[float | None, ...], period: Period, zone: str
) -> list[Statistics]:
    """The figures of each series, with the time above and below its threshold. Raises DatabaseAway."""
    with snapshot(get_runtime().engine) as connection:
        return [
            ranges.statistics(connection, one, period.start, period.end, threshold=threshold, zone=ZoneInfo(zone))
            for one, threshold in zip(series, thresholds, strict=True)
        ]


@st.cache_data(ttl=_KEPT_S, show_spinner=False, max_entries=50)
def last_readings(series: tuple[Series, ...], period: Period, rows: int) -> list[tuple[int, int, float]]:
    """The newest readings of these series in the period, newest first: place in `series`, UTC ms, value.

    As many as stand in the last `rows` rows where a row is a time. Raises DatabaseAway.
    """
    found: list[tuple[int, int, float]] = []
    with snapshot(get_runtime().engine) as connection:
        for place, one in enumerate(series):
            found += [(place, ts, value) for ts, value in _newest(connection, one.id, period, rows)]
    times = sorted({ts for _, ts, _ in found}, reverse=True)[:rows]
    oldest = times[-1] if times else period.end
    return sorted((row for row in found if row[1] >= oldest), key=lambda row: (-row[1], row[0]))


def _newest(connection: Connection, series_id: int, period: Period, rows: int) -> list[tuple[int, float]]:
    """The newest readings of one series in the period, looked for from its end, further and further back."""
    extent = history.extent(connection, series_id)
    if extent is None:
        return []
    first, end = max(period.start, extent[0]), min(period.end, extent[1] + 1)
    back = HOUR_MS
    while True:
        start = max(first, end - back)
        points = history.raw(connection, series_id, start, end)
        if len(points.ts) >= rows or start <= first:
            return list(zip(points.ts[-rows:].tolist(), points.value[-rows:].tolist(), strict=True))
        back *= _FURTHER
