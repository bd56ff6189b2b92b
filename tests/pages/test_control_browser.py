"""The Control page in Chromium: a server as `make run` starts it, MariaDB, Mosquitto, and a simulated board."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as NotInTimeError

from db.doors import Doors
from tests.pages.test_admin_browser import grave
from tests.pages.test_live_browser import SIDEWAYS, SMALL_TARGETS
from tests.pages.visitors import come_in, log_in, settle, who_am_i
from tests.parts.board import Board
from tests.parts.chromium import Pages
from tests.parts.doors import ROOT
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server


@contextmanager
def house(
    directory: Path, mosquitto: Mosquitto, database_url: str, root: str, **settings: str
) -> Iterator[tuple[Server, Doors]]:
    """A server on that broker and database, with a user of each role."""
    given = {"MQTT_URL": mosquitto.url, "DATABASE_URL": database_url, "TOPIC_ROOT": root}
    with Server(directory, given | {"MQTT_CLIENT_ID": root} | settings) as server:
        doors = settle(server, database_url)
        eventually(lambda: server.get("/api/health/").json()["broker"]["state"] == "connected")
        yield server, doors


def card(page: Page, device: str, actuator: str = "led") -> Locator:
    return page.get_by_role("listitem").filter(
        has=page.get_by_role("heading", name=re.compile(rf"^{re.escape(device)}\s*{re.escape(actuator)}$"))
    )


def progress(page: Page, device: str) -> Locator:
    return card(page, device).locator(".progress-text")


def state(page: Page, device: str) -> Locator:
    return card(page, device).locator(".state")


def press(page: Page, verb: str, device: str, said: str) -> None:
    """Press a button until its card says so: a click right after the button changed its word counts for nothing."""
    button = page.get_by_role("button", name=f"{verb} led of {device}", exact=True)

    def pressed() -> bool:
        if said in progress(page, device).inner_text():
            return True
        with contextlib.suppress(NotInTimeError):  # it has another word by now
            button.click(timeout=1_000)
        return False

    eventually(pressed, what=f"{verb} on {device}")


def test_an_operator_sees_waiting_then_confirmed_and_reads_it_in_the_audit_log(
    part_directory: Path, pages: Pages, mosquitto: Mosquitto, mariadb_url: str, topic_root: str
) -> None:
    with (
        house(part_directory, mosquitto, mariadb_url, topic_root) as (server, doors),
        Board(mosquitto.port, topic_root) as board,
    ):
        page = pages.open()
        come_in(page, server, doors, "the-operator", "/control")
        expect(state(page, "kitchen")).to_have_text("off")
        board.held = True

        page.get_by_role("button", name="Turn on led of kitchen").click()

        expect(progress(page, "kitchen")).to_have_text(re.compile(r"^Asked for on .* ago, waiting for the device$"))
        expect(state(page, "kitchen")).to_have_text("off")
        eventually(lambda: page.evaluate("1") and board.waiting == 1)
        board.release()

        expect(progress(page, "kitchen")).to_have_text(re.compile(r"^Confirmed after \d"))
        expect(state(page, "kitchen")).to_have_text("on")
        expect(card(page, "kitchen").get_by_text("by the-operator")).to_be_visible()
        row = page.get_by_role("row").filter(has_text="kitchen led on")
        expect(row.get_by_text("confirmed", exact=True)).to_be_visible()
        expect(row.get_by_text("the-operator")).to_be_visible()
        assert len(board.taken) == 1

        eventually(lambda: page.evaluate("1") and doors.audit(action="command.confirmed"))
        admins = pages.open()
        come_in(admins, server, doors, "the-admin", "/audit")
        asked = admins.get_by_role("row").filter(has_text="ask an actuator")
        expect(asked.get_by_text("the-operator")).to_be_visible()
        expect(asked.get_by_text("kitchen/led")).to_be_visible()
        expect(admins.get_by_role("row").filter(has_text="a command was confirmed")).to_have_count(1)


def test_a_device_that_is_offline_lets_a_command_expire(
    part_directory: Path, pages: Pages, mosquitto: Mosquitto, mariadb_url: str, topic_root: str
) -> None:
    with house(part_directory, mosquitto, mariadb_url, topic_root, COMMAND_DEADLINE_S="4") as (server, doors):
        page = pages.open()
        with Board(mosquitto.port, topic_root) as board:
            come_in(page, server, doors, "the-operator", "/control")
            expect(state(page, "kitchen")).to_have_text("off")
        expect(card(page, "kitchen")).to_have_attribute("data-kind", "silent")

        page.get_by_role("button", name="Turn on led of kitchen").click()

        expect(progress(page, "kitchen")).to_have_text(re.compile("the device is offline. Expires in"))
        expect(progress(page, "kitchen")).to_have_text(re.compile("^Asked for on: expired. "))
        expect(state(page, "kitchen")).to_have_text("off")
        expect(page.get_by_role("button", name="Try again led of kitchen")).to_be_visible()
        assert board.taken == []


def test_what_is_changed_at_the_device_is_on_the_page_at_once(
    part_directory: Path, pages: Pages, mosquitto: Mosquitto, mariadb_url: str, topic_root: str
) -> None:
    with (
        house(part_directory, mosquitto, mariadb_url, topic_root) as (server, _),
        Board(mosquitto.port, topic_root) as board,
    ):
        page = pages.open(server.url + "/control")
        expect(state(page, "kitchen")).to_have_text("off")

        board.press("ON")
        expect(state(page, "kitchen")).to_have_text("on")
        board.press("OFF")
        expect(state(page, "kitchen")).to_have_text("off")


def test_a_fan_takes_a_number_within_its_range(
    part_directory: Path, pages: Pages, mosquitto: Mosquitto, topic_root: str
) -> None:
    url = f"sqlite:///{part_directory}/data/monitor.db"
    takes = {"min": 0, "max": 100, "step": 1, "unit": "%"}
    with (
        house(part_directory, mosquitto, url, topic_root) as (server, doors),
        Board(mosquitto.port, topic_root, actuator="fan", takes=takes, state="20") as board,
    ):
        eventually(lambda: any(one["actuators"] and one["actuators"][0]["state"] for one in devices_of(server)))
        page = pages.open()
        come_in(page, server, doors, "the-operator", "/control")
        fan = card(page, "kitchen", "fan")
        expect(fan.locator(".state")).to_have_text("20 %")
        slider, field = fan.get_by_role("slider"), fan.get_by_role("spinbutton")
        assert [slider.get_attribute(name) for name in ("min", "max", "step")] == ["0", "100", "1"]

        field.fill("140")
        fan.get_by_role("button", name="Set fan of kitchen", exact=True).click()
        expect(fan.get_by_role("alert")).to_have_text("The most is 100 %.")
        assert board.taken == []

        slider.fill("40")
        expect(field).to_have_value("40")
        fan.get_by_role("button", name="Set to 40 % fan of kitchen", exact=True).click()
        expect(fan.locator(".progress-text")).to_have_text(re.compile(r"^Confirmed after \d"))
        expect(fan.locator(".state")).to_have_text("40 %")
        assert (board.state, len(board.taken)) == ("40", 1)


def devices_of(server: Server) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get("/api/devices/").json()
    return found


Furnished = tuple[Server, Doors, tuple[Board, Board]]


@pytest.fixture(scope="module")
def standing_house(tmp_path_factory: pytest.TempPathFactory, mosquitto: Mosquitto) -> Iterator[Furnished]:
    """A server with two boards, for what changes little; on SQLite."""
    directory = tmp_path_factory.mktemp("control")
    root = "tcontrolpage"
    url = f"sqlite:///{directory}/data/monitor.db"
    with (
        house(directory, mosquitto, url, root) as (server, doors),
        Board(mosquitto.port, root, "bed-1") as one,
        Board(mosquitto.port, root, "bed-2") as other,
    ):
        eventually(lambda: len(server.get("/api/devices/").json()) == 2)
        yield server, doors, (one, other)


@pytest.fixture
def furnished(standing_house: Furnished) -> Furnished:
    """The same for each test: both boards obey at once, and are off."""
    for board in standing_house[2]:
        board.release()
        board.press("OFF")
    return standing_house


def test_a_visitor_sees_states_and_comes_back_after_logging_in(furnished: Furnished, pages: Pages) -> None:
    server, _, _ = furnished
    page = pages.open(server.url + "/control")
    expect(state(page, "bed-1")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Turn "))).to_have_count(0)
    expect(page.get_by_role("heading", name="Last commands")).to_have_count(0)

    page.get_by_test_id("stMain").get_by_role("link", name="Log in").click()
    log_in(page, "the-operator")

    expect(who_am_i(page, "the-operator")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Turn o.* led of bed-1$"))).to_be_visible()
    assert page.url == server.url + "/control"


def test_a_viewer_has_no_buttons_and_is_told_why(furnished: Furnished, pages: Pages) -> None:
    server, doors, _ = furnished
    page = pages.open()
    come_in(page, server, doors, "the-viewer", "/control")

    expect(page.get_by_text("Operators and admins control it")).to_be_visible()
    expect(state(page, "bed-1")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Turn "))).to_have_count(0)


def test_somebody_may_press_the_other_way_while_waiting(furnished: Furnished, pages: Pages) -> None:
    server, doors, (board, _) = furnished
    page = pages.open()
    come_in(page, server, doors, "the-operator", "/control")
    expect(state(page, "bed-1")).to_have_text("off")
    board.held = True
    press(page, "Turn on", "bed-1", "Asked for on")
    expect(progress(page, "bed-1")).to_have_text(re.compile("waiting for the device$"))

    press(page, "Turn off", "bed-1", "Asked for off")
    eventually(lambda: page.evaluate("1") and board.waiting == 2)
    board.release()

    expect(progress(page, "bed-1")).to_have_text(re.compile(r"^Confirmed after \d"))
    expect(state(page, "bed-1")).to_have_text("off")
    expect(page.get_by_role("row").filter(has_text="bed-1 led on").get_by_text("replaced").first).to_be_visible()


def test_a_group_is_asked_together_and_each_result_is_counted(furnished: Furnished, pages: Pages) -> None:
    server, doors, boards = furnished
    page = pages.open()
    come_in(page, server, doors, "the-operator", "/control")
    group = page.locator(".group").filter(has_text="led")
    expect(group.get_by_text("2 off")).to_be_visible()

    group.get_by_role("button", name="Turn on all led").click()

    expect(group.get_by_text("Asked 2 for on: 2 confirmed")).to_be_visible()
    expect(group.get_by_text("2 on", exact=True)).to_be_visible()
    assert [board.state for board in boards] == ["ON", "ON"]


def test_a_login_that_ends_takes_the_buttons_with_it(furnished: Furnished, pages: Pages) -> None:
    server, doors, _ = furnished
    page = pages.open()
    session_id = come_in(page, server, doors, "the-operator", "/control")
    expect(page.get_by_role("button", name=re.compile("^Turn o.* led of bed-1$"))).to_be_visible()

    doors.end_session(session_id, ROOT)

    expect(page.get_by_role("button", name=re.compile("^Turn "))).to_have_count(0)
    expect(state(page, "bed-1")).to_be_visible()


def opened(page: Page, server: Server, doors: Doors) -> None:
    come_in(page, server, doors, "the-operator", "/control")
    expect(page.locator(".control .card")).to_have_count(2)
    expect(page.get_by_role("heading", name="Last commands")).to_be_visible()


def test_a_phone_needs_no_sideways_scroll_and_no_thin_fingers(furnished: Furnished, pages: Pages) -> None:
    server, doors, _ = furnished
    page = pages.open(width=390, height=844, touch=True)
    opened(page, server, doors)

    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL_TARGETS) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_serious_for_axe(furnished: Furnished, pages: Pages, scheme: Literal["light", "dark"]) -> None:
    server, doors, _ = furnished
    page = pages.open(scheme=scheme)
    opened(page, server, doors)

    assert grave(page) == []
