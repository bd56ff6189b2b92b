"""A thousand wrong logins: held back, bounded, and no harm to the right person."""

from __future__ import annotations

from collections import Counter

from starlette.testclient import TestClient

from db.doors import Origin, SlowDown, WrongLogin
from tests.api.people import PASSWORD, People
from tests.api.server import mounted


def log_in(client: TestClient, name: str, password: str) -> tuple[int, int]:
    """The status, and the seconds to wait that it names."""
    answer = client.post("/api/token/", json={"username": name, "password": password})
    wait = int(answer.headers.get("retry-after", "0"))
    if answer.status_code == 429:
        assert f"{wait} second" in answer.json()["detail"]
    return answer.status_code, wait


def log_in_on_a_page(people: People, name: str, password: str) -> tuple[int, int]:
    """The same from the attacker's address as the login page does it, in the API's words."""
    try:
        people.doors.check_password(name, password, Origin("203.0.113.9"))
    except WrongLogin:
        return 401, 0
    except SlowDown as error:
        return 429, error.seconds
    return 200, 0


def test_a_thousand_wrong_logins(people: People) -> None:
    people.name("viewer")
    with (
        TestClient(mounted(), client=("203.0.113.9", 4_000)) as attacker,
        TestClient(mounted(), client=("10.0.0.5", 4_000)) as owner,
    ):
        assert log_in(owner, "viewer", PASSWORD) == (200, 0)
        answers = [log_in(attacker, "viewer", f"guess {number}") for number in range(100)]
        answers += [log_in(attacker, f"somebody{number}", "a guess at a name") for number in range(100)]
        answers += [log_in_on_a_page(people, "viewer", f"guess {number}") for number in range(400)]
        answers += [log_in_on_a_page(people, f"anybody{number}", "a guess") for number in range(400)]
        counted = Counter(status for status, _ in answers)
        assert counted[401] <= 12, "ten are free, and one more after each wait"
        assert counted[401] + counted[429] == 1_000
        assert all(1 <= wait <= 60 for status, wait in answers if status == 429)
        status, wait = log_in(attacker, "viewer", PASSWORD)
        assert (status, wait > 0) == (429, True), "not even with the right one, or a guess could be told by its answer"
        assert log_in(owner, "viewer", PASSWORD) == (200, 0), "the right person, from where they come in, is not held"
    failures = people.doors.audit(action="login", limit=1_000)
    assert len(failures) < 30, "what was refused unlooked at fills no log"


def test_another_address_is_held_by_the_name(people: People) -> None:
    people.name("viewer")
    statuses = []
    for host in range(30):
        with TestClient(mounted(), client=(f"198.51.{host}.1", 4_000)) as client:
            statuses.append(log_in(client, "viewer", "a guess")[0])
    assert statuses[:10] == [401] * 10
    assert set(statuses[11:]) == {429}


def test_a_forwarded_address_that_nobody_vouches_for_changes_nothing(people: People) -> None:
    people.name("viewer")
    with TestClient(mounted(), client=("203.0.113.9", 4_000)) as client:
        statuses = []
        for host in range(20):
            client.headers["X-Forwarded-For"] = f"198.51.100.{host}"
            statuses.append(log_in(client, f"somebody{host}", "a guess")[0])
    assert statuses[-5:] == [429] * 5
