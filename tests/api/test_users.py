from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from tests.api.people import PASSWORD, People
from tests.api.server import fields

USERS = "/api/users/"


@pytest.fixture
def admin(people: People) -> dict[str, str]:
    """The headers of an admin."""
    return people.jwt("admin")


def log_in(client: TestClient, name: str, password: str) -> int:
    return client.post("/api/token/", json={"username": name, "password": password}).status_code


def test_a_user_with_a_generated_password(client: TestClient, admin: dict[str, str]) -> None:
    made = client.post(USERS, json={"name": "Ada", "role": "viewer"}, headers=admin)
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    password = made.json()["password"]
    assert made.json()["must_change"] is True
    assert log_in(client, "ada", password) == 200
    shown = client.get(f"{USERS}ADA/", headers=admin)
    assert shown.json()["role"] == "viewer"
    assert password not in shown.text
    assert "password" not in shown.json()
    assert {one["name"].lower() for one in client.get(USERS, headers=admin).json()} >= {"ada", "admin"}


def test_a_user_with_a_given_password(client: TestClient, admin: dict[str, str]) -> None:
    made = client.post(USERS, json={"name": "bob", "role": "operator", "password": PASSWORD}, headers=admin)
    assert (made.status_code, made.json()["password"]) == (201, None)
    assert log_in(client, "bob", PASSWORD) == 200
    assert client.post(USERS, json={"name": "BOB", "role": "viewer"}, headers=admin).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": "a b", "role": "viewer"}, "name"),
        ({"name": "", "role": "viewer"}, "name"),
        ({"name": "x" * 65, "role": "viewer"}, "name"),
        ({"name": "<script>", "role": "viewer"}, "name"),
        ({"name": "a\nb", "role": "viewer"}, "name"),
        ({"name": "ok", "role": "root"}, "role"),
        ({"name": "ok"}, "role"),
        ({"name": "ok", "role": "viewer", "password": "short"}, "password"),
        ({"name": "ok", "role": "viewer", "password": "password123"}, "password"),
        ({"name": "okokokokok", "role": "viewer", "password": "my okokokokok"}, "password"),
    ],
)
def test_what_can_not_be_used_is_named(
    client: TestClient, admin: dict[str, str], body: dict[str, str], field: str
) -> None:
    answer = client.post(USERS, json=body, headers=admin)
    assert answer.status_code == 422
    assert fields(answer.json()) == {field}
    if body.get("password"):
        assert body["password"] not in answer.text


def test_a_change_works_at_once(people: People, client: TestClient, admin: dict[str, str]) -> None:
    viewer = people.jwt("viewer")
    assert client.patch(f"{USERS}viewer/", json={"role": "admin"}, headers=admin).json()["role"] == "admin"
    assert client.get(USERS, headers=viewer).status_code == 200
    assert client.patch(f"{USERS}viewer/", json={"disabled": True}, headers=admin).json()["disabled"] is True
    assert client.get(USERS, headers=viewer).status_code == 401
    assert log_in(client, "viewer", PASSWORD) == 401
    back = client.patch(f"{USERS}viewer/", json={"disabled": False, "role": "viewer"}, headers=admin).json()
    assert (back["disabled"], back["role"], back["password"]) == (False, "viewer", None)
    assert log_in(client, "viewer", PASSWORD) == 200


def test_a_reset_password_ends_what_there_was(people: People, client: TestClient, admin: dict[str, str]) -> None:
    cookie = people.cookie("viewer")
    password = client.patch(f"{USERS}viewer/", json={"reset_password": True}, headers=admin).json()["password"]
    assert client.get("/api/sessions/", headers=cookie).status_code == 401
    assert log_in(client, "viewer", PASSWORD) == 401
    assert log_in(client, "viewer", password) == 200


def test_the_last_admin_stays_one(people: People, client: TestClient, admin: dict[str, str]) -> None:
    for change in ({"role": "viewer"}, {"disabled": True}):
        answer = client.patch(f"{USERS}{people.name('admin')}/", json=change, headers=admin)
        assert answer.status_code == 403
        assert "last" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["nobody", "%27%20OR%201=1", "%00", "a%0Ab", "x" * 500, "%F0%9F%92%A3"])
def test_an_unknown_user_is_404(client: TestClient, admin: dict[str, str], name: str) -> None:
    for answer in (
        client.get(f"{USERS}{name}/", headers=admin),
        client.patch(f"{USERS}{name}/", json={"disabled": True}, headers=admin),
    ):
        assert answer.status_code in (404, 422)


def test_whoever_may_not_ask_learns_nothing_of_names(people: People, client: TestClient) -> None:
    people.name("admin")
    answers = [
        client.get(f"{USERS}{name}/", headers=headers)
        for headers in ({}, people.jwt("operator"))
        for name in ("admin", "no-such-user")
    ]
    assert [answer.status_code for answer in answers] == [401, 401, 403, 403]
    assert answers[0].json() == answers[1].json()
    assert answers[2].json() == answers[3].json()
