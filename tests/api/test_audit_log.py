from __future__ import annotations

import csv
import io
import json

import pytest
from starlette.testclient import TestClient

from tests.api.people import ORIGIN, ROOT, People
from tests.api.server import fields

AUDIT = "/api/audit/"


@pytest.fixture
def admin(people: People) -> dict[str, str]:
    """The headers of an admin."""
    return people.jwt("admin")


def test_it_tells_newest_first_who_did_what_from_where(
    people: People, client: TestClient, admin: dict[str, str]
) -> None:
    people.doors.record(ROOT, "dead_letters.delete", "17 letters", detail="older than a week")
    newest = client.get(AUDIT, headers=admin).json()[0]
    assert {key: newest[key] for key in ("actor", "address", "action", "subject", "result", "detail")} == {
        "actor": "root",
        "address": ORIGIN.address,
        "action": "dead_letters.delete",
        "subject": "17 letters",
        "result": "ok",
        "detail": "older than a week",
    }
    assert newest["mac"]
    numbers = [one["number"] for one in client.get(AUDIT, headers=admin).json()]
    assert numbers == sorted(numbers, reverse=True)


def test_filters_and_parts(people: People, client: TestClient, admin: dict[str, str]) -> None:
    for number in range(5):
        people.doors.record(ROOT, "dead_letters.replay", f"letter {number}")

    def subjects(**query: str | int) -> list[str]:
        answer = client.get(AUDIT, params=query, headers=admin)
        assert answer.status_code == 200
        return [one["subject"] for one in answer.json()]

    assert subjects(action="dead_letters.replay", limit=2) == ["letter 4", "letter 3"]
    number = client.get(AUDIT, params={"text": "letter 3"}, headers=admin).json()[0]["number"]
    assert subjects(action="dead_letters.replay", before=number) == ["letter 2", "letter 1", "letter 0"]
    assert subjects(actor="nobody-at-all") == []
    assert subjects(action="dead_letters.replay", to="-1h") == []
    assert len(subjects(action="dead_letters.replay", **{"from": "-1h", "to": "now"})) <= 5
    assert len(subjects(action="dead_letters.replay", **{"from": "-1h"})) == 5


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ({"from": "yesterday"}, 400, "from"),
        ({"to": "x"}, 400, "to"),
        ({"tz": "Mars"}, 400, "tz"),
        ({"limit": "0"}, 422, "limit"),
        ({"limit": "1001"}, 422, "limit"),
        ({"before": "0"}, 422, "before"),
    ],
)
def test_what_can_not_be_used_is_named(
    client: TestClient, admin: dict[str, str], query: dict[str, str], status: int, field: str
) -> None:
    answer = client.get(AUDIT, params=query, headers=admin)
    assert answer.status_code == status
    assert fields(answer.json()) == {field}


def test_exports_are_whole_defused_and_recorded(people: People, client: TestClient, admin: dict[str, str]) -> None:
    worst = ["=cmd|' /C calc'!A0", '+1,2"3', "@SUM(A1)", "-2\r\n=1", "\tx", "<script>alert(1)</script>", "plain"]
    for subject in worst:
        people.doors.record(ROOT, "user.create", subject)
    answer = client.get(f"{AUDIT}export.csv", headers=admin)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row.values())
    kept = {one.entry.subject for one in people.doors.audit(action="user.create")}
    assert {row["subject"].removeprefix("'") for row in rows if row["action"] == "user.create"} == kept

    lines = client.get(f"{AUDIT}export.ndjson", headers=admin).text.splitlines()
    told = [json.loads(line) for line in lines]
    assert {one["subject"] for one in told if one["action"] == "user.create"} == kept
    assert [(one["actor"], one["subject"]) for one in told if one["action"] == "audit.export"] == [
        ("admin", "ndjson"),
        ("admin", "csv"),
    ]


def test_an_export_takes_filters_and_says_which(people: People, client: TestClient, admin: dict[str, str]) -> None:
    people.doors.record(ROOT, "dead_letters.delete", "one")
    answer = client.get(f"{AUDIT}export.csv", params={"action": "dead_letters.delete"}, headers=admin)
    assert len(answer.text.splitlines()) == 2
    [record] = people.doors.audit(action="audit.export")
    assert "dead_letters.delete" in record.entry.detail


def test_a_long_log_is_exported_whole(
    people: People, client: TestClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.audit._PORTION", 2)
    for number in range(7):
        people.doors.record(ROOT, "user.role", str(number))
    query = {"action": "user.role"}
    told = [json.loads(line) for line in client.get(f"{AUDIT}export.ndjson", params=query, headers=admin).iter_lines()]
    assert [one["subject"] for one in told] == ["6", "5", "4", "3", "2", "1", "0"]
