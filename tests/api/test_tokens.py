from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from starlette.testclient import TestClient

from api import signed
from tests.api.people import PASSWORD, ROOT, People, bearer
from tests.api.server import Place

GUARDED = "/api/keys/"


@pytest.fixture
def pair(people: People, client: TestClient) -> dict[str, str]:
    """What a viewer gets who logs in."""
    answer = client.post("/api/token/", json={"username": people.name("viewer"), "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, str] = answer.json()
    assert set(found) == {"access", "refresh"}
    return found


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def refused(client: TestClient, access: str) -> bool:
    """Whether this opens nothing, at a route that needs a login and at one that is open to everyone."""
    answers = [client.get(path, headers=bearer(access)) for path in (GUARDED, "/api/series/")]
    assert {answer.status_code for answer in answers} <= {200, 401}
    for answer in answers:
        if answer.status_code == 401:
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
            assert answer.headers["content-type"] == "application/problem+json"
    return all(answer.status_code == 401 for answer in answers)


def test_a_login_opens_what_the_role_may_and_says_when_it_ends(client: TestClient, pair: dict[str, str]) -> None:
    assert client.get(GUARDED, headers=bearer(pair["access"])).json() == []
    access, refresh = claims_of(pair["access"]), claims_of(pair["refresh"])
    assert access["exp"] - access["iat"] == 300
    assert refresh["exp"] - refresh["iat"] == 7 * 86_400
    assert jwt.get_unverified_header(pair["access"])["alg"] == "HS256"


@pytest.mark.parametrize("login", [("viewer", "wrong password"), ("nobody-here", PASSWORD), ("", ""), ("viewer\0", "")])
def test_a_wrong_login_is_401_in_the_same_words(people: People, client: TestClient, login: tuple[str, str]) -> None:
    people.name("viewer")
    answer = client.post("/api/token/", json={"username": login[0], "password": login[1]})
    other = client.post("/api/token/", json={"username": "viewer", "password": "also wrong, it is"})
    assert (answer.status_code, answer.json()) == (401, other.json())
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_disabled_user_logs_in_no_more_and_its_tokens_and_keys_are_dead(
    people: People, client: TestClient, pair: dict[str, str]
) -> None:
    key, cookie = people.key("viewer"), people.cookie("viewer")
    people.doors.set_disabled(ROOT, "viewer", True)
    assert client.post("/api/token/", json={"username": "viewer", "password": PASSWORD}).status_code == 401
    assert refused(client, pair["access"])
    assert client.post("/api/token/refresh/", json={"refresh": pair["refresh"]}).status_code == 401
    assert client.get(GUARDED, headers=key).status_code == 401
    assert client.get(GUARDED, headers=cookie).status_code == 401


def test_a_role_that_is_taken_away_is_gone_from_a_token_too(people: People, client: TestClient) -> None:
    people.name("admin")
    headers = people.jwt("operator")
    people.doors.set_role(ROOT, "operator", "admin")
    assert client.get("/api/users/", headers=headers).status_code == 200
    people.doors.set_role(ROOT, "operator", "viewer")
    assert client.get("/api/users/", headers=headers).status_code == 403


def test_a_forged_token_opens_nothing(here: Place, client: TestClient, pair: dict[str, str]) -> None:
    doors = here.runtime.doors
    key, claims = doors.key("jwt"), claims_of(pair["access"])
    head, _, signature = pair["access"].split(".")

    def part(what: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(what).encode()).rstrip(b"=").decode()

    forged = {
        "no algorithm": jwt.encode(claims, "", "none"),
        "none, written otherwise": f"{part({'alg': 'nOnE', 'typ': 'JWT'})}.{part(claims)}.",
        "another algorithm": jwt.encode(claims, key * 2, "HS512"),
        "another algorithm of the same key": jwt.encode(claims, key.ljust(48, b"\0"), "HS384"),
        "another key": jwt.encode(claims, doors.key("another"), "HS256"),
        "the secret itself as key": jwt.encode(claims, doors.secret.ljust(32, b"\0"), "HS256"),
        "a changed payload": f"{head}.{part(claims | {'sub': 'root'})}.{signature}",
        "a cut signature": pair["access"][:-4],
        "no signature": f"{head}.{part(claims)}.",
        "another's name, rightly signed": jwt.encode(claims | {"sub": "root"}, key, "HS256"),
        "another family": jwt.encode(claims | {"fam": "no-such-family"}, key, "HS256"),
        "another issuer": jwt.encode(claims | {"iss": "somebody"}, key, "HS256"),
        "another audience": jwt.encode(claims | {"aud": "somebody"}, key, "HS256"),
        "expired": jwt.encode(claims | {"exp": int(time.time()) - 60}, key, "HS256"),
        "not yet valid": jwt.encode(claims | {"nbf": int(time.time()) + 60}, key, "HS256"),
        "from the future": jwt.encode(claims | {"iat": int(time.time()) + 60}, key, "HS256"),
        "a number for a name": jwt.encode(claims | {"sub": 1}, key, "HS256"),
        "a list for a family": jwt.encode(claims | {"fam": ["x"]}, key, "HS256"),
        "another purpose": jwt.encode(claims | {"typ": "other"}, key, "HS256"),
        "the refresh token": pair["refresh"],
        "no token": "",
        "no token at all": "a",
        "half a token": "a.b",
        "an unknown key": "sm_k_" + "a" * 43,
        "an unknown device token": "sm_d_" + "a" * 43,
        "three dots": "...",
        "a large one": "a" * 5_000,
    }
    for name in claims:
        forged[f"without {name}"] = jwt.encode({k: v for k, v in claims.items() if k != name}, key, "HS256")
    assert [name for name, token in forged.items() if not refused(client, token)] == []
    assert jwt.encode(claims, key, "HS256") == pair["access"], "the forgeries differ from this in what they say alone"


def test_a_page_cookie_is_no_bearer_token_and_the_reverse(people: People, client: TestClient) -> None:
    token, _ = people.session("admin")
    assert refused(client, token)
    for headers in (people.jwt("admin"), people.key("admin")):
        cookie = f"sm_session={headers['Authorization'].removeprefix('Bearer ')}"
        assert client.get(GUARDED, headers={"Cookie": cookie}).status_code == 401


@pytest.mark.parametrize("value", ["Basic dmlld2VyOm5pbmU=", "Bearer", "Token x", "bearer  ", "Bearer a b", ""])
def test_another_scheme_is_401(people: People, client: TestClient, value: str) -> None:
    cookie = people.cookie("admin")
    assert client.get(GUARDED, headers=cookie | {"Authorization": value}).status_code == 401


def test_an_access_token_renews_nothing_and_revokes_nothing(client: TestClient, pair: dict[str, str]) -> None:
    for path in ("refresh", "revoke"):
        assert client.post(f"/api/token/{path}/", json={"refresh": pair["access"]}).status_code == 401
    assert not refused(client, pair["access"])


def test_a_refreshed_pair_works_and_an_old_refresh_token_ends_the_whole_login(
    people: People, client: TestClient, pair: dict[str, str]
) -> None:
    other = people.jwt("viewer")
    first = client.post("/api/token/refresh/", json={"refresh": pair["refresh"]})
    second = client.post("/api/token/refresh/", json={"refresh": first.json()["refresh"]})
    assert (first.status_code, second.status_code) == (200, 200)
    newest = second.json()
    assert not refused(client, newest["access"])
    assert client.post("/api/token/refresh/", json={"refresh": pair["refresh"]}).status_code == 401
    for access in (pair["access"], newest["access"]):
        assert refused(client, access)
    assert client.post("/api/token/refresh/", json={"refresh": newest["refresh"]}).status_code == 401
    assert client.get(GUARDED, headers=other).status_code == 200, "another login of the same user goes on"
    assert [one.entry.action for one in people.doors.audit(action="token.reuse")] == ["token.reuse"]


def test_of_two_that_refresh_at_once_one_at_most_gets_through_and_the_login_ends(
    anywhere: Place, client: TestClient
) -> None:
    people = People(anywhere.runtime.doors)
    people.name("viewer")
    pair = client.post("/api/token/", json={"username": "viewer", "password": PASSWORD}).json()
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(lambda _: client.post("/api/token/refresh/", json={"refresh": pair["refresh"]}), range(4))
        )
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200, 401, 401, 401]
    assert refused(client, pair["access"])


def test_revoking_logs_out_and_may_be_repeated(client: TestClient, pair: dict[str, str]) -> None:
    for _ in range(2):
        assert client.post("/api/token/revoke/", json={"refresh": pair["refresh"]}).status_code == 204
    assert refused(client, pair["access"])
    assert client.post("/api/token/refresh/", json={"refresh": pair["refresh"]}).status_code == 401


def test_tokens_from_before_a_password_change_are_dead(
    people: People, client: TestClient, pair: dict[str, str]
) -> None:
    people.doors.change_password(people.actor("viewer"), PASSWORD, "ten lives of a dog")
    assert refused(client, pair["access"])
    assert client.post("/api/token/refresh/", json={"refresh": pair["refresh"]}).status_code == 401
    again = client.post("/api/token/", json={"username": "viewer", "password": "ten lives of a dog"})
    assert not refused(client, again.json()["access"])


def test_a_token_names_its_purpose_alone() -> None:
    key = b"k" * 32
    token = signed.sign(key, "access", "a", "f", "j")
    assert signed.read(key, "access", token) == signed.Claims("a", "f", "j")
    assert signed.read(key, "refresh", token) is None
    assert signed.read(b"l" * 32, "access", token) is None
