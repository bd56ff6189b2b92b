"""Forms with which admins say what a device is called, where it stands, what it measures in, and what it has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import streamlit as st

from db import places
from db.devices import Actuator, ActuatorAbout, Series
from db.places import Place, PlaceChange
from pages.parts.device_change import change
from pages.parts.notes import note_problem
from pages.parts.words import markdown

#: As CONTRACT has it for topics.
_ACTUATOR: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NOT_ACTUATORS: Final = ("resend",)
_SEEN: Final = ("shown", "hidden")
#: Metrics whose units have a field each.
_METRICS: Final = 40


def show_place_form(place: Place) -> None:
    """What people say of a device."""
    st.subheader("How it is shown", anchor=False)
    with st.form("device_place", border=False):
        with st.container(horizontal=True, gap="small"):
            label = st.text_input("Display name", place.label or "", max_chars=128, width=280, placeholder=place.device)
            site = st.text_input("Site", place.site or "", max_chars=64, width=200, placeholder="greenhouse 2")
            area = st.text_input("Area", place.area or "", max_chars=64, width=200, placeholder="north bench")
        notes = st.text_area("Notes", place.notes or "", max_chars=1000, width=700, height=100)
        seen = st.selectbox(
            "On Live and Control",
            _SEEN,
            index=int(place.hidden),
            width=280,
            help="A hidden device is stored as before, and is on History and here.",
        )
        asked = st.form_submit_button("Save")
    if not asked:
        return
    said = PlaceChange(label or "", site or "", area or "", notes or "", seen == _SEEN[1])
    change(
        place.device,
        lambda connection, key, who, at: places.change(connection, key, place.device, said, by=who, at=at),
        f"{place.device} is shown as you said.",
    )
    st.rerun()


def show_units_form(device: str, series: Sequence[Series]) -> None:
    """What its metrics are measured in, where the device does not say, or says wrongly."""
    if not series:
        return
    with st.expander("Units"), st.form("device_units", border=False):
        with st.container(horizontal=True, gap="small"):
            given = {
                one.metric: st.text_input(
                    markdown(one.metric, 64), one.unit or "", max_chars=32, width=150, key=f"unit {one.id}"
                )
                for one in series[:_METRICS]
            }
        st.caption("A device that tells its units itself overrides these when it does so the next time.")
        asked = st.form_submit_button("Save units")
    if not asked:
        return
    known = {one.metric: one.unit or "" for one in series}
    changed = {metric: (unit or "").strip() for metric, unit in given.items() if (unit or "").strip() != known[metric]}
    if changed:
        change(
            device,
            lambda connection, key, who, at: places.set_units(connection, key, device, changed, by=who, at=at),
            "The units are changed.",
        )
        st.rerun()


def show_add_actuator(device: str, known: Sequence[Actuator]) -> None:
    """One that the device does not tell of by itself, or another range for one that it has."""
    with st.expander("Add an actuator, or set a range"), st.form("device_actuator", border=False):
        st.caption("A switch needs a name alone. What takes a number needs a range, a step or a unit.")
        with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
            name = st.text_input("Name, as in its topic", placeholder="fan", autocomplete="off", width=200)
            low = st.number_input("Least", value=None, format="%g", width=120)
            high = st.number_input("Most", value=None, format="%g", width=120)
            step = st.number_input("Step", value=None, min_value=0.0, format="%g", width=120)
            unit = st.text_input("Unit", max_chars=32, width=100)
        asked = st.form_submit_button("Save actuator")
    if not asked:
        return
    name = (name or "").strip()
    if not _ACTUATOR.fullmatch(name) or name in _NOT_ACTUATORS:
        note_problem(
            "An actuator's name has letters, digits, '.', '_' and '-', the first a letter or digit, at most 64, and is "
            "not resend."
        )
    else:
        about = ActuatorAbout(name, low, high, step or None, (unit or "").strip() or None)
        there = any(one.name == name for one in known)
        change(
            device,
            lambda connection, key, who, at: places.add_actuator(connection, key, device, about, by=who, at=at),
            f"{name} is {'changed' if there else 'added'}.",
        )
    st.rerun()
