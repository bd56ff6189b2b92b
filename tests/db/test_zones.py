from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db import zones
from db.packing import DAY_MS, HOUR_MS

BERLIN = ZoneInfo("Europe/Berlin")
#: With and without clocks that change, half and quarter hours, midnights and dates left out.
NAMES = (
    "UTC",
    "Europe/Berlin",
    "America/Sao_Paulo",
    "America/Havana",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
)


def ms(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


def lengths(zone: str, start: int, end: int) -> list[float]:
    found: list[float] = (np.diff(zones.midnights(ZoneInfo(zone), start, end)) / HOUR_MS).tolist()
    return found


def test_days_of_23_and_25_hours() -> None:
    assert lengths("Europe/Berlin", ms(2026, 3, 28), ms(2026, 3, 30)) == [24, 23, 24]
    assert lengths("Europe/Berlin", ms(2026, 10, 24), ms(2026, 10, 25, 20)) == [24, 25]


def test_a_zone_half_an_hour_beside_the_others() -> None:
    assert zones.midnights(ZoneInfo("Asia/Kolkata"), ms(2026, 1, 1), ms(2026, 1, 1, 1)).tolist() == [
        ms(2025, 12, 31, 18) + HOUR_MS // 2,
        ms(2026, 1, 1, 18) + HOUR_MS // 2,
    ]


def test_a_midnight_that_the_clocks_leave_out() -> None:
    """In São Paulo summer time began at midnight."""
    assert lengths("America/Sao_Paulo", ms(2018, 11, 3, 12), ms(2018, 11, 4, 12)) == [24, 23]


def test_a_date_that_a_zone_left_out() -> None:
    """Samoa had no 30 December 2011."""
    assert lengths("Pacific/Apia", ms(2011, 12, 29, 12), ms(2011, 12, 31)) == [24, 24]


def test_every_so_many_days_count_from_a_fixed_one() -> None:
    some = zones.midnights(BERLIN, ms(2026, 1, 1), ms(2026, 6, 1), 4)
    later = zones.midnights(BERLIN, ms(2026, 1, 2), ms(2026, 6, 2), 4)
    assert set(later.tolist()) & set(some.tolist()) >= set(some.tolist()[1:-1])
    assert some[0] <= ms(2026, 1, 1)
    assert some[-1] >= ms(2026, 6, 1)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    start=st.integers(ms(1950, 1, 1), ms(2040, 1, 1)),
    length=st.integers(1, 40 * DAY_MS),
    days=st.integers(1, 9),
)
def test_midnights_enclose_every_range(name: str, start: int, length: int, days: int) -> None:
    edges = zones.midnights(ZoneInfo(name), start, start + length, days)
    assert edges[0] <= start < edges[1]
    assert edges[-2] < start + length <= edges[-1]
    assert (np.diff(edges) > 0).all()


@settings(max_examples=60, deadline=None)
@given(name=st.sampled_from(NAMES), times=st.lists(st.integers(ms(2005, 1, 1), ms(2030, 1, 1)), max_size=30))
def test_local_times_are_those_of_the_zones_clocks(name: str, times: list[int]) -> None:
    zone = ZoneInfo(name)
    local = zones.to_local(zone, np.array(times, np.int64))
    for ts, found in zip(times, local.tolist(), strict=True):
        shown = datetime.fromtimestamp(ts // 1000, zone).replace(tzinfo=UTC)
        assert found // 1000 == int(shown.timestamp())


@pytest.mark.parametrize("at", [zones.EARLIEST, zones.LATEST])
@pytest.mark.parametrize("name", NAMES)
def test_the_ends_of_the_calendar_are_no_error(name: str, at: int) -> None:
    zones.midnights(ZoneInfo(name), at, at + 1)
    zones.to_local(ZoneInfo(name), np.array([at], np.int64))
