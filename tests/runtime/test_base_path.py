"""`BASE_PATH`: everything under one path, pages, API, live stream and the login's cookie alike."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import expect

from tests.pages.visitors import COOKIE, log_in, settle, who_am_i
from tests.parts.chromium import Pages
from tests.parts.eventually import eventually
from tests.parts.server import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("base"), {"BASE_PATH": "/monitor", "DEMO_DEVICES": "1"}) as running:
        settle(running)
        yield running


def test_everything_stands_under_it_and_nothing_beside_it(server: Server) -> None:
    assert server.url.endswith("/monitor")
    for path in ("/", "/system", "/api/health/", "/api/docs", "/api/openapi.json", "/_stcore/health"):
        assert server.get(path).status_code == 200, path
    assert server.get("").url == f"{server.url}/"
    assert server.get("/live").url == f"{server.url}/", "what the side bar shows may be typed"
    assert server.get("/api/devices").url == f"{server.url}/api/devices/"
    bare = server.url.removesuffix("/monitor")
    assert httpx2.get(f"{bare}/api/health/", timeout=5, trust_env=False).status_code == 404


def test_a_login_on_a_page_holds_and_live_moves(server: Server, pages: Pages) -> None:
    page = pages.open(f"{server.url}/account")
    log_in(page, "the-admin")
    expect(who_am_i(page, "the-admin")).to_be_visible()
    eventually(lambda: any(cookie.get("name") == COOKIE for cookie in page.context.cookies()))
    page.goto(f"{server.url}/")
    expect(who_am_i(page, "the-admin")).to_be_visible()
    expect(page.get_by_role("heading", name="greenhouse")).to_be_visible()
