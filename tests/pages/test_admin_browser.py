"""Users, account, audit and dead letters in Chromium, on a server as `make run` starts it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from db.doors import Doors, Origin
from settings import parse_mqtt_url
from tests.pages.test_live_browser import SIDEWAYS, SMALL_TARGETS
from tests.pages.visitors import come_in, doors_of, settle
from tests.parts.chromium import Pages
from tests.parts.doors import actor, add_user
from tests.parts.eventually import eventually
from tests.parts.server import Server

ODD = "<img src=x onerror=alert(1)> **bold** $x^2$ :red[r]"
FORMULA = '=HYPERLINK("http://127.0.0.1/")'


def publish(server: Server, topic: str, payload: str) -> None:
    address = parse_mqtt_url((server.data_dir / "mqtt_url").read_text(encoding="utf-8").strip())
    to = ["-h", address.host, "-p", str(address.port), "-q", "1", "-t", f"iot/{topic}"]
    subprocess.run(["mosquitto_pub", *to, "-m", payload], check=True, timeout=5)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a user of each role, one with odd keys and logins, and messages that make no sense."""
    with Server(tmp_path_factory.mktemp("admin")) as running:
        doors = settle(running)
        odd = add_user(doors, "o.d_d@example")
        doors.create_key(actor(odd), ODD)
        doors.create_key(actor(odd), FORMULA)
        doors.open_session(odd, Origin("203.0.113.9", ODD + "\x1b[31m\u202e"))
        for number in range(3):
            publish(running, f"room-{number}/telemetry", f"<b>warm {number}</b>")
        eventually(lambda: running.get("/api/health/").json()["ingest"]["rejected"] == 3)
        yield running


@pytest.fixture
def doors(server: Server) -> Doors:
    return doors_of(server)


def test_an_admin_makes_a_user_who_is_shut_out_again(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/users")
    page.get_by_label("Name of a new user").fill("ann")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Password for ann")).to_be_visible()
    password = page.locator("code").first.inner_text()
    assert doors.check_password("ann", password, Origin("192.0.2.1")).must_change
    page.get_by_role("button", name="I have taken it").click()
    expect(page.get_by_text(password)).to_have_count(0)
    page.get_by_role("button", name="Disable ann").click()
    expect(page.get_by_role("dialog").get_by_text("ann can't log in any more.")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Disable ann").click()

    expect(page.get_by_role("status").filter(has_text="ann is disabled.")).to_be_visible()
    expect(page.get_by_role("row", name="ann").get_by_text("disabled")).to_be_visible()
    user = doors.user("ann")
    assert user is not None
    assert user.disabled


def test_a_new_role_changes_what_an_open_page_offers(server: Server, doors: Doors, pages: Pages) -> None:
    add_user(doors, "bob")
    bobs, page = pages.open(), pages.open()
    come_in(bobs, server, doors, "bob", "/account")
    come_in(page, server, doors, "the-admin", "/users")

    page.get_by_role("button", name="Change role of bob").click()
    page.get_by_role("dialog").get_by_text("admin", exact=True).click()
    page.get_by_role("button", name="Make bob an admin").click()

    expect(bobs.get_by_role("link", name="Users")).to_be_visible(timeout=5_000)


def test_an_admin_ends_a_login(server: Server, doors: Doors, pages: Pages) -> None:
    cyd = add_user(doors, "cyd")
    token, _ = doors.open_session(cyd, Origin("192.0.2.1"))
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/users")

    page.get_by_role("button", name="Logins of cyd").click()
    page.get_by_role("dialog").get_by_role("button", name="End").click()

    expect(page.get_by_role("dialog").get_by_text("cyd is logged in nowhere.")).to_be_visible()
    assert doors.session(token) is None


def test_a_key_is_shown_once_works_as_shown_and_is_revoked(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-operator", "/account")
    page.get_by_label("Name of a new key").fill(ODD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=f"Your key {ODD}")).to_be_visible()
    line = page.locator("code").filter(has_text="curl ").inner_text()
    token = page.locator("code").first.inner_text()

    answer = subprocess.run(["bash", "-c", f"{line} -sf"], check=True, capture_output=True, text=True, timeout=5)
    assert answer.stdout.startswith("[")
    page.reload()
    expect(page.get_by_role("row").filter(has_text=ODD)).to_be_visible()
    expect(page.get_by_text(token)).to_have_count(0)
    page.get_by_role("button", name="Revoke the key").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()

    expect(page.get_by_text("is revoked.")).to_be_visible()
    asked = httpx2.get(server.url + "/api/keys/", headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert asked.status_code == 401


def test_the_audit_log_is_searched_exported_and_checked(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/audit")
    page.get_by_label("Search").fill("HYPERLINK")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)  # the head and one
    expect(page.get_by_role("cell", name=FORMULA)).to_be_visible()

    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    page.get_by_role("button", name="Check the chain").click()

    text = download.value.path().read_text(encoding="utf-8")
    assert ",key.create,\"'=HYPERLINK" in text
    assert ",login," not in text
    expect(page.get_by_role("status").filter(has_text="and each holds")).to_be_visible()


def test_dead_letters_are_replayed_and_deleted_by_an_admin_alone(server: Server, doors: Doors, pages: Pages) -> None:
    viewers = pages.open()
    come_in(viewers, server, doors, "the-operator", "/system")
    expect(viewers.locator(".sm-letters summary")).to_have_count(3)
    expect(viewers.get_by_role("button", name="Delete all 3")).to_have_count(0)
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/system")

    page.locator(".sm-letters summary").filter(has_text="room-1").click()
    page.get_by_role("button", name="Replay the message on iot/room-1/telemetry").click()
    expect(page.get_by_role("status").filter(has_text="What came on iot/room-1/telemetry stays")).to_be_visible()
    page.get_by_role("button", name="Delete all 3").click()
    expect(page.get_by_role("dialog").get_by_text("All 3 messages")).to_be_visible()
    page.get_by_role("button", name="Delete 3 messages").click()

    expect(page.get_by_role("status").filter(has_text="3 messages deleted.")).to_be_visible()
    expect(page.locator(".sm-letters summary")).to_have_count(0)
    done = [(one.entry.action, one.entry.actor, one.entry.detail) for one in doors.audit(action="dead_letters.")]
    assert done == [
        ("dead_letters.delete", "the-admin", "3 messages"),
        ("dead_letters.replay", "the-admin", "1 stay"),
    ]


SCREENS = pytest.mark.parametrize(
    ("path", "shown"),
    [("/users", "New user"), ("/account", "Password"), ("/audit", "Audit"), ("/login", "Log in")],
    ids=["users", "account", "audit", "login"],
)


def opened(page: Page, server: Server, doors: Doors, path: str, shown: str) -> None:
    if path == "/login":
        page.goto(server.url + path)
    else:
        come_in(page, server, doors, "the-admin", path)
    expect(page.get_by_role("heading", name=shown, exact=True)).to_have_count(1)
    styled = "getComputedStyle(document.documentElement).getPropertyValue('--accent') !== ''"
    eventually(lambda: page.evaluate(styled), what="the style sheet")


def grave(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds that is serious."""
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    return [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in serious]


@SCREENS
def test_a_phone_in_the_dark_needs_no_sideways_scroll_and_no_thin_fingers(
    server: Server, doors: Doors, pages: Pages, path: str, shown: str
) -> None:
    page = pages.open(width=390, height=844, touch=True, scheme="dark")
    opened(page, server, doors, path, shown)

    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL_TARGETS) == []
    assert grave(page) == []
    if path == "/account":
        page.get_by_role("button", name="Expand sidebar").click()
        expect(page.get_by_role("button", name="Log out")).to_be_in_viewport()
        assert page.evaluate(SMALL_TARGETS) == []


@SCREENS
def test_nothing_serious_for_axe_on_a_desk(server: Server, doors: Doors, pages: Pages, path: str, shown: str) -> None:
    page = pages.open()
    opened(page, server, doors, path, shown)

    assert grave(page) == []


def test_other_peoples_words_are_text_on_every_page(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    page.on("dialog", lambda dialog: pytest.fail(f"a script of somebody else ran: {dialog.message}"))
    come_in(page, server, doors, "the-admin", "/audit")
    expect(page.get_by_role("cell", name=ODD, exact=True).first).to_be_visible()
    page.get_by_role("link", name="Users").click()
    page.get_by_role("button", name="Logins of o.d_d@example").click()

    row = page.get_by_role("dialog").get_by_role("row").filter(has_text="203.0.113.9")
    expect(row.get_by_role("rowheader")).to_contain_text("<img src=x onerror=alert(1)> **bold** $x^2$ :red[r]")
    assert page.locator("img[src=x]").count() == 0
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Change role of o.d_d@example").click()
    expect(page.get_by_role("button", name="Make o.d_d@example a viewer")).to_be_visible()
