from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from db.sizes import WHOLE, Growth, Sizes, TableSize, growth
from pages.parts.storage import figures, storage_html, warning
from pages.parts.tables import NOTHING
from tests.pages.cases import ms

NOW = ms("2026-11-23T13:10:00Z")
ZONE = ZoneInfo("Europe/Berlin")
DAY = 86_400_000
SIZES = Sizes(
    at=NOW,
    tables=(
        TableSize("chunks", 340_000_000),
        TableSize("readings", 60_000_000, 4_000_000),
        TableSize("hours", 8_000_000),
        TableSize("seen", 90_000),
        TableSize("users", 30_000),
    ),
    free=0,
    rows=1_000_000,
    sealed=100_000_000,
    ever=101_000_000,
    stored_a_day=3_456_000.0,
    removed_a_day=0.0,
    over_ms=7 * DAY,
    disk_free=40_000_000_000,
)


def told(sizes: Sizes, grows: Growth | None) -> dict[str, str]:
    return {figure.label: f"{figure.value}{figure.unit}" for figure in figures(sizes, grows, NOW, ZONE)}


def test_a_reading_the_growth_and_the_day_on_which_the_disk_is_full() -> None:
    assert told(SIZES, growth(SIZES, 2)) == {
        "readings kept": "101,000,000",
        "taken by the database": "408.1 MB",
        "a reading": "4.0 B",
        "growth a day": "12.0 MB",
        "free on its disk": "40.0 GB",
        "disk full at this rate": "Jan 2036",
    }


def test_what_is_not_known_is_a_dash_and_says_why_on_hover() -> None:
    early = figures(replace(SIZES, stored_a_day=None), None, NOW, ZONE)
    assert [figure.value for figure in early if figure.label in ("growth a day", "disk full at this rate")] == [
        NOTHING
    ] * 2
    assert {figure.hover for figure in early if figure.value == NOTHING} == {
        "Known from an hour and 10,000 readings on."
    }

    elsewhere = replace(SIZES, disk_free=None)
    unseen = figures(elsewhere, growth(elsewhere, 2), NOW, ZONE)
    assert {figure.label for figure in unseen if "another machine" in figure.hover} == {
        "free on its disk",
        "disk full at this rate",
    }


@pytest.mark.parametrize(
    ("grows", "said"),
    [
        (Growth(0.0, False, None), "never"),
        (Growth(5.0, False, NOW + 60 * 365 * DAY), "not in 50 years"),
        (Growth(5e6, True, NOW + 100 * DAY), "not before 3 Mar 2027"),
    ],
)
def test_how_long_the_disk_will_do(grows: Growth, said: str) -> None:
    assert told(SIZES, grows)["disk full at this rate"] == said


def test_a_disk_that_is_full_soon_needs_a_person() -> None:
    assert warning(SIZES, Growth(1e6, False, NOW + 31 * DAY), NOW, ZONE) is None
    grows = Growth(1e9, False, NOW + 12 * DAY)
    assert "40.0 GB left, and at this rate is full by 5 Dec." in str(warning(SIZES, grows, NOW, ZONE))
    assert 'role="alert"' in storage_html(SIZES, grows, NOW, ZONE)


def test_small_tables_are_told_together_and_shares_add_up() -> None:
    shown = storage_html(SIZES, None, NOW, ZONE)
    assert "<code" in shown
    assert "Devices, users, the account and other small tables" in shown
    assert shown.count(" %<") == 4
    assert ">408.1 MB<" in shown
    assert "4.0 MB" in shown, "what is free"
    assert "As of 14:10." in shown


def test_a_whole_file_is_one_row() -> None:
    shown = storage_html(replace(SIZES, tables=(TableSize(WHOLE, 9_000_000_000),)), None, NOW, ZONE)
    assert "Everything" in shown
    assert "100.0 %" in shown
