"""Readers: everyone, or with REQUIRE_LOGIN=all every user; and what that needs of the database."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from db.engine import DatabaseAway
from ingest.snapshot import ReadingChange
from tests.api.people import People, bearer
from tests.api.server import Place

READING = "/api/dht22_db/"


@pytest.fixture
def away(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database can't say who somebody is."""
    people.name("viewer")

    def fail(*_: object) -> None:
        raise DatabaseAway("gone")

    for name in ("session", "api_key", "user_of_family", "device_token"):
        monkeypatch.setattr(people.doors, name, fail)


def test_everyone_reads_and_a_bad_token_is_told_all_the_same(here: Place, client: TestClient) -> None:
    here.change(ReadingChange("kitchen", "temperature", 1, 21.5, 1))
    assert client.get(READING).json()[0]["temperature"] == 21.5
    assert client.get(READING, headers={"Cookie": "sm_session=ended-long-ago"}).status_code == 200
    assert client.get(READING, headers=bearer("sm_k_revoked")).status_code == 401


@pytest.mark.parametrize("caller", ["session viewer", "key viewer", "jwt viewer"])
def test_what_is_open_is_read_while_the_database_is_away(
    here: Place, people: People, client: TestClient, caller: str, request: pytest.FixtureRequest
) -> None:
    headers = people.headers(caller)
    request.getfixturevalue("away")
    assert client.get(READING, headers=headers).status_code == 200
    assert client.get("/api/health/", headers=headers).status_code == 200
    here.close_reading()
    answer = client.get(READING, headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert client.get(READING).status_code == 401, "who says nothing of themselves is nobody, whatever the database"


@pytest.mark.usefixtures("away")
def test_a_login_is_told_that_the_database_is_away(client: TestClient) -> None:
    assert client.get("/api/keys/", headers=bearer("sm_k_" + "a" * 43)).status_code == 503
