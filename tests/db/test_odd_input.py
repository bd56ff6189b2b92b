"""What comes from outside may be anything: the answer is a refusal in words, never an error nobody foresaw."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text

from db import audit
from db.doors import Actor, Doors, DoorsError, Origin, Unknown
from db.engine import Connection, Engine
from tests.parts.doors import HERE, PASSWORD, ROOT, SECRET, actor, add_user, make_doors

ODD = [
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "\U0001f600" * 300,
    "x" * 100_000,
    "' OR '1'='1",
    '"; DROP TABLE users; --',
    "%",
    "\\",
    "\r\nSet-Cookie: a=b",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "\u202e\u0000\u0007",
    "{{7*7}}",
    "../../etc/passwd",
]
NUMBERS = [0, -1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30]


@pytest.fixture
def doors(engine: Engine) -> Doors:
    return make_doors(engine)


@pytest.mark.parametrize("odd", ODD)
def test_any_text_anywhere(doors: Doors, odd: str) -> None:
    user = add_user(doors)
    me = actor(user, Origin(odd, odd))
    stranger = Actor(odd, "admin", Origin(odd, odd))
    tries: list[Callable[[], object]] = [
        lambda: doors.check_password(odd, odd, Origin(odd, odd)),
        lambda: doors.check_password("anna", odd, Origin(odd, odd)),
        lambda: doors.create_user(stranger, odd, "viewer", odd),
        lambda: doors.set_role(stranger, odd, "admin"),
        lambda: doors.set_role(ROOT, "anna", odd),  # type: ignore[arg-type]  # as a request may say
        lambda: doors.set_disabled(stranger, odd, True),
        lambda: doors.reset_password(stranger, odd),
        lambda: doors.change_password(me, odd, odd),
        lambda: doors.change_password(stranger, odd, odd),
        lambda: doors.user(odd),
        lambda: doors.sessions(stranger, odd),
        lambda: doors.keys(stranger, odd),
        lambda: doors.create_key(me, odd),
        lambda: doors.create_device_token(stranger, odd),
        lambda: doors.revoke_device_token(stranger, odd),
        lambda: doors.session(odd),
        lambda: doors.session("sm_s_" + odd),
        lambda: doors.api_key("sm_k_" + odd),
        lambda: doors.device_token("sm_d_" + odd),
        lambda: doors.redeem_ticket(odd),
        lambda: doors.rotate(odd, odd, me.origin),
        lambda: doors.rotate(doors.open_family(user, me.origin)[0], odd, me.origin),
        lambda: doors.end_family(odd, me.origin),
        lambda: doors.user_of_family(odd),
        lambda: doors.audit(text=odd, actor=odd, action=odd),
        lambda: doors.record(stranger, odd, odd, detail=odd),
        lambda: doors.open_session(user, me.origin),
    ]
    for attempt in tries:
        with contextlib.suppress(DoorsError):
            attempt()
    assert [one.name for one in doors.users()] == ["anna"]
    assert doors.check_password("anna", PASSWORD, HERE).role == "viewer"
    assert doors.verify_audit().ok


@pytest.mark.parametrize("number", NUMBERS)
def test_any_number_anywhere(doors: Doors, number: int) -> None:
    add_user(doors)
    assert doors.session_by_id(number) is None
    with pytest.raises(Unknown):
        doors.end_session(number, ROOT)
    with pytest.raises(Unknown):
        doors.revoke_key(ROOT, number)
    doors.log_out(number, HERE)
    found = doors.audit(since=number, until=number, before=number)
    assert found == []
    assert len(doors.audit(since=-(10**30), until=10**30, before=10**30)) == 1


def test_a_deadlock_is_tried_again(doors: Doors, engine: Engine) -> None:
    """On MySQL one of two that wait for each other is undone; on SQLite there is one writer at a time."""
    for name in ("anna", "bert"):
        add_user(doors, name)
    together = threading.Barrier(2)
    failures: list[BaseException] = []
    rounds: list[str] = []

    def change(first: str, second: str) -> None:
        def both(connection: Connection) -> None:
            rounds.append(first)
            connection.execute(text("UPDATE users SET must_change = must_change + 1 WHERE name = :n"), {"n": first})
            if engine.dialect.name != "sqlite":
                with contextlib.suppress(threading.BrokenBarrierError):
                    together.wait(5)  # the second time nobody else comes
            connection.execute(text("UPDATE users SET must_change = must_change + 1 WHERE name = :n"), {"n": second})

        try:
            doors._write(both)
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            failures.append(error)
        finally:
            together.abort()

    threads = [threading.Thread(target=change, args=names) for names in (("anna", "bert"), ("bert", "anna"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert len(rounds) == (2 if engine.dialect.name == "sqlite" else 3)
    with engine.connect() as connection:
        assert set(connection.scalars(text("SELECT must_change FROM users"))) == {2}


def test_keys_for_different_ends_tell_nothing_of_each_other(doors: Doors, engine: Engine) -> None:
    keys = {doors.key(purpose) for purpose in ("jwt", "audit", "tickets", "")}
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
    assert SECRET not in keys
    assert make_doors(engine).key("jwt") == doors.key("jwt")
    assert make_doors(engine, secret=b"another secret, 32 bytes and more").key("jwt") != doors.key("jwt")
    with engine.connect() as connection:
        assert audit.is_key(connection, doors.key("audit"))
