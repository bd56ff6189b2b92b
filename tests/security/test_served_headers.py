"""Headers of the whole server as `make run` starts it, what Chromium makes of them, and whose address it believes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from tests.parts.chromium import Pages
from tests.parts.doors import PASSWORD
from tests.parts.eventually import eventually
from tests.parts.server import Server

SETTINGS = {"ADMIN_PASSWORD": PASSWORD, "DEMO_DEVICES": "2"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server behind a proxy on this machine's own network, with its first admin."""
    settings = SETTINGS | {"TRUSTED_PROXIES": "127.0.0.7, 127.0.0.8/29"}
    with Server(tmp_path_factory.mktemp("server"), settings) as running:
        eventually(lambda: log_in(running, {}).status_code != 401)
        yield running


def log_in(server: Server, headers: dict[str, str], source: str = "127.0.0.1") -> httpx2.Response:
    with httpx2.Client(transport=httpx2.HTTPTransport(local_address=source), headers=headers, timeout=5) as client:
        return client.post(f"{server.url}/api/token/", json={"username": "admin", "password": PASSWORD})


def newest_login(server: Server) -> str:
    """The address that the audit log has of the newest login."""
    access = log_in(server, {}).json()["access"]
    answer = httpx2.get(
        f"{server.url}/api/audit/",
        params={"action": "login", "limit": 2},
        headers={"Authorization": f"Bearer {access}"},
        timeout=5,
        trust_env=False,
    )
    address: str = answer.json()[1]["address"]
    return address


def test_every_answer_says_what_a_browser_must_not_do(server: Server) -> None:
    for path in ("/", "/system", "/_stcore/health", "/api/health/", "/api/nothing/", "/api/docs", "/nothing"):
        headers = server.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] in ("SAMEORIGIN", "DENY")
        policy = headers["content-security-policy"]
        assert re.search("frame-ancestors '(self|none)'", policy)
        assert "object-src 'none'" in policy or "default-src 'none'" in policy
        assert not re.search(r"https?:|\*", policy), "nothing comes from elsewhere"
        assert len(headers.get_list("content-security-policy")) == 1
    assert "script-src" not in server.get("/api/health/").headers["content-security-policy"]
    for path in ("/", "/api/docs"):
        scripts = re.search("script-src ([^;]*)", server.get(path).headers["content-security-policy"])
        assert scripts is not None
        assert "sha256-" in scripts[1]
        assert "unsafe" not in scripts[1]


@pytest.mark.parametrize(
    ("origin", "opens"),
    [
        ("http://127.0.0.1:{port}", True),
        (None, True),
        ("http://127.0.0.1:1", False),
        ("http://localhost:{port}", False),
        ("https://evil.example", False),
        ("null", False),
    ],
)
def test_a_page_of_another_port_opens_no_socket(server: Server, origin: str | None, opens: bool) -> None:
    address = urlsplit(server.url)
    given = None if origin is None else Origin(origin.format(port=address.port))
    try:
        with connect(f"ws://{address.netloc}/_stcore/stream", origin=given, subprotocols=[Subprotocol("streamlit")]):
            status = 101
    except InvalidStatus as error:
        status = error.response.status_code
    assert status == (101 if opens else 403)


def test_streamlit_offers_no_other_way_in(server: Server) -> None:
    for path in ("/_stcore/agent/interact", "/_stcore/agent/mcp"):
        answer = httpx2.post(server.url + path, json={}, timeout=5, trust_env=False)
        assert answer.status_code >= 400, path
        assert "enableAgentApi" in answer.text, "it says that it is off"


def test_no_other_site_may_read_an_answer(server: Server) -> None:
    origin = {"Origin": "https://evil.example"}
    for method in ("GET", "POST", "OPTIONS"):
        asked = origin | {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        for path in ("/api/health/", "/api/token/", "/api/session/"):
            answer = httpx2.request(method, server.url + path, headers=asked, timeout=5, trust_env=False)
            assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("path", "shown"), [("/", "svg.marks"), ("/system", "h1, h2, h3"), ("/api/docs", "a[href*=readings]")]
)
def test_the_pages_need_nothing_that_their_policy_forbids(server: Server, pages: Pages, path: str, shown: str) -> None:
    page = pages.open()
    forbidden: list[str] = []
    page.on("console", lambda message: forbidden.append(message.text) if "Content Security" in message.text else None)
    page.on("pageerror", lambda error: forbidden.append(str(error)))
    page.goto(server.url + path)
    page.locator(shown).first.wait_for()
    assert forbidden == []


@pytest.mark.parametrize(
    ("source", "forwarded", "address"),
    [
        ("127.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.9", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.7", "198.51.100.1, 203.0.113.9, 127.0.0.10", "203.0.113.9"),
        ("127.0.0.7", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", "203.0.113.9", "127.0.0.1"),
        ("127.0.0.6", "203.0.113.9", "127.0.0.6"),
    ],
)
def test_a_forwarded_address_counts_from_a_trusted_proxy_alone(
    server: Server, source: str, forwarded: str, address: str
) -> None:
    assert log_in(server, {"X-Forwarded-For": forwarded}, source).status_code == 200
    assert newest_login(server) == address


def test_without_trusted_proxies_nobody_is_believed(part_directory: Path) -> None:
    with Server(part_directory, SETTINGS) as server:
        eventually(lambda: log_in(server, {"X-Forwarded-For": "203.0.113.9"}).status_code == 200)
        assert newest_login(server) == "127.0.0.1"
        forwarded = {"X-Forwarded-For": "127.0.0.1"}
        assert httpx2.get(f"{server.url}/api/metrics", headers=forwarded, trust_env=False).status_code == 401
