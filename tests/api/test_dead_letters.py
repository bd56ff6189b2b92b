"""Dead letters by the API: look, delete, replay; all of it for admins, and in the audit log."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest
from starlette.testclient import TestClient

from db import audit, dead_letters
from db.audit import Entry
from db.dead_letters import DeadLetter
from db.engine import reading, writing
from tests.api.people import People
from tests.api.server import Place, fields

AT = 1_764_000_000_000
ADDRESS = "/api/dead_letters/"
REPLAY = f"{ADDRESS}replay/"


def keep(place: Place, payload: bytes, *, topic: str = "iot/kitchen/telemetry", at: int = AT, size: int = 0) -> None:
    letter = DeadLetter(at, topic, payload, size or len(payload), "not understood")
    with writing(place.runtime.engine) as connection:
        dead_letters.store(connection, [letter])


def kept(place: Place) -> list[int]:
    with reading(place.runtime.engine) as connection:
        return [stored.id for stored in dead_letters.newest(connection, 100)]


def recorded(place: Place, action: str) -> list[Entry]:
    with reading(place.runtime.engine) as connection:
        return [one.entry for one in audit.search(connection, action=action)]


@pytest.fixture
def admin(anywhere: Place) -> dict[str, str]:
    return People(anywhere.runtime.doors).headers("key admin")


def test_they_are_shown_a_page_at_a_time(anywhere: Place, client: TestClient, admin: dict[str, str]) -> None:
    for number in range(5):
        keep(anywhere, b'{"v": "%d"}' % number)
    keep(anywhere, b"\xff\x00", size=70_000)
    newest = kept(anywhere)
    first = client.get(ADDRESS, params={"limit": 4}, headers=admin).json()
    assert [letter["id"] for letter in first["letters"]] == newest[:4]
    binary, text = first["letters"][:2]
    assert (b64decode(binary["payload"]), binary["text"], binary["whole"]) == (b"\xff\x00", None, False)
    assert (text["text"], text["reason"], text["received_at"]) == ('{"v": "4"}', "not understood", AT)
    rest = client.get(ADDRESS, params={"limit": 4, "before": first["next"]}, headers=admin).json()
    assert [letter["id"] for letter in rest["letters"]] == newest[4:]
    assert rest["next"] is None
    assert client.get(ADDRESS, params={"limit": 201}, headers=admin).status_code == 422


@pytest.mark.parametrize(
    ("which", "left"),
    [
        ({"ids": [1, 3, 99]}, [4, 2]),
        ({"topic": "iot/kitchen/*"}, [4]),
        ({"before": "2025-11-24T16:00:02Z"}, [4, 3]),
        ({"topic": "*", "before": str(AT + 1_000)}, [4, 3, 2]),
        ({"all": "true"}, []),
    ],
)
def test_those_that_are_meant_are_deleted_and_that_is_recorded(
    anywhere: Place, client: TestClient, admin: dict[str, str], which: dict[str, Any], left: list[int]
) -> None:
    for number in range(3):
        keep(anywhere, b"?", at=AT + number * 1_000)
    keep(anywhere, b"?", topic="iot/cellar/telemetry", at=AT + 3_000)
    answer = client.delete(ADDRESS, params=which, headers=admin)
    assert answer.json() == {"deleted": 4 - len(left)}
    assert kept(anywhere) == left
    (entry,) = recorded(anywhere, "dead_letters.delete")
    assert (entry.actor, entry.result, entry.subject.split()[0]) == ("admin", "ok", str(4 - len(left)))
    with reading(anywhere.runtime.engine) as connection:
        assert audit.verify(connection, anywhere.runtime.doors.key("audit"), None).ok


@pytest.mark.parametrize("which", [{}, {"topic": ""}, {"all": "false"}])
def test_nothing_is_not_everything(here: Place, client: TestClient, people: People, which: dict[str, Any]) -> None:
    keep(here, b"?")
    for answer in (
        client.delete(ADDRESS, params=which, headers=people.headers("jwt admin")),
        client.post(REPLAY, json=which, headers=people.headers("jwt admin")),
    ):
        assert answer.status_code == 400
        assert fields(answer.json()) == {"ids"}
    wrong = client.delete(ADDRESS, params={"before": "tomorrow"}, headers=people.headers("jwt admin"))
    assert fields(wrong.json()) == {"before"}
    assert len(kept(here)) == 1


def test_they_are_replayed_shown_and_recorded(anywhere: Place, client: TestClient, admin: dict[str, str]) -> None:
    keep(anywhere, b'{"ts": %d, "v": 1}' % AT)
    keep(anywhere, b'{"ts": %d, "v": 1}' % AT)
    keep(anywhere, b"still no JSON")
    answer = client.post(REPLAY, json={"ids": [*kept(anywhere), 99]}, headers=admin)
    assert answer.status_code == 200
    told = answer.json()
    assert [told[name] for name in ("stored", "duplicate", "stays", "gone", "left")] == [1, 1, 1, 0, 0]
    assert told["staying"][0]["problem"].startswith("the message is not JSON")
    assert kept(anywhere) == [3]
    assert anywhere.board.current.devices["kitchen"].metrics["v"].value == 1
    (entry,) = recorded(anywhere, "dead_letters.replay")
    assert (entry.actor, entry.subject) == ("admin", "3 dead letters")
    assert entry.detail == "ids 3, 2, 1, 99; 1 stored, 1 known already, 1 stay"


@pytest.mark.parametrize("caller", ["nobody", "device", "jwt operator", "session viewer"])
def test_they_are_for_admins(here: Place, client: TestClient, people: People, caller: str) -> None:
    keep(here, b"?")
    headers = people.headers(caller)
    answers = [
        client.get(ADDRESS, headers=headers),
        client.delete(ADDRESS, params={"all": "true"}, headers=headers),
        client.post(REPLAY, json={"all": True}, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [401 if caller == "nobody" else 403] * 3
    assert len(kept(here)) == 1


@pytest.mark.parametrize(
    "worst", ["'; DROP TABLE dead_letters; --", "%", "*[", "\x1b[31m\r\nfake: line", "=1+1", "\x00"]
)
def test_the_worst_of_texts_is_only_text(here: Place, client: TestClient, people: People, worst: str) -> None:
    headers = people.headers("key admin")
    keep(here, worst.encode(), topic=f"iot/{worst}/telemetry")
    keep(here, b"?")
    assert client.get(ADDRESS, headers=headers).json()["letters"][1]["text"] == worst
    for address in (ADDRESS, REPLAY):
        for field in ("topic", "before"):
            method = "DELETE" if address == ADDRESS else "POST"
            given = {"params": {field: worst}} if method == "DELETE" else {"json": {field: worst}}
            answer = client.request(method, address, headers=headers, **given)  # type: ignore[arg-type]
            assert answer.status_code in (200, 400, 422)
    assert len(kept(here)) == 2
