"""Users, for administrators: who may log in as what, who is logged in, and what can be done about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import streamlit as st

from db.sessions import Session
from db.users import ROLES, Role, User
from pages.parts.acting import show_acting, take_act
from pages.parts.clock import display_zone, now_ms
from pages.parts.format import things
from pages.parts.login import actor_of, check_role
from pages.parts.notes import Once, attempt, note_done, note_html, show_notes, show_once, take_note
from pages.parts.people import A_ROLE, ROLE_WORDS, logins_html, users_html
from pages.parts.words import html, markdown
from runtime import get_runtime

_USERS: Final = "users"
_LOGINS: Final = "logins"
_FORM: Final = "user form"


def show_form() -> None:
    """Name and role of a new user. The password is made here and shown once."""
    number = st.session_state.setdefault(_FORM, 0)
    with st.form(f"user_{number}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of a new user", placeholder="ann", autocomplete="off", width=240)
        role = st.selectbox("Role", ROLES, width=160)
        asked = st.form_submit_button("Create user")
    if not asked:
        return
    session = check_role("admin")
    who = actor_of(session)
    made, answer = attempt(lambda: get_runtime().doors.create_user(who, (name or "").strip(), role))
    if made and answer is not None:
        user, password = answer
        st.session_state[_FORM] = number + 1
        _show_password(user.name, password or "", f"{user.name} can log in as {A_ROLE[user.role]} now.")
    st.rerun()


def _show_password(name: str, password: str, done: str) -> None:
    text = "It is shown this once. Hand it over in a safe way; the first thing asked for is one of their own."
    show_once(Once(f"Password for {name}", text, (("Password", password),)))
    note_done(done)


def _known(number: str) -> User | None:
    """The user that a button is for, by id. The browser may send anything."""
    _, users = attempt(get_runtime().doors.users)
    user = next((one for one in users or [] if str(one.id) == number), None)
    if user is None:
        st.html(note_html("problem", take_note() or "There is no such user any more."))
    return user


def _ends(session: Session, user: User, *, keys_too: bool) -> str:
    """What of this user ends, as in "This ends at once: 2 logins, 1 API key."."""
    doors, who = get_runtime().doors, actor_of(session)
    _, sessions = attempt(lambda: doors.sessions(who, user.name))
    _, keys = attempt(lambda: doors.keys(who, user.name))
    take_note()
    found = [things(len(sessions), "login")] if sessions else []
    if keys and keys_too:
        found.append(things(len(keys), "API key"))
    if not found:
        return "They are logged in nowhere now."
    return f"This ends at once: {', '.join(found)}."


def _do(verb: str, do: Callable[[], object], done: str, *, disabled: bool = False) -> None:
    """A button that does it and closes the dialog."""
    if st.button(verb, type="primary", disabled=disabled):
        changed, _ = attempt(do)
        if changed:
            note_done(done)
        st.rerun()


@st.dialog("Change a role")
def ask_role(number: str) -> None:
    """Which role, and what each may do."""
    session = check_role("admin")
    user = _known(number)
    if user is None:
        return
    st.html(f"<p><b>{html(user.name)}</b> is {A_ROLE[user.role]} now. A change holds at once.</p>")
    captions = [ROLE_WORDS[role] for role in ROLES]
    role: Role = st.radio("Role", ROLES, index=ROLES.index(user.role), captions=captions)
    who = actor_of(session)
    _do(
        f"Make {markdown(user.name)} {A_ROLE[role]}",
        lambda: get_runtime().doors.set_role(who, user.name, role),
        f"{user.name} is {A_ROLE[role]} now.",
        disabled=role == user.role,
    )


@st.dialog("Reset a password")
def ask_reset(number: str) -> None:
    """Ask once, and say what goes with it."""
    session = check_role("admin")
    user = _known(number)
    if user is None:
        return
    st.html(
        f"<p>The password of <b>{html(user.name)}</b> stops working, and a new one is made and shown to you once. "
        f"{_ends(session, user, keys_too=False)} Access tokens end too; API keys stay.</p>"
    )
    if st.button("Reset password", type="primary"):
        who = actor_of(session)
        reset, password = attempt(lambda: get_runtime().doors.reset_password(who, user.name))
        if reset:
            _show_password(user.name, password or "", f"The password of {user.name} is reset.")
        st.rerun()


@st.dialog("Disable a user")
def ask_disable(number: str) -> None:
    """Ask once, and say what goes with it."""
    session = check_role("admin")
    user = _known(number)
    if user is None:
        return
    st.html(
        f"<p><b>{html(user.name)}</b> can't log in any more. {_ends(session, user, keys_too=True)} "
        "What they did stays in the audit log. You can enable them again; their keys work again then.</p>"
    )
    who = actor_of(session)
    _do(
        f"Disable {markdown(user.name)}",
        lambda: get_runtime().doors.set_disabled(who, user.name, True),
        f"{user.name} is disabled.",
    )


def enable(number: str) -> None:
    """It takes nothing from anybody, so nothing is asked."""
    who = actor_of(check_role("admin"))
    user = _known(number)
    if user is None:
        return
    changed, _ = attempt(lambda: get_runtime().doors.set_disabled(who, user.name, False))
    if changed:
        note_done(f"{user.name} can log in again.")


@st.dialog("Active logins", width="medium")
def show_logins(number: str) -> None:
    """Where this user is logged in, with a way to end each."""
    session = check_role("admin")
    user = _known(number)
    if user is None:
        return
    doors, who = get_runtime().doors, actor_of(session)
    verb, login = take_act(_LOGINS)
    if verb == "end" and login.isdecimal():
        attempt(lambda: doors.end_session(int(login), who))
    found, sessions = attempt(lambda: doors.sessions(who, user.name))
    if not found:
        st.html(note_html("problem", take_note() or ""))
    elif not sessions:
        st.html(f"<p><b>{html(user.name)}</b> is logged in nowhere.</p>")
    else:
        st.html(f"<p>Where <b>{html(user.name)}</b> is logged in. End one, and its pages close within two seconds.</p>")
        show_acting(logins_html(sessions, session.id, now_ms(), display_zone()), _LOGINS)


def show_users(session: Session) -> None:
    """All of them."""
    found, users = attempt(get_runtime().doors.users)
    if not found or users is None:
        st.html(note_html("problem", take_note() or ""))
        return
    show_acting(users_html(users, session.user.name, now_ms(), display_zone()), _USERS)


DIALOGS: Final = {"role": ask_role, "reset": ask_reset, "disable": ask_disable, "logins": show_logins}

me = check_role("admin")
verb, of = take_act(_USERS)
if verb == "enable":
    enable(of)
st.title("Users", anchor=False)
show_notes()
show_users(me)
st.subheader("New user", anchor=False)
show_form()
if verb in DIALOGS:
    DIALOGS[verb](of)
