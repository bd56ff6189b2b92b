from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from api.auth import COOKIE
from tests.api.people import FROM_OUR_PAGE, People
from tests.api.server import Place, mounted

SESSIONS = "/api/sessions/"


def ticket(people: People, token: str) -> dict[str, str]:
    return {"ticket": people.doors.issue_ticket(token)}


@pytest.fixture
def tls_client() -> Iterator[TestClient]:
    """Asks as a browser does where a proxy in front of the server speaks TLS."""
    with TestClient(mounted(), base_url="https://monitor.example") as client:
        yield client


def test_a_ticket_becomes_a_cookie_that_no_script_can_read(people: People, client: TestClient) -> None:
    token, _ = people.session("viewer")
    answer = client.post("/api/session/", json=ticket(people, token), headers=FROM_OUR_PAGE)
    assert answer.status_code == 204
    parts = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")}
    assert f"{COOKIE}={token}".lower() in parts
    assert {"httponly", "samesite=strict", "path=/"} <= parts
    assert "secure" not in parts
    age = next(int(part.removeprefix("max-age=")) for part in parts if part.startswith("max-age="))
    assert 29 * 86_400 < age <= 30 * 86_400
    assert not any(part.startswith("domain=") for part in parts)
    assert answer.headers["cache-control"] == "no-store"
    assert [one["current"] for one in client.get(SESSIONS).json()] == [True]


def test_on_tls_the_cookie_is_secure_too(people: People, here: Place, tls_client: TestClient) -> None:  # noqa: ARG001
    token, _ = people.session("viewer")
    answer = tls_client.post("/api/session/", json=ticket(people, token), headers=FROM_OUR_PAGE)
    assert "; secure" in answer.headers["set-cookie"].lower()


def test_a_ticket_is_good_once(people: People, client: TestClient) -> None:
    token, _ = people.session("viewer")
    once = ticket(people, token)
    assert client.post("/api/session/", json=once, headers=FROM_OUR_PAGE).status_code == 204
    client.cookies.clear()
    again = client.post("/api/session/", json=once, headers=FROM_OUR_PAGE)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("given", ["", "nothing", "sm_s_" + "a" * 43, "\0", "ä" * 200])
def test_what_is_no_ticket_sets_no_cookie(people: People, client: TestClient, given: str) -> None:
    people.session("viewer")
    answer = client.post("/api/session/", json={"ticket": given}, headers=FROM_OUR_PAGE)
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


def test_the_session_token_itself_is_no_ticket(people: People, client: TestClient) -> None:
    token, _ = people.session("viewer")
    assert client.post("/api/session/", json={"ticket": token}, headers=FROM_OUR_PAGE).status_code == 401


def test_the_ticket_of_a_login_that_has_ended_is_worthless(people: People, client: TestClient) -> None:
    token, number = people.session("viewer")
    given = ticket(people, token)
    people.doors.end_session(number, people.actor("viewer"))
    assert client.post("/api/session/", json=given, headers=FROM_OUR_PAGE).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 204),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
        ({"Origin": "http://testserver"}, 204),
        ({"Origin": "http://testserver:81"}, 403),
        ({"Origin": "http://testserver.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({}, 403),
    ],
)
def test_a_cookie_changes_something_only_from_a_page_of_ours(
    people: People, client: TestClient, headers: dict[str, str], status: int
) -> None:
    token, _ = people.session("viewer")
    _, other = people.session("viewer")
    cookie = {"Cookie": f"{COOKIE}={token}"}
    assert client.delete(f"{SESSIONS}{other}/", headers=headers | cookie).status_code == status
    assert client.delete("/api/session/", headers=headers | cookie).status_code == status
    given = ticket(people, people.session("viewer")[0])
    assert client.post("/api/session/", json=given, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("site", "status"), [(None, 200), ("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)]
)
def test_a_cookie_reads_nothing_for_a_page_of_somebody_else(
    people: People, client: TestClient, site: str | None, status: int
) -> None:
    headers = {"Cookie": f"{COOKIE}={people.session('admin')[0]}"} | ({"Sec-Fetch-Site": site} if site else {})
    assert client.get("/api/audit/export.csv", headers=headers).status_code == status


def test_the_cookie_of_a_logged_out_session_is_worthless(people: People, client: TestClient) -> None:
    cookie = people.cookie("viewer")
    assert client.get(SESSIONS, headers=cookie).status_code == 200
    answer = client.delete("/api/session/", headers=cookie)
    assert answer.status_code == 204
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert client.get(SESSIONS, headers=cookie).status_code == 401
    assert client.delete("/api/session/", headers=cookie).status_code == 204, "logging out twice is no error"


def test_a_session_fixed_before_login_is_not_the_one_after_it(people: People, client: TestClient) -> None:
    """An attacker leaves a cookie in the victim's browser and waits for the victim to log in."""
    fixed, number = people.session("operator")
    client.cookies.set(COOKIE, fixed)
    token, _ = people.session("admin")
    assert client.post("/api/session/", json=ticket(people, token), headers=FROM_OUR_PAGE).status_code == 204
    assert token != fixed
    assert people.doors.session(fixed) is None, "what was there before has ended"
    assert people.doors.session_by_id(number) is None
    victim = people.doors.session(token)
    assert victim is not None
    assert victim.user.name == "admin"


def test_a_made_up_cookie_never_becomes_a_session(people: People, client: TestClient) -> None:
    made_up = "sm_s_" + "a" * 43
    client.cookies.set(COOKIE, made_up)
    token, _ = people.session("viewer")
    client.post("/api/session/", json=ticket(people, token), headers=FROM_OUR_PAGE)
    assert people.doors.session(made_up) is None


def test_owners_see_and_end_their_own_and_others_are_not_there(people: People, client: TestClient) -> None:
    people.cookie("admin")
    _, own = people.session("viewer")
    _, others = people.session("operator")
    headers = people.jwt("viewer")
    assert [one["id"] for one in client.get(SESSIONS, headers=headers).json()] == [own]
    shown = client.get(f"{SESSIONS}{own}/", headers=headers).json()
    assert (shown["user"], shown["address"], shown["agent"], shown["current"]) == (
        "viewer",
        "10.1.2.3",
        "a test",
        False,
    )
    for method in ("GET", "DELETE"):
        foreign = client.request(method, f"{SESSIONS}{others}/", headers=headers)
        none = client.request(method, f"{SESSIONS}{others + 1000}/", headers=headers)
        assert (foreign.status_code, none.status_code) == (404, 404)
        assert foreign.json()["detail"].replace(str(others), "") == none.json()["detail"].replace(
            str(others + 1000), ""
        )
    assert people.doors.session_by_id(others) is not None
    assert client.delete(f"{SESSIONS}{own}/", headers=headers).status_code == 204
    assert client.get(f"{SESSIONS}{own}/", headers=headers).status_code == 404
    asking_for_another = client.get(SESSIONS, params={"user": "operator"}, headers=headers)
    assert asking_for_another.status_code in (403, 404)


def test_an_admin_sees_and_ends_everybodys(people: People, client: TestClient) -> None:
    token, number = people.session("viewer")
    headers = people.jwt("admin")
    assert [one["id"] for one in client.get(SESSIONS, params={"user": "viewer"}, headers=headers).json()] == [number]
    assert client.delete(f"{SESSIONS}{number}/", headers=headers).status_code == 204
    assert people.doors.session(token) is None


@pytest.mark.parametrize("number", ["0", "-1", "9223372036854775808", "1e3", "x", "1%00", "..%2f1", "' OR 1=1 --"])
def test_a_number_that_is_none_is_422_or_404(people: People, client: TestClient, number: str) -> None:
    for path in (SESSIONS, "/api/keys/"):
        assert client.get(f"{path}{number}/", headers=people.jwt("admin")).status_code in (404, 422)
