"""`/session/`: the pages' login as a cookie that no script can read. `/sessions/`: which logins there are."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from api.auth import COOKIE, OPEN, Owner, origin_of, require_same_origin, who
from api.current import Id, TheRuntime
from api.problems import AWAY, CHALLENGE, ProblemError, unknown
from db.doors import Actor, Doors, Session, Unknown

router = APIRouter(tags=["login"])

_NO_SUCH: Final[dict[int | str, dict[str, Any]]] = {404: {"description": "No such login, or another's"}}


class Ticket(BaseModel):
    """What the login page hands the browser: good once, for a minute."""

    ticket: Annotated[str, Field(max_length=200)]


class PageLogin(BaseModel):
    """A login on the pages. Times are UTC ms; `address` and `agent` are where it began; `current`: asked with it."""

    id: int
    user: str
    created_at: int
    seen_at: int
    expires_at: int
    address: str
    agent: str
    current: bool


@router.post(
    "/session/",
    summary="Turn the login page's ticket into the session cookie",
    dependencies=[who(OPEN)],
    status_code=204,
    responses=AWAY | {401: {"description": "No such ticket, or used"}, 403: {"description": "From another site"}},
)
def begin_session(runtime: TheRuntime, request: Request, response: Response, given: Ticket) -> None:
    """The cookie is HttpOnly, SameSite=Strict, on TLS Secure. The login that this browser had before ends."""
    require_same_origin(request)
    token = runtime.doors.redeem_ticket(given.ticket)
    session = runtime.doors.session(token)
    if token is None or session is None:
        raise ProblemError(401, "The ticket is not valid, or was used. Log in again.", headers=CHALLENGE)
    before = request.cookies.get(COOKIE)
    if before != token:
        _end(runtime.doors, request, before)
    response.set_cookie(
        COOKIE,
        token,
        max_age=(session.expires_at - session.created_at) // 1000,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    response.headers["Cache-Control"] = "no-store"


@router.delete(
    "/session/",
    summary="Log this browser out",
    dependencies=[who(OPEN)],
    status_code=204,
    responses=AWAY | {403: {"description": "From another site"}},
)
def end_own_session(runtime: TheRuntime, request: Request, response: Response) -> None:
    """Ends the cookie's login at the server, in all tabs, and takes the cookie away. No error if it had ended."""
    require_same_origin(request)
    _end(runtime.doors, request, request.cookies.get(COOKIE))
    response.delete_cookie(COOKIE, path="/", secure=request.url.scheme == "https", httponly=True, samesite="strict")


@router.get("/sessions/", summary="Own logins on the pages", responses=AWAY)
def list_sessions(
    runtime: TheRuntime,
    caller: Owner,
    user: Annotated[str | None, Query(max_length=200, description="This user's, for admins; own without")] = None,
) -> list[PageLogin]:
    """Newest first. An admin may ask for another user's."""
    found = runtime.doors.sessions(caller.actor(), user or caller.name)
    return [_shown(session, caller.session_id) for session in found]


@router.get("/sessions/{session_id}/", summary="One login on the pages", responses=AWAY | _NO_SUCH)
def show_session(runtime: TheRuntime, caller: Owner, session_id: Id) -> PageLogin:
    """One's own; an admin may see everybody's."""
    return _shown(_own_session(runtime.doors, caller.actor(), session_id), caller.session_id)


@router.delete(
    "/sessions/{session_id}/", summary="End a login on the pages", status_code=204, responses=AWAY | _NO_SUCH
)
def end_session(runtime: TheRuntime, caller: Owner, session_id: Id) -> None:
    """At once in this process, within 2 s in others. One's own; an admin may end everybody's."""
    actor = caller.actor()
    _own_session(runtime.doors, actor, session_id)
    runtime.doors.end_session(session_id, actor)


def _own_session(doors: Doors, actor: Actor, session_id: int) -> Session:
    """Raises ProblemError 404, the same for another's as for none."""
    session = doors.session_by_id(session_id)
    if session is None or (session.user.name != actor.name and actor.role != "admin"):
        raise unknown(f"login {session_id}")
    return session


def _end(doors: Doors, request: Request, token: str | None) -> None:
    session = doors.session(token) if token else None
    if session is None:
        return
    try:
        doors.end_session(session.id, Actor(session.user.name, session.user.role, origin_of(request)))
    except Unknown:
        return  # somebody else was quicker


def _shown(session: Session, current: int | None) -> PageLogin:
    return PageLogin(
        id=session.id,
        user=session.user.name,
        created_at=session.created_at,
        seen_at=session.seen_at,
        expires_at=session.expires_at,
        address=session.address,
        agent=session.agent,
        current=session.id == current,
    )
