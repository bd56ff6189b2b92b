from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from pages.parts import format as words
from tests.pages.cases import cases, ms


@pytest.mark.parametrize(("given", "text"), cases("number"))
def test_numbers(given: tuple[float, int], text: str) -> None:
    assert words.number(*given) == text


@pytest.mark.parametrize(("values", "decimals"), cases("decimals"))
def test_decimals_are_what_the_sensor_deserves(values: list[float], decimals: int) -> None:
    assert words.decimals_for(values) == decimals


@pytest.mark.parametrize(("length", "text"), cases("span"))
def test_spans(length: float, text: str) -> None:
    assert words.span(length) == text


@pytest.mark.parametrize(("then", "now", "zone", "text"), cases("age"))
def test_ages(then: str, now: str, zone: str, text: str) -> None:
    assert words.age(ms(then), ms(now), ZoneInfo(zone)) == text


@pytest.mark.parametrize(("then", "now", "zone", "text"), cases("moment"))
def test_moments(then: str, now: str, zone: str, text: str) -> None:
    assert words.moment(ms(then), ms(now), ZoneInfo(zone)) == text


@pytest.mark.parametrize(("then", "zone", "text"), cases("exact"))
def test_exact_times_name_their_zone(then: str, zone: str, text: str) -> None:
    assert words.exact(ms(then), ZoneInfo(zone)) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (1204, "1,204"), (126_000_000, "126,000,000"), (10**12, "1,000,000,000,000")]
)
def test_counts_are_whole_and_grouped(value: int, text: str) -> None:
    assert words.count(value) == text


@pytest.mark.parametrize(("value", "text"), [(0, "0 messages"), (1, "1 message"), (1204, "1,204 messages")])
def test_things_are_counted_with_their_noun(value: int, text: str) -> None:
    assert words.things(value, "message") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (3_400_000_000, "3.4 GB"),
    ],
)
def test_sizes(value: int, text: str) -> None:
    assert words.size(value) == text
