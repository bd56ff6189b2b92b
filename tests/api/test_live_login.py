"""With REQUIRE_LOGIN=all a live stream lasts no longer than the login it was opened with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx2 as httpx
import pytest

from api import live, signed
from db.gate import Gate
from tests.api.people import ROOT, People
from tests.api.server import Place, Served
from tests.parts.doors import make_doors


@contextmanager
def stream(served: Served, headers: dict[str, str]) -> Iterator[Iterator[str]]:
    with httpx.stream("GET", f"{served.url}/api/live/", headers=headers, timeout=5, trust_env=False) as response:
        assert response.status_code == 200
        lines = response.iter_lines()
        assert next(lines) == "retry: 2000"
        yield lines


def end_session(people: People) -> None:
    [session] = people.doors.sessions(people.actor("viewer"))
    people.doors.end_session(session.id, ROOT)


def revoke_key(people: People) -> None:
    [key] = people.doors.keys(people.actor("viewer"))
    people.doors.revoke_key(people.actor("viewer"), key.id)


@pytest.mark.parametrize(
    ("caller", "end"),
    [
        ("session viewer", end_session),
        ("session viewer", lambda people: people.doors.set_disabled(ROOT, "viewer", True)),
        ("session viewer", lambda people: people.doors.reset_password(ROOT, "viewer")),
        ("key viewer", revoke_key),
        ("jwt viewer", lambda people: people.doors.set_disabled(ROOT, "viewer", True)),
    ],
    ids=["ended by an admin", "user disabled", "password reset", "key revoked", "token's user disabled"],
)
def test_it_ends_soon_after_its_login_was_ended_by_another_server(
    here: Place, people: People, served: Served, caller: str, end: Callable[[People], object]
) -> None:
    here.close_reading()
    with stream(served, people.headers(caller)) as lines:
        while next(lines) != f"id: {here.board.current.started_at}-0":
            pass
        elsewhere = make_doors(here.runtime.engine)
        end(People(elsewhere, {"viewer"}))
        elsewhere.close()
        rest = [line for line in lines if line]
    assert rest[-2:] == ["event: end", 'data: {"reason":"login"}']


def test_what_a_stream_knows_of_its_login_is_less_than_two_seconds_old() -> None:
    longest = inspect.signature(Gate).parameters["fresh_s"].default
    assert live.LOGIN_CHECK_S + longest < 2.0


def test_it_ends_when_its_access_token_runs_out(
    here: Place, people: People, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.close_reading()
    monkeypatch.setattr(live, "LOGIN_CHECK_S", 0.05)
    with stream(served, people.jwt("viewer")) as lines:
        monkeypatch.setattr(signed, "_LEEWAY_S", -300)  # the clocks that are allowed to differ now all go ahead
        assert "event: end" in list(lines)


def test_it_goes_on_while_its_login_holds_and_others_end(
    here: Place, people: People, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.close_reading()
    monkeypatch.setattr(live, "LOGIN_CHECK_S", 0.05)
    with stream(served, people.cookie("operator")) as stays, stream(served, people.cookie("viewer")) as ends:
        end_session(people)
        assert "event: end" in list(ends)
        here.runtime.announce_stop()
        assert [line for line in stays if line][-1] == 'data: {"reason":"stopping"}'


def test_where_reading_is_open_a_stream_needs_no_login_and_outlives_one(
    here: Place, people: People, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOGIN_CHECK_S", 0.01)
    with stream(served, people.cookie("viewer")) as lines, stream(served, {}) as open_lines:
        end_session(people)
        here.runtime.announce_stop()
        for one in (lines, open_lines):
            assert [line for line in one if line][-1] == 'data: {"reason":"stopping"}'


def test_nobody_opens_one_where_reading_is_closed(here: Place, served: Served) -> None:
    here.close_reading()
    answer = httpx.get(f"{served.url}/api/live/", timeout=5, trust_env=False)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
