"""Where the browser of this page is, for the audit log and for slowing down who guesses."""

from __future__ import annotations

import streamlit as st

from db.doors import Origin


def origin() -> Origin:
    """Its address and what it calls itself."""
    agent = st.context.headers.get("User-Agent")
    return Origin(st.context.ip_address or "127.0.0.1", agent if isinstance(agent, str) else "")
