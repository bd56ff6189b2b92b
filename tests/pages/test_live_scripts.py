"""The pure parts of the cards' script, run in the browser they are for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from pages.parts import live_cards
from tests.pages.cases import cases, ms

HEARD = ms("2026-11-23T13:02:00Z")


@pytest.fixture(scope="module")
def script(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.add_script_tag(content=live_cards.script().replace("export default", ""))
    yield page
    page.close()


def device(**changes: Any) -> dict[str, Any]:
    """A device as the page's data has it, heard at HEARD and usually every 5 s."""
    metric = {"metric": "temperature", "unit": "°C", "ts": HEARD, "value": 23.4, "received_at": HEARD}
    metric |= {"interval_ms": 5000, "bins": [[HEARD, 23.4, 23.4, 23.4]]} | changes.pop("metric", {})
    base = {"device": "kitchen", "online": None, "last_seen": HEARD, "model": None, "firmware": None}
    return base | {"metrics": [metric], "actuators": []} | changes


def house(*devices: dict[str, Any], version: int = 5, started_at: int = 1) -> dict[str, Any]:
    return {"started_at": started_at, "version": version, "now": HEARD, "devices": list(devices)}


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("number", "([[value, decimals], _]) => formatNumber(value, decimals)"),
        ("decimals", "([values, _]) => decimalsFor(values)"),
        ("span", "([ms, _]) => formatSpan(ms)"),
        ("age", "([then, now, zone, _]) => formatAge(Date.parse(then), Date.parse(now), zone)"),
        ("moment", "([then, now, zone, _]) => formatMoment(Date.parse(then), Date.parse(now), zone)"),
        ("exact", "([then, zone, _]) => formatExact(Date.parse(then), zone)"),
    ],
)
def test_words_are_the_same_as_in_python(script: Page, name: str, call: str) -> None:
    said = script.evaluate(f"cases => cases.map({call})", cases(name))

    assert said == [case[-1] for case in cases(name)]


@pytest.mark.parametrize(
    ("changes", "seconds", "kind", "text"),
    [
        ({}, 3, "online", "3 s ago"),
        ({}, 16, "online", "16 s ago"),
        ({}, 17, "late", "17 s ago, usually every 5 s"),
        ({}, 300, "late", "5 min ago, usually every 5 s"),
        ({}, 301, "silent", "Silent since 14:02"),
        ({"online": True}, 17, "late", "17 s ago, usually every 5 s"),
        ({"online": False}, 3, "silent", "Silent since 14:02"),
        ({"metric": {"interval_ms": 900_000}}, 2700, "online", "45 min ago"),
        ({"metric": {"interval_ms": 900_000}}, 2702, "late", "45 min ago, usually every 15 min"),
        ({"metric": {"interval_ms": 900_000}}, 18_001, "silent", "Silent since 14:02"),
        ({"metric": {"interval_ms": None}}, 300, "online", "5 min ago"),
        ({"metric": {"interval_ms": None}}, 302, "late", "5 min ago"),
        ({"metrics": [], "online": True}, 3, "online", "No readings yet"),
        ({"metrics": []}, 400, "silent", "Silent since 14:02"),
    ],
)
def test_old_is_visible(script: Page, changes: dict[str, Any], seconds: int, kind: str, text: str) -> None:
    standing = script.evaluate(
        """([data, now]) => {
          const house = new House();
          house.takeData(data);
          return standingOf(house.devices.get("kitchen"), now, "Europe/Berlin");
        }""",
        [house(device(**changes)), HEARD + seconds * 1000],
    )

    assert standing == {"kind": kind, "text": text}


@pytest.mark.parametrize(
    ("presence", "seconds", "kind", "text"),
    [
        ("online", 400, "online", "6 min ago"),
        ("late", 17, "late", "17 s ago, usually every 5 s"),
        ("offline", 3, "silent", "Silent since 14:02"),
        ("unknown", 90, "unknown", "Last heard 1 min ago"),
    ],
)
def test_what_the_server_says_of_presence_counts(
    script: Page, presence: str, seconds: int, kind: str, text: str
) -> None:
    standing = script.evaluate(
        """([data, now]) => {
          const house = new House();
          house.takeData(data);
          return standingOf(house.devices.get("kitchen"), now, "Europe/Berlin");
        }""",
        [house(device(presence=presence)), HEARD + seconds * 1000],
    )

    assert standing == {"kind": kind, "text": text}


@pytest.mark.parametrize(
    ("per_minute", "seconds", "foot", "title"),
    [
        (24.0, 3, "3 s ago \N{MIDDLE DOT} 24/min", "24 readings a minute"),
        (0.4, 3, "3 s ago \N{MIDDLE DOT} 0.4/min", "0.4 readings a minute"),
        (1204.0, 3, "3 s ago \N{MIDDLE DOT} 1,204/min", "1,204 readings a minute"),
        (None, 3, "3 s ago", ""),
        (24.0, 17, "17 s ago, usually every 5 s", ""),
    ],
)
def test_a_card_tells_how_much_a_device_sends_while_it_does(
    script: Page, per_minute: float | None, seconds: int, foot: str, title: str
) -> None:
    shown = script.evaluate(
        """([data, now]) => {
          const house = new House();
          house.takeData(data);
          const card = new Card(house.devices.get("kitchen"), () => {});
          card.paint(now, "Europe/Berlin", ["black"]);
          return [card.element.querySelector(".foot").textContent, card.rate.title];
        }""",
        [house(device(readings_per_minute=per_minute)), HEARD + seconds * 1000],
    )

    assert shown == [foot, title]


def test_the_stream_tells_another_rate(script: Page) -> None:
    rate = script.evaluate(
        """([data, presence]) => {
          const house = new House();
          house.takeData(data);
          house.takeEvent("presence", "1-6", presence);
          return house.devices.get("kitchen").readings_per_minute;
        }""",
        [house(device(readings_per_minute=24.0)), device(readings_per_minute=48.0)],
    )

    assert rate == 48


def after(script: Page, data: dict[str, Any], events: list[list[Any]], *later: dict[str, Any]) -> dict[str, Any]:
    """What is known after the page's data, some events of the stream, and data of a later run of the page."""
    known: dict[str, Any] = script.evaluate(
        """([data, events, later]) => {
          const house = new House();
          house.takeData(data);
          for (const [kind, id, body] of events) house.takeEvent(kind, id, body);
          for (const again of later) house.takeData(again);
          const metric = house.devices.get("kitchen")?.metrics.get("temperature");
          const names = [...house.devices.keys()].sort();
          return { names, value: metric?.value, bins: metric?.bins, lastId: house.lastId };
        }""",
        [data, events, list(later)],
    )
    return known


def reading(value: float, seconds: int, name: str = "kitchen") -> dict[str, Any]:
    at = HEARD + seconds * 1000
    shape = {"metric": "temperature", "unit": "°C", "interval_ms": 5000}
    return {"device": name, "ts": at, "value": value, "received_at": at, **shape}


def test_a_reading_moves_value_history_and_where_to_go_on(script: Page) -> None:
    known = after(script, house(device()), [["reading", "", reading(24.0, 5)], ["reading", "1-6", reading(22.0, 20)]])

    assert known["value"] == 22.0
    assert known["lastId"] == "1-6"
    assert known["bins"] == [[HEARD, 23.4, 24.0, 24.0], [HEARD + 15_000, 22.0, 22.0, 22.0]]


def test_data_older_than_the_stream_does_not_take_it_back(script: Page) -> None:
    old = house(device(), version=5)

    known = after(script, old, [["reading", "1-9", reading(24.0, 5)], ["presence", "1-10", device(device="new")]], old)

    assert (known["value"], known["names"], known["lastId"]) == (24.0, ["kitchen", "new"], "1-10")


def test_newer_data_fills_the_history_that_a_hidden_tab_missed(script: Page) -> None:
    missed = [[HEARD, 23.0, 23.4, 23.4], [HEARD + 15_000, 25.0, 26.0, 26.0], [HEARD + 30_000, 27.0, 27.0, 27.0]]
    newer = house(device(metric={"ts": HEARD + 30_000, "received_at": HEARD + 30_000, "value": 27.0, "bins": missed}))

    known = after(script, house(device()), [["reading", "1-9", reading(27.0, 30)]], newer | {"version": 9})

    assert known["bins"] == missed


def test_a_whole_state_drops_what_is_not_in_it(script: Page) -> None:
    start = house(device(), device(device="left"))
    whole = [
        ["presence", "2-0", device()],
        ["reading", "2-0", reading(24.0, 5)],
        ["reading", "2-7", reading(1, 5, "x")],
    ]

    known = after(script, start, whole)

    assert (known["names"], known["value"], known["lastId"]) == (["kitchen", "x"], 24.0, "2-7")


def test_a_whole_state_that_broke_off_drops_nothing_and_is_asked_for_again(script: Page) -> None:
    known = after(script, house(device(), device(device="left")), [["presence", "2-0", device()]])

    assert (known["names"], known["lastId"]) == (["kitchen", "left"], "2-0")


def test_the_history_holds_a_quarter_of_an_hour(script: Page) -> None:
    events = [["reading", f"1-{number}", reading(20.0, 15 * number)] for number in range(6, 80)]

    assert len(after(script, house(device()), events)["bins"]) == 60


def test_a_sparkline_shows_gaps_as_gaps(script: Page) -> None:
    starts = [0, 15, 30, 105, 120]
    bins = [[HEARD + start * 1000, 20.0, 21.0, 20.5] for start in starts]

    drawn = script.evaluate("([bins, now]) => sparklineOf(bins, 5000, now)", [bins, HEARD + 130_000])

    assert drawn["line"].count("M") == drawn["band"].count("M") == 2
    assert drawn["end"][0] <= 120


def test_a_sparkline_joins_slow_readings(script: Page) -> None:
    bins = [[HEARD + minutes * 60_000, 20.0 + minutes, 20.0 + minutes, 20.0 + minutes] for minutes in range(0, 15, 5)]

    drawn = script.evaluate("([bins, now]) => sparklineOf(bins, 300000, now)", [bins, HEARD + 870_000])

    assert drawn["line"].count("M") == 1


def test_a_sparkline_without_readings_is_empty(script: Page) -> None:
    old = [[HEARD, 20.0, 20.0, 20.0]]

    assert script.evaluate("([bins, now]) => sparklineOf(bins, 5000, now).line", [old, HEARD + 3_600_000]) == ""
