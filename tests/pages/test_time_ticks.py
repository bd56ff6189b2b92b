from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from pages.parts.periods import DAY_MS, HOUR_MS, MINUTE_MS, Period
from pages.parts.time_ticks import MOST, axis_zone, ticks
from tests.pages.cases import ms

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")


def labels(start: str, end: str, zone: ZoneInfo = UTC) -> list[str]:
    return [tick.label for tick in ticks(Period(ms(start), ms(end)), zone)]


@pytest.mark.parametrize(
    ("end", "first", "second"),
    [
        ("2026-11-23T00:00:00.050Z", "00:00:00.000", "00:00:00.010"),
        ("2026-11-23T00:00:40Z", "00:00:00", "00:00:05"),
        ("2026-11-23T01:00:00Z", "23 Nov", "00:10"),
        ("2026-11-24T00:00:00Z", "23 Nov", "03:00"),
        ("2026-11-30T00:00:00Z", "23 Nov", "24 Nov"),
        ("2027-11-23T00:00:00Z", "Jan 2027", "Mar 2027"),
        ("2046-11-23T00:00:00Z", "2030", "2035"),
    ],
)
def test_marks_are_at_round_times(end: str, first: str, second: str) -> None:
    found = labels("2026-11-23T00:00:00Z", end)

    assert found[:2] == [first, second]
    assert 3 <= len(found) <= MOST + 1


def test_marks_are_round_by_the_clocks_of_a_half_hour_zone() -> None:
    assert labels("2026-11-23T00:00:00Z", "2026-11-23T06:00:00Z", KOLKATA) == [
        f"{hour:02d}:00" for hour in range(6, 12)
    ]


def test_an_hour_that_is_there_twice_is_twice_as_wide_and_one_left_out_has_no_mark() -> None:
    autumn = ticks(Period(ms("2026-10-25T00:00:00+02:00"), ms("2026-10-25T06:00:00+01:00")), BERLIN)
    spring = ticks(Period(ms("2026-03-29T00:00:00+01:00"), ms("2026-03-29T06:00:00+02:00")), BERLIN)

    assert [tick.label for tick in autumn] == ["25 Oct", "01:00", "02:00", "03:00", "04:00", "05:00"]
    assert autumn[3].ts - autumn[2].ts == 2 * HOUR_MS
    assert [tick.label for tick in spring] == ["29 Mar", "01:00", "03:00", "04:00", "05:00"]
    assert spring[2].ts - spring[1].ts == HOUR_MS


def test_days_begin_at_the_zone_s_midnight_also_where_the_clocks_change() -> None:
    found = ticks(Period(ms("2026-10-23T00:00:00+02:00"), ms("2026-10-28T00:00:00+01:00")), BERLIN)

    assert [tick.label for tick in found if ":" not in tick.label] == ["23 Oct", "24 Oct", "25 Oct", "26 Oct", "27 Oct"]
    assert all(tick.label == "12:00" or (tick.ts + HOUR_MS) % HOUR_MS == 0 for tick in found)


@pytest.mark.parametrize("zone", [UTC, BERLIN, KOLKATA])
@pytest.mark.parametrize(
    "span", [1, 7, 999, 59 * MINUTE_MS, 23 * HOUR_MS, 40 * DAY_MS, 500 * DAY_MS, 3_650_000 * DAY_MS]
)
def test_there_are_never_many_and_all_lie_within(zone: ZoneInfo, span: int) -> None:
    period = Period(ms("0001-01-03T00:00:00Z"), ms("0001-01-03T00:00:00Z") + min(span, 3_650_000 * DAY_MS))

    found = ticks(period, zone)

    assert len(found) <= MOST + 2
    assert all(period.start <= tick.ts < period.end for tick in found)


def test_the_axis_names_the_zone_and_the_day_if_there_is_but_one() -> None:
    morning = Period(ms("2026-11-23T08:00:00Z"), ms("2026-11-23T09:00:00Z"))

    assert axis_zone(morning, BERLIN) == "23 Nov 2026, Europe/Berlin"
    assert axis_zone(Period(morning.start, morning.end + 2 * DAY_MS), KOLKATA) == "Asia/Kolkata"
