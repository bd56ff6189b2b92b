"""The doors as pages and API use them, from the first admin to the last logout."""

from __future__ import annotations

import pytest

from db.doors import Doors, WrongLogin
from db.engine import Engine
from tests.parts.doors import HERE, PASSWORD, ROOT, actor, add_user, make_doors


@pytest.fixture
def doors(engine: Engine) -> Doors:
    return make_doors(engine)


def test_a_login_from_password_to_logout(doors: Doors) -> None:
    add_user(doors)
    user = doors.check_password("Anna", PASSWORD, HERE)
    assert (user.name, user.role, user.must_change) == ("anna", "viewer", False)
    token, session = doors.open_session(user, HERE)
    assert token.startswith("sm_s_")
    found = doors.session(token)
    assert found is not None
    assert (found.id, found.user.name, found.address, found.agent) == (session.id, "anna", HERE.address, HERE.agent)
    assert doors.session_by_id(session.id) == found
    assert [one.id for one in doors.sessions(actor(user))] == [session.id]
    doors.end_session(session.id, actor(user))
    assert doors.session(token) is None
    assert doors.session_by_id(session.id) is None
    assert doors.sessions(actor(user)) == []


def test_wrong_name_wrong_password_and_disabled_are_one(doors: Doors) -> None:
    add_user(doors)
    add_user(doors, "bert")
    doors.set_disabled(ROOT, "bert", True)
    said = set()
    for name, password in [("anna", "wrong"), ("nobody", PASSWORD), ("bert", PASSWORD), ("", ""), ("a\0'\"", "x")]:
        with pytest.raises(WrongLogin) as refused:
            doors.check_password(name, password, HERE)
        said.add(str(refused.value))
    assert said == {"Wrong name or password."}


def test_an_api_login_from_password_to_logout(doors: Doors) -> None:
    user = add_user(doors, role="operator")
    family, jti = doors.open_family(user, HERE)
    assert doors.user_of_family(family) == user
    rotated = doors.rotate(family, jti, HERE)
    assert rotated is not None
    assert rotated[0] == user
    assert doors.rotate(family, jti, HERE) is None, "the old one is dead, and its reuse kills the family"
    assert doors.rotate(family, rotated[1], HERE) is None
    assert doors.user_of_family(family) is None
    assert doors.audit(action="token.reuse")[0].entry.actor == "anna"
    family, _ = doors.open_family(user, HERE)
    doors.end_family(family, HERE)
    doors.end_family(family, HERE)
    assert doors.user_of_family(family) is None


def test_a_key_from_making_to_revoking(doors: Doors) -> None:
    user = add_user(doors, role="operator")
    key, token = doors.create_key(actor(user), "nightly export")
    assert token.startswith("sm_k_")
    assert token.startswith(key.hint)
    assert doors.keys(actor(user)) == [key]
    found = doors.api_key(token)
    assert found is not None
    assert (found.user.name, found.user.role, found.used_at) == ("anna", "operator", None)
    used = doors.keys(actor(user))[0].used_at
    assert used is not None
    doors.revoke_key(actor(user), key.id)
    assert doors.api_key(token) is None


def test_a_device_token_from_making_to_revoking(doors: Doors) -> None:
    first, old = doors.create_device_token(ROOT, "site1/kitchen")
    assert doors.device_token(old) is not None
    second, token = doors.create_device_token(ROOT, "site1/kitchen")
    assert first.hint != second.hint
    assert doors.device_token(old) is None
    found = doors.device_token(token)
    assert found is not None
    assert (found.device, found.created_by) == ("site1/kitchen", "root")
    assert [one.device for one in doors.device_tokens()] == ["site1/kitchen"]
    doors.revoke_device_token(ROOT, "site1/kitchen")
    assert doors.device_token(token) is None
