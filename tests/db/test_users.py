from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from db import audit
from db.doors import Actor, BadField, Conflict, Doors, HashCost, NotAllowed, Role, Unknown, WrongLogin
from db.engine import DatabaseAway, Engine, RefusedRows
from tests.parts.doors import HERE, PASSWORD, ROOT, SECRET, THERE, actor, add_user, make_doors

NEW = "eleven blue kettles"


@pytest.fixture
def doors(engine: Engine) -> Doors:
    return make_doors(engine)


def actions(doors: Doors) -> list[tuple[str, str, str]]:
    """(action, subject, result) of the audit log, oldest first."""
    return [(one.entry.action, one.entry.subject, one.entry.result) for one in reversed(doors.audit())]


def test_names_are_compared_in_lower_case(doors: Doors) -> None:
    add_user(doors, "Anna")
    assert doors.check_password("aNNA", PASSWORD, HERE).name == "Anna"
    assert doors.user("ANNA") == doors.user("anna")
    with pytest.raises(Conflict, match="There is a user anna already"):
        add_user(doors, "anna")
    assert [user.name for user in doors.users()] == ["Anna"]


@pytest.mark.parametrize("name", ["", "a b", "-a", "a" * 65, "änna", "a\n", "a/b", "<b>", "=1+1", "a'; --"])
def test_a_name_that_can_not_be_one(doors: Doors, name: str) -> None:
    with pytest.raises(BadField) as refused:
        doors.create_user(ROOT, name, "viewer")
    assert refused.value.field == "name"
    assert doors.user(name) is None


def test_a_role_and_a_password_that_can_not_be(doors: Doors) -> None:
    with pytest.raises(BadField, match="one of viewer, operator, admin") as role:
        doors.create_user(ROOT, "anna", "owner")  # type: ignore[arg-type]  # as a request may say
    with pytest.raises(BadField, match="at least 10") as password:
        doors.create_user(ROOT, "anna", "viewer", "short")
    with pytest.raises(BadField, match="at least 10"):
        doors.create_user(ROOT, "anna", "viewer", "")
    assert (role.value.field, password.value.field) == ("role", "password")
    assert doors.users() == []


def test_a_generated_password_is_to_be_changed(doors: Doors) -> None:
    made, generated = doors.create_user(ROOT, "anna", "operator")
    assert generated is not None
    assert made.must_change
    user = doors.check_password("anna", generated, HERE)
    doors.change_password(actor(user), generated, NEW)
    found = doors.check_password("anna", NEW, HERE)
    assert not found.must_change
    with pytest.raises(WrongLogin):
        doors.check_password("anna", generated, HERE)


def test_only_an_admin_changes_users(doors: Doors) -> None:
    add_user(doors)
    tries: list[Callable[[Actor], object]] = [
        lambda who: doors.create_user(who, "bert", "viewer"),
        lambda who: doors.set_role(who, "anna", "admin"),
        lambda who: doors.set_disabled(who, "anna", True),
        lambda who: doors.reset_password(who, "anna"),
        lambda who: doors.create_device_token(who, "kitchen"),
        lambda who: doors.revoke_device_token(who, "kitchen"),
        lambda who: doors.sessions(who, "root"),
        lambda who: doors.keys(who, "root"),
        doors.begin_audit_anew,
    ]
    before = doors.users()
    roles: tuple[Role, ...] = ("viewer", "operator")
    for role in roles:
        for attempt in tries:
            with pytest.raises(NotAllowed, match="This needs an admin"):
                attempt(Actor("anna", role, HERE))
    assert doors.users() == before
    assert ("user.role", "anna", "refused") in actions(doors), "who tries is seen"


def test_the_last_admin_stays(doors: Doors) -> None:
    add_user(doors, "anna", "admin")
    with pytest.raises(NotAllowed, match="anna is the last admin"):
        doors.set_role(ROOT, "anna", "viewer")
    with pytest.raises(NotAllowed, match="anna is the last admin"):
        doors.set_disabled(ROOT, "Anna", True)
    add_user(doors, "bert", "admin")
    doors.set_disabled(ROOT, "bert", True)
    with pytest.raises(NotAllowed):
        doors.set_role(ROOT, "anna", "operator")
    doors.set_disabled(ROOT, "bert", False)
    assert doors.set_role(ROOT, "anna", "operator").role == "operator"
    assert doors.set_role(ROOT, "bert", "admin").role == "admin"
    assert ("user.disable", "Anna", "refused") in actions(doors)


def test_of_two_admins_who_leave_at_once_one_stays(doors: Doors) -> None:
    for _ in range(3):
        for name in ("anna", "bert"):
            if doors.user(name) is None:
                add_user(doors, name, "admin")
            doors.set_role(ROOT, name, "admin")
        together = threading.Barrier(2)
        refused: list[str] = []

        def leave(name: str, together: threading.Barrier, refused: list[str]) -> None:
            together.wait(10)
            try:
                doors.set_role(ROOT, name, "viewer")
            except NotAllowed:
                refused.append(name)

        threads = [threading.Thread(target=leave, args=(name, together, refused)) for name in ("anna", "bert")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [user.name for user in doors.users() if user.role == "admin"] == refused
        assert len(refused) == 1


def test_of_several_who_make_one_user_one_does(doors: Doors) -> None:
    together = threading.Barrier(4)
    outcomes: list[str] = []

    def make() -> None:
        together.wait(10)
        try:
            add_user(doors)
        except Conflict:
            outcomes.append("taken")
        else:
            outcomes.append("made")

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["made", "taken", "taken", "taken"]


def test_a_disabled_user_is_out_everywhere_and_back_with_nothing_open(doors: Doors) -> None:
    user = add_user(doors)
    token, session = doors.open_session(user, HERE)
    family, jti = doors.open_family(user, HERE)
    _, key = doors.create_key(actor(user), "script")
    assert doors.set_disabled(ROOT, "anna", True).disabled
    assert doors.session(token) is None
    assert doors.session_by_id(session.id) is None
    assert doors.user_of_family(family) is None
    assert doors.rotate(family, jti, HERE) is None
    assert doors.api_key(key) is None
    for opening in (doors.open_session, doors.open_family):
        with pytest.raises(WrongLogin):
            opening(user, HERE)
    doors.set_disabled(ROOT, "anna", False)
    assert doors.session(token) is None
    assert doors.user_of_family(family) is None
    assert doors.api_key(key) is not None, "a key is the user's own to revoke"


def test_a_reset_ends_all_and_gives_a_new_password(doors: Doors) -> None:
    user = add_user(doors)
    token, _ = doors.open_session(user, HERE)
    family, jti = doors.open_family(user, HERE)
    generated = doors.reset_password(ROOT, "anna")
    assert doors.session(token) is None
    assert doors.rotate(family, jti, HERE) is None
    with pytest.raises(WrongLogin):
        doors.check_password("anna", PASSWORD, HERE)
    assert doors.check_password("anna", generated, HERE).must_change
    with pytest.raises(Unknown, match="There is no user bert"):
        doors.reset_password(ROOT, "bert")


def test_a_login_that_was_begun_with_the_old_password_ends_at_the_new_one(doors: Doors) -> None:
    add_user(doors)
    begun = doors.check_password("anna", PASSWORD, THERE)
    doors.reset_password(ROOT, "anna")
    for opening in (doors.open_session, doors.open_family):
        with pytest.raises(WrongLogin):
            opening(begun, THERE)


def test_changing_ones_password_keeps_this_login_alone(doors: Doors) -> None:
    user = add_user(doors)
    here, this = doors.open_session(user, HERE)
    there, _ = doors.open_session(user, THERE)
    family, _ = doors.open_family(user, THERE)
    doors.change_password(actor(user), PASSWORD, NEW, keep_session=this.id)
    assert doors.session(here) is not None
    assert doors.session(there) is None
    assert doors.user_of_family(family) is None
    assert doors.check_password("anna", NEW, HERE).password_at > user.password_at


def test_changing_ones_password_needs_the_old_one_and_a_good_one(doors: Doors) -> None:
    user = add_user(doors)
    for old, new, field in [("wrong", NEW, "old"), (PASSWORD, "short", "new"), (PASSWORD, PASSWORD, "new")]:
        with pytest.raises(BadField) as refused:
            doors.change_password(actor(user), old, new)
        assert refused.value.field == field
    assert doors.check_password("anna", PASSWORD, HERE) is not None
    with pytest.raises(Unknown):
        doors.change_password(ROOT, PASSWORD, NEW)
    doors.set_disabled(ROOT, "anna", True)
    with pytest.raises(Unknown):
        doors.change_password(actor(user), PASSWORD, NEW)


def test_a_dearer_hash_comes_with_the_next_login(engine: Engine) -> None:
    doors = make_doors(engine)
    add_user(doors)
    dearer = Doors(engine, SECRET, cost=HashCost(2, 128, 1), fresh_s=0.0)
    user = dearer.check_password("anna", PASSWORD, HERE)
    with engine.connect() as connection:
        stored = connection.exec_driver_sql("SELECT password FROM users").scalar_one()
    assert stored.startswith("$argon2id$v=19$m=128,t=2,p=1$")
    assert dearer.check_password("anna", PASSWORD, HERE).password_at == user.password_at
    dearer.close()


def test_the_first_admin_is_made_where_there_is_nobody(doors: Doors) -> None:
    password = doors.first_admin(None)
    assert password is not None
    user = doors.check_password("admin", password, HERE)
    assert (user.role, user.must_change) == ("admin", True)
    assert doors.first_admin(None) is None
    assert actions(doors)[0] == ("user.create", "admin", "ok")


def test_the_first_admin_has_the_password_that_was_given(doors: Doors) -> None:
    with pytest.raises(BadField):
        doors.first_admin("admin-admin-1")
    assert doors.first_admin(PASSWORD) == PASSWORD
    assert not doors.check_password("admin", PASSWORD, HERE).must_change


def test_no_first_admin_beside_others(doors: Doors) -> None:
    add_user(doors)
    assert doors.first_admin(None) is None
    assert [user.name for user in doors.users()] == ["anna"]


def test_a_first_admin_that_is_refused_where_nobody_else_made_one_is_to_be_tried_again(
    doors: Doors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a row of the audit log's head that a migration was just making."""

    def refuse(*_: object) -> None:
        raise RefusedRows("Duplicate entry '1' for key 'PRIMARY'")

    with monkeypatch.context() as patched:
        patched.setattr(audit, "record", refuse)
        with pytest.raises(DatabaseAway, match="tried again"):
            doors.first_admin(PASSWORD)
    assert doors.first_admin(PASSWORD) == PASSWORD


def test_of_several_servers_that_start_at_once_one_makes_the_first_admin(engine: Engine) -> None:
    together = threading.Barrier(4)
    made: list[str] = []

    def start() -> None:
        doors = make_doors(engine)
        together.wait(10)
        password = doors.first_admin(None)
        if password is not None:
            made.append(password)
        doors.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(made) == 1
    assert make_doors(engine).check_password("admin", made[0], HERE).role == "admin"
    assert [action for action, *_ in actions(make_doors(engine))] == ["user.create", "login"]


def test_every_change_is_in_the_audit_log_and_no_secret(doors: Doors, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    user = add_user(doors)
    generated = doors.reset_password(ROOT, "anna")
    doors.change_password(actor(user), generated, NEW)
    doors.set_role(ROOT, "anna", "operator")
    doors.set_disabled(ROOT, "anna", True)
    doors.set_disabled(ROOT, "anna", False)
    key, token = doors.create_key(actor(user), "script")
    doors.revoke_key(ROOT, key.id)
    assert actions(doors) == [
        ("user.create", "anna", "ok"),
        ("user.password", "anna", "ok"),
        ("user.password", "anna", "ok"),
        ("user.role", "anna", "ok"),
        ("user.disable", "anna", "ok"),
        ("user.enable", "anna", "ok"),
        ("key.create", "script", "ok"),
        ("key.revoke", "script", "ok"),
    ]
    kept = f"{doors.audit()} {caplog.text} {doors!r} {doors.users()} {key!r}"
    for secret in (PASSWORD, generated, NEW, token, SECRET.decode()):
        assert secret not in kept
