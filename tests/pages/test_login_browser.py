"""Logging in and out in Chromium, on a server as `make run` starts it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Page, expect
from playwright.sync_api import TimeoutError as NotInTimeError

from db.doors import Doors, WrongLogin
from tests.pages.visitors import COOKIE, come_in, doors_of, log_in, settle, who_am_i
from tests.parts.chromium import Pages
from tests.parts.doors import PASSWORD, ROOT, THERE, add_user
from tests.parts.eventually import eventually
from tests.parts.server import Server

ENDED = "You are logged out. This login was ended here, in another tab or by an administrator, or it ran out."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a user of each role."""
    with Server(tmp_path_factory.mktemp("doors")) as running:
        settle(running)
        yield running


@pytest.fixture
def doors(server: Server) -> Doors:
    return doors_of(server)


def shows(page: Page, title: str) -> None:
    """Wait for this title, and until what stood there before has gone."""
    expect(page.get_by_role("heading", name=title, exact=True, level=1)).to_have_count(1)


def cookie_of(page: Page) -> str | None:
    return next((str(one.get("value")) for one in page.context.cookies() if one.get("name") == COOKIE), None)


def logged_in(server: Server, pages: Pages, name: str, path: str = "/account") -> Page:
    """A page whose browser has got its cookie."""
    page = pages.open(server.url + path)
    log_in(page, name)
    expect(who_am_i(page, name)).to_be_visible()
    eventually(lambda: cookie_of(page))
    return page


@pytest.mark.parametrize(
    ("name", "links"),
    [
        ("the-viewer", ["Live", "History", "Control", "Devices", "System"]),
        ("the-operator", ["Live", "History", "Control", "Devices", "System"]),
        ("the-admin", ["Live", "History", "Control", "Devices", "Users", "Audit", "Import", "System"]),
    ],
)
def test_each_role_logs_in_at_the_page_it_wanted_and_sees_its_own(
    server: Server, pages: Pages, name: str, links: list[str]
) -> None:
    page = pages.open(server.url + "/users")
    expect(page.get_by_text("This page needs a login.")).to_be_visible()

    log_in(page, name)

    expect(who_am_i(page, name)).to_be_visible()
    assert page.url == f"{server.url}/users"
    shows(page, "Users")
    sidebar = page.get_by_test_id("stSidebarNav")
    expect(sidebar.get_by_role("link")).to_have_count(len(links))
    expect(sidebar.get_by_role("link")).to_contain_text(links)
    if name == "the-admin":
        expect(page.get_by_role("button", name="Change role of the-viewer")).to_be_visible()
    else:
        expect(page.get_by_text(f"This page is for administrators. You are logged in as {name}")).to_be_visible()
        expect(page.get_by_role("table")).to_have_count(0)


def test_a_login_stays_over_a_reload_and_in_a_new_tab_and_no_script_can_read_it(server: Server, pages: Pages) -> None:
    page = pages.open()
    planted = "sm_s_" + "A" * 43
    page.context.add_cookies([{"name": COOKIE, "value": planted, "url": server.url}])
    page.goto(server.url + "/account")
    log_in(page, "the-viewer")
    eventually(lambda: page.evaluate("1") and cookie_of(page) != planted)
    (cookie,) = (one for one in page.context.cookies() if one.get("name") == COOKIE)
    assert (cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("path")) == (True, "Strict", "/")
    assert page.evaluate("document.cookie.includes('sm_session')") is False

    page.reload()
    expect(who_am_i(page, "the-viewer")).to_be_visible()
    tab = page.context.new_page()
    tab.goto(server.url)

    expect(who_am_i(tab, "the-viewer")).to_be_visible()


def test_a_login_stays_over_a_restart_of_the_server(server: Server, doors: Doors, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors, "the-viewer", "/account")

    server.restart()
    page.goto(server.url + "/account")

    expect(who_am_i(page, "the-viewer")).to_be_visible()
    shows(page, "My account")


def test_logging_out_ends_every_tab_and_the_cookie_is_worth_nothing(server: Server, pages: Pages) -> None:
    page = logged_in(server, pages, "the-viewer")
    copied = cookie_of(page)
    tab = page.context.new_page()
    tab.goto(server.url + "/account")
    shows(tab, "My account")

    tab.get_by_role("button", name="Log out").click()

    expect(tab.get_by_text("You are logged out.", exact=True)).to_be_visible()
    expect(page.get_by_text(ENDED)).to_be_visible(timeout=5_000)
    expect(page.get_by_label("Password", exact=True)).to_be_visible()
    eventually(lambda: page.evaluate("1") and cookie_of(page) is None)
    answer = httpx2.get(server.url + "/api/keys/", headers={"Cookie": f"{COOKIE}={copied}"}, trust_env=False)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/account", "/system"])
def test_a_login_that_an_admin_ends_ends_its_page_with_a_sentence(
    server: Server, doors: Doors, pages: Pages, path: str
) -> None:
    page = pages.open()
    session_id = come_in(page, server, doors, "the-operator", path)

    doors.end_session(session_id, ROOT)

    expect(page.get_by_text(ENDED)).to_be_visible(timeout=5_000)
    expect(who_am_i(page, "the-operator")).to_have_count(0)
    if path == "/system":  # it is open to everyone, and stays
        page.get_by_test_id("stMain").get_by_role("link", name="Log in").click()
    log_in(page, "the-operator")
    expect(who_am_i(page, "the-operator")).to_be_visible()
    assert page.url == server.url + path


def test_what_is_wrong_with_a_login_is_said_and_not_too_much(server: Server, doors: Doors, pages: Pages) -> None:
    add_user(doors, "off-duty")
    doors.set_disabled(ROOT, "off-duty", True)
    page = pages.open(server.url + "/login")
    expect(page.get_by_label("Name", exact=True)).to_have_attribute("autocomplete", "username")
    # A page that would set any cookie for any site, which comes with the form's package.
    brought_along = "/component/extra_streamlit_components.CookieManager.cookie_manager/index.html"
    assert server.get(brought_along).status_code == 404
    expect(page.get_by_label("Password", exact=True)).to_have_attribute("autocomplete", "current-password")

    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert").filter(has_text="Type your name and your password.")).to_be_visible()
    for name, password, why in (
        ("the-viewer", "wrong", "wrong password"),
        ("stranger", PASSWORD, "no such user"),
        ("off-duty", PASSWORD, "the user is disabled"),
    ):
        log_in(page, name, password)
        eventually(partial(doors.audit, action="login", text=why))
        expect(page.get_by_role("alert").filter(has_text="Wrong name or password.")).to_be_visible()
        expect(page.get_by_role("alert")).to_have_count(1)


def test_too_many_wrong_passwords_are_told_to_wait(server: Server, doors: Doors, pages: Pages) -> None:
    add_user(doors, "guessed")
    for _ in range(10):
        with pytest.raises(WrongLogin):
            doors.check_password("guessed", "wrong", THERE)
    page = pages.open(server.url + "/login")

    told = page.get_by_role("alert").filter(has_text="Too many wrong tries. Try again in")

    def is_told() -> bool:
        """Tried anew where the answer to the try before emptied the form under our hands."""
        log_in(page, "guessed", "wrong")
        try:
            told.wait_for(timeout=2_000)
        except NotInTimeError:
            return False
        return True

    eventually(is_told, what="that one has to wait")


def test_a_password_that_was_made_for_somebody_is_replaced_first(server: Server, doors: Doors, pages: Pages) -> None:
    _, made = doors.create_user(ROOT, "newcomer", "viewer")
    page = pages.open(server.url + "/account")
    log_in(page, "newcomer", made or "")
    shows(page, "Set your password")

    for label in ("New password", "New password once more"):
        page.get_by_label(label, exact=True).fill("eleven pipers piping")
    page.get_by_label("Present password").fill(made or "")
    page.keyboard.press("Enter")

    shows(page, "My account")
    assert doors.check_password("newcomer", "eleven pipers piping", THERE).must_change is False


def test_with_require_login_all_nothing_is_shown_to_nobody(part_directory: Path, pages: Pages) -> None:
    with Server(part_directory, {"REQUIRE_LOGIN": "all"}) as server:
        doors = settle(server)
        page = pages.open(server.url + "/system")
        expect(page.get_by_text("This page needs a login.")).to_be_visible()
        expect(page.get_by_text("Broker")).to_have_count(0)

        session_id = come_in(page, server, doors, "the-viewer")
        expect(page.get_by_text("No device has reported yet")).to_be_visible()
        doors.end_session(session_id, ROOT)

        expect(page.get_by_text(ENDED)).to_be_visible(timeout=5_000)
        expect(page.get_by_label("Password", exact=True)).to_be_visible()
        expect(page.get_by_text("No device has reported yet")).to_have_count(0)
