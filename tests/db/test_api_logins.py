"""Logins at the API: families of refresh tokens. API keys and device tokens: whose they are."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from db.doors import FAMILY_MS, BadField, Conflict, Doors, Unknown
from db.engine import Engine
from tests.parts.doors import HERE, PASSWORD, ROOT, THERE, Clock, actor, add_user, make_doors

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def doors(engine: Engine, clock: Clock) -> Doors:
    return make_doors(engine, clock=clock)


def test_each_refresh_makes_the_next(doors: Doors) -> None:
    user = add_user(doors)
    family, jti = doors.open_family(user, HERE)
    seen = {jti}
    for _ in range(5):
        rotated = doors.rotate(family, jti, HERE)
        assert rotated is not None
        jti = rotated[1]
        assert jti not in seen
        seen.add(jti)
    assert doors.audit(action="token.reuse") == []


def test_one_that_is_unknown_or_ended_is_dead(doors: Doors) -> None:
    user = add_user(doors)
    family, jti = doors.open_family(user, HERE)
    for wrong in ("", "other", family[:-1], family.swapcase(), "x" * 500, "\ud800"[:0] + "ü"):
        assert doors.rotate(wrong, jti, HERE) is None
        assert doors.user_of_family(wrong) is None
    assert doors.rotate(family, jti, HERE) is not None
    doors.end_family(family, HERE)
    assert doors.rotate(family, jti, HERE) is None


def test_one_that_lies_a_week_is_dead_and_one_that_is_used_lives(doors: Doors, clock: Clock) -> None:
    user = add_user(doors)
    family, jti = doors.open_family(user, HERE)
    unused, its_jti = doors.open_family(user, HERE)
    clock.pass_s(FAMILY_MS / 1000 - 1)
    rotated = doors.rotate(family, jti, HERE)
    assert rotated is not None
    clock.pass_s(1)
    assert doors.user_of_family(unused) is None
    assert doors.rotate(unused, its_jti, HERE) is None
    assert doors.user_of_family(family) is not None


def test_reuse_ends_this_login_alone_and_is_recorded(doors: Doors) -> None:
    user = add_user(doors)
    family, jti = doors.open_family(user, HERE)
    other, other_jti = doors.open_family(user, HERE)
    rotated = doors.rotate(family, jti, HERE)
    assert rotated is not None
    assert doors.rotate(family, jti, THERE) is None
    assert doors.user_of_family(family) is None
    assert doors.rotate(family, rotated[1], HERE) is None, "whoever of the two had it"
    assert doors.rotate(other, other_jti, HERE) is not None
    (reuse,) = doors.audit(action="token.reuse")
    assert (reuse.entry.actor, reuse.entry.address, reuse.entry.result) == ("anna", THERE.address, "refused")
    assert jti not in f"{doors.audit()}"


def test_of_two_threads_with_one_token_at_most_one_goes_on(doors: Doors) -> None:
    user = add_user(doors)
    for _ in range(5):
        family, jti = doors.open_family(user, HERE)
        together = threading.Barrier(4)
        won: list[str] = []

        def refresh(family: str, jti: str, together: threading.Barrier, won: list[str]) -> None:
            together.wait(10)
            rotated = doors.rotate(family, jti, HERE)
            if rotated is not None:
                won.append(rotated[1])

        threads = [threading.Thread(target=refresh, args=(family, jti, together, won)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(won) == 1
        assert doors.rotate(family, won[0], HERE) is None, "the others' reuse ended it"
    assert len(doors.audit(action="token.reuse")) == 5


_REFRESHES = """
import sys
from db.doors import Doors, Origin
from db.engine import create
doors = Doors(create(sys.argv[1]), b"a secret for tests, 32 bytes and more")
print("ready", flush=True)
sys.stdin.readline()
print(doors.rotate(sys.argv[2], sys.argv[3], Origin("192.0.2.9")) is not None, flush=True)
"""


def test_of_two_processes_with_one_token_one_goes_on(doors: Doors, database_url: str) -> None:
    family, jti = doors.open_family(add_user(doors), HERE)
    command = [sys.executable, "-c", _REFRESHES, database_url, family, jti]
    processes = [
        subprocess.Popen(command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outs = [process.communicate(timeout=30)[0] for process in processes]
    assert sorted(outs) == ["False\n", "True\n"]
    assert doors.user_of_family(family) is None


def test_a_key_has_the_role_its_maker_has_now(doors: Doors) -> None:
    user = add_user(doors, role="operator")
    add_user(doors, "root", "admin")
    _, token = doors.create_key(actor(user), "script")
    doors.set_role(ROOT, "anna", "viewer")
    found = doors.api_key(token)
    assert found is not None
    assert found.user.role == "viewer"


def test_one_revokes_ones_own_keys_and_nobody_elses(doors: Doors) -> None:
    anna, bert = add_user(doors), add_user(doors, "bert", "operator")
    key, token = doors.create_key(actor(anna), "script")
    for key_id in (key.id, key.id + 1, -1):
        with pytest.raises(Unknown) as refused:
            doors.revoke_key(actor(bert), key_id)
        assert str(refused.value) == "There is no such key; it may have been revoked already."
    assert doors.api_key(token) is not None
    assert [one.id for one in doors.keys(ROOT, "anna")] == [key.id]
    doors.revoke_key(ROOT, key.id)
    assert doors.api_key(token) is None


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65, "\x1b[31mred"])
def test_a_keys_name_can_be_seen(doors: Doors, name: str) -> None:
    with pytest.raises(BadField):
        doors.create_key(actor(add_user(doors)), name)


def test_a_user_has_a_hundred_keys_at_most(doors: Doors) -> None:
    user = add_user(doors)
    for number in range(100):
        doors.create_key(actor(user), f"key {number}")
    with pytest.raises(Conflict, match="Revoke one first"):
        doors.create_key(actor(user), "one more")


def test_a_password_that_changes_leaves_keys(doors: Doors) -> None:
    user = add_user(doors)
    _, token = doors.create_key(actor(user), "script")
    doors.change_password(actor(user), PASSWORD, "eleven blue kettles")
    doors.reset_password(ROOT, "anna")
    assert doors.api_key(token) is not None


@pytest.mark.parametrize("device", ["", "/kitchen", "a/b/c", "kitchen/", "kü", "-x", "x" * 65, "a b", "a\n", "#", "+"])
def test_a_device_that_can_not_be_one(doors: Doors, device: str) -> None:
    with pytest.raises(BadField) as refused:
        doors.create_device_token(ROOT, device)
    assert refused.value.field == "device"


def test_a_token_for_a_device_that_is_there(doors: Doors, kitchen: int) -> None:
    assert kitchen
    _, token = doors.create_device_token(ROOT, "kitchen")
    found = doors.device_token(token)
    assert found is not None
    assert found.device == "kitchen"
    doors.revoke_device_token(ROOT, "kitchen")
    for device in ("kitchen", "attic"):
        with pytest.raises(Unknown, match="has no token"):
            doors.revoke_device_token(ROOT, device)


def test_last_use_of_keys_and_device_tokens_is_noted_once_a_minute(doors: Doors, clock: Clock) -> None:
    user = add_user(doors)
    _, key = doors.create_key(actor(user), "script")
    _, device = doors.create_device_token(ROOT, "kitchen")
    noted = []
    for _ in range(3):
        doors.api_key(key)
        doors.device_token(device)
        noted.append((doors.keys(actor(user))[0].used_at, doors.device_tokens()[0].used_at))
        clock.pass_s(30)
    start = clock.now - 90_000
    assert noted == [(start, start), (start, start), (start + 60_000, start + 60_000)]
