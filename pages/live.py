"""Live: a card a device, moved by the server's stream, and the last hour of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import streamlit as st

from db import account
from db.engine import DatabaseAway, reading
from ingest.snapshot import Snapshot
from pages.parts.clock import display_zone, now_ms
from pages.parts.connect import show_how_to_connect, wait_for_first_device
from pages.parts.format import age, count, things
from pages.parts.hour_chart import panels
from pages.parts.last_hour import METRICS_READ, read_last_hour
from pages.parts.live_cards import data_of, show_cards
from pages.parts.login import check_reader
from pages.parts.look import ink
from pages.parts.places import Named, every_name, title_of
from runtime import get_runtime

_CHOICE: Final = "device"
_SIMULATED: Final = "simulated-"
_DAY_MS: Final = 86_400_000
#: Gaps in sequence numbers that are added up; more are told as "at least".
_GAPS: Final = 1_000


@st.cache_data(ttl=10, show_spinner=False, max_entries=1)
def missing_today() -> tuple[int, bool]:
    """Messages noticed missing in the last 24 hours, and whether that is all. Raises DatabaseAway."""
    with reading(get_runtime().engine) as connection:
        gaps = account.missing(connection, _GAPS)
    recent = [gap.count for gap in gaps if gap.noticed_at > now_ms() - _DAY_MS]
    return sum(recent), len(gaps) < _GAPS


@st.fragment(run_every=5)
def show_flow() -> None:
    """How much comes in, and whether something is missing, in one line."""
    check_reader()
    line = f"{count(get_runtime().health().rates.readings_per_minute)} readings/min"
    try:
        missing, exactly = missing_today()
    except DatabaseAway:
        missing, exactly = None, True
    if missing is not None:
        line += f", {'' if exactly else 'at least '}{count(missing)} messages missing in 24 h"
    st.html(f'<p class="sm-dim sm-flow">{line}</p>')


@st.fragment(run_every=2)
def show_first_steps() -> None:
    """What will be here, and what to type. The page goes on by itself when a device reports."""
    check_reader()
    away = "What is known of your devices is in the database. Their cards appear here when it is back."
    first = "Each device gets a card here with its values as they arrive. Send a first reading from a terminal:"
    wait_for_first_device(get_runtime(), away, first)


@st.fragment(run_every=10)
def show_last_hour(device: str) -> None:
    """The chart of the chosen device."""
    check_reader()
    runtime, now, zone = get_runtime(), now_ms(), display_zone()
    try:
        hour = read_last_hour(runtime.engine, device, now)
    except DatabaseAway:
        st.markdown("The chart comes back by itself when the database does. Nothing of it is lost.")
        return
    if hour.frame.empty:
        known = runtime.board.current.devices.get(device)
        last = f" It was last heard {age(known.last_seen, now, zone)}." if known and known.last_seen else ""
        st.markdown(f"No readings in the last hour.{last}")
        return
    for panel in panels(hour, zone, ink()):
        st.markdown(f"**{panel.title}**")
        st.altair_chart(panel.chart, width="stretch")
    rest = len(hour.metrics) - METRICS_READ
    if rest > 0:
        st.html(f'<p class="sm-dim">{things(rest, "more metric")} not drawn here.</p>')


def shown_devices(snapshot: Snapshot, names: Mapping[str, Named]) -> list[str]:
    """Devices that are to be seen, by what they are called; all of them where every one is hidden."""
    shown = [name for name in snapshot.devices if not names.get(name, Named()).hidden]
    return sorted(shown or snapshot.devices, key=lambda name: (title_of(name, names), name))


def choose_device(devices: Sequence[str]) -> str:
    """The device whose chart is shown: the one chosen by card or by list, else the first."""
    if st.session_state.get(_CHOICE) not in devices:
        st.session_state[_CHOICE] = devices[0]
    return str(st.session_state[_CHOICE])


def show_devices(snapshot: Snapshot) -> None:
    """Cards, and the last hour of the chosen one."""
    names = every_name(snapshot)
    devices = shown_devices(snapshot, names)
    chosen = choose_device(devices)
    show_cards(data_of(snapshot, names, chosen, now_ms(), str(display_zone())), _CHOICE)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Last hour", anchor="last-hour", width="content")
        label = "Device whose last hour is shown"
        device = st.selectbox(
            label,
            devices,
            format_func=lambda name: title_of(name, names),
            key=_CHOICE,
            label_visibility="collapsed",
            width=280,
        )
        st.page_link(
            "history.py",
            label="Open in History",
            icon=":material/timeline:",
            query_params={"device": device, "range": "1h"},
        )
    show_last_hour(device)
    if all((device.model or "").startswith(_SIMULATED) for device in snapshot.devices.values()):
        with st.expander("Connect a real device"):
            runtime = get_runtime()
            st.markdown("These devices are simulated. One of your own appears beside them with its first reading:")
            show_how_to_connect(runtime)


st.title("Live", anchor=False)
current = get_runtime().board.current
if current.devices:
    show_flow()
    show_devices(current)
else:
    show_first_steps()
