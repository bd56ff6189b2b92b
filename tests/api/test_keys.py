from __future__ import annotations

from starlette.testclient import TestClient

from tests.api.people import People, bearer

KEYS = "/api/keys/"


def test_a_key_is_shown_once_and_has_its_makers_role(people: People, client: TestClient) -> None:
    made = client.post(KEYS, json={"name": "weather station"}, headers=people.jwt("operator"))
    assert made.status_code == 201
    assert made.headers["cache-control"] == "no-store"
    key = made.json()["key"]
    assert key.startswith("sm_k_")
    assert key.startswith(made.json()["hint"])
    assert len(made.json()["hint"]) < 12
    listed = client.get(KEYS, headers=bearer(key))
    assert key not in listed.text
    [shown] = listed.json()
    assert (shown["name"], shown["user"]) == ("weather station", "operator")
    assert client.get(f"{KEYS}{shown['id']}/", headers=bearer(key)).json()["name"] == "weather station"
    assert client.get("/api/users/", headers=bearer(key)).status_code == 403


def test_a_revoked_key_opens_nothing(people: People, client: TestClient) -> None:
    headers = people.jwt("viewer")
    made = client.post(KEYS, json={"name": "a"}, headers=headers).json()
    assert client.delete(f"{KEYS}{made['id']}/", headers=headers).status_code == 204
    assert client.get(KEYS, headers=bearer(made["key"])).status_code == 401
    assert client.delete(f"{KEYS}{made['id']}/", headers=headers).status_code == 404
    assert client.get(KEYS, headers=headers).json() == []


def test_a_key_revokes_itself_and_makes_no_other(people: People, client: TestClient) -> None:
    key = people.key("admin")
    assert client.post(KEYS, json={"name": "another"}, headers=key).status_code == 403
    [own] = client.get(KEYS, headers=key).json()
    assert client.delete(f"{KEYS}{own['id']}/", headers=key).status_code == 204
    assert client.get(KEYS, headers=key).status_code == 401


def test_owners_see_their_own_and_others_are_not_there(people: People, client: TestClient) -> None:
    made = client.post(KEYS, json={"name": "operator's"}, headers=people.jwt("operator")).json()
    viewer, admin = people.jwt("viewer"), people.jwt("admin")
    assert client.get(KEYS, headers=viewer).json() == []
    for method in ("GET", "DELETE"):
        foreign = client.request(method, f"{KEYS}{made['id']}/", headers=viewer)
        none = client.request(method, f"{KEYS}{made['id'] + 1000}/", headers=viewer)
        assert (foreign.status_code, none.status_code) == (404, 404)
    assert client.get(KEYS, params={"user": "operator"}, headers=viewer).status_code in (403, 404)
    assert client.get(KEYS, headers=admin).json() == []
    assert [one["id"] for one in client.get(KEYS, params={"user": "operator"}, headers=admin).json()] == [made["id"]]
    assert client.get(f"{KEYS}{made['id']}/", headers=admin).status_code == 200
    assert client.delete(f"{KEYS}{made['id']}/", headers=admin).status_code == 204


def test_a_name_that_can_not_be_used_is_422(people: People, client: TestClient) -> None:
    for name in ("", "x" * 65, 5, None):
        answer = client.post(KEYS, json={"name": name}, headers=people.jwt("viewer"))
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "name"
