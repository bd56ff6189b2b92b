"""For somebody whose password was made by an administrator: they set their own before anything else."""

from __future__ import annotations

import streamlit as st

from pages.parts.login import guard
from pages.parts.own_password import show_password_form

session = guard()
if session is not None:
    with st.container(key="sm_login", width=420):
        st.title("Set your password", anchor=False)
        st.markdown("Yours was made for you, so somebody else has seen it. Set one that only you know, then go on.")
        if show_password_form(session, "Set password"):
            st.rerun()
