"""The form in which people change their own password."""

from __future__ import annotations

from typing import Final

import streamlit as st

from db.sessions import Session
from pages.parts.login import actor_of
from pages.parts.notes import attempt, note_html, take_note
from runtime import get_runtime

_ROUND: Final = "password form"


def show_password_form(session: Session, verb: str) -> bool:
    """The form; whether the password was changed just now. What went wrong stands above it."""
    doors = get_runtime().doors
    word = st.container()
    number = st.session_state.setdefault(_ROUND, 0)  # another number empties the fields
    with st.form(f"password_{number}", border=False):
        old = st.text_input("Present password", type="password", autocomplete="current-password")
        new = st.text_input("New password", type="password", autocomplete="new-password", help=None)
        again = st.text_input("New password once more", type="password", autocomplete="new-password")
        st.html('<p class="sm-dim">At least 10 characters. A few words that belong together only for you are fine.</p>')
        asked = st.form_submit_button(verb, type="primary")
    if not asked:
        return False
    problem = _problem(old or "", new or "", again or "")
    if problem is None:
        who = actor_of(session)
        changed, _ = attempt(lambda: doors.change_password(who, old or "", new or "", session.id))
        if changed:
            st.session_state[_ROUND] = number + 1
            return True
        problem = take_note()
    word.html(note_html("problem", problem or ""))
    return False


def _problem(old: str, new: str, again: str) -> str | None:
    if not old or not new:
        return "Type your present password and the new one."
    return None if new == again else "The new password was typed in two ways. Type it again."
