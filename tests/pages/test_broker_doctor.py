"""The doctor's findings on System: as HTML, and by an admin's click in Chromium at a real Mosquitto."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from broker.doctor.finding import Finding, fine
from pages.parts.broker_doctor import findings_html
from tests.pages.visitors import come_in, settle
from tests.parts.chromium import Pages
from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server


def test_what_is_to_be_done_comes_first_and_says_what_to_type() -> None:
    shown = findings_html(
        [
            fine("a", "All well."),
            Finding("b", "note", "Old."),
            Finding("c", "problem", "<b>Open.", "Why & so.", "Type."),
        ]
    )
    assert shown.index("&lt;b&gt;Open.") < shown.index("Old.") < shown.index("<details>") < shown.index("All well.")
    assert "Why &amp; so." in shown
    assert "to be done" in shown
    assert "1 thing looked at and well" in shown


def test_an_admin_has_an_open_broker_looked_at(mosquitto: Mosquitto, part_directory: Path, pages: Pages) -> None:
    with Server(part_directory, {"MQTT_URL": mosquitto.url}) as server:
        doors = settle(server)
        page = pages.open()
        come_in(page, server, doors, "the-operator", "/system")
        expect(page.get_by_role("heading", name="Storage")).to_be_visible()
        expect(page.get_by_role("button", name="Check the broker")).to_have_count(0)
        page = pages.open()
        come_in(page, server, doors, "the-admin", "/system")
        page.get_by_role("button", name="Check the broker").click()
        expect(page.get_by_text("lets everybody in without a login")).to_be_visible()
        expect(page.get_by_role("button", name="Check again")).to_be_visible()
        page.get_by_text("looked at and well").click()
        expect(page.get_by_text("The broker answers within")).to_be_visible()
        found = [
            one["id"] for one in Axe().run(page).response["violations"] if one["impact"] in {"serious", "critical"}
        ]
        assert not found
