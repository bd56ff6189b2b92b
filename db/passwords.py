"""Passwords: argon2id by argon2-cffi, what can be used as one, and new ones."""

from __future__ import annotations

import base64
import re
import secrets
import threading
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

SHORTEST: Final = 10
LONGEST_BYTES: Final = 1_000
_DIFFERENT: Final = 5
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
#: A common word with no more than this around it is as common as the word.
_AROUND_A_WORD: Final = 6
#: Names shorter than this may stand in a password by chance.
_TELLING_NAME: Final = 4
#: Letters and digits that nobody mistakes for another when typing them off.
_CLEAR: Final = "23456789abcdefghjkmnpqrstuvwxyz"
_LIST: Final = Path(__file__).with_name("common_passwords.txt")
#: Each takes its memory for as long as it takes.
_AT_ONCE: Final = threading.BoundedSemaphore(2)


@dataclass(frozen=True, slots=True)
class HashCost:
    """What a guess costs: passes over the memory, the memory in KiB, and lanes."""

    time: int = 3
    memory_kib: int = 65_536
    lanes: int = 1


class Passwords:
    """Hashes at one cost. Of all threads of a process two hash at once, the others wait."""

    def __init__(self, cost: HashCost) -> None:
        self._hasher = PasswordHasher(cost.time, cost.memory_kib, cost.lanes, _HASH_BYTES, _SALT_BYTES)
        # Nobody's, and no password's: it was drawn, not computed.
        salt, digest = (_unpadded(secrets.token_bytes(length)) for length in (_SALT_BYTES, _HASH_BYTES))
        parameters = f"m={cost.memory_kib},t={cost.time},p={cost.lanes}"
        self._nobodys = f"$argon2id$v={ARGON2_VERSION}${parameters}${salt}${digest}"

    def hash(self, password: str) -> str:
        """What to store of a password."""
        with _AT_ONCE:
            return self._hasher.hash(_normal(password))

    def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the password of which `stored` was kept.

        Without one (the name is unknown) it costs the same, and the answer is no.
        """
        if len(password.encode(errors="replace")) > LONGEST_BYTES:
            stored, password = None, ""
        try:
            with _AT_ONCE:
                self._hasher.verify(stored or self._nobodys, _normal(password))
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether it was hashed at another cost than is asked for now."""
        return self._hasher.check_needs_rehash(stored)


def problem(password: str, name: str) -> str | None:
    """A sentence that says why the user of this name can't have this password, None if they can."""
    plain = _normal(password).lower()
    if len(password) < SHORTEST:
        return f"A password has at least {SHORTEST} characters."
    if len(password.encode(errors="replace")) > LONGEST_BYTES:
        return f"A password has at most {LONGEST_BYTES:,} bytes."
    if len(set(plain)) < _DIFFERENT:
        return f"A password has at least {_DIFFERENT} different characters."
    if len(name) >= _TELLING_NAME and name.lower() in plain:
        return "The password holds the user's name, which is tried first. Choose another."
    if _is_common(plain):
        return "This is one of the commonest passwords, which are tried first. Choose another."
    return None


def generate() -> str:
    """A new password of 79 bits: `k7mp-x2vq-9hdt-4wjs`."""
    return "-".join("".join(secrets.choice(_CLEAR) for _ in range(4)) for _ in range(4))


def _is_common(plain: str) -> bool:
    word = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", plain)
    return plain in _common() or (word in _common() and len(plain) - len(word) <= _AROUND_A_WORD)


@cache
def _common() -> frozenset[str]:
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if not line.startswith("# "))


def _normal(password: str) -> str:
    """The same for every keyboard: an é is one character or two, by whose computer it was typed."""
    return unicodedata.normalize("NFKC", password).encode(errors="replace").decode()


def _unpadded(raw: bytes) -> str:
    return base64.b64encode(raw).rstrip(b"=").decode()
