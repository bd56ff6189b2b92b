"""One device: how it stands, what it has and did, and what admins say of it and do to it."""

from __future__ import annotations

from typing import Final

import streamlit as st

from db import commands, devices, places
from db.account import missing as missing_numbers
from db.commands import Command
from db.devices import Actuator, Series
from db.engine import DatabaseAway, reading
from db.places import Place
from pages.parts.acting import show_acting, take_act
from pages.parts.audit_table import audit_html
from pages.parts.clock import display_zone, now_ms
from pages.parts.device_credentials import show_token
from pages.parts.device_forms import show_add_actuator, show_place_form, show_units_form
from pages.parts.device_login import show_login
from pages.parts.device_removal import ask_to_delete, ask_to_remove
from pages.parts.device_rows import missing_today
from pages.parts.device_tables import actuators_html, commands_html, facts_html, metrics_html
from pages.parts.format import age, count, decimals_for, exact, number
from pages.parts.login import check_reader, guard, may
from pages.parts.notes import attempt, note_html, show_notes, take_note
from pages.parts.places import named
from pages.parts.standing import standing_of
from pages.parts.tables import dim, state
from pages.parts.words import html, markdown
from runtime import get_runtime

_COMMANDS: Final = 20
_ENTRIES: Final = 20
_GAPS: Final = 1_000
_ACTUATORS: Final = "actuators"
_ASKED: Final = "actuator to remove"


def show_device(name: str) -> None:
    """Everything about the device of this name, which stands in the address and may be anything."""
    if st.button("All devices", icon=":material/arrow_back:", type="tertiary", key="device_back"):
        st.query_params.clear()
        st.rerun()
    try:
        with reading(get_runtime().engine) as connection:
            place = places.of(connection, name)
            actuators = [one for one in devices.every_actuator(connection) if one.device == name]
            series = devices.every_series(connection, name)
    except DatabaseAway:
        st.title(markdown(name, 64), anchor=False)
        show_notes()
        wait_for_database()
        return
    if place is None:
        st.title("Devices", anchor=False)
        show_notes()
        st.markdown(f"There is no device {markdown(name, 64)}. It may have been deleted, or the address is wrong.")
        return
    st.title(markdown(place.shown_name), anchor=False)
    show_notes()
    show_facts(name)
    show_metrics(name)
    show_actuators(name)
    show_commands(name)
    if may(guard(), "admin"):
        show_admin(place, actuators, series)


@st.fragment(run_every=2)
def wait_for_database() -> None:
    """Say so, and go on when it is back."""
    check_reader()
    if get_runtime().health().database.state == "connected":
        st.rerun()
    st.markdown("The database is out of reach. This page comes back by itself when it does.")


@st.fragment(run_every=2)
def show_facts(name: str) -> None:
    """What it is and how it stands, as it is now."""
    check_reader()
    now, zone = now_ms(), display_zone()
    device = get_runtime().board.current.devices.get(name)
    missing: int | None = None
    place: Place | None = None
    try:
        with reading(get_runtime().engine) as connection:
            missing = missing_today(missing_numbers(connection, _GAPS), now, zone).get(name, 0)
            place = places.of(connection, name)
    except DatabaseAway:
        pass
    kind = None if device is None else standing_of(device)
    standing = "" if kind is None else state(kind, kind)
    seen = device.last_seen if device is not None else 0
    rate = device.rate.per_minute if device is not None else None
    facts = [
        ("State", standing or "never heard"),
        ("Last seen", f'<span title="{html(exact(seen, zone))}">{html(age(seen, now, zone))}</span>' if seen else ""),
        ("Place", html((named(place).area if place else None) or "")),
        ("Name in topics", html(name)),
        ("Model", html((device.model if device else None) or "")),
        ("Firmware", html((device.firmware if device else None) or "")),
        ("Readings/min", "" if rate is None else number(rate, decimals_for([rate]))),
        ("Messages missing today", "" if missing is None else count(missing)),
    ]
    st.html(facts_html(facts))
    if place is not None and place.notes:
        st.html(f'<p class="sm-notes">{html(place.notes, 1_000)}</p>')


@st.fragment(run_every=5)
def show_metrics(name: str) -> None:
    """Its newest values."""
    check_reader()
    st.subheader("Metrics", anchor=False)
    device = get_runtime().board.current.devices.get(name)
    if device is None or not device.metrics:
        st.html(dim("It has sent no reading yet."))
        return
    st.html(metrics_html(name, list(device.metrics.values()), now_ms(), display_zone()))


@st.fragment(run_every=2)
def show_actuators(name: str) -> None:
    """What can be controlled, as it was last reported."""
    check_reader()
    verb, actuator = take_act(_ACTUATORS)
    if verb == "remove":
        st.session_state[_ASKED] = actuator
        st.rerun()  # a dialog belongs to the page: this fragment's next tick would close it
    st.subheader("Actuators", anchor=False)
    try:
        with reading(get_runtime().engine) as connection:
            actuators = [one for one in devices.every_actuator(connection) if one.device == name]
    except DatabaseAway:
        st.html(dim("They are listed again when the database is back."))
        return
    if not actuators:
        st.html(dim("It has told of none. A device tells of them itself, or an admin adds them here."))
        return
    admin = may(guard(), "admin")
    table = actuators_html(actuators, now_ms(), display_zone(), acts=admin)
    if admin:
        show_acting(table, _ACTUATORS)
    else:
        st.html(table)
    st.page_link("control.py", label="Control them", icon=":material/toggle_on:")


@st.fragment(run_every=2)
def show_commands(name: str) -> None:
    """What was asked of it last. Not for visitors: who asks for what is for those who are known."""
    check_reader()
    if guard() is None:
        return
    st.subheader("Last commands", anchor=False)
    try:
        found, actuators = _commands(name)
    except DatabaseAway:
        st.html(dim("They are listed again when the database is back."))
        return
    if found:
        st.html(commands_html(found, {one.name: one.unit for one in actuators}, now_ms(), display_zone()))
    else:
        st.html(dim("Nothing was asked of it yet."))


def _commands(name: str) -> tuple[list[Command], list[Actuator]]:
    with reading(get_runtime().engine) as connection:
        found = commands.recent(connection, device=name, limit=_COMMANDS)
        return found, [one for one in devices.every_actuator(connection) if one.device == name]


def show_admin(place: Place, actuators: list[Actuator], series: list[Series]) -> None:
    """What only admins see and do."""
    name = place.device
    if (actuator := st.session_state.pop(_ASKED, None)) is not None:
        ask_to_remove(name, actuator)
    show_add_actuator(name, actuators)
    show_place_form(place)
    show_units_form(name, series)
    show_login(name)
    show_token(name)
    show_audit(name)
    st.subheader("Delete", anchor=False)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Delete this device", key="device_delete"):
            ask_to_delete(name)
        st.html(dim("With all its readings. To keep them and only not see it any more, hide it."))


def show_audit(name: str) -> None:
    """The newest entries of the audit log that name it."""
    st.subheader("Audit", anchor=False)
    found, entries = attempt(lambda: get_runtime().doors.audit(text=name, limit=_ENTRIES))
    if not found:
        st.html(note_html("problem", take_note() or ""))
        return
    of_it = [one for one in entries or [] if one.entry.subject == name or one.entry.subject.startswith(f"{name}/")]
    if of_it:
        st.html(audit_html(of_it, now_ms(), display_zone()))
    else:
        st.html(dim("Nobody has changed or asked anything of it yet."))
