from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, func, select

from db import schema
from db.doors import Doors, Origin, SlowDown, Throttle, User, WrongLogin
from db.engine import Engine, reading
from db.throttle import KNOWN_MS, place_of
from tests.parts.doors import HERE, PASSWORD, ROOT, THERE, Clock, actor, add_user, make_doors


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doors(engine: Engine, clock: Clock) -> Doors:
    made = make_doors(engine, clock=clock)
    add_user(made)
    return made


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An entry for each password that was hashed to be compared."""
    verify, counted = PasswordHasher.verify, []

    def count(self: PasswordHasher, stored: str, password: str) -> Any:
        counted.append(password)
        return verify(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", count)
    return counted


def try_wrong(doors: Doors, name: str = "anna", origin: Origin = HERE) -> int:
    """A wrong login: 0, or how many seconds to wait."""
    try:
        doors.check_password(name, "wrong", origin)
    except SlowDown as slow:
        return slow.seconds
    except WrongLogin:
        return 0
    raise AssertionError("it was let in")


def log_in(doors: Doors, origin: Origin = HERE) -> User:
    return doors.check_password("anna", PASSWORD, origin)


def rows(engine: Engine, table: str) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(schema.metadata.tables[table])) or 0


def test_ten_are_free_then_each_wait_is_twice_as_long(doors: Doors, clock: Clock) -> None:
    assert [try_wrong(doors) for _ in range(10)] == [0] * 10
    waits = []
    for _ in range(8):
        waits.append(try_wrong(doors))
        clock.pass_s(waits[-1])
        assert try_wrong(doors) == 0
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]


def test_within_the_wait_nothing_is_looked_at_or_counted(doors: Doors, clock: Clock, hashes: list[str]) -> None:
    for _ in range(10):
        try_wrong(doors)
    before = len(doors.audit())
    for _ in range(20):
        with pytest.raises(SlowDown, match=r"^Too many wrong tries\. Try again in 2 seconds\.$"):
            log_in(doors)
    assert len(hashes) == 10
    assert len(doors.audit()) == before
    clock.pass_s(2)
    assert log_in(doors).name == "anna", "they added nothing to the wait"


def test_an_unknown_name_waits_as_a_known_one_does(doors: Doors, clock: Clock) -> None:
    for name, origin in [("anna", HERE), ("nobody", THERE), ("not a name!", Origin("203.0.113.9"))]:
        assert [try_wrong(doors, name, origin) for _ in range(12)] == [0] * 10 + [2] * 2
        clock.pass_s(2)
        assert [try_wrong(doors, name, origin) for _ in range(2)] == [0, 4]


def test_a_name_is_held_wherever_it_is_tried_from(doors: Doors) -> None:
    for number in range(10):
        assert try_wrong(doors, origin=Origin(f"198.51.100.{number}")) == 0
    assert try_wrong(doors, origin=Origin("198.51.100.99")) == 2
    assert try_wrong(doors, "ANNA", Origin("198.51.100.99")) == 2
    assert try_wrong(doors, "bert", Origin("198.51.100.99")) == 0


def test_an_address_is_held_whatever_it_tries(doors: Doors) -> None:
    for number in range(10):
        assert try_wrong(doors, f"user{number}") == 0
    assert try_wrong(doors, "another") == 2
    assert try_wrong(doors, "another", THERE) == 0


def test_the_right_person_is_not_locked_out(doors: Doors) -> None:
    log_in(doors)
    for number in range(50):
        try_wrong(doors, origin=Origin(f"198.51.100.{number}"))
    with pytest.raises(SlowDown):
        log_in(doors, THERE)
    assert log_in(doors).name == "anna", "they came in from here before"


def test_a_place_is_known_for_thirty_days(doors: Doors, clock: Clock, engine: Engine) -> None:
    log_in(doors)
    clock.pass_s(KNOWN_MS / 1000 + 1)
    for number in range(10):
        try_wrong(doors, origin=Origin(f"198.51.100.{number}"))
    with pytest.raises(SlowDown):
        log_in(doors)
    clock.pass_s(2)
    log_in(doors, THERE)
    assert rows(engine, "login_places") == 1, "the old place is forgotten"


def test_a_right_login_forgives_ones_own_mistakes(doors: Doors) -> None:
    for _ in range(5):
        for _ in range(9):
            assert try_wrong(doors) == 0
        log_in(doors)


def test_a_right_login_does_not_forgive_tries_at_others(doors: Doors) -> None:
    """Else one with a user of their own could try all others for ever."""
    add_user(doors, "bert")
    for number in range(9):
        assert try_wrong(doors, f"user{number}") == 0
        doors.check_password("bert", PASSWORD, HERE)
    assert try_wrong(doors, "anna") == 0
    assert try_wrong(doors, "anna") == 2


def test_a_right_login_does_not_forgive_what_others_did(doors: Doors) -> None:
    log_in(doors)
    for number in range(10):
        try_wrong(doors, origin=Origin(f"203.0.113.{number}"))
    log_in(doors)
    assert try_wrong(doors, origin=THERE) == 2


def test_what_lies_long_is_forgotten(doors: Doors, clock: Clock, engine: Engine) -> None:
    for _ in range(10):
        try_wrong(doors)
    clock.pass_s(901)
    assert [try_wrong(doors) for _ in range(10)] == [0] * 10
    clock.pass_s(901)
    try_wrong(doors, "bert", THERE)
    assert rows(engine, "login_tries") == 3, "what is forgotten is deleted"


def test_a_clock_that_was_set_back_holds_nobody_for_long(doors: Doors, clock: Clock) -> None:
    for _ in range(10):
        try_wrong(doors)
    clock.pass_s(-86_400)
    assert log_in(doors).name == "anna"


def test_pages_and_api_of_all_processes_count_together(doors: Doors, engine: Engine, clock: Clock) -> None:
    other = make_doors(engine, clock=clock)
    for _ in range(5):
        assert try_wrong(doors) == try_wrong(other) == 0
    assert try_wrong(doors) == try_wrong(other) == 2
    other.close()


def test_changing_ones_password_is_held_too(doors: Doors) -> None:
    for _ in range(10):
        try_wrong(doors)
    with pytest.raises(SlowDown):
        doors.change_password(actor(add_user(doors, "bert")), PASSWORD, "eleven blue kettles")


def test_a_thousand_wrong_logins_cost_little(doors: Doors, engine: Engine, hashes: list[str]) -> None:
    outcomes = [try_wrong(doors) for _ in range(1_000)]
    assert outcomes.count(0) == 10
    assert len(hashes) == 10
    assert rows(engine, "login_tries") == 3
    assert rows(engine, "audit_log") == 11, "the user's making, and ten failures"


def test_a_thousand_names_from_one_address_cost_little(doors: Doors, engine: Engine, hashes: list[str]) -> None:
    outcomes = [try_wrong(doors, f"user{number}") for number in range(1_000)]
    assert outcomes.count(0) == len(hashes) == 10
    assert rows(engine, "login_tries") == 21


def test_many_at_once_are_no_more_than_ten(doors: Doors, hashes: list[str]) -> None:
    together = threading.Barrier(8)

    def hammer(_: int) -> list[int]:
        together.wait(10)
        return [try_wrong(doors) for _ in range(5)]

    with ThreadPoolExecutor(8) as threads:
        outcomes = [outcome for some in threads.map(hammer, range(8)) for outcome in some]
    assert outcomes.count(0) == len(hashes) == 10


def test_a_wrong_name_a_wrong_password_and_a_disabled_user_cost_the_same(
    doors: Doors, engine: Engine, hashes: list[str]
) -> None:
    add_user(doors, "bert")
    doors.set_disabled(ROOT, "bert", True)
    try_wrong(doors, "first", Origin("203.0.113.1"))  # what is done once a minute is done
    statements: list[str] = []
    for watched in {engine, doors._lookups}:
        event.listen(watched, "before_cursor_execute", lambda *given: statements.append(given[2]))
    costs = []
    for number, (name, password) in enumerate([("anna", "wrong"), ("nobody", "wrong"), ("bert", PASSWORD)]):
        statements.clear()
        hashes.clear()
        with pytest.raises(WrongLogin):
            doors.check_password(name, password, Origin(f"203.0.113.{number + 10}"))
        costs.append((len(hashes), list(statements)))
    assert costs[0] == costs[1] == costs[2]
    assert costs[0][0] == 1


def test_what_was_typed_as_a_name_is_not_kept(doors: Doors, engine: Engine) -> None:
    """Some type their password where the name belongs."""
    try_wrong(doors, "hush, my secret!")
    try_wrong(doors, "x" * 5_000)
    with reading(engine) as connection:
        kept = [row for table in schema.metadata.sorted_tables for row in connection.execute(select(table))]
    assert "hush" not in str(kept)
    assert [one.entry.subject for one in doors.audit(action="login")] == ["?", "?"]


def test_the_audit_log_tells_an_admin_what_the_page_does_not(doors: Doors) -> None:
    add_user(doors, "bert")
    doors.set_disabled(ROOT, "bert", True)
    for name, password in [("anna", "wrong"), ("nobody", "wrong"), ("bert", PASSWORD)]:
        with pytest.raises(WrongLogin):
            doors.check_password(name, password, HERE)
    log_in(doors)
    told = [
        (one.entry.actor, one.entry.subject, one.entry.result, one.entry.detail) for one in doors.audit(action="login")
    ]
    assert told == [
        ("anna", "anna", "ok", ""),
        ("nobody", "bert", "failed", "the user is disabled"),
        ("nobody", "nobody", "failed", "no such user"),
        ("nobody", "anna", "failed", "wrong password"),
    ]


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("local", "local"),
        ("testclient", "testclient"),
        ("", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_what_counts_as_one_address(address: str, place: str) -> None:
    assert place_of(address) == place


@given(st.integers(0, 10_000), st.integers(1, 50), st.floats(0.1, 100), st.floats(0.1, 1000))
def test_waits_never_fall_and_are_bounded(wrong: int, free: int, first: float, longest: float) -> None:
    throttle = Throttle(free, first, longest)
    assert 0 <= throttle.wait_ms(wrong) <= throttle.wait_ms(wrong + 1) <= round(longest * 1000)
    assert (throttle.wait_ms(wrong) == 0) == (wrong < free)
