"""The login form: at its own address, and at that of any page that needs a login until there is one."""

from __future__ import annotations

import streamlit as st

from pages.parts.login import login_said
from pages.parts.login_widget import show_form
from pages.parts.notes import note_html

TITLE = "Log in"

page = st.session_state["page"]
with st.container(key="sm_login", width=420):
    st.title("Smart Monitor" if page == TITLE else page, anchor=False)
    word = st.container()
    problem = show_form()
    if problem is not None:
        word.html(note_html("problem", problem))
    elif (said := login_said()) is not None:
        word.html(note_html("told", said))
    elif page != TITLE:
        word.markdown("This page needs a login.")
    st.html('<p class="sm-dim">Forgotten your password? An administrator can give you a new one.</p>')
