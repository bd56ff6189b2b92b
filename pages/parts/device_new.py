"""A form for a device that has not sent anything yet: over MQTT with a login, or over HTTP with a token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import streamlit as st

from pages.parts.device_credentials import make_token
from pages.parts.device_login import add_with_login, show_no_logins
from runtime import get_runtime

_FORM: Final = "device form"
_WAYS: Final = ("over MQTT", "over HTTP")


def show_new_device() -> None:
    """How it sends, and then its name."""
    with st.expander("Add a device"):
        way = st.radio("How it sends", _WAYS, horizontal=True, key="device_way")
        if way == _WAYS[1]:
            st.markdown("It needs a token, with which it posts its readings and fetches its commands.")
            _ask_name(make_token)
        elif get_runtime().logins is None:
            st.markdown("It is listed by itself, from its first message on.")
            show_no_logins("python -m broker device add NAME")
        else:
            st.markdown("It needs a login at the broker, with which it sends its own readings and hears its commands.")
            _ask_name(add_with_login)


def _ask_name(add: Callable[[str], bool]) -> None:
    number = st.session_state.setdefault(_FORM, 0)
    with st.form(f"device_{number}", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.text_input("Name of a new device", placeholder="greenhouse", autocomplete="off", width=280)
        asked = st.form_submit_button("Add device")
    if asked:
        device = (name or "").strip()
        if device in get_runtime().board.current.devices:
            st.query_params["device"] = device
        elif add(device):
            st.session_state[_FORM] = number + 1
        st.rerun()
