"""Tokens: drawn, shown once, and kept as their digest alone. They are random, so that no slow hash is needed."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

SESSION: Final = "sm_s_"
API_KEY: Final = "sm_k_"
DEVICE: Final = "sm_d_"

_RANDOM_BYTES: Final = 32
_LONGEST: Final = 64
_HINT: Final = 9


def draw(prefix: str) -> str:
    """A new token."""
    return prefix + secrets.token_urlsafe(_RANDOM_BYTES)


def digest(token: str | None, prefix: str) -> str | None:
    """What is stored of a token, None for what can't be one of this kind."""
    if token is None or not token.startswith(prefix) or len(token) > _LONGEST or not token.isascii():
        return None
    return hashlib.sha256(token.encode()).hexdigest()


def hint(token: str) -> str:
    """Its first characters, by which a person tells it from others."""
    return token[:_HINT]
