"""What takes something away from a device, or the device itself: asked before, with what goes with it."""

from __future__ import annotations

from typing import Final

import numpy as np
import streamlit as st

from db import devices, history, places, removal
from db.chunks import DamagedChunk
from db.engine import Connection, DatabaseAway, snapshot
from pages.parts.device_change import change
from pages.parts.device_login import end_login
from pages.parts.format import things
from pages.parts.login import check_role
from pages.parts.notes import attempt, note_problem
from pages.parts.words import html, markdown
from runtime import get_runtime

_HOUR_MS: Final = 3_600_000


@st.dialog("Remove an actuator?")
def ask_to_remove(device: str, actuator: str) -> None:
    """Ask once, and say what goes with it. The actuator's name comes from the browser: it may be anything."""
    check_role("admin")
    st.html(
        f"<p><b>{html(actuator)}</b> of <b>{html(device)}</b> goes from Control, and the history of its states with "
        "it. If the device reports it again, it is there again. This can't be undone.</p>"
    )
    if st.button(f"Remove {markdown(actuator, 64)}", type="primary"):
        change(
            device,
            lambda connection, key, who, at: places.remove_actuator(connection, key, device, actuator, by=who, at=at),
            f"{actuator} is removed.",
        )
        st.rerun()


@st.cache_data(ttl=10, show_spinner=False, max_entries=20)
def readings_of(device: str) -> int | None:
    """How many readings a device has; None if that can't be told now."""
    try:
        with snapshot(get_runtime().engine) as connection:
            return sum(_stored(connection, one.id) for one in devices.every_series(connection, device))
    except (DatabaseAway, DamagedChunk):
        return None


def _stored(connection: Connection, series_id: int) -> int:
    extent = history.extent(connection, series_id)
    if extent is None:
        return 0
    edges = np.array([extent[0] // _HOUR_MS * _HOUR_MS, (extent[1] // _HOUR_MS + 1) * _HOUR_MS], dtype="int64")
    return int(history.spans(connection, series_id, edges).n.sum())


@st.dialog("Delete this device?")
def ask_to_delete(device: str) -> None:
    """Ask twice: the name has to be typed. Say what goes with it."""
    check_role("admin")
    stored = readings_of(device)
    what = "all its readings" if stored is None else f"its {things(stored, 'reading')}"
    credentials = "its token" if get_runtime().logins is None else "its token and its login at the broker"
    st.html(
        f"<p><b>{html(device)}</b> goes with {what}, its actuators, {credentials}; what is asked of it has failed "
        "then. Commands and audit entries stay. It happens in the background and <b>can't be undone</b>.</p>"
        "<p>A device that goes on sending is back with its next message. To delete it, type its name: "
        f"<b>{html(device)}</b></p>"
    )
    typed = st.text_input("Name of the device to delete", autocomplete="off", key="device_delete_name")
    sure = (typed or "").strip() == device
    if st.button(f"Delete {markdown(device)}", type="primary", disabled=not sure, key="device_delete_sure"):
        if _delete(device):
            st.query_params.clear()
        st.rerun()


def _delete(device: str) -> bool:
    """Its login at the broker first, so that it sends nothing more meanwhile; whether both was done."""
    ended, had_login = attempt(lambda: end_login(device))
    if not ended:
        return False
    deleted = change(
        device,
        lambda connection, key, who, at: removal.ask(connection, key, device, by=who, at=at),
        f"{device} is being deleted.",
    )
    if not deleted and had_login:
        note_problem(f"{device} can't come in at the broker any more, but it is not deleted: do that again.")
    return deleted
