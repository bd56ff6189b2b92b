"""My account: own password, own active logins, own API keys."""

from __future__ import annotations

from typing import Final

import streamlit as st

from db.sessions import Session
from pages.parts.acting import show_acting, take_act
from pages.parts.clock import display_zone, now_ms
from pages.parts.connect import curl_line
from pages.parts.login import actor_of, check_role
from pages.parts.notes import Once, attempt, note_done, note_html, show_notes, show_once, take_note
from pages.parts.own_password import show_password_form
from pages.parts.people import ROLE_WORDS, keys_html, logins_html
from pages.parts.tables import dim
from pages.parts.words import html
from runtime import get_runtime

_LOGINS: Final = "own_logins"
_KEYS: Final = "own_keys"
_KEY_FORM: Final = "key form"


def end_login(text: str) -> None:
    """End one of one's own logins."""
    session = check_role("viewer")
    if text.isdecimal() and int(text) != session.id:
        who = actor_of(session)
        ended, _ = attempt(lambda: get_runtime().doors.end_session(int(text), who))
        if ended:
            note_done("That login has ended. What was open with it closes within two seconds.")


@st.dialog("Revoke this key?")
def ask_to_revoke(key_id: int) -> None:
    """Ask once, and say what goes with it."""
    session = check_role("viewer")
    doors, who = get_runtime().doors, actor_of(session)
    found, keys = attempt(lambda: doors.keys(who, session.user.name))
    key = next((one for one in keys or [] if one.id == key_id), None)
    if not found or key is None:
        st.html(note_html("problem", take_note() or "This key is gone already."))
        return
    st.html(
        f"<p>The key <b>{html(key.name)}</b> ({html(key.hint)}\N{HORIZONTAL ELLIPSIS}) stops working at once, and "
        "every script that uses it is refused. It can't be brought back; you can make a new one.</p>"
    )
    if st.button("Revoke", type="primary"):
        revoked, _ = attempt(lambda: doors.revoke_key(who, key_id))
        if revoked:
            note_done(f"The key {key.name} is revoked.")
        st.rerun()


def show_logins(session: Session) -> None:
    """Where this user is logged in."""
    st.subheader("Active logins", anchor=False)
    who = actor_of(session)
    found, sessions = attempt(lambda: get_runtime().doors.sessions(who, session.user.name))
    if not found:
        st.html(note_html("problem", take_note() or ""))
        return
    st.html(dim("Each browser in which you are logged in. End those you don't know, and change your password then."))
    show_acting(logins_html(sessions or [], session.id, now_ms(), display_zone()), _LOGINS)


def show_keys(session: Session) -> None:
    """What scripts of this user come in with."""
    doors, who = get_runtime().doors, actor_of(session)
    st.subheader("API keys", anchor=False)
    number = st.session_state.setdefault(_KEY_FORM, 0)
    found, keys = attempt(lambda: doors.keys(who, session.user.name))
    if not found:
        st.html(note_html("problem", take_note() or ""))
        return
    if keys:
        show_acting(keys_html(keys, now_ms(), display_zone()), _KEYS)
    else:
        st.html(dim(f"A script comes in with a key of its own and may then do what you may ({session.user.role})."))
    with st.form(f"key_{number}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of a new key", placeholder="backup script", autocomplete="off", width=280)
        asked = st.form_submit_button("Create key")
    if asked:
        made, answer = attempt(lambda: doors.create_key(who, name or ""))
        if made and answer is not None:
            key, token = answer
            st.session_state[_KEY_FORM] = number + 1
            try_it = curl_line(st.context.url or "http://127.0.0.1:8501/", token)
            lines = (("The key", token), ("Try it", try_it))
            text = "It is shown this once and kept as a fingerprint only. Put it where the script finds it."
            show_once(Once(f"Your key {key.name}", text, lines))
        st.rerun()


session = check_role("viewer")
verb, of = take_act(_LOGINS)
if verb == "end":
    end_login(of)
st.title("My account", anchor=False)
st.html(f"<p><b>{html(session.user.name)}</b>, {session.user.role}: {ROLE_WORDS[session.user.role]}.</p>")
show_notes()
show_logins(session)
show_keys(session)
st.subheader("Password", anchor=False)
with st.container(width=420):
    if show_password_form(session, "Change password"):
        note_done("Your password is changed. All your other logins and access tokens have ended.")
        st.rerun()
verb, of = take_act(_KEYS)
if verb == "revoke" and of.isdecimal():
    ask_to_revoke(int(of))
