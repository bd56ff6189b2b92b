"""Access and refresh tokens: JSON Web Tokens of one algorithm, one issuer, one audience, each for one purpose."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Final, Literal

import jwt

Purpose = Literal["access", "refresh"]

#: Seconds that a token of each purpose is valid.
LIFE_S: Final[dict[Purpose, int]] = {"access": 5 * 60, "refresh": 7 * 24 * 3600}

_ALGORITHM: Final = "HS256"
_ISSUER: Final = "smart-monitor"
_AUDIENCE: Final = "smart-monitor-api"
#: Clocks of two servers on one database may differ by so many seconds.
_LEEWAY_S: Final = 5
_REQUIRED: Final = ["iss", "aud", "typ", "sub", "fam", "jti", "iat", "nbf", "exp"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a valid token says: the user's name, the family (one login) it belongs to, and its own id."""

    name: str
    family: str
    jti: str


def sign(key: bytes, purpose: Purpose, name: str, family: str, jti: str | None = None) -> str:
    """A token that is valid from now on. An access token gets an id of its own unless one is given."""
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "aud": _AUDIENCE,
        "typ": purpose,
        "sub": name,
        "fam": family,
        "jti": jti or secrets.token_urlsafe(12),
        "iat": now,
        "nbf": now,
        "exp": now + LIFE_S[purpose],
    }
    return jwt.encode(claims, key, _ALGORITHM)


def read(key: bytes, purpose: Purpose, token: str) -> Claims | None:
    """What a token says, None if it is not ours, not of this purpose, or not valid now."""
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            issuer=_ISSUER,
            audience=_AUDIENCE,
            leeway=_LEEWAY_S,
            options={"require": _REQUIRED},
        )
    except (jwt.InvalidTokenError, ValueError):
        return None
    told = (claims["sub"], claims["fam"], claims["jti"])
    if claims["typ"] != purpose or not all(isinstance(one, str) for one in told):
        return None
    return Claims(*told)
