"""The page Import in Chromium, on a server as `make run` starts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.pages.test_live_browser import SIDEWAYS, SMALL_TARGETS
from tests.pages.visitors import come_in, doors_of, settle
from tests.parts.chromium import Pages
from tests.parts.server import Server

_T = 1_700_000_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("import")) as running:
        settle(running)
        yield running


def give(page: Page, name: str, text: str) -> None:
    file = {"name": name, "mimeType": "text/csv", "buffer": text.encode()}
    page.locator("input[type=file]").set_input_files(file)  # type: ignore[arg-type]


def lines(values: list[str]) -> str:
    rows = [f"{_T + n},attic,temperature,{value}" for n, value in enumerate(values)]
    return "\n".join(["ts,device,metric,value", *rows, ""])


def test_a_file_is_checked_then_stored_and_recorded(server: Server, pages: Pages) -> None:
    doors = doors_of(server)
    page = pages.open()
    come_in(page, server, doors, "the-admin", "/import")
    give(page, "old.csv", lines(["20.5", "<b>x</b>", "21"]))
    expect(page.get_by_text("2 readings to store, 1 can't be used.")).to_be_visible()
    expect(page.get_by_role("row", name="3")).to_contain_text("'<b>x</b>' is no number")
    page.get_by_role("button", name="Store 2 readings, without the 1 that can't be used").click()
    expect(page.get_by_role("status").filter(has_text="2 readings of old.csv stored.")).to_be_visible()
    entry = doors.audit(action="readings.import")[0].entry
    assert (entry.actor, entry.subject, entry.result) == ("the-admin", "old.csv", "ok")
    give(page, "again.csv", lines(["20.5"]))
    expect(page.get_by_text("There is nothing to store.")).to_be_visible()


def test_a_file_of_which_nothing_can_be_used_says_why(server: Server, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors_of(server), "the-admin", "/import")
    give(page, "odd.csv", "a;b\n1;2\n")
    expect(page.get_by_role("alert").filter(has_text="odd.csv can't be used: line 1: fields are")).to_be_visible()


def test_the_page_is_for_admins(server: Server, pages: Pages) -> None:
    page = pages.open()
    come_in(page, server, doors_of(server), "the-operator", "/import")
    expect(page.locator("input[type=file]")).to_have_count(0)
    expect(page.get_by_role("link", name="Import")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_readers(server: Server, pages: Pages, scheme: Literal["light", "dark"]) -> None:
    page = pages.open(width=390, scheme=scheme)
    come_in(page, server, doors_of(server), "the-admin", "/import")
    give(page, "old.csv", lines(["x", "20.5"]))
    expect(page.get_by_role("button", name="Store 1 reading, without")).to_be_visible()
    assert page.evaluate(SIDEWAYS) == []
    assert page.evaluate(SMALL_TARGETS) == []
    found = Axe().run(page).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in grave] == []
