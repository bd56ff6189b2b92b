"""People at the doors of a running server: who there is, and how they come in by form or by cookie."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from playwright.sync_api import Locator, Page, expect

from db import engine
from db.doors import ROLES, Doors
from tests.parts.doors import HERE, PASSWORD, add_user, make_doors
from tests.parts.eventually import eventually
from tests.parts.server import Server

COOKIE: Final = "sm_session"


def doors_of(server: Server, database_url: str | None = None) -> Doors:
    """The doors of this server, seen by another process: same database, SQLite if none is named, and same secret."""
    return doors_at(server.data_dir, database_url)


def doors_at(directory: Path, database_url: str | None = None) -> Doors:
    """Doors on this database, else the SQLite one in this folder, with the secret that lies there."""
    secret = (directory / "secret_key").read_bytes().strip()
    return make_doors(engine.create(database_url or f"sqlite:///{directory}/monitor.db"), secret=secret)


def settle(server: Server, database_url: str | None = None) -> Doors:
    """Wait for a new server's database, and make a user of each role, named after it."""
    eventually(lambda: server.get("/api/health/").status_code == 200)
    doors = doors_of(server, database_url)
    eventually(doors.users)  # the first admin, whom the server makes by itself
    for role in ROLES:
        add_user(doors, f"the-{role}", role)
    return doors


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Fill in the form and press Enter."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    page.keyboard.press("Enter")


def come_in(page: Page, server: Server, doors: Doors, name: str, path: str = "/") -> int:
    """Open a page with the cookie of a new login of this user. Returns the login's id."""
    user = doors.user(name)
    assert user is not None
    token, session = doors.open_session(user, HERE)
    page.context.add_cookies([{"name": COOKIE, "value": token, "url": server.url, "httpOnly": True}])
    page.goto(server.url + path)
    expect(who_am_i(page, name)).to_be_attached()
    return session.id


def who_am_i(page: Page, name: str) -> Locator:
    """The line at the bottom of the side bar."""
    return page.get_by_test_id("stSidebar").get_by_role("link", name=name)
