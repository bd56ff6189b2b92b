"""In Chromium, by hand: what a logged-in person, or a page of somebody else, can make the browser ask for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import HTTPServer, SimpleHTTPRequestHandler

import pytest
from playwright.sync_api import Page

from db.doors import Role
from tests.api.people import People
from tests.api.server import Served
from tests.parts.chromium import Pages

#: What a fetch from the page itself is answered with.
ASK = """async ([method, path, body]) => {
  const headers = body === null ? {} : { "Content-Type": "application/json" };
  const options = { method, headers, body: body === null ? undefined : JSON.stringify(body) };
  return (await fetch(path, options)).status;
}"""
#: The same from another site, which may send simple requests and read no answer.
ASK_FROM_ELSEWHERE = """async ([method, url, body]) => {
  const options = { method, body: body ?? undefined, mode: "no-cors", credentials: "include" };
  try { return (await fetch(url, options)).type; } catch (error) { return "blocked"; }
}"""
READ_FROM_ELSEWHERE = """async (url) => {
  try { return await (await fetch(url, { credentials: "include" })).text(); } catch (error) { return "blocked"; }
}"""
ADMIN_ROUTES = [
    ("GET", "/api/users/", None),
    ("POST", "/api/users/", {"name": "mine", "role": "admin"}),
    ("PATCH", "/api/users/viewer/", {"role": "admin"}),
    ("GET", "/api/audit/", None),
    ("GET", "/api/audit/export.csv", None),
]


def log_in(people: People, served: Served, pages: Pages, role: Role) -> Page:
    """A page of ours in a browser that has the cookie of a login."""
    page = pages.open(f"{served.url}/api/docs")
    ticket = people.doors.issue_ticket(people.session(role)[0])
    assert page.evaluate(ASK, ["POST", "/api/session/", {"ticket": ticket}]) == 204
    return page


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A page of somebody else's on this machine: another port is another origin, and gets the cookie all the same."""

    class Quiet(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>evil</title>")

        def log_message(self, *_: object) -> None:
            """Nothing: it is no news."""

    with HTTPServer(("127.0.0.1", 0), Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, name="elsewhere", daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_is_no_admin_asks_for_admin_routes_in_vain(
    people: People, served: Served, pages: Pages, role: Role
) -> None:
    people.name("viewer")
    page = log_in(people, served, pages, role)
    assert [page.evaluate(ASK, list(route)) for route in ADMIN_ROUTES] == [403] * len(ADMIN_ROUTES)
    assert page.evaluate(ASK, ["GET", "/api/sessions/", None]) == 200
    assert {user.name for user in people.doors.users()} == {"viewer", role}
    assert page.evaluate("document.cookie") == "", "no script can read the cookie"


def test_logging_out_in_one_tab_ends_it_in_the_other(people: People, served: Served, pages: Pages) -> None:
    page = log_in(people, served, pages, "viewer")
    other = page.context.new_page()
    other.goto(f"{served.url}/api/docs")
    assert other.evaluate(ASK, ["GET", "/api/sessions/", None]) == 200
    cookies = page.context.cookies()
    assert page.evaluate(ASK, ["DELETE", "/api/session/", None]) == 204
    assert other.evaluate(ASK, ["GET", "/api/sessions/", None]) == 401
    page.context.add_cookies([{"name": "sm_session", "value": cookies[0]["value"], "url": served.url}])
    assert page.evaluate(ASK, ["GET", "/api/sessions/", None]) == 401, "a copy of the cookie is worthless"


def test_a_page_of_somebody_else_changes_nothing_and_reads_nothing(
    people: People, served: Served, pages: Pages, elsewhere: str
) -> None:
    people.name("viewer")
    page = log_in(people, served, pages, "admin")
    page.goto(elsewhere)
    before = people.doors.audit()
    for method, path, body in (("POST", "/api/keys/", '{"name": "x"}'), ("POST", "/api/users/", '{"name": "x"}')):
        assert page.evaluate(ASK_FROM_ELSEWHERE, [method, served.url + path, body]) in ("opaque", "blocked")
    for path in ("/api/users/", "/api/audit/export.csv", "/api/health/"):
        assert page.evaluate(READ_FROM_ELSEWHERE, served.url + path) == "blocked"
    for action in ("/api/session/", "/api/keys/", "/api/users/"):
        page.goto(elsewhere)
        page.evaluate(
            "url => { document.body.innerHTML = `<form method=post enctype=text/plain action='${url}'>"
            "<input name='{\"name\":\"x' value='\"}'></form>`; document.forms[0].submit(); }",
            served.url + action,
        )
        page.wait_for_url(served.url + action)
    page.goto(elsewhere)
    frame = f"<iframe src='{served.url}/api/docs'></iframe>"
    page.evaluate("html => { document.body.innerHTML = html; }", frame)
    page.wait_for_function("document.querySelector('iframe').contentDocument === null")
    assert people.doors.audit() == before
    assert len(people.doors.users()) == 2
