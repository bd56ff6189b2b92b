"""In place of a page that whoever is logged in may not open: which, why, and what they can do."""

from __future__ import annotations

import streamlit as st

from pages.parts.login import guard
from pages.parts.words import html

session = guard()
st.title(st.session_state["page"], anchor=False)
if session is not None:
    st.html(
        f"<p>This page is for administrators. You are logged in as {html(session.user.name)}, {session.user.role}.</p>"
        '<p class="sm-dim">An administrator can change your role, or you can log in as somebody else.</p>'
    )
