from __future__ import annotations

import contextlib
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.times import parse_time, parse_zone

NOW = 1_764_000_000_123


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("-0s", NOW),
        ("-15m", NOW - 900_000),
        ("-1h", NOW - 3_600_000),
        ("-7d", NOW - 7 * 86_400_000),
        ("-2w", NOW - 14 * 86_400_000),
        ("1764000000123", 1_764_000_000_123),
        ("0", 0),
        ("1970-01-01T00:00:01Z", 1_000),
        ("2025-11-24T16:00:00.123Z", 1_764_000_000_123),
        ("2025-11-24T17:00:00.123+01:00", 1_764_000_000_123),
        ("2025-11-24T17:00:00.123 01:00", 1_764_000_000_123),
        ("2025-11-24T17:00 0100", 1_764_000_000_000),
        ("2025-11-24 16:00", 1_764_000_000_000),
        ("2025-11-24", 1_763_942_400_000),
        ("1969-12-31T23:59:59Z", -1_000),
    ],
)
def test_times_are_understood(text: str, expected: int) -> None:
    assert parse_time(text, NOW, UTC) == expected


def test_a_time_without_a_zone_is_in_the_zone_that_was_asked_for() -> None:
    assert parse_time("2025-11-24T17:00:00.123", NOW, ZoneInfo("Europe/Berlin")) == NOW
    assert parse_time("2025-11-24T16:00:00.123Z", NOW, ZoneInfo("Europe/Berlin")) == NOW


@pytest.mark.parametrize("text", ["", "yesterday", "7d", "+1h", "-1y", "- 1h", "2025-13-01", "1e3", "-1.5h", "٣"])
def test_what_is_no_time_says_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time.*ISO 8601.*-7d"):
        parse_time(text, NOW, UTC)


@pytest.mark.parametrize("text", ["-999999999999d", "9999999999999999"])
def test_a_time_outside_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="outside the years"):
        parse_time(text, NOW, UTC)


@given(st.text())
def test_any_text_is_a_time_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_time(text, NOW, UTC), int)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "/etc/localtime", "a\0b", "Europe"])
def test_an_unknown_zone_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        parse_zone(name)
