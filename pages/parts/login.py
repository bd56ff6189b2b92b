"""Who uses this page: the login as it is now, asked at every run and in every fragment, and how it begins and ends.

A login is a row in the database. The browser holds its token in a cookie that scripts can't read; the page holds only
its number, and asks whether it still stands.
"""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import streamlit as st

from db.doors import Actor
from db.engine import DatabaseAway
from db.sessions import Session
from db.users import ROLES, Role, User
from pages.parts.clock import now_ms
from pages.parts.origin import origin
from runtime import get_runtime

COOKIE: Final = "sm_session"
#: Where a page finds the page to log in at, in Streamlit's session state. Its script stands at other addresses too.
LOGIN_PAGE: Final = "login page"
#: How often an open page asks whether its login still stands, in seconds. With what `doors` remembers for a second,
#: a page is closed within two.
WATCH_S: Final = 1.0

_SCRIPT: Final = Path(__file__).with_name("cookie.js")
# What a tab remembers, by these names in Streamlit's session state.
_SESSION: Final = "login"
_LAST: Final = "login as last seen"
_COOKIE_READ: Final = "login cookie read"
_ERRAND: Final = "login errand"
_SAID: Final = "login said"
_ENDED: Final = "You are logged out. This login was ended here, in another tab or by an administrator, or it ran out."


def guard() -> Session | None:
    """The login of this tab as it is now, None if there is none. Call it at every run and in every fragment.

    While the database is away nobody can be let in, and nobody is thrown out: a login holds as it was last seen.
    """
    doors = get_runtime().doors
    known: int | None = st.session_state.get(_SESSION)
    try:
        if known is not None:
            session = doors.session_by_id(known)
        elif not st.session_state.get(_COOKIE_READ):
            token = st.context.cookies.get(COOKIE)
            session = doors.session(token) if isinstance(token, str) else None
            # It is that of the tab's first request: what it said once it will never say anew.
            st.session_state[_COOKIE_READ] = True
        else:
            return None
    except DatabaseAway:
        last: Session | None = st.session_state.get(_LAST)
        return last if last is not None and last.expires_at > now_ms() else None
    if session is None:
        if known is not None:
            forget_login()
            say_of_login(_ENDED)
        return None
    st.session_state[_SESSION] = session.id
    st.session_state[_LAST] = session
    return session


def may(session: Session | None, role: Role) -> bool:
    """Whether this login is of someone with at least this role."""
    return session is not None and ROLES.index(session.user.role) >= ROLES.index(role)


def may_read(session: Session | None) -> bool:
    """Whether whoever looks may see readings: everyone, or with REQUIRE_LOGIN=all everyone with a login."""
    if get_runtime().settings.require_login == "control":
        return True
    return session is not None and not session.user.must_change


def is_settled() -> bool:
    """Whether it is known who uses this tab: not while the database could not be asked."""
    return _COOKIE_READ in st.session_state


def check_reader() -> None:
    """In a fragment that shows readings: go on only if whoever looks may still see them."""
    if not may_read(guard()):
        st.rerun()


def check_role(role: Role) -> Session:
    """In a page and its fragments: the login, if it is still of someone with at least this role; else a new run."""
    session = guard()
    if session is None or not may(session, role) or session.user.must_change:
        st.rerun()
    return session


def actor_of(session: Session) -> Actor:
    """Who does what is done on this page."""
    return Actor(session.user.name, session.user.role, origin())


def begin_login(user: User) -> None:
    """Log in this tab, and send the browser for its cookie. Raises DatabaseAway."""
    doors = get_runtime().doors
    token, session = doors.open_session(user, origin())
    st.session_state[_SESSION] = session.id
    st.session_state[_LAST] = session
    st.session_state[_COOKIE_READ] = True
    st.session_state.pop(_SAID, None)
    _send({"do": "begin", "ticket": doors.issue_ticket(token)})


def end_login(session: Session) -> None:
    """Log out, here and in every tab of this browser. Raises DatabaseAway."""
    get_runtime().doors.log_out(session.id, origin())
    forget_login()
    say_of_login("You are logged out.")
    _send({"do": "end"})


def forget_login() -> None:
    """Forget everything this tab knew: it may be of interest to whoever logs in next."""
    for name in list(st.session_state):
        del st.session_state[name]
    st.session_state[_COOKIE_READ] = True


def say_of_login(sentence: str) -> None:
    """Keep a sentence about the login, to be shown until the next one begins or the reader goes to another page."""
    st.session_state[_SAID] = sentence


def login_said() -> str | None:
    """That sentence."""
    sentence: str | None = st.session_state.get(_SAID)
    return sentence


def say_no_more() -> None:
    """The sentence was read."""
    st.session_state.pop(_SAID, None)


def state_of(session: Session | None) -> tuple[int, Role, bool] | None:
    """What decides which pages there are."""
    return None if session is None else (session.id, session.user.role, session.user.must_change)


@st.fragment(run_every=WATCH_S)
def watch_login(built_for: tuple[int, Role, bool] | None) -> None:
    """Build the page anew as soon as its login is no longer what it was built for."""
    if state_of(guard()) != built_for:
        st.rerun()


def _send(errand: dict[str, str]) -> None:
    st.session_state[_ERRAND] = {"id": token_hex(8), **errand}


def run_errand() -> None:
    """Let the browser take its cookie, or give it back. Call it once a run, before the page."""
    errand = st.session_state.get(_ERRAND)
    if errand is not None:
        with st.container(key="sm_errand"):
            _component()(key="cookie", data=errand)


def _component() -> Any:
    return st.components.v2.component("cookie", js=_SCRIPT.read_text(encoding="utf-8"))
