"""Where the browser of this page is, for the audit log and for slowing down who guesses."""

from __future__ import annotations

from typing import Final

import streamlit as st

from db.doors import Origin

#: Streamlit tells nothing of a browser on this machine.
_HERE: Final = "127.0.0.1"


def origin() -> Origin:
    """Its address, behind TRUSTED_PROXIES the one they tell of, and what it calls itself."""
    address, agent = st.context.ip_address, st.context.headers.get("User-Agent")
    # Without a browser, in Streamlit's own test runner, both are something else altogether.
    return Origin(address if isinstance(address, str) else _HERE, agent if isinstance(agent, str) else "")
