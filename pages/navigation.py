"""The main script: which pages there are for whoever looks, and what stands on each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import streamlit as st

from db.sessions import Session
from db.users import Role
from pages.parts.banner import show_notices
from pages.parts.login import (
    LOGIN_PAGE,
    end_login,
    guard,
    is_settled,
    login_said,
    may,
    may_read,
    run_errand,
    say_no_more,
    state_of,
    watch_login,
)
from pages.parts.look import MARK, apply_look
from pages.parts.notes import attempt, note_html, notes_of_page
from pages.parts.words import markdown

_FROM: Final = "came from"


@dataclass(frozen=True, slots=True)
class Entry:
    """A page: its file, its address, and who may open it. `role` None: whoever may read."""

    file: str
    title: str
    path: str
    icon: str
    role: Role | None = None
    listed: bool = True


PAGES: Final = (
    Entry("live.py", "Live", "live", ":material/sensors:"),
    Entry("history.py", "History", "history", ":material/timeline:"),
    Entry("control.py", "Control", "control", ":material/toggle_on:"),
    Entry("devices.py", "Devices", "devices", ":material/developer_board:"),
    Entry("users.py", "Users", "users", ":material/group:", "admin"),
    Entry("audit.py", "Audit", "audit", ":material/history:", "admin"),
    Entry("imports.py", "Import", "import", ":material/upload_file:", "admin"),
    Entry("system.py", "System", "system", ":material/monitor_heart:"),
    Entry("account.py", "My account", "account", ":material/person:", "viewer", listed=False),
    Entry("login.py", "Log in", "login", ":material/login:", listed=False),
)


def script_for(entry: Entry, session: Session | None) -> str:
    """What stands at this page's address: the page itself, or why it does not, so that a link into it stays good."""
    if entry.path == "login":
        return entry.file
    if session is None:
        return entry.file if entry.role is None and may_read(None) else "login.py"
    if session.user.must_change:
        return "first_password.py"
    return entry.file if entry.role is None or may(session, entry.role) else "refused.py"


def built(entry: Entry, session: Session | None) -> st.Page:
    """The page for Streamlit. One that does not show itself is not listed."""
    script = script_for(entry, session)
    shown = entry.listed and script == entry.file
    return st.Page(
        script,
        title=entry.title,
        icon=entry.icon,
        url_path=entry.path,
        default=entry is PAGES[0],
        visibility="visible" if shown else "hidden",
    )


def show_who(session: Session | None, pages: dict[str, st.Page]) -> None:
    """At the bottom of the side bar: who I am and the way out, or the way in."""
    with st.sidebar.container(key="sm_who"):
        if session is None:
            st.page_link(pages["login"], label="Log in", icon=":material/login:", width="stretch")
            return
        name = markdown(session.user.name)
        st.page_link(pages["account"], label=f"{name} · {session.user.role}", icon=":material/person:", width="stretch")
        if st.button("Log out", key="log_out", icon=":material/logout:", type="tertiary", width="stretch"):
            left, _ = attempt(lambda: end_login(session))
            if left:
                st.rerun()


def show_end(pages: dict[str, st.Page]) -> None:
    """On a page that is open to everyone: that the login has ended, and the way to another one."""
    said = login_said()
    if said is not None:
        with st.container(key="sm_ended"):
            st.html(note_html("told", said))
            st.page_link(pages["login"], label="Log in", icon=":material/login:")


def leave_login(pages: dict[str, st.Page]) -> None:
    """Go on to where somebody came from, once they are logged in."""
    came_from = st.session_state.get(_FROM)
    st.switch_page(pages[came_from] if came_from in pages else pages[PAGES[0].path])


st.set_page_config(page_title="Smart Monitor", page_icon=str(MARK), layout="wide", initial_sidebar_state=250)
st.logo(str(MARK), size="large")
apply_look()
session = guard()
pages = {entry.path: built(entry, session) for entry in PAGES}
st.session_state[LOGIN_PAGE] = pages["login"]
page = st.navigation(list(pages.values()))
entry = next(one for one in PAGES if pages[one.path] is page)
run_errand()
if session is not None or not is_settled():
    watch_login(state_of(session))
if session is not None and entry.path == "login":
    leave_login(pages)
st.session_state["page"] = entry.title
if entry.path != "login":
    if notes_of_page(entry.path):
        say_no_more()
    st.session_state[_FROM] = entry.path
show_who(session, pages)
if may_read(session):
    show_notices()
if session is None and script_for(entry, None) != "login.py":
    show_end(pages)
page.run()
