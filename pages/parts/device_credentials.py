"""With what a device comes in over HTTP: its token, made, shown once, and taken back by admins."""

from __future__ import annotations

import streamlit as st

from pages.parts.clock import display_zone, now_ms
from pages.parts.device_change import show_anew
from pages.parts.format import age
from pages.parts.login import actor_of, check_role
from pages.parts.notes import Once, attempt, note_done, note_html, show_once, take_note
from pages.parts.words import html, markdown, plain
from runtime import get_runtime


def make_token(device: str) -> bool:
    """Make one, in place of the one there may be, and show it once; whether it was made."""
    who = actor_of(check_role("admin"))
    made, answer = attempt(lambda: get_runtime().doors.create_device_token(who, device))
    if not made or answer is None:
        return False
    token, secret = answer
    show_anew(token.device)
    text = "It is shown this once and kept as a fingerprint only. Put it into the device's settings."
    show_once(Once(f"Token of {token.device}", text, (("The token", secret), ("Send a reading", _line(secret)))))
    note_done(f"{token.device} can send over HTTP now.")
    return True


def _line(token: str) -> str:
    address = st.context.url if isinstance(st.context.url, str) and st.context.url else "http://127.0.0.1:8501/"
    base = address.split("?")[0].rstrip("/").removesuffix("/devices")
    return f"""curl -H 'Authorization: Bearer {token}' -d '{{"temperature": 21.5}}' {base}/api/dht22_db/"""


def show_token(device: str) -> None:
    """What is known of a device's token, and what can be done about it."""
    st.subheader("Token for HTTP", anchor=False)
    found, tokens = attempt(get_runtime().doors.device_tokens)
    if not found or tokens is None:
        st.html(note_html("problem", take_note() or ""))
        return
    token = next((one for one in tokens if one.device == device), None)
    now, zone = now_ms(), display_zone()
    if token is None:
        st.markdown("It has none. A board that sends over HTTP, or fetches its commands there, needs one.")
    else:
        used = "never used" if token.used_at is None else f"used {age(token.used_at, now, zone)}"
        made = f"made {age(token.created_at, now, zone)} by {markdown(token.created_by)}"
        st.markdown(f"`{plain(token.hint)}\u2026`, {made}, {used}.")
    with st.container(horizontal=True):
        if st.button("Make a token" if token is None else "Replace the token", key="token_make"):
            if token is None:
                make_token(device)
                st.rerun()
            ask_to_replace(device)
        if token is not None and st.button("Revoke the token", key="token_revoke"):
            ask_to_revoke(device)


@st.dialog("Replace the token?")
def ask_to_replace(device: str) -> None:
    """Ask once, and say what goes with it."""
    check_role("admin")
    st.html(f"<p>The token that <b>{html(device)}</b> has stops working at once; the device needs the new one.</p>")
    if st.button("Replace the token", type="primary", key="token_replace_sure"):
        make_token(device)
        st.rerun()


@st.dialog("Revoke the token?")
def ask_to_revoke(device: str) -> None:
    """Ask once, and say what goes with it."""
    who = actor_of(check_role("admin"))
    st.html(
        f"<p><b>{html(device)}</b> can't send readings over HTTP any more, nor fetch commands there. What it sent "
        "stays, and MQTT is not concerned.</p>"
    )
    if st.button("Revoke the token", type="primary", key="token_revoke_sure"):
        revoked, _ = attempt(lambda: get_runtime().doors.revoke_device_token(who, device))
        if revoked:
            note_done(f"The token of {device} is revoked.")
        st.rerun()
