from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import pytest

from pages.parts.periods import (
    DAY_MS,
    HOUR_MS,
    LENGTHS,
    MINUTE_MS,
    MOVING,
    PRESETS,
    Period,
    fitting,
    iso,
    moved,
    pace_s,
    period_words,
    preset,
    whole_days,
    widened,
)
from pages.parts.view import View, from_query, says_range, to_query
from tests.pages.cases import ms

BERLIN = ZoneInfo("Europe/Berlin")
NOW = ms("2026-11-25T12:34:56.789Z")
EVENING = Period(ms("2026-11-23T18:00:00Z"), ms("2026-11-23T19:30:00.250Z"))
LONG = Period(ms("2025-01-01T00:00:00Z"), ms("2026-01-01T00:00:00Z"))


def listed(query: Mapping[str, str | Sequence[str]]) -> dict[str, list[str]]:
    """As a browser hands it back."""
    return {name: [value] if isinstance(value, str) else list(value) for name, value in query.items()}


@pytest.mark.parametrize(
    "view",
    [
        View(devices=("site1/kitchen", "ättic 🌡 & co"), metrics=("wind.speed[0]", "a:b")),
        View(whole="all", zoom=EVENING, compare=True, zone="Asia/Kolkata"),
        View(whole=EVENING),
        View(whole=LONG, zoom=EVENING, thresholds=(("°C", -2.5), ("parts per million", 400.0), ("", 1e-7))),
        View(whole="today", pattern=("site1/kitchen", "a:b"), rows=500, resolution="hours", form="wide"),
    ],
)
def test_an_address_brings_its_view_back(view: View) -> None:
    assert from_query(listed(to_query(view))) == view


def test_an_address_that_says_nothing_is_the_last_day() -> None:
    assert from_query({}) == View()
    assert to_query(View()) == {"range": "24h"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"from": ["2026-11-24"], "to": ["2026-11-23"]}, "from is not before to"),
        ({"from": ["2026-11-24"]}, "to is missing"),
        ({"from": ["<b>"], "to": ["2026-11-23"]}, "from is no time: <b>"),
        ({"from": ["99999999999999999"], "to": ["2026-11-23"]}, "from is no time"),
        ({"from": ["0000-00-00"], "to": ["+1"]}, "from is no time"),
        ({"range": ["fortnight"]}, "range is none that there is"),
        ({"range": ["2026-11-23..soon"]}, "range is no time"),
        ({"tz": ["Mars/Olympus"]}, "no time zone Mars/Olympus"),
        ({"tz": ["../../etc/passwd"]}, "no time zone"),
        ({"threshold": ["nan °C"]}, "threshold is no number"),
    ],
)
def test_what_an_address_gets_wrong_is_said_and_the_rest_shown(query: dict[str, list[str]], said: str) -> None:
    view = from_query({"device": ["kitchen"], **query})

    assert said in " ".join(view.problems)
    assert (view.devices, view.whole, view.zoom) == (("kitchen",), "24h", None)


def test_times_may_be_milliseconds_or_of_any_offset() -> None:
    assert from_query({"from": ["0"], "to": ["1970-01-01T02:00:00+01:00"]}).whole == Period(0, HOUR_MS)


def test_a_range_of_500_years_is_a_range() -> None:
    view = from_query({"from": ["1600-01-01"], "to": ["2100-01-01"]})

    assert view.problems == ()
    assert isinstance(view.whole, Period)
    assert view.whole.span > 499 * 365 * DAY_MS


def test_today_has_as_many_hours_as_the_clocks_give_it() -> None:
    spring = preset("today", ms("2026-03-29T12:00:00Z"), None, BERLIN)
    autumn = preset("today", ms("2026-10-25T12:00:00Z"), None, BERLIN)

    assert (spring.span, autumn.span) == (23 * HOUR_MS, 25 * HOUR_MS)
    assert moved(autumn, -1, BERLIN) == Period(ms("2026-10-24T00:00:00+02:00"), ms("2026-10-25T00:00:00+02:00"))
    assert moved(spring, 1, BERLIN).span == DAY_MS


def test_a_ready_made_range_ends_within_a_thousandth_of_now() -> None:
    for name, length in (("15m", HOUR_MS // 4), ("1y", 365 * DAY_MS)):
        period = preset(name, NOW, None, BERLIN)
        assert period.span == length
        assert NOW <= period.end <= NOW + max(1_000, length // 1_000)


def test_everything_is_all_that_is_stored_and_a_day_where_nothing_is() -> None:
    assert preset("all", NOW, LONG, BERLIN) == LONG
    assert preset("all", NOW, None, BERLIN).span == DAY_MS


def test_before_and_after_are_as_long_as_what_is_shown() -> None:
    assert moved(EVENING, -1, BERLIN) == Period(EVENING.start - EVENING.span, EVENING.start)
    assert moved(EVENING, 1, BERLIN) == Period(EVENING.end, EVENING.end + EVENING.span)


def test_half_hour_zones_have_days_of_their_own() -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    today = preset("today", NOW, None, kolkata)

    assert iso(today.start) == "2026-11-24T18:30:00Z"
    assert (whole_days(today, kolkata), whole_days(today, BERLIN)) == (1, 0)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Adak"])
def test_no_calendar_ends_before_the_ranges_do(zone: str) -> None:
    there = ZoneInfo(zone)
    first = from_query({"from": ["0001-01-02T12:00:00Z"], "to": ["0001-01-05"]}).whole
    last = from_query({"from": ["1600-01-01"], "to": ["9999-12-30"]}).whole
    for period in (first, last):
        if isinstance(period, Period):
            for other in (period, moved(period, -1, there), moved(period, 1, there), widened(period)):
                assert period_words(other, NOW, there)
                assert other.start < other.end


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-11-25T09:00:00Z", "2026-11-25T10:00:00Z", "10:00 to 11:00"),
        ("2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z", "24 Nov, 10:00 to 11:00"),
        ("2026-11-24T09:00:00Z", "2026-11-25T09:00:00Z", "24 Nov, 10:00 to 25 Nov, 10:00"),
        ("2025-11-24T09:00:00Z", "2026-11-25T09:00:00Z", "24 Nov 2025, 10:00 to 25 Nov, 10:00"),
        ("2026-11-23T23:00:00Z", "2026-11-24T23:00:00Z", "24 Nov 2026"),
        ("2026-11-22T23:00:00Z", "2026-11-24T23:00:00Z", "23 Nov 2026 to 24 Nov 2026"),
        ("2026-11-24T09:00:00Z", "2026-11-24T09:00:01.500Z", "24 Nov 2026, 10:00:00 to 10:00:01.500"),
    ],
)
def test_a_range_in_words(start: str, end: str, words: str) -> None:
    assert period_words(Period(ms(start), ms(end)), NOW, BERLIN) == words


@pytest.mark.parametrize(
    ("age_ms", "name"),
    [
        (0, "15m"),
        (15 * MINUTE_MS, "15m"),
        (15 * MINUTE_MS + 1, "1h"),
        (5 * HOUR_MS, "6h"),
        (23 * HOUR_MS, "24h"),
        (DAY_MS + 1, None),
        (400 * DAY_MS, None),
    ],
)
def test_the_first_range_of_a_young_series_holds_all_of_it_and_little_else(age_ms: int, name: str | None) -> None:
    assert fitting(age_ms) == name


def test_every_ready_made_range_is_called_something_while_it_moves() -> None:
    assert MOVING.keys() == PRESETS.keys()


def test_a_range_moves_on_by_about_a_pixel_but_neither_all_the_time_nor_hardly_ever() -> None:
    paces = {name: pace_s(Period(0, length)) for name, length in LENGTHS.items()}
    assert paces == {"15m": 5, "1h": 5, "6h": 21.6, "24h": 86.4, "7d": 600, "30d": 600, "1y": 600}


def test_what_moves_ends_now_and_is_not_looked_at_in_part() -> None:
    assert View(whole="1h").moving
    assert View(whole="all").moving
    assert not View(whole="1h", zoom=EVENING).moving
    assert not View(whole=EVENING).moving
    assert View(whole="1h").shown(NOW, None, BERLIN).end - NOW < 4_000
    assert View(whole="1h", zoom=EVENING).shown(NOW, None, BERLIN) == EVENING
    assert View(whole="1h", zoom=EVENING).all_of_it(NOW, None, BERLIN).span == HOUR_MS


def test_the_bar_follows_what_it_shows_and_nothing_else() -> None:
    view = View(devices=("kitchen",), whole="1h")
    under_it = View(
        ("kitchen",), whole="1h", thresholds=(("°C", 2.0),), pattern=("kitchen", "t"), rows=100, form="wide"
    )
    assert under_it.frame == view.frame
    assert View(("kitchen",), whole="1h", zoom=EVENING).frame != view.frame
    assert View(("kitchen",), whole="1h", compare=True).frame != view.frame


def test_an_address_says_a_range_or_leaves_it_to_the_page() -> None:
    assert not says_range({"device": "kitchen"})
    assert says_range({"range": "24h"})
    assert says_range({"from": "2026-11-24"})
