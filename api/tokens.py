"""`/token/`: a login for programs that act for a person, as a pair of short-lived and renewable tokens."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from api import signed
from api.auth import OPEN, origin_of, who
from api.current import TheRuntime
from api.problems import AWAY, CHALLENGE, ProblemError
from db.doors import Doors

router = APIRouter(tags=["login"])

_NOT_STORED: Final = {"Cache-Control": "no-store"}
_ANSWERS: Final = AWAY | {401: {"description": "Not valid, or not any more"}}


class Login(BaseModel):
    """A user's name and password."""

    username: Annotated[str, Field(max_length=200)]
    password: Annotated[str, Field(max_length=1000)]


class Refresh(BaseModel):
    """A refresh token."""

    refresh: Annotated[str, Field(max_length=4000)]


class Pair(BaseModel):
    """An access token for 5 minutes, and what gets the next pair within 7 days."""

    access: str
    refresh: str


@router.post(
    "/token/",
    summary="Log in",
    dependencies=[who(OPEN)],
    responses=_ANSWERS | {429: {"description": "Too many wrong passwords; Retry-After says how long to wait"}},
)
def log_in(runtime: TheRuntime, request: Request, response: Response, login: Login) -> Pair:
    """One answer for a wrong name and a wrong password."""
    origin = origin_of(request)
    user = runtime.doors.check_password(login.username, login.password, origin)
    family, jti = runtime.doors.open_family(user, origin)
    response.headers.update(_NOT_STORED)
    return _pair(runtime.doors, user.name, family, jti)


@router.post("/token/refresh/", summary="The next pair of tokens", dependencies=[who(OPEN)], responses=_ANSWERS)
def refresh(runtime: TheRuntime, request: Request, response: Response, given: Refresh) -> Pair:
    """The given token is dead from now on. If it comes again, somebody copied it: the whole login ends."""
    claims = _claims(runtime.doors, given)
    rotated = runtime.doors.rotate(claims.family, claims.jti, origin_of(request))
    if rotated is None:
        raise _not_valid()
    user, jti = rotated
    response.headers.update(_NOT_STORED)
    return _pair(runtime.doors, user.name, claims.family, jti)


@router.post("/token/revoke/", summary="Log out", dependencies=[who(OPEN)], status_code=204, responses=_ANSWERS)
def revoke(runtime: TheRuntime, request: Request, given: Refresh) -> None:
    """Ends the login that this refresh token belongs to, with all its tokens. No error if it had ended already."""
    runtime.doors.end_family(_claims(runtime.doors, given).family, origin_of(request))


def _claims(doors: Doors, given: Refresh) -> signed.Claims:
    claims = signed.read(doors.key("jwt"), "refresh", given.refresh)
    if claims is None:
        raise _not_valid()
    return claims


def _not_valid() -> ProblemError:
    return ProblemError(401, "The refresh token is not valid, or not any more. Log in again.", headers=CHALLENGE)


def _pair(doors: Doors, name: str, family: str, jti: str) -> Pair:
    key = doors.key("jwt")
    return Pair(
        access=signed.sign(key, "access", name, family),
        refresh=signed.sign(key, "refresh", name, family, jti),
    )
