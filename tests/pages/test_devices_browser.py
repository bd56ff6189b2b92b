"""The Devices page in Chromium, on a server as `make run` starts it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as NotInTimeError

from db import commands
from db.doors import Doors
from db.engine import create, writing
from db.gate import now_ms
from tests.pages.test_admin_browser import grave, publish
from tests.pages.test_live_browser import SIDEWAYS, SMALL_TARGETS
from tests.pages.visitors import come_in, doors_of, settle
from tests.parts.chromium import Pages
from tests.parts.doors import ROOT
from tests.parts.eventually import eventually
from tests.parts.server import Server

DEVICES = [f"room-{number}" for number in range(1, 10)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a user of each role and some devices, one of them with an actuator that was asked for something."""
    with Server(tmp_path_factory.mktemp("devices")) as running:
        doors = settle(running)
        for name in DEVICES:
            publish(running, f"{name}/telemetry", json.dumps({"temperature": 21.5, "humidity": 48}))
        publish(running, "room-1/about", json.dumps({"model": "esp8266-dht22", "firmware": "1.0.0"}))
        publish(running, "room-1/led/state", "ON")
        eventually(lambda: running.get("/api/health/").json()["ingest"]["received"] == len(DEVICES) + 2)
        with writing(create(f"sqlite:///{running.data_dir}/monitor.db")) as connection:
            key = doors.key("audit")
            commands.request(connection, key, "room-1", "led", "OFF", by=ROOT, at=now_ms(), deadline_ms=600_000)
        yield running


@pytest.fixture
def doors(server: Server) -> Doors:
    return doors_of(server)


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name))


def to_device(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", name=name, exact=True, level=1)).to_be_visible()
    expect(page.get_by_role("heading", name="Metrics")).to_be_visible()
    # What stands further down may still be on its way, and a menu that is opened meanwhile closes again.
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def choose(page: Page, box: str, option: str) -> None:
    """Choose from a menu, which a run of the page may close."""
    wanted = page.get_by_role("option", name=option)

    def chosen() -> bool:
        if not wanted.is_visible():
            page.get_by_role("combobox", name=box).click()
        try:
            wanted.click(timeout=2_000)
        except NotInTimeError:
            return False
        return True

    eventually(chosen, what=f"a menu with {option}")


def test_everybody_sees_the_devices_and_one_of_them_at_its_own_address(server: Server, pages: Pages) -> None:
    page = pages.open(server.url + "/devices")
    expect(page.get_by_role("row")).to_have_count(len(DEVICES) + 1)
    expect(row(page, "room-1").get_by_text("esp8266-dht22")).to_be_visible()
    expect(page.get_by_text("Add a device")).to_have_count(0)

    row(page, "room-1").get_by_role("button", name="Open room-1").click()

    to_device(page, "room-1")
    assert page.url == server.url + "/devices?device=room-1"
    expect(row(page, "temperature").get_by_text("21.5")).to_be_visible()
    expect(row(page, "led").get_by_text("on and off")).to_be_visible()
    for shut in ("Last commands", "Token for HTTP", "Audit", "Delete"):
        expect(page.get_by_role("heading", name=shut, exact=True)).to_have_count(0)
    page.get_by_role("button", name="All devices").click()
    expect(page.get_by_role("heading", name="Devices", level=1)).to_be_visible()


def test_devices_are_searched_and_an_unknown_one_is_told(server: Server, pages: Pages) -> None:
    page = pages.open(server.url + "/devices")
    page.get_by_label("Search").fill("ROOM-7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_label("Search").fill("cellar")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No device fits \N{LEFT DOUBLE QUOTATION MARK}cellar")).to_be_visible()

    page.goto(server.url + "/devices?device=%3Cb%3Ecellar")

    expect(page.get_by_text("There is no device <b>cellar.")).to_be_visible()


def test_an_admin_renames_a_device_and_live_shows_it(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/devices?device=room-2")
    to_device(page, "room-2")
    page.get_by_label("Display name").fill("North bench")
    page.get_by_label("Site").fill("greenhouse 2")
    page.get_by_label("Notes").fill("battery changed <b>in May</b>")
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_role("status").filter(has_text="room-2 is shown as you said.")).to_be_visible()
    to_device(page, "North bench")
    expect(page.locator(".sm-notes")).to_have_text("battery changed <b>in May</b>")
    expect(page.get_by_role("row").filter(has_text="change a device")).to_be_visible()
    live = pages.open(server.url)
    expect(live.get_by_role("heading", name="North bench", exact=True)).to_be_visible()
    live.get_by_label("Search devices").fill("greenhouse 2")
    expect(live.locator(".card")).to_have_count(1)


def test_an_admin_hides_a_device(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/devices?device=room-3")
    to_device(page, "room-3")
    choose(page, "On Live and Control", "hidden")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="room-3 is shown as you said.")).to_be_visible()

    live = pages.open(server.url)

    expect(live.get_by_role("heading", name="room-4", exact=True)).to_be_visible()
    expect(live.get_by_role("heading", name="room-3", exact=True)).to_have_count(0)


def test_an_admin_sets_a_unit_and_adds_an_actuator(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/devices?device=room-4")
    to_device(page, "room-4")
    page.get_by_text("Add an actuator, or set a range").click()
    page.get_by_label("Name, as in its topic").fill("fan")
    page.get_by_label("Most").fill("100")
    page.get_by_label("Least").fill("0")
    page.get_by_role("button", name="Save actuator").click()
    expect(page.get_by_role("status").filter(has_text="fan is added.")).to_be_visible()
    expect(row(page, "fan").get_by_text("0 to 100")).to_be_visible()

    page.get_by_text("Units", exact=True).click()
    saved = page.get_by_role("status").filter(has_text="The units are changed.")

    def is_saved() -> bool:
        """Tried anew where the page, which follows what was done before, took the form away under the click."""
        page.get_by_label("temperature").fill("°C")
        page.get_by_role("button", name="Save units").click()
        try:
            saved.wait_for(timeout=2_000)
        except NotInTimeError:
            return False
        return True

    eventually(is_saved, what="a unit")

    row(page, "fan").get_by_role("button", name="Remove fan").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove fan").click()
    expect(page.get_by_role("status").filter(has_text="fan is removed.")).to_be_visible()
    done = [entry.entry.action for entry in doors.audit(text="room-4")]
    assert done == ["actuator.remove", "device.change", "actuator.set"]


def test_a_token_is_made_shown_once_replaced_and_revoked(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/devices?device=room-5")
    to_device(page, "room-5")
    page.get_by_role("button", name="Make a token").click()
    expect(page.get_by_role("heading", name="Token of room-5")).to_be_visible()
    token = page.locator(".st-key-sm_once code").first.inner_text()
    assert doors.device_token(token) is not None
    page.get_by_role("button", name="I have taken it").click()
    expect(page.get_by_text(token)).to_have_count(0)

    page.get_by_role("button", name="Replace the token").click()
    page.get_by_role("dialog").get_by_role("button", name="Replace the token").click()
    expect(page.get_by_role("heading", name="Token of room-5")).to_be_visible()
    eventually(lambda: doors.device_token(token) is None, what="the old token's end, which is remembered for a second")
    page.get_by_role("button", name="Revoke the token").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke the token").click()

    expect(page.get_by_role("status").filter(has_text="The token of room-5 is revoked.")).to_be_visible()
    assert doors.device_tokens() == []


def test_deleting_a_device_asks_for_its_name(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/devices?device=room-6")
    to_device(page, "room-6")
    page.get_by_role("button", name="Delete this device").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("its 2 readings")).to_be_visible()
    sure = dialog.get_by_role("button", name="Delete room-6")
    expect(sure).to_be_disabled()
    dialog.get_by_label("Name of the device to delete").fill("room-6")
    page.keyboard.press("Enter")
    expect(sure).to_be_enabled()
    sure.click()

    expect(page.get_by_role("status").filter(has_text="room-6 is being deleted.")).to_be_visible()
    expect(page.get_by_role("heading", name="Devices", level=1)).to_be_visible()
    assert [entry.entry.action for entry in doors.audit(text="room-6")] == ["device.delete"]


def test_somebody_with_a_login_sees_what_was_asked(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-viewer", "/devices?device=room-1")
    to_device(page, "room-1")

    expect(
        page.get_by_role("row").filter(has_text="led off").get_by_role("cell", name="root", exact=True)
    ).to_be_visible()
    expect(page.get_by_role("heading", name="Delete")).to_have_count(0)


SCREENS = pytest.mark.parametrize("path", ["/devices", "/devices?device=room-1"], ids=["list", "detail"])


def opened(page: Page, server: Server, doors: Doors, path: str) -> None:
    come_in(page, server, doors, "the-admin", path)
    last = "Delete" if "?" in path else "Devices"
    expect(page.get_by_role("heading", name=last, exact=True)).to_be_visible()
    expect(row(page, "room-1" if "?" not in path else "temperature")).to_be_visible()


@SCREENS
def test_a_phone_needs_no_sideways_scroll_and_no_thin_fingers(
    server: Server, doors: Doors, pages: Pages, path: str
) -> None:
    page = pages.open(width=390, height=844, touch=True, scheme="dark")
    opened(page, server, doors, path)

    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL_TARGETS) == []


@SCREENS
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe(
    server: Server, doors: Doors, pages: Pages, path: str, scheme: Literal["light", "dark"]
) -> None:
    page = pages.open(scheme=scheme)
    opened(page, server, doors, path)

    assert grave(page) == []
