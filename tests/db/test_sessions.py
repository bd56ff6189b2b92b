from __future__ import annotations

import inspect
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import event, select

from db import schema
from db.doors import Doors, Unknown
from db.engine import DatabaseAway, Engine, create, reading
from db.tickets import Tickets
from tests.parts.doors import HERE, PASSWORD, ROOT, SECRET, THERE, Clock, actor, add_user, make_doors
from tests.parts.mariadb import MariaDB

_ROOT = Path(__file__).parents[2]
DAY_S = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doors(engine: Engine, clock: Clock) -> Doors:
    return make_doors(engine, clock=clock)


@pytest.mark.parametrize(
    "token", [None, "", "sm_s_", "sm_k_x", "x" * 48, "sm_s_" + "x" * 5000, "sm_s_ü", "sm_s_\ud800", "' OR 1=1 --"]
)
def test_what_is_no_token_is_nobody(doors: Doors, token: str | None) -> None:
    assert doors.session(token) is None
    assert doors.api_key(token) is None
    assert doors.device_token(token) is None


def test_a_token_of_one_kind_is_none_of_another(doors: Doors) -> None:
    user = add_user(doors)
    session, _ = doors.open_session(user, HERE)
    _, key = doors.create_key(actor(user), "script")
    _, device = doors.create_device_token(ROOT, "kitchen")
    found = [doors.session(key), doors.session(device), doors.api_key(session), doors.api_key(device)]
    assert [*found, doors.device_token(session), doors.device_token(key)] == [None] * 6


def test_no_token_is_kept(doors: Doors, engine: Engine) -> None:
    user = add_user(doors)
    token, session = doors.open_session(user, HERE)
    _, key = doors.create_key(actor(user), "script")
    _, device = doors.create_device_token(ROOT, "kitchen")
    with reading(engine) as connection:
        rows = [row for table in schema.metadata.sorted_tables for row in connection.execute(select(table))]
    kept = f"{rows} {session!r}"
    for secret in (token, key, device):
        assert secret[5:] not in kept


def test_a_login_expires(engine: Engine, clock: Clock) -> None:
    doors = Doors(engine, SECRET, session_days=2, clock=clock, fresh_s=1000.0)
    user = add_user(make_doors(engine))
    token, session = doors.open_session(user, HERE)
    assert session.expires_at - session.created_at == 2 * DAY_S * 1000
    clock.pass_s(2 * DAY_S - 1)
    assert doors.session(token) is not None
    clock.pass_s(1)
    assert doors.session(token) is None, "though the answer is fresh"
    assert doors.sessions(actor(user)) == []
    doors.open_session(user, HERE)
    with reading(engine) as connection:
        assert len(connection.execute(select(schema.sessions.c.id)).all()) == 1, "the expired one is deleted"


def test_last_use_is_noted_once_a_minute(doors: Doors, clock: Clock) -> None:
    user = add_user(doors)
    token, session = doors.open_session(user, HERE)
    clock.pass_s(59)
    doors.session(token)
    assert doors.sessions(actor(user))[0].seen_at == session.created_at
    clock.pass_s(1)
    doors.session(token)
    assert doors.sessions(actor(user))[0].seen_at == session.created_at + 60_000
    clock.pass_s(59)
    doors.session(token)
    assert doors.sessions(actor(user))[0].seen_at == session.created_at + 60_000


def test_one_ends_ones_own_logins_and_nobody_elses(doors: Doors) -> None:
    anna, bert = add_user(doors), add_user(doors, "bert", "operator")
    token, session = doors.open_session(anna, HERE)
    for session_id in (session.id, session.id + 1, 0, -1):
        with pytest.raises(Unknown, match=r"^There is no such login; it may have ended already\.$"):
            doors.end_session(session_id, actor(bert))
    assert doors.session(token) is not None
    doors.end_session(session.id, ROOT)
    assert doors.session(token) is None
    recorded = doors.audit(action="session.end")
    assert [(one.entry.actor, one.entry.subject) for one in recorded] == [("root", "anna")]


def test_an_admin_sees_anybodys_logins(doors: Doors) -> None:
    anna = add_user(doors)
    _, first = doors.open_session(anna, HERE)
    _, second = doors.open_session(anna, THERE)
    assert {one.id for one in doors.sessions(ROOT, "Anna")} == {first.id, second.id}
    with pytest.raises(Unknown):
        doors.sessions(ROOT, "bert")


def test_logging_out_is_said_as_such(doors: Doors) -> None:
    user = add_user(doors)
    token, session = doors.open_session(user, HERE)
    doors.log_out(session.id, HERE)
    doors.log_out(session.id, HERE)
    assert doors.session(token) is None
    assert doors.audit()[0].entry.action == "logout"


def test_an_id_is_never_given_twice(doors: Doors) -> None:
    user = add_user(doors)
    _, first = doors.open_session(user, HERE)
    doors.end_session(first.id, ROOT)
    _, second = doors.open_session(user, HERE)
    assert second.id > first.id


def test_an_odd_browser_is_stored_all_the_same(doors: Doors) -> None:
    user = add_user(doors)
    odd = type(HERE)("2001:db8::1" + "x" * 100, "\ud800\0<b>😀" * 100)
    token, _ = doors.open_session(user, odd)
    found = doors.session(token)
    assert found is not None
    assert len(found.agent) == 255
    assert len(found.address) == 64


def test_a_check_is_one_statement(engine: Engine) -> None:
    doors = make_doors(engine)
    user = add_user(doors)
    token, session = doors.open_session(user, HERE)
    family, _ = doors.open_family(user, HERE)
    _, key = doors.create_key(actor(user), "script")
    _, device = doors.create_device_token(ROOT, "kitchen")
    doors.api_key(key), doors.device_token(device)  # notes the first use
    statements: list[str] = []
    for watched in {doors._engine, doors._lookups}:
        event.listen(watched, "before_cursor_execute", lambda *given: statements.append(given[2]))
    for check in (
        lambda: doors.session(token),
        lambda: doors.session_by_id(session.id),
        lambda: doors.api_key(key),
        lambda: doors.device_token(device),
        lambda: doors.user_of_family(family),
        lambda: doors.user("anna"),
    ):
        statements.clear()
        assert check() is not None
        assert len([statement for statement in statements if not statement.startswith("BEGIN")]) == 1


def test_a_check_is_one_round_trip(mariadb: MariaDB, mariadb_url: str) -> None:
    from db import migrations  # noqa: PLC0415

    engine = create(mariadb_url)
    migrations.apply(engine)
    doors = make_doors(engine)
    token, _ = doors.open_session(add_user(doors), HERE)
    assert doors.session(token) is not None

    def questions() -> int:
        return int(mariadb.run("SHOW GLOBAL STATUS LIKE 'Questions'")[0][1])

    before = questions()
    looking_costs = questions() - before
    before = questions()
    for _ in range(100):
        doors.session(token)
    assert questions() - before - looking_costs == 100
    doors.close()
    engine.dispose()


def test_a_fresh_answer_asks_nobody(engine: Engine) -> None:
    doors = make_doors(engine, fresh_s=1000.0)
    user = add_user(doors)
    token, session = doors.open_session(user, HERE)
    assert doors.session(token) is not None
    other = make_doors(engine)
    other.end_session(session.id, ROOT)
    assert doors.session(token) is not None, "another process ended it a moment ago"
    token, session = doors.open_session(user, HERE)
    assert doors.session(token) is not None
    doors.end_session(session.id, ROOT)
    assert doors.session(token) is None, "this one did, and knows at once"


def test_a_role_that_changes_is_seen_at_once_here(engine: Engine) -> None:
    doors = make_doors(engine, fresh_s=1000.0)
    token, _ = doors.open_session(add_user(doors), HERE)
    for role in ("operator", "admin"):
        before = doors.session(token)
        assert before is not None
        doors.set_role(ROOT, "anna", role)
        after = doors.session(token)
        assert after is not None
        assert (before.user.role, after.user.role) != (role, before.user.role)
        assert after.user.role == role
        add_user(doors, f"spare-{role}", "admin")


_OTHER_PROCESS = """
import sys, time
from db.doors import Doors
from db.engine import create
doors = Doors(create(sys.argv[1]), b"another secret: it does not matter here")
print("in" if doors.session(sys.argv[2]) else "out", flush=True)
sys.stdin.readline()
end = time.monotonic() + 20
while doors.session(sys.argv[2]) and time.monotonic() < end:
    time.sleep(0.05)
print("out" if doors.session(sys.argv[2]) is None else "in", flush=True)
"""


@pytest.mark.parametrize("how", ["ended", "disabled", "reset"])
def test_another_process_follows(engine: Engine, database_url: str, how: str) -> None:
    """By default an answer is at most one second old, so what happens there holds within two."""
    assert inspect.signature(Doors).parameters["fresh_s"].default == 1.0
    doors = make_doors(engine)
    token, session = doors.open_session(add_user(doors), HERE)
    with subprocess.Popen(
        [sys.executable, "-c", _OTHER_PROCESS, database_url, token],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "in\n"
        if how == "ended":
            doors.end_session(session.id, ROOT)
        elif how == "disabled":
            doors.set_disabled(ROOT, "anna", True)
        else:
            doors.reset_password(ROOT, "anna")
        other.stdin.write("\n")
        other.stdin.flush()
        assert other.stdout.readline() == "out\n"


def test_a_server_that_restarts_is_met_with_a_new_connection(own_mariadb: MariaDB) -> None:
    from db import migrations  # noqa: PLC0415

    engine = create(own_mariadb.fresh_database())
    migrations.apply(engine)
    doors = make_doors(engine)
    token, _ = doors.open_session(add_user(doors), HERE)
    assert doors.session(token) is not None
    own_mariadb.restart()
    assert doors.session(token) is not None
    own_mariadb.stop()
    with pytest.raises(DatabaseAway):
        doors.session(token)
    with pytest.raises(DatabaseAway):
        doors.check_password("anna", PASSWORD, HERE)
    doors.close()
    engine.dispose()


def test_a_ticket_is_good_once_and_for_a_minute() -> None:
    now = [0.0]
    tickets = Tickets(lambda: now[0])
    ticket = tickets.issue("sm_s_x")
    assert tickets.redeem("other") is None
    assert tickets.redeem(ticket) == "sm_s_x"
    assert tickets.redeem(ticket) is None
    ticket = tickets.issue("sm_s_y")
    now[0] += 59.9
    assert tickets.redeem(ticket) == "sm_s_y"
    ticket = tickets.issue("sm_s_z")
    now[0] += 60.0
    assert tickets.redeem(ticket) is None


def test_tickets_do_not_grow_without_end() -> None:
    tickets = Tickets(lambda: 0.0)
    issued = [tickets.issue(str(number)) for number in range(1_500)]
    redeemed = [ticket for ticket in issued if tickets.redeem(ticket) is not None]
    assert redeemed == issued[-1_000:]


def test_of_many_who_redeem_a_ticket_one_does(doors: Doors) -> None:
    ticket = doors.issue_ticket("sm_s_x")
    got: list[str | None] = []
    together = threading.Barrier(8)

    def redeem() -> None:
        together.wait(10)
        got.append(doors.redeem_ticket(ticket))

    threads = [threading.Thread(target=redeem) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(map(str, got)) == ["None"] * 7 + ["sm_s_x"]
