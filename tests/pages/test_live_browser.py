"""The pages in Chromium, on a server as `make run` starts it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Request, expect
from playwright.sync_api import TimeoutError as NotInTimeError

from settings import parse_mqtt_url
from tests.parts.chromium import Pages
from tests.parts.eventually import eventually
from tests.parts.server import Server

# What can be hit with a finger and is smaller than 44 px, in shadow roots too; what only screen readers see is 1 px.
SMALL_TARGETS = """() => {
  const found = [];
  const look = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) look(element.shadowRoot);
      if (!element.matches("a, button, input, select, summary, [role=button], [role=option]")) continue;
      const { width, height, left, right } = element.getBoundingClientRect();
      const drawn = element.checkVisibility({ visibilityProperty: true }) && width > 1;
      const small = Math.round(width) < 44 || Math.round(height) < 44;
      if (small && drawn && right > 0 && left < innerWidth) found.push(`${width} x ${height} ${element.outerHTML}`);
    }
  };
  look(document);
  return found;
}"""
SIDEWAYS = """() => ["html", "[data-testid=stMain]"]
  .map((name) => document.querySelector(name))
  .filter((element) => element.scrollWidth > element.clientWidth).map((element) => element.outerHTML.slice(0, 90))"""
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


def publish(server: Server, topic: str, payload: str) -> None:
    address = parse_mqtt_url((server.data_dir / "mqtt_url").read_text(encoding="utf-8").strip())
    to = ["-h", address.host, "-p", str(address.port), "-q", "1", "-t", f"iot/{topic}"]
    subprocess.run(["mosquitto_pub", *to, "-m", payload], check=True, timeout=5)


def ready(server: Server) -> Server:
    eventually(lambda: server.get("/api/health/").status_code == 200)
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with ten devices, one of them with a long name and odd values, and two messages that make no sense."""
    with Server(tmp_path_factory.mktemp("live")) as running:
        ready(running)
        for number in range(1, 10):
            publish(running, f"room-{number}/telemetry", f'{{"temperature": {20 + number}.5, "humidity": 48}}')
        odd = '{"wind.speed": 123456.789, "pressure": 101325, "tiny": 1.2e-6, "huge": 1e12, "cold": -12.25}'
        publish(running, "weather-station_on.the-roof-of-building-seven/telemetry", odd)
        publish(running, "room-1/led/state", "ON")
        publish(running, "room-1/telemetry", "<script>document.title = 'taken'</script>")
        publish(running, "a/b/c/d", "x" * 300)
        eventually(lambda: running.get("/api/health/").json()["ingest"]["received"] == 13)
        yield running


@pytest.fixture
def own_server(part_directory: Path) -> Iterator[Server]:
    """A server for one test, without devices."""
    with Server(part_directory) as running:
        yield ready(running)


def card(page: Page, name: str) -> Any:
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name, exact=True))


def streams(page: Page) -> list[Request]:
    """Every request for the event stream from now on."""
    found: list[Request] = []
    page.on("request", lambda request: found.append(request) if "/api/live/" in request.url else None)
    return found


def test_a_reading_moves_its_card_and_nothing_else_is_asked_for(server: Server, pages: Pages) -> None:
    page = pages.open()
    asked = streams(page)
    page.goto(server.url)
    expect(card(page, "room-2").get_by_text("22.5", exact=True)).to_be_visible()

    publish(server, "room-2/telemetry", '{"temperature": -3.5, "humidity": 48}')

    expect(card(page, "room-2").get_by_text("\N{MINUS SIGN}3.5", exact=True)).to_be_visible()
    expect(card(page, "room-2").get_by_text("online")).to_be_visible()
    expect(card(page, "room-1").get_by_text("led on")).to_be_visible()
    assert len(asked) == 1


def test_a_card_begins_with_the_past_quarter_of_an_hour(own_server: Server, pages: Pages) -> None:
    now = time.time_ns() // 1_000_000
    past = [{"ts": now - 30_000 * back, "x": back % 3} for back in range(8, -1, -1)]
    publish(own_server, "kitchen/telemetry", json.dumps(past))
    eventually(lambda: own_server.get("/api/health/").json()["ingest"]["received"] == 1)
    page = pages.open(own_server.url)
    expect(card(page, "kitchen")).to_be_visible()
    drawn = card(page, "kitchen").locator(".spark path")
    points = "paths => Math.max(0, ...paths.map(path => (path.getAttribute('d') ?? '').split('L').length))"
    assert eventually(lambda: drawn.evaluate_all(points) >= 9, what="a line through nine readings")


def test_a_chart_tells_the_time_of_the_browser(server: Server, pages: Pages) -> None:
    page = pages.open(server.url, timezone="Asia/Kolkata")
    labels = page.locator("svg.marks .role-axis-label text").filter(has_text=re.compile(r"^\d\d:\d\d$"))
    expect(labels.first).to_be_visible()
    now = datetime.now(ZoneInfo("Asia/Kolkata"))
    past_hour = {f"{now - timedelta(minutes=back):%H:%M}" for back in range(62)}
    assert set(labels.all_text_contents()) <= past_hour


def choose_by_list(page: Page, name: str) -> None:
    """Take a device from the list; a list that closes because the page moved under it is opened again."""
    box = page.get_by_role("combobox", name="Device whose last hour is shown")
    option = page.get_by_role("option", name=name, exact=True)

    def opened() -> bool:
        box.fill("")
        box.fill(name)
        try:
            option.click(timeout=2_000)
        except NotInTimeError:
            return False
        return True

    eventually(opened, what=f"{name} in the list")


def test_a_card_and_the_list_choose_the_same_device(server: Server, pages: Pages) -> None:
    page = pages.open()
    page.emulate_media(reduced_motion="reduce")  # else the chart glides into sight, for longer on a busy machine
    asked = streams(page)
    page.goto(server.url)
    page.get_by_label("Search devices").fill("room")
    card(page, "room-4").get_by_role("button").focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("combobox", name="Device whose last hour is shown")).to_have_value("room-4")
    expect(card(page, "room-4").get_by_role("button")).to_have_attribute("aria-pressed", "true")

    choose_by_list(page, "room-6")

    expect(card(page, "room-6").get_by_role("button")).to_have_attribute("aria-pressed", "true")
    expect(card(page, "room-4").get_by_role("button")).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_label("Search devices")).to_have_value("room")
    expect(page.locator("svg.marks").first).to_be_visible()
    assert len(asked) == 1


def test_the_search_finds_by_name_and_says_when_it_does_not(server: Server, pages: Pages) -> None:
    page = pages.open(server.url)
    page.get_by_label("Search devices").fill("WEATHER")
    expect(page.get_by_role("listitem").filter(has=page.locator("h3"))).to_have_count(1)

    page.get_by_label("Search devices").fill("cellar")

    expect(page.get_by_text("No device is called \N{LEFT DOUBLE QUOTATION MARK}cellar")).to_be_visible()


def test_a_hidden_tab_closes_its_stream_and_goes_on_where_it_was(server: Server, pages: Pages) -> None:
    page = pages.open()
    asked = streams(page)
    ended: list[Request] = []
    page.on("requestfailed", lambda request: ended.append(request) if "/api/live/" in request.url else None)
    page.goto(server.url)
    expect(card(page, "room-3")).to_be_visible()
    eventually(lambda: page.evaluate("1") and len(asked) == 1)

    page.evaluate(HIDE, True)
    eventually(lambda: page.evaluate("1") and len(ended) == 1)
    publish(server, "room-3/telemetry", '{"temperature": 7.25}')
    page.evaluate(HIDE, False)

    expect(card(page, "room-3").get_by_text("7.25", exact=True)).to_be_visible()
    assert len(asked) == 2
    assert "last_event_id=" in asked[1].url


def test_leaving_the_page_ends_the_stream(server: Server, pages: Pages) -> None:
    page = pages.open()
    ended: list[Request] = []
    page.on("requestfailed", lambda request: ended.append(request) if "/api/live/" in request.url else None)
    with page.expect_request(lambda request: "/api/live/" in request.url):
        page.goto(server.url)
    expect(card(page, "room-3")).to_be_visible()

    page.get_by_role("link", name="System").click()

    expect(page.get_by_role("heading", name="System")).to_be_visible()
    eventually(lambda: page.evaluate("1") and len(ended) == 1)


def test_a_server_that_restarts_is_waited_for_with_the_values_in_place(own_server: Server, pages: Pages) -> None:
    publish(own_server, "kitchen/telemetry", '{"temperature": 21.5}')
    page = pages.open(own_server.url)
    expect(card(page, "kitchen").get_by_text("21.5", exact=True)).to_be_visible()

    own_server.stop()
    expect(page.get_by_text("Connection lost, trying again. Values below are from").first).to_be_visible()
    expect(card(page, "kitchen").get_by_text("21.5", exact=True)).to_be_visible()
    own_server.start()
    ready(own_server)
    publish(own_server, "kitchen/telemetry", '{"temperature": 22.5}')

    expect(card(page, "kitchen").get_by_text("22.5", exact=True)).to_be_visible()
    expect(page.locator(".away")).to_be_hidden()


def test_the_first_device_is_shown_without_a_reload(own_server: Server, pages: Pages) -> None:
    page = pages.open(own_server.url)
    line = page.locator("code").filter(has_text="mosquitto_pub -h").inner_text()

    subprocess.run(["bash", "-c", line], check=True, timeout=5)

    expect(card(page, "kitchen").get_by_text("21.5", exact=True)).to_be_visible()


def to_live(page: Page) -> None:
    expect(page.locator("svg.marks").first).to_be_visible()
    expect(page.locator(".card")).to_have_count(10)


def to_system(page: Page) -> None:
    expect(page.locator(".sm-letters summary")).to_have_count(2)
    page.locator(".sm-letters summary").first.click()


SCREENS = pytest.mark.parametrize(
    ("path", "shown"), [pytest.param("/", to_live, id="live"), pytest.param("/system", to_system, id="system")]
)


@SCREENS
def test_a_phone_needs_no_sideways_scroll_and_no_thin_fingers(
    server: Server, pages: Pages, path: str, shown: Callable[[Page], None]
) -> None:
    page = pages.open(server.url + path, width=390, height=844, touch=True)
    shown(page)

    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL_TARGETS) == []

    page.get_by_role("button", name="Expand sidebar").click()
    expect(page.get_by_role("link", name="System")).to_be_in_viewport()
    assert page.evaluate(SMALL_TARGETS) == []


@SCREENS
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe(
    server: Server, pages: Pages, path: str, shown: Callable[[Page], None], scheme: Literal["light", "dark"]
) -> None:
    page = pages.open(server.url + path, scheme=scheme)
    shown(page)

    found = Axe().run(page).response["violations"]

    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in grave] == []


def test_what_devices_send_is_text_and_never_markup(server: Server, pages: Pages) -> None:
    page = pages.open(server.url + "/system")
    to_system(page)

    expect(page.get_by_text("<script>document.title = 'taken'</script>")).to_be_attached()
    assert page.title() != "taken"
