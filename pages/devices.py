"""Devices: all of them with how they stand, and each one's own page at `?device=`. Others read; admins change."""

from __future__ import annotations

from typing import Final, cast

import streamlit as st

from db import account, removal
from db.engine import DatabaseAway, reading
from db.removal import Removal
from pages.parts.acting import show_acting, take_act
from pages.parts.clock import display_zone, now_ms
from pages.parts.connect import wait_for_first_device
from pages.parts.device_detail import show_device
from pages.parts.device_new import show_new_device
from pages.parts.device_rows import MOST, ORDERS, Order, Row, arranged, counts_text, devices_html, missing_today, row_of
from pages.parts.format import count, things
from pages.parts.login import check_reader, guard, may
from pages.parts.notes import show_notes
from pages.parts.places import Named, every_name
from pages.parts.standing import standing_of
from pages.parts.tables import dim
from pages.parts.words import plain
from runtime import get_runtime

_LIST: Final = "devices"
_CHOSEN: Final = "device"
#: Devices from which on there is a search.
_TOOLS_FROM: Final = 9
_GAPS: Final = 1_000


@st.cache_data(ttl=10, show_spinner=False, max_entries=1)
def missing_by_device() -> dict[str, int]:
    """Messages noticed missing since midnight. Raises DatabaseAway."""
    with reading(get_runtime().engine) as connection:
        gaps = account.missing(connection, _GAPS)
    return missing_today(gaps, now_ms(), display_zone())


@st.cache_data(ttl=2, show_spinner=False, max_entries=1)
def removals() -> list[Removal]:
    """Devices that are being deleted. Raises DatabaseAway."""
    with reading(get_runtime().engine) as connection:
        return removal.under_way(connection)


def every_row() -> list[Row]:
    """All devices, from memory; what is missing, from the database as far as that is there."""
    try:
        missing = missing_by_device()
    except DatabaseAway:
        missing = {}
    current = get_runtime().board.current
    names = every_name(current)
    return [
        row_of(device, names.get(name, Named()), missing.get(name, 0), standing_of(device))
        for name, device in current.devices.items()
    ]


def ask() -> tuple[str, Order, bool]:
    """What is searched for, in which order, and whether hidden devices are shown too."""
    current = get_runtime().board.current
    every, names = current.devices, every_name(current)
    search, order, hidden = "", "name", False
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if len(every) >= _TOOLS_FROM:
            search = st.text_input(
                "Search", placeholder="a name, a place, a model", autocomplete="off", width=320, key="devices_search"
            )
            order = st.selectbox("Order", list(ORDERS), format_func=ORDERS.__getitem__, width=220, key="devices_order")
        if any(names.get(name, Named()).hidden for name in every):
            hidden = bool(st.pills("Hidden devices", ["Show them"], key="devices_hidden"))
    return search or "", cast("Order", order), hidden


@st.fragment(run_every=5)
def show_list(search: str, order: Order, *, hidden: bool) -> None:
    """All that fit, as they stand now."""
    check_reader()
    verb, device = take_act(_LIST)
    if verb == "open":
        st.query_params[_CHOSEN] = device
        st.rerun()
    now, zone = now_ms(), display_zone()
    rows = every_row()
    shown = arranged(rows, search, order, hidden=hidden)
    st.html(dim(counts_text(shown, now, zone)))
    if shown:
        show_acting(devices_html(shown, now, zone), _LIST)
    else:
        searched = (
            f"No device fits \u201c{plain(search.strip(), 64)}\u201d. Clear the search to see all {count(len(rows))}."
        )
        st.html(dim(searched if search.strip() else "All devices are hidden."))
    if len(shown) > MOST:
        st.html(dim(f"{things(len(shown) - MOST, 'more device')} not listed: search for them."))
    show_removals()


def show_removals() -> None:
    """What is being deleted, and how far that is."""
    try:
        under_way = removals()
    except DatabaseAway:
        return
    for one in under_way:
        st.html(
            dim(
                f"{plain(one.device)} is being deleted: {count(one.readings)} readings are gone so far. It goes on by "
                "itself, also after a restart."
            )
        )


@st.fragment(run_every=2)
def show_first_steps() -> None:
    """What will be here, and what to type. The page goes on by itself when a device reports."""
    check_reader()
    away = "What is known of your devices is in the database. They are listed here when it is back."
    first = "A device is listed here from its first message on. Send one from a terminal:"
    wait_for_first_device(get_runtime(), away, first)
    show_removals()


def show_page() -> None:
    """One device if the address names one, else all of them."""
    chosen = st.query_params.get(_CHOSEN)
    if chosen:
        show_device(chosen)
        return
    st.title("Devices", anchor=False)
    show_notes()
    if get_runtime().board.current.devices:
        search, order, hidden = ask()
        show_list(search, order, hidden=hidden)
    else:
        show_first_steps()
    if may(guard(), "admin"):
        show_new_device()


show_page()
