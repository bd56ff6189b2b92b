"""With what a device comes in at the broker: its login, made, shown once, replaced and revoked by admins."""

from __future__ import annotations

from functools import partial

import streamlit as st

from broker import paste
from broker.logins import CA_NAME, DeviceLogins, LoginExists
from broker.provisioning import Credentials
from db import places
from db.doors import Actor
from db.engine import write
from db.places import PlaceChange
from pages.parts.clock import now_ms
from pages.parts.device_change import show_anew
from pages.parts.login import actor_of, check_role
from pages.parts.notes import Folded, Once, attempt, note_done, note_html, note_told, show_once, take_note
from pages.parts.tables import state
from pages.parts.words import html, markdown
from runtime import get_runtime


def add_with_login(device: str) -> bool:
    """Make a device that has not sent anything yet, with a login, which is shown once; whether it was made.

    One whose login was made elsewhere is made without another.
    """
    logins, who = get_runtime().logins, actor_of(check_role("admin"))
    if logins is None:
        return False
    added, made = attempt(lambda: _add(logins, device, who))
    if not added:
        return False
    show_anew(device)
    if made is None:
        note_told(
            f"The broker has a login for {device} already, which was not made here. If you don't have it, make a new "
            "password below."
        )
        st.query_params["device"] = device
    else:
        _show_once(logins, made)
        note_done(f"{device} may come in at the broker. It waits for its first message.")
    return True


def _add(logins: DeviceLogins, device: str, who: Actor) -> Credentials | None:
    """Device and login, both or none of them; None for the login if there is one that was made elsewhere."""
    key = get_runtime().doors.key("audit")

    def make() -> None:
        write(
            get_runtime().engine,
            lambda connection: places.make(connection, key, device, PlaceChange(), by=who, at=now_ms()),
        )

    try:
        with logins.adding(device, partial(get_runtime().doors.note, who)) as made:
            make()
            return made
    except LoginExists:
        if logins.find(device) is None:
            raise
        make()
        return None


def end_login(device: str) -> bool:
    """Take the login away of a device that shall be deleted; whether it had one. Raises LoginError, DatabaseAway."""
    logins, who = get_runtime().logins, actor_of(check_role("admin"))
    return logins is not None and logins.forget(device, partial(get_runtime().doors.note, who))


def show_login(device: str) -> None:
    """How its login stands, and what can be done about it."""
    st.subheader("Login at the broker", anchor=False)
    logins = get_runtime().logins
    if logins is None:
        show_no_logins(f"python -m broker device add {device}")
        return
    found, account = attempt(lambda: logins.find(device))
    if not found:
        st.html(note_html("problem", f"{take_note() or ''} Whether it may come in is shown when that is mended."))
        return
    lets_in = account is not None and not account.revoked
    if account is None:
        st.markdown("It has none. A device that sends over MQTT needs one.")
    elif account.revoked:
        st.html(f"<p>{state('silent', 'revoked')}: it is let in no more. A new password lets it in again.</p>")
    else:
        where = f"{'mqtts' if logins.reach.tls else 'mqtt'}://{logins.reach.host}:{logins.reach.port}"
        st.html(
            f"<p>{state('online', 'may come in')} as <b>{html(device)}</b> at {html(where)}, with the password that "
            "was shown once.</p>"
        )
    with st.container(horizontal=True):
        if st.button("New password" if account is not None else "Make a login", key="login_make"):
            if not lets_in:
                _give(logins, device)
                st.rerun()
            ask_for_a_new_password(device)
        if lets_in and st.button("Revoke the login", key="login_revoke"):
            ask_to_revoke_login(device)


def show_no_logins(line: str) -> None:
    """Why logins aren't made here, and what to do instead: `line`, where the broker is."""
    if get_runtime().settings.mqtt_url is None:
        st.markdown(
            "The broker that this server starts by itself is for trying out: it asks nobody for a login, and a device "
            "just sends. One with logins and TLS is set up by `python -m broker init` (docs/broker.md)."
        )
        return
    st.markdown("This server makes no logins at its broker. Where the broker is, type:")
    st.code(line, language=None, wrap_lines=True)
    st.markdown("To make them here, set `MQTT_ADMIN_USER` and `MQTT_ADMIN_PASSWORD` (docs/broker.md).")


@st.dialog("Make a new password?")
def ask_for_a_new_password(device: str) -> None:
    """Ask once, and say what goes with it."""
    check_role("admin")
    st.html(
        f"<p>The password that <b>{html(device)}</b> has stops working, and the device is disconnected at once. It "
        "needs the new one.</p>"
    )
    logins = get_runtime().logins
    if st.button("Make a new password", type="primary", key="login_make_sure") and logins is not None:
        _give(logins, device)
        st.rerun()


@st.dialog("Revoke the login?")
def ask_to_revoke_login(device: str) -> None:
    """Ask once, and say what goes with it."""
    who = actor_of(check_role("admin"))
    st.html(
        f"<p><b>{html(device)}</b> is disconnected at once, and let in no more: it can't send over MQTT, nor hear its "
        "commands. What it sent stays, and HTTP is not concerned. A new password lets it in again.</p>"
    )
    logins = get_runtime().logins
    if st.button(f"Revoke the login of {markdown(device)}", type="primary", key="login_revoke_sure") and logins:
        revoked, _ = attempt(lambda: logins.revoke(device, partial(get_runtime().doors.note, who)))
        if revoked:
            note_done(f"The login of {device} is revoked.")
        st.rerun()


def _give(logins: DeviceLogins, device: str) -> None:
    who = actor_of(check_role("admin"))
    given, made = attempt(lambda: logins.give(device, partial(get_runtime().doors.note, who)))
    if given and made is not None:
        _show_once(logins, made)
        note_done(f"{device} may come in at the broker with its new password.")


def _show_once(logins: DeviceLogins, made: Credentials) -> None:
    lines = (("User and client id", made.username), ("Password", made.password or ""))
    text = "The password is shown this once; the broker keeps only its hash. Put it into the device's settings."
    show_once(Once(f"Login of {made.username} at the broker", text, lines, tuple(_folded(logins, made))))


def _folded(logins: DeviceLogins, made: Credentials) -> list[Folded]:
    """What to paste, by kind of device, then the QR code and the broker's certificate."""
    address = paste.address(logins.reach, made)
    folded = [Folded(one.title, text=one.text) for one in logins.snippets(made) if one.text != address]
    if logins.reach.tls and logins.plain is None:
        told = (
            "Our ESP8266 has no memory for TLS: it comes in by a listener without, which python -m broker init --plain "
            "opens on one network, with this user and password (docs/broker.md)."
        )
        folded.append(Folded("ESP8266 of ours", told))
    shows = f"QR code of the address of {made.username} at the broker, with its password"
    told = "All of it in one line, and for a camera."
    folded.append(Folded("Address and QR code", told, address, paste.qr_svg(address), shows))
    certificate = logins.certificate()
    if certificate is not None:
        told = f"By this the device knows the broker. Save it as {CA_NAME}; it is no secret."
        folded.append(Folded(f"The broker's certificate ({CA_NAME})", told, certificate))
    elif logins.ca_file is not None:
        told = f"By this the device knows the broker. Copy it from the broker's machine: {logins.ca_file}"
        folded.append(Folded(f"The broker's certificate ({CA_NAME})", told))
    return folded
