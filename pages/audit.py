"""Audit, for administrators: who did what to what, from where, when, and how it ended."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Final

import streamlit as st

from db import audit
from db.engine import reading
from pages.parts.audit_table import ACTIONS, Filter, audit_html, export_html
from pages.parts.clock import display_zone, now_ms
from pages.parts.format import things
from pages.parts.jobs import PATIENCE_S, Job, JobFailed
from pages.parts.login import check_role
from pages.parts.notes import attempt, note_html, take_note
from pages.parts.tables import dim
from runtime import Runtime, get_runtime

_FIRST: Final = 50
_MORE: Final = 200
_MOST: Final = 2_000
_SHOWN: Final = "audit shown"
_JOB: Final = "audit check"


def ask() -> Filter:
    """Which records are wanted."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="sm_audit_search"):
        text = st.text_input("Search", placeholder="a name, an address, a device", autocomplete="off", width=320)
    with st.expander("More filters"), st.container(horizontal=True, vertical_alignment="bottom"):
        who = st.text_input("Who", autocomplete="off", width=200)
        action = st.selectbox(
            "What", list(ACTIONS), index=None, placeholder="anything", format_func=ACTIONS.__getitem__, width=240
        )
        since = st.date_input("From day", None, width=160)
        until = st.date_input("To day", None, width=160)
    return Filter(text or "", who or "", action, _day(since), _day(until))


def _day(value: Any) -> Any:
    """The widget gives a tuple where somebody cleared it."""
    return value if not isinstance(value, tuple) else None


def show_records(asked: Filter) -> None:
    """The newest that fit, and a way to more."""
    zone = display_zone()
    if st.session_state.get(_SHOWN, (None, 0))[0] != asked:
        st.session_state[_SHOWN] = (asked, _FIRST)
    limit: int = st.session_state[_SHOWN][1]
    doors = get_runtime().doors
    found, records = attempt(lambda: doors.audit(**asked.arguments(zone), limit=limit + 1))
    if not found or records is None:
        st.html(note_html("problem", take_note() or ""))
        return
    if not records:
        st.html(dim("Nothing fits. Take a filter away." if asked != Filter() else "Nothing has happened yet."))
        return
    st.html(audit_html(records[:limit], now_ms(), zone))
    if len(records) <= limit:
        return
    if limit >= _MOST:
        st.html(dim(f"These are the newest {_MOST}. Narrow the search, or export all that fit."))
    elif st.button("Load more"):
        st.session_state[_SHOWN] = (asked, min(_MOST, limit + _MORE))
        st.rerun()


def verified(runtime: Runtime) -> Generator[str]:
    """Whether the chain holds, in words. Raises DatabaseAway."""
    with reading(runtime.engine) as connection:
        verdict = audit.verify(connection, runtime.doors.key("audit"), None)
    if verdict.problem is not None:
        raise JobFailed(f"{verdict.problem} Somebody changed the log, or the key of this server is another.")
    held = f"{things(verdict.entries, 'entry', 'entries')}, and each holds."
    yield f"{held} To find out later whether some were taken from the end, note the newest one's mark: {verdict.head}"


@st.fragment(run_every=1)
def show_check() -> None:
    """A check that is at work, and then what it found."""
    check_role("admin")
    job: Job | None = st.session_state.get(_JOB)
    if job is None:
        return
    if job.running:
        st.html(dim("Checking every record from the first…"))
    else:
        st.html(note_html("problem" if job.failed else "done", job.words))


check_role("admin")
st.title("Audit", anchor=False)
asked = ask()
with st.container(horizontal=True, vertical_alignment="center"):
    st.html(export_html(asked.export(display_zone())), width="content")
    if st.button("Check the chain"):
        runtime = get_runtime()
        job = Job("audit-check", verified(runtime), runtime.stopping)
        st.session_state[_JOB] = job
        job.wait(PATIENCE_S)
show_check()
show_records(asked)
