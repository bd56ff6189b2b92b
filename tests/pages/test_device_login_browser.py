"""A device is added on the page, comes in with what the page shows, and is thrown out there.

In Chromium, at a Mosquitto as `python -m broker` makes it, with a server that has the settings which `init` writes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.broker.device_client import Denied
from tests.pages.test_admin_browser import grave
from tests.pages.test_devices_browser import to_device
from tests.pages.test_live_browser import SIDEWAYS, SMALL_TARGETS
from tests.pages.visitors import come_in
from tests.parts.chromium import Pages
from tests.parts.eventually import eventually
from tests.parts.site import Site, running_site


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for all tests here; each uses devices of its own."""
    with running_site() as found:
        yield found


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
