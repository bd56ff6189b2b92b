"""System: how broker, database and worker are, the account, what is missing, and what could not be understood."""

from __future__ import annotations

from typing import Final

import streamlit as st

from db import account, dead_letters
from db.engine import DatabaseAway, reading
from pages.parts.account_sum import account_html
from pages.parts.clock import display_zone, now_ms
from pages.parts.letters import letters_html
from pages.parts.missing_numbers import missing_html
from pages.parts.service_cards import parts_html, rates_html
from runtime import get_runtime

_LETTERS: Final = 20
_GAPS: Final = 20


@st.fragment(run_every=2)
def show_health() -> None:
    """Parts, rates and the account, from memory."""
    health, now, zone = get_runtime().health(), now_ms(), display_zone()
    st.html(parts_html(health, now, zone))
    st.subheader("Last minute", anchor=False)
    st.html(rates_html(health))
    st.subheader("Account", anchor=False)
    st.html(account_html(health.account))


@st.fragment(run_every=5)
def show_losses() -> None:
    """Missing numbers and dead letters, from the database."""
    now, zone = now_ms(), display_zone()
    try:
        with reading(get_runtime().engine) as connection:
            gaps = account.missing(connection, _GAPS)
            kept, removed = dead_letters.count(connection), account.letters_removed(connection)
            newest = dead_letters.newest(connection, _LETTERS)
    except DatabaseAway:
        st.markdown("Missing messages and dead letters are shown again when the database is back.")
        return
    st.subheader("Missing messages", anchor=False)
    st.html(missing_html(gaps, now, zone))
    st.subheader("Dead letters", anchor=False)
    st.html(letters_html(newest, kept, removed, now, zone))


st.title("System", anchor=False)
show_health()
show_losses()
