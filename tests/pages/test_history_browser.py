"""History in Chromium, on a server as `make run` starts it, with readings of an October whose clocks changed."""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from db import devices, engine, readings
from pages.parts.periods import DAY_MS, HOUR_MS
from tests.pages.cases import ms
from tests.pages.test_devices_browser import choose
from tests.pages.test_live_browser import SIDEWAYS, SMALL_TARGETS, publish
from tests.parts.chromium import Pages
from tests.parts.eventually import eventually
from tests.parts.held_wire import HeldWire
from tests.parts.server import Server

FIRST: Final = ms("2026-10-23T22:00:00Z")
#: A reading every 2 minutes for 3 days, with a silence of 2 hours.
TIMES: Final = [ts for ts in range(FIRST, FIRST + 3 * DAY_MS, 120_000) if not 30 <= (ts - FIRST) / HOUR_MS < 32]
THREE_DAYS: Final = {"range": "2026-10-23T22:00:00Z..2026-10-26T22:00:00Z"}
_FIRST_CHART: Final = "document.querySelector('.stVegaLiteChart svg.marks')"
_FIRST_LINE: Final = f"{_FIRST_CHART}.querySelector('.mark-line path').getAttribute('d')"
UNITS: Final = {"temperature": "°C", "humidity": "%"}


def fill(server: Server) -> None:
    """Two devices with two metrics each, and one whose names are unusual."""
    with engine.writing(engine.create(f"sqlite:///{server.data_dir}/monitor.db")) as connection:
        for device, metrics in (("kitchen", UNITS), ("attic", UNITS), ("site1/it's", {"a&b": "", "<i>c</i>": ""})):
            device_id = devices.ensure(connection, [device], FIRST)[device]
            about = devices.About(device, None, None, (), {name: unit for name, unit in metrics.items() if unit})
            ids = devices.ensure_series(connection, [(device_id, name) for name in metrics], FIRST)
            devices.store_about(connection, device_id, about, FIRST)
            for place, series_id in enumerate(ids[device_id, name] for name in metrics):
                rows = [(series_id, ts, value_at(ts, place)) for ts in TIMES]
                readings.insert_new(connection, rows)


def value_at(ts: int, place: int) -> float:
    """Warmest in the afternoon."""
    return round(21 + 25 * place + 4 * math.sin((ts - FIRST) / DAY_MS * math.tau - 2.2), 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with these readings."""
    with Server(tmp_path_factory.mktemp("history")) as running:
        eventually(lambda: running.get("/api/health/").status_code == 200)
        fill(running)
        publish(running, "kitchen/status", "online")
        yield running


@pytest.fixture
def young(part_directory: Path) -> Iterator[Server]:
    """A server whose first readings are of the last three minutes."""
    with Server(part_directory) as running:
        eventually(lambda: running.get("/api/health/").status_code == 200)
        now = time.time_ns() // 1_000_000
        backlog = [{"ts": ts, "temperature": value_at(ts, 0)} for ts in range(now - 180_000, now, 5_000)]
        publish(running, "kitchen/about", '{"units": {"temperature": "°C"}}')
        publish(running, "kitchen/telemetry", json.dumps(backlog))
        eventually(lambda: running.get("/api/health/").json()["ingest"]["readings"]["stored"] == len(backlog))
        yield running


def open_history(pages: Pages, server: Server, query: dict[str, str | list[str]] | None = None, **how: object) -> Page:
    """The page at this address, with its charts drawn and nothing left to run."""
    asked = urlencode(query if query is not None else {"device": "kitchen", **THREE_DAYS}, doseq=True)
    page = pages.open(f"{server.url}/history?{asked}", **how)  # type: ignore[arg-type]  # as `open` has them
    expect(page.get_by_text("The same from a terminal")).to_be_attached()
    settled(page)
    return page


def settled(page: Page) -> None:
    """Wait until the page has run to its end and a chart is drawn."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_attached()
    expect(chart(page)).to_be_visible()


def chart(page: Page, index: int = 0) -> Locator:
    return page.locator(".stVegaLiteChart svg.marks").nth(index)


def address(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def shown_ms(page: Page) -> tuple[int, int]:
    """From when to when the address says that a part is shown."""
    asked = address(page)
    return ms(asked["from"][0]), ms(asked["to"][0])


def drag(page: Page, on: Locator, first: float, last: float) -> None:
    """Drag over a part of a chart, given as parts of its width."""
    on.scroll_into_view_if_needed()
    box = on.bounding_box()
    assert box is not None
    height = box["y"] + box["height"] * 0.4
    page.mouse.move(box["x"] + box["width"] * first, height)
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(box["x"] + box["width"] * (first + (last - first) * step / 5), height)
    page.mouse.up()


def test_dragging_asks_again_down_to_single_readings_and_a_double_click_leads_back(
    server: Server, pages: Pages
) -> None:
    page = open_history(pages, server)
    expect(page.get_by_text("A point is 5 min")).to_be_visible()

    drag(page, chart(page), 0.5, 0.6)

    expect(page).to_have_url(re.compile("from="))
    expect(page.get_by_text("Every single reading.")).to_be_visible()
    start, end = shown_ms(page)
    assert 4 * HOUR_MS < end - start < 10 * HOUR_MS
    assert abs((start - FIRST) / (3 * DAY_MS) - 0.47) < 0.05
    settled(page)

    chart(page).dblclick()

    expect(page).to_have_url(re.compile("from=2026-10-23T22%3A00%3A00Z&to=2026-10-26T22%3A00%3A00Z"))
    expect(page.get_by_text("A point is 5 min")).to_be_visible()


def test_a_link_brings_back_all_that_was_chosen(server: Server, pages: Pages) -> None:
    part = {"from": "2026-10-24T10:00:00Z", "to": "2026-10-24T16:00:00Z"}
    page = open_history(
        pages,
        server,
        {
            "device": ["attic", "kitchen"],
            "metric": "temperature",
            **THREE_DAYS,
            **part,
            "tz": "Asia/Kolkata",
            "compare": "before",
            "threshold": "22.5 °C",
            "rows": "100",
            "pattern": "kitchen:temperature",
            "resolution": "hours",
            "form": "wide",
        },
    )

    expect(page.get_by_role("button", name="24 Oct, 15:30 to 21:30")).to_be_visible()
    expect(page.get_by_role("button", name="2 devices: temperature")).to_be_visible()
    expect(page.get_by_role("button", name="Reset zoom")).to_be_visible()
    expect(page.get_by_role("switch", name="Compare with before")).to_be_checked()
    expect(page.get_by_label("Threshold, °C")).to_have_value("22.5")
    expect(page.get_by_role("columnheader", name="Above")).to_be_visible()
    expect(page.get_by_role("combobox", name="Series whose week and values are shown")).to_have_value("kitchen")
    expect(page.get_by_role("rowheader", name="2026-10-24 21:28:00")).to_be_attached()
    expect(page.locator("table", has_text="Last readings").get_by_role("row")).to_have_count(101)
    link = page.get_by_role("link", name="Export CSV").get_attribute("href")
    assert link is not None
    assert parse_qs(urlsplit(link).query) == {
        "device": ["attic", "kitchen"],
        "metric": ["temperature"],
        **{name: [value] for name, value in part.items()},
        "tz": ["Asia/Kolkata"],
        "resolution": ["hours"],
        "form": ["wide"],
    }


@pytest.mark.parametrize(
    ("zone", "first", "last"),
    [("Europe/Berlin", "24 Oct", "2026-10-26 22:58:00"), ("Australia/Adelaide", "12:00", "2026-10-27 08:28:00")],
)
def test_clocks_are_those_of_the_browser(server: Server, pages: Pages, zone: str, first: str, last: str) -> None:
    page = open_history(pages, server, timezone=zone)

    expect(page.get_by_text(f"Times are those of {zone}.").first).to_be_visible()
    expect(chart(page).locator(".role-axis-label text").filter(has_text=re.compile("[O:]")).first).to_have_text(first)
    expect(page.get_by_text(last)).to_be_attached()
    link = page.get_by_role("link", name="Export CSV").get_attribute("href")
    assert link is not None
    assert parse_qs(urlsplit(link).query)["tz"] == [zone]


def test_the_day_of_25_hours_is_one_day(server: Server, pages: Pages) -> None:
    day = {"from": "2026-10-24T22:00:00Z", "to": "2026-10-25T23:00:00Z"}
    page = open_history(pages, server, {"device": "kitchen", **day}, timezone="Europe/Berlin")
    expect(page.get_by_role("button", name="25 Oct 2026", exact=False).first).to_be_visible()

    page.get_by_role("button", name="Previous").click()

    expect(page).to_have_url(re.compile("from=2026-10-23T22%3A00%3A00Z"))
    expect(page.get_by_role("button", name="24 Oct 2026").first).to_be_visible()


def test_a_ready_made_range_is_one_click_and_one_key(server: Server, pages: Pages) -> None:
    page = open_history(pages, server)

    page.get_by_role("radio", name="Everything").click()
    expect(page).to_have_url(re.compile("range=all"))
    settled(page)

    page.get_by_role("button", name="Zoom out").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("from="))
    assert shown_ms(page)[1] - shown_ms(page)[0] > 5 * DAY_MS


def test_a_range_without_readings_says_where_there_are_some(server: Server, pages: Pages) -> None:
    page = pages.open(f"{server.url}/history?device=kitchen&range=15m")
    expect(page.get_by_text("No readings", exact=True)).to_be_visible()

    page.get_by_role("button", name="Show the last readings").click()

    expect(page).to_have_url(re.compile("to=2026-10-26T21%3A58%3A00.001Z"))
    expect(chart(page)).to_be_visible()


def test_what_is_chosen_in_the_part_that_runs_by_itself_holds(server: Server, pages: Pages) -> None:
    page = open_history(pages, server, {"device": "kitchen", "from": "2026-10-24T08:00Z", "to": "2026-10-24T14:00Z"})

    choose(page, "How many times are listed", "100 rows")

    expect(page).to_have_url(re.compile("rows=100"))


def test_what_a_page_says_that_has_not_heard_of_a_choice_does_not_undo_it(server: Server, pages: Pages) -> None:
    page = pages.open()
    page.clock.install()  # whose seconds pass when we say so
    wire = HeldWire(page)
    page.goto(f"{server.url}/history?device=kitchen&range=15m")
    expect(page.get_by_text("No readings", exact=True)).to_be_visible()
    settled(page)

    wire.hold()
    page.get_by_role("button", name="Show the last readings").click()
    wire.await_answer()
    page.clock.fast_forward(10_000)  # the part that runs by itself is due, and tells what the page shows
    wire.await_answer()
    wire.release()

    expect(page).to_have_url(re.compile("to=2026-10-26T21%3A58%3A00.001Z"))
    settled(page)
    assert "to=2026-10-26T21%3A58%3A00.001Z" in page.url, "the click was undone"
    expect(chart(page)).to_be_visible()


def test_a_young_system_is_shown_whole_and_moves_on_as_the_same_chart(young: Server, pages: Pages) -> None:
    page = pages.open()
    page.clock.install()  # whose seconds pass when we say so
    page.goto(f"{young.url}/history")
    settled(page)
    expect(page).to_have_url(re.compile("device=kitchen&range=15m"))
    expect(page.get_by_role("button", name="Last 15 minutes")).to_be_visible()
    page.evaluate(f"{_FIRST_CHART}.dataset.kept = 'yes'")
    line = page.evaluate(_FIRST_LINE)

    publish(young, "kitchen/telemetry", '{"temperature": 40.25}')
    eventually(lambda: young.get("/api/dht22_db/", device="kitchen").json()["temperature"] == 40.25)

    def has_moved_on() -> bool:
        page.clock.fast_forward(5_000)
        page.wait_for_timeout(100)  # lets Playwright hear of what the page does
        return bool(page.evaluate(_FIRST_LINE) != line) and page.get_by_text("40.25").count() > 0

    assert eventually(has_moved_on, what="the new reading on the page")
    assert page.evaluate(f"{_FIRST_CHART}.dataset.kept") == "yes", "the chart was built anew"


def test_another_range_is_drawn_into_the_chart_that_is_there(server: Server, pages: Pages) -> None:
    page = open_history(pages, server, {"device": "kitchen", "from": "2026-10-24T08:00Z", "to": "2026-10-24T14:00Z"})
    page.evaluate(f"{_FIRST_CHART}.dataset.kept = 'yes'")
    line = page.evaluate(_FIRST_LINE)
    expect(chart(page).locator(".role-axis-label text").filter(has_text=":").first).to_have_text("08:00")

    page.get_by_role("button", name="Next").click()

    expect(chart(page).locator(".role-axis-label text").filter(has_text=":").first).to_have_text("14:00")
    expect(page).to_have_url(re.compile("from=2026-10-24T14%3A00%3A00Z"))
    eventually(lambda: page.evaluate(_FIRST_LINE) != line)
    assert page.evaluate(f"{_FIRST_CHART}.dataset.kept") == "yes", "the chart was built anew"


def test_what_an_address_gets_wrong_is_said(server: Server, pages: Pages) -> None:
    page = open_history(
        pages, server, {"device": ["kitchen", "<b>"], "from": "2026-10-26", "to": "2026-10-25", "range": "all"}
    )

    expect(page.get_by_text("In the address from is not before to.")).to_be_visible()
    expect(page.get_by_text("There is no device <b>.")).to_be_visible()


def test_the_overview_leads_anywhere(server: Server, pages: Pages) -> None:
    page = open_history(pages, server)

    def leads_there() -> bool:  # the address may first say the same range in other words
        if not page.evaluate("1") or "from" not in address(page):
            return False
        start, end = shown_ms(page)
        return FIRST < start < end < FIRST + DAY_MS

    drag(page, chart(page, 2), 0.2, 0.3)

    eventually(leads_there)
    expect(page).not_to_have_url(re.compile("range="))


def test_live_leads_to_the_same_device_here(server: Server, pages: Pages) -> None:
    page = pages.open(server.url)
    expect(page.get_by_role("link", name="Open in History")).to_be_visible()

    page.get_by_role("link", name="Open in History").click()

    expect(page.get_by_role("heading", name="History")).to_be_visible()
    expect(page).to_have_url(re.compile("device=kitchen&range=1h"))


@pytest.mark.parametrize("form", ["CSV", "Parquet", "XLSX"])
def test_what_is_shown_can_be_taken_away(server: Server, pages: Pages, form: str) -> None:
    hour = {"from": "2026-10-24T10:00:00Z", "to": "2026-10-24T11:00:00Z"}
    page = open_history(pages, server, {"device": "kitchen", **hour}, timezone="Europe/Berlin")

    with page.expect_download() as started:
        page.get_by_role("link", name=f"Export {form}").click()

    assert started.value.suggested_filename.endswith(f".{form.lower()}")
    if form == "CSV":
        lines = started.value.path().read_text(encoding="utf-8").splitlines()
        assert len(lines) == 1 + 2 * 30
        assert "2026-10-24T12:00:00" in lines[1]


def test_names_are_text_and_every_link_keeps_them_whole(server: Server, pages: Pages) -> None:
    page = open_history(pages, server, {"device": "site1/it's", "range": "all"})

    expect(page.get_by_text("<i>c</i>", exact=True).first).to_be_attached()
    link = page.get_by_role("link", name="Export Parquet").get_attribute("href")
    assert link is not None
    assert parse_qs(urlsplit(link).query)["metric"] == ["<i>c</i>", "a&b"]


def test_a_phone_needs_no_sideways_scroll_and_no_thin_fingers(server: Server, pages: Pages) -> None:
    page = open_history(pages, server, width=390, height=844, touch=True)

    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL_TARGETS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe(server: Server, pages: Pages, scheme: Literal["light", "dark"]) -> None:
    page = open_history(pages, server, scheme=scheme)

    found = Axe().run(page).response["violations"]

    # The rectangle that Vega draws while somebody drags has no name, and nothing gives it one.
    grave = [
        (one["id"], node["html"][:160])
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
        if "dragged_brush" not in node["html"][:160]
    ]
    assert grave == []
