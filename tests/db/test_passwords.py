from __future__ import annotations

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from db import passwords
from db.passwords import HashCost, Passwords, problem
from tests.parts.doors import CHEAP

WORD = "seven green bottles"


def test_the_default_is_argon2id_at_64_mib() -> None:
    stored = Passwords(HashCost()).hash(WORD)
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert len(stored) <= 255


def test_a_password_matches_its_own_hash_alone() -> None:
    hasher = Passwords(CHEAP)
    stored = hasher.hash(WORD)
    assert WORD not in stored
    assert stored != hasher.hash(WORD), "each has its own salt"
    assert hasher.matches(stored, WORD)
    assert not hasher.matches(stored, WORD + " ")
    assert not hasher.matches(stored, "")
    assert not hasher.matches("", WORD)
    assert not hasher.matches("$argon2id$spoilt", WORD)
    assert not hasher.matches(None, WORD)


def test_an_accent_is_the_same_from_every_keyboard() -> None:
    hasher = Passwords(CHEAP)
    assert hasher.matches(hasher.hash("caf\u00e9 au lait"), "cafe\u0301 au lait")


@given(st.text())
def test_any_text_is_taken_or_refused_and_never_fails(text: str) -> None:
    hasher = Passwords(CHEAP)
    assert not hasher.matches(None, text)
    if problem(text, "anna") is None:
        assert hasher.matches(hasher.hash(text), text)


def test_half_a_character_is_no_error() -> None:
    hasher = Passwords(CHEAP)
    assert not hasher.matches(hasher.hash(WORD), "\ud800 is half of one")
    assert problem("\ud800 is half of one", "anna") is None


def test_without_a_hash_it_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    verify, costs = PasswordHasher.verify, []

    def counted(self: PasswordHasher, stored: str, password: str) -> Any:
        costs.append(extract_parameters(stored))
        return verify(self, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    hasher = Passwords(CHEAP)
    stored = hasher.hash(WORD)
    for given_hash, password in [(stored, WORD), (stored, "wrong"), (None, WORD), (stored, "x" * 5000), (None, "")]:
        hasher.matches(given_hash, password)
    assert len(costs) == 5
    assert all(cost == extract_parameters(stored) for cost in costs)


def test_a_hash_of_another_cost_is_outdated() -> None:
    stored = Passwords(CHEAP).hash(WORD)
    assert not Passwords(CHEAP).outdated(stored)
    dearer = Passwords(HashCost(2, 128, 1))
    assert dearer.outdated(stored)
    assert dearer.matches(stored, WORD)


def test_two_hash_at_once_and_no_third(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, most, lock, both = 0, 0, threading.Lock(), threading.Event()

    def slow(_self: PasswordHasher, _password: str) -> str:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside >= 2:
                both.set()
        both.wait(10)
        with lock:
            inside -= 1
        return "hash"

    monkeypatch.setattr(PasswordHasher, "hash", slow)
    hasher = Passwords(CHEAP)
    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(hasher.hash, ["x"] * 6)) == ["hash"] * 6
    assert most == 2


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "at least 10 characters"),
        ("123456789", "at least 10 characters"),
        ("ä" * 501, "at most 1,000 bytes"),
        ("aaaaaaaaaaaa", "5 different"),
        ("1212121212121", "5 different"),
        ("1234567890", "commonest"),
        ("QwertyUiop", "commonest"),
        ("1q2w3e4r5t", "commonest"),
        ("password12", "commonest"),
        ("Password123!", "commonest"),
        ("!!dragon2025", "commonest"),
        ("my name is Anna-Maria!", "the user's name"),
    ],
)
def test_what_can_not_be_a_password(password: str, why: str) -> None:
    assert why in (problem(password, "anna-maria") or "")


@pytest.mark.parametrize(
    "password", [WORD, "correct horse battery", "ε" * 5 + "αβγδζ", "dragon-8472-0911", "x9#Lq_72mZ", "ab flat minor"]
)
def test_what_can_be_one(password: str) -> None:
    assert problem(password, "ab") is None


def test_a_generated_one_can_be_used_and_typed() -> None:
    drawn = {passwords.generate() for _ in range(200)}
    assert len(drawn) == 200
    for password in drawn:
        assert problem(password, "admin") is None
        assert not set(password) & set("01ilo")


def test_no_failure_shows_a_password() -> None:
    hasher = Passwords(CHEAP)
    try:
        hasher.hash(None)  # type: ignore[arg-type]  # a caller's mistake, to see what it shows
    except TypeError:
        assert WORD not in traceback.format_exc()
    assert WORD not in repr(hasher)
