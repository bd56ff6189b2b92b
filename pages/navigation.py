"""The main script: which pages there are, and what stands on each of them."""

from __future__ import annotations

import streamlit as st

from pages.parts.banner import show_notices
from pages.parts.look import MARK, apply_look

st.set_page_config(page_title="Smart Monitor", page_icon=str(MARK), layout="wide", initial_sidebar_state=250)
st.logo(str(MARK), size="large")
apply_look()
page = st.navigation(
    [
        st.Page("live.py", title="Live", icon=":material/sensors:", default=True),
        st.Page("system.py", title="System", icon=":material/monitor_heart:"),
    ]
)
show_notices()
page.run()
