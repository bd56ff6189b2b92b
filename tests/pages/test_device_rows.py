from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from db.account import Missing
from db.commands import Command, Step
from db.devices import Actuator
from db.places import Place
from ingest.series import Bin, SeriesNow
from pages.parts.device_rows import MOST, Order, Row, arranged, counts_text, devices_html, missing_today
from pages.parts.device_tables import actuators_html, commands_html, metrics_html, takes
from pages.parts.places import Named, named, title_of
from tests.pages.cases import ms
from tests.pages.test_door_tables import WORST, Tags

NOW = ms("2026-11-23T13:10:00Z")
ZONE = ZoneInfo("Europe/Berlin")
MIDNIGHT = ms("2026-11-22T23:00:00Z")


def row(device: str, **changes: Any) -> Row:
    values: dict[str, Any] = {"named": Named(), "kind": "online", "model": None, "firmware": None, "last_seen": NOW}
    return Row(device, **(values | {"per_minute": 24.0, "missing": 0} | changes))


HOUSE = [
    row("attic", kind="silent", last_seen=NOW - 3_600_000, per_minute=None),
    row("kitchen", named=Named("The kitchen", "house"), model="esp8266-dht22"),
    row("barn", kind="late", missing=12, last_seen=NOW - 60_000),
    row("shed", named=Named(None, "garden", hidden=True)),
]


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("name", ["attic", "barn", "kitchen"]),
        ("place", ["kitchen", "attic", "barn"]),
        ("trouble", ["attic", "barn", "kitchen"]),
        ("missing", ["barn", "attic", "kitchen"]),
        ("heard", ["kitchen", "barn", "attic"]),
    ],
)
def test_devices_come_in_the_order_that_was_asked_for(order: Order, names: list[str]) -> None:
    assert [one.device for one in arranged(HOUSE, "", order, hidden=False)] == names


@pytest.mark.parametrize(
    ("search", "names"), [("THE KIT", ["kitchen"]), ("house", ["kitchen"]), ("esp8266", ["kitchen"]), ("garden", [])]
)
def test_devices_are_found_by_name_place_and_model(search: str, names: list[str]) -> None:
    assert [one.device for one in arranged(HOUSE, search, "name", hidden=False)] == names


def test_hidden_devices_are_shown_to_who_asks_for_them() -> None:
    assert len(arranged(HOUSE, "", "name", hidden=True)) == 4


def test_how_many_stand_how_is_said_in_a_line() -> None:
    assert counts_text(HOUSE[:3], NOW, ZONE) == "1 online, 1 late, 1 silent; heard last just now"
    assert counts_text([], NOW, ZONE) == "0 online, 0 late, 0 silent"


def test_what_is_missing_since_midnight_is_counted_by_device() -> None:
    gaps = [
        Missing("barn", "a", 1, 5, NOW, MIDNIGHT),
        Missing("barn", "a", 9, 9, NOW, NOW),
        Missing("attic", "a", 1, 5, NOW, MIDNIGHT - 1),
    ]

    assert missing_today(gaps, NOW, ZONE) == {"barn": 6}


def test_the_list_names_a_device_by_its_own_name_too_and_has_a_button_for_each() -> None:
    shown = devices_html([*HOUSE, *[row(f"d{number}") for number in range(MOST)]], NOW, ZONE)

    assert 'The kitchen <span class="sm-dim">kitchen</span>' in shown
    assert Tags(shown).acts[:2] == ["open:attic", "open:kitchen"]
    assert len(Tags(shown).acts) == MOST


def harmless(shown: str) -> None:
    tags = Tags(shown)
    assert not tags.names & {"script", "img", "iframe", "svg"}
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_words_of_others_are_text_in_every_table() -> None:
    series = SeriesNow(WORST, WORST, WORST, NOW, 1.0, NOW, None, b"", Bin(NOW, 1.0, 1.0, 1.0), 1)
    actuator = Actuator("kitchen", "led", None, None, None, WORST, WORST, NOW)
    made = Command("c", WORST, WORST, WORST, "failed", WORST, "", NOW, NOW, (Step("failed", NOW, WORST),))

    harmless(devices_html([row("kitchen", named=Named(WORST, WORST), model=WORST, firmware=WORST)], NOW, ZONE))
    harmless(metrics_html(WORST, [series], NOW, ZONE))
    harmless(actuators_html([actuator], NOW, ZONE, acts=True))
    harmless(commands_html([made], {}, NOW, ZONE))


@pytest.mark.parametrize(
    ("limits", "state", "words"),
    [
        ((None, None, None, None), "ON", "on and off"),
        ((None, None, None, None), "21.5", "a number"),
        ((0.0, 100.0, 5.0, "%"), None, "0 to 100 %, in steps of 5"),
        ((None, 30.0, None, "°C"), None, "up to 30 °C"),
        ((-5.0, None, None, None), None, "from \N{MINUS SIGN}5 on"),
    ],
)
def test_what_an_actuator_takes_is_said(limits: tuple[Any, Any, Any, Any], state: str | None, words: str) -> None:
    low, high, step, unit = limits

    assert takes(Actuator("kitchen", "fan", low, high, step, unit, state, None)) == words


def test_a_command_says_who_what_how_long_and_how_it_ended() -> None:
    steps = (Step("queued", NOW - 70_000, "…"), Step("expired", NOW - 10_000, "Nothing came."))
    made = Command("c", "kitchen", "fan", "40", "expired", "anna", "", NOW - 70_000, NOW - 10_000, steps)

    shown = commands_html([made], {"fan": "%"}, NOW, ZONE)

    for words in ("anna", "fan 40 %", "1 min", "expired", "Nothing came."):
        assert words in shown


def test_a_place_is_site_and_area_and_a_bridged_device_has_its_site_in_its_name() -> None:
    assert named(Place("kitchen", "The kitchen", "farm", "house")) == Named("The kitchen", "farm · house")
    assert named(Place("site1/kitchen")) == Named(None, "site1")
    assert named(Place("kitchen")) == Named()
    assert title_of("kitchen", {"kitchen": Named("The kitchen")}) == "The kitchen"
    assert title_of("attic", {}) == "attic"
