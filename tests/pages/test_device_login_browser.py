"""A device is added on the page, comes in with what the page shows, and is thrown out there.

In Chromium, at a Mosquitto as `python -m broker` makes it, with a server that has the settings which `init` writes.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx2
import pytest
from playwright.sync_api import Page, expect

from db.doors import Doors
from tests.broker.device_client import Denied, DeviceClient
from tests.pages.test_admin_browser import grave
from tests.pages.test_devices_browser import to_device
from tests.pages.test_live_browser import SIDEWAYS, SMALL_TARGETS
from tests.pages.visitors import come_in, settle
from tests.parts.chromium import Pages
from tests.parts.doors import actor
from tests.parts.eventually import eventually
from tests.parts.production_broker import ProductionBroker
from tests.parts.server import Server


@dataclass(frozen=True, slots=True)
class Site:
    """A server, its broker, and who comes in."""

    server: Server
    broker: ProductionBroker
    doors: Doors

    def device(self, name: str, password: str) -> DeviceClient:
        """Who comes in over TLS with these."""
        return DeviceClient(self.broker.tls_port, name, name, password, self.broker.ca)

    def value(self, device: str) -> float | None:
        """The temperature that the server has of a device."""
        answer = self.server.get(f"/api/devices/{device}/")
        metrics = answer.json().get("metrics", []) if answer.status_code == 200 else []
        return next((one["value"] for one in metrics if one["metric"] == "temperature"), None)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for all tests here; each uses devices of its own."""
    path = Path(tempfile.mkdtemp(prefix="sm-"))
    with ProductionBroker(path) as broker, Server(path, broker.settings) as server:
        doors = settle(server)
        eventually(lambda: server.get("/api/health/").json()["broker"]["state"] == "connected")
        yield Site(server, broker, doors)
    shutil.rmtree(path)


def add(page: Page, site: Site, name: str) -> None:
    """On the page of all devices, with a login."""
    come_in(page, site.server, site.doors, "the-admin", "/devices")
    page.get_by_text("Add a device", exact=True).click()
    page.get_by_label("Name of a new device").fill(name)
    page.get_by_role("button", name="Add device").click()
    expect(page.get_by_role("heading", name=f"Login of {name} at the broker")).to_be_visible()


def shown(page: Page) -> tuple[str, str]:
    """What can be copied without opening anything: the name, the password."""
    name, password = (page.locator(".st-key-sm_once code").nth(number) for number in (0, 1))
    expect(password).to_be_visible()
    return name.inner_text(), password.inner_text()


def unfolded(page: Page, title: str) -> str:
    """The text under a title that is opened for it."""
    folded = page.locator(".st-key-sm_once").get_by_test_id("stExpander").filter(has_text=title)
    folded.get_by_text(title, exact=True).click()
    expect(folded.locator("code")).to_be_visible()
    return folded.locator("code").inner_text()


def test_a_device_comes_in_with_what_the_page_shows_until_it_is_revoked_there(
    site: Site, pages: Pages, tmp_path: Path
) -> None:
    page = pages.open()
    add(page, site, "kitchen")
    name, password = shown(page)
    assert name == "kitchen"
    line = unfolded(page, "Send a reading")
    (tmp_path / "ca.crt").write_text(unfolded(page, "The broker's certificate (ca.crt)"))
    assert password in unfolded(page, "ESPHome")
    assert f"kitchen:{password}@" in unfolded(page, "Address and QR code")
    expect(page.get_by_alt_text("QR code of the address of kitchen at the broker, with its password")).to_be_visible()

    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True, timeout=20)

    eventually(lambda: site.value("kitchen") == 21.5, what="the reading")
    page.get_by_role("button", name="I have taken it").click()
    expect(page.get_by_text(password)).to_have_count(0)
    page.get_by_role("button", name="Open kitchen").click()
    to_device(page, "kitchen")
    expect(page.get_by_role("row").filter(has_text="temperature").get_by_text("21.5")).to_be_visible()

    with site.device("kitchen", password) as neighbour:
        assert neighbour.publish("iot/cellar/telemetry", '{"temperature": 99}') == "Not authorized"
    with site.device("kitchen", password) as kitchen:
        page.get_by_role("button", name="Revoke the login").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke the login of kitchen").click()
        expect(page.get_by_role("status").filter(has_text="The login of kitchen is revoked.")).to_be_visible()
        assert kitchen.gone.wait(5)
    with pytest.raises(Denied, match="Not authorized"), site.device("kitchen", password):
        pass
    expect(page.get_by_text("it is let in no more")).to_be_visible()
    assert site.server.get("/api/devices/cellar/").status_code == 404

    page.get_by_role("button", name="New password").click()
    expect(page.get_by_role("heading", name="Login of kitchen at the broker")).to_be_visible()
    with site.device("kitchen", shown(page)[1]) as kitchen:
        assert kitchen.publish("iot/kitchen/telemetry", '{"temperature": 22.5}') == "Success"
    eventually(lambda: site.value("kitchen") == 22.5, what="a reading with the new password")
    done = [(entry.entry.action, entry.entry.result) for entry in site.doors.audit(text="kitchen")][::-1]
    assert done == [
        ("device_login.create", "asked"),
        ("device_login.create", "ok"),
        ("device.make", "ok"),
        ("device.change", "ok"),
        ("device_login.revoke", "asked"),
        ("device_login.revoke", "ok"),
        ("device_login.create", "asked"),
        ("device_login.create", "ok"),
    ]


def test_a_new_password_is_asked_for_once_and_deleting_ends_the_login(site: Site, pages: Pages) -> None:
    page = pages.open()
    add(page, site, "shed")
    first = shown(page)[1]
    page.goto(f"{site.server.url}/devices?device=shed")
    to_device(page, "shed")
    with site.device("shed", first) as shed:
        page.get_by_role("button", name="New password").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("is disconnected at once")).to_be_visible()
        dialog.get_by_role("button", name="Make a new password").click()
        expect(page.get_by_role("heading", name="Login of shed at the broker")).to_be_visible()
        assert shed.gone.wait(5)
    second = shown(page)[1]
    with site.device("shed", second) as shed:
        page.get_by_role("button", name="Delete this device").click()
        page.get_by_label("Name of the device to delete").fill("shed")
        page.keyboard.press("Enter")
        page.get_by_role("dialog").get_by_role("button", name="Delete shed").click()
        expect(page.get_by_role("status").filter(has_text="shed is being deleted.")).to_be_visible()
        assert shed.gone.wait(5)
    assert "shed" not in [one["name"] for one in site.broker.command("device", "list", "--json").document]


def test_a_device_whose_login_was_made_elsewhere_keeps_it(site: Site, pages: Pages) -> None:
    made = site.broker.add("barn")
    page = pages.open()
    come_in(page, site.server, site.doors, "the-admin", "/devices")
    page.get_by_text("Add a device", exact=True).click()
    page.get_by_label("Name of a new device").fill("barn")
    page.keyboard.press("Enter")

    to_device(page, "barn")

    expect(page.get_by_role("status").filter(has_text="was not made here")).to_be_visible()
    expect(page.get_by_text("may come in")).to_be_visible()
    with site.device("barn", made["password"]) as barn:
        assert barn.publish("iot/barn/telemetry") == "Success"


def test_a_name_that_can_not_be_is_told(site: Site, pages: Pages) -> None:
    page = pages.open()
    come_in(page, site.server, site.doors, "the-admin", "/devices")
    page.get_by_text("Add a device", exact=True).click()
    page.get_by_label("Name of a new device").fill("smart-monitor")
    page.get_by_role("button", name="Add device").click()

    expect(page.get_by_role("alert").filter(has_text="the server's own")).to_be_visible()


def test_a_device_with_a_login_of_its_own_is_controlled(site: Site) -> None:
    user = site.doors.user("the-admin")
    assert user is not None
    headers = {"Authorization": f"Bearer {site.doors.create_key(actor(user), 'a script')[1]}"}
    api = f"{site.server.url}/api"
    told = httpx2.post(f"{api}/devices/", json={"device": "attic"}, headers=headers, trust_env=False).json()
    with site.device("attic", told["mqtt"]["password"]) as attic:
        assert attic.subscribe("iot/attic/+/set") == "Granted QoS 1"
        assert attic.publish("iot/attic/led/state", "OFF", retain=True) == "Success"
        eventually(lambda: site.server.get("/api/led_status/", device="attic", actuator="led").status_code == 200)
        order = {"device": "attic", "led": "led", "state": "ON"}
        asked = httpx2.post(f"{api}/led_control/", json=order, headers=headers, trust_env=False)
        assert asked.status_code == 202
        eventually(lambda: attic.received, what="the command")
        topic, payload = attic.received[0]
        assert topic == "iot/attic/led/set"
        assert attic.publish("iot/attic/led/state", payload.decode(), retain=True) == "Success"
        ended = httpx2.get(f"{api}/commands/{asked.json()['id']}/?wait=5", headers=headers, trust_env=False)
        assert ended.json()["status"] == "confirmed"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it(site: Site, pages: Pages, scheme: Literal["light", "dark"]) -> None:
    page = pages.open(width=390, height=844, touch=True, scheme=scheme)
    add(page, site, f"porch-{scheme}")
    for title in ("Send a reading", "ESPHome", "Address and QR code", "The broker's certificate (ca.crt)"):
        unfolded(page, title)

    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL_TARGETS) == []
    assert grave(page) == []

    page.goto(f"{site.server.url}/devices?device=porch-{scheme}")
    to_device(page, f"porch-{scheme}")
    expect(page.get_by_text("may come in")).to_be_visible()
    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL_TARGETS) == []
    assert grave(page) == []
