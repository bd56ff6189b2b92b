"""System: how broker, database and worker are, the account, storage, what is missing, what was not understood."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Final

import streamlit as st

from db import account, dead_letters, resends
from db.doors import Actor
from db.engine import DatabaseAway, reading
from db.sizes import growth
from pages.parts.account_sum import account_html
from pages.parts.acting import show_acting, take_act
from pages.parts.broker_doctor import show_doctor
from pages.parts.clock import display_zone, now_ms
from pages.parts.format import things
from pages.parts.jobs import PATIENCE_S, Job
from pages.parts.letter_work import bench, delete, every_letter, replay
from pages.parts.letters import letters_html, preview
from pages.parts.login import actor_of, check_reader, check_role, guard, may
from pages.parts.missing_numbers import missing_html, shown_first
from pages.parts.notes import attempt, note_done, note_html, note_problem, show_notes, take_note
from pages.parts.service_cards import parts_html, rates_html
from pages.parts.storage import storage_html
from pages.parts.tables import dim
from pages.parts.words import html
from runtime import Runtime, get_runtime

_LETTERS: Final = 20
_GAPS: Final = 20
#: Ranges that are looked at, and shown of those with the same fate.
_ASKED_LATELY: Final = 500
_OF_A_FATE: Final = 10
_LIST: Final = "letters"
_ASKED: Final = "letters asked"
_JOB: Final = "letters job"

Work = Callable[[Runtime, Actor, Sequence[int], str], Generator[str]]


@st.fragment(run_every=2)
def show_health() -> None:
    """Parts, rates and the account, from memory."""
    check_reader()
    health, now, zone = get_runtime().health(), now_ms(), display_zone()
    st.html(parts_html(health, now, zone))
    st.subheader("Last minute", anchor=False)
    st.html(rates_html(health))
    st.subheader("Account", anchor=False)
    st.html(account_html(health.account))


@st.fragment(run_every=5)
def show_losses() -> None:
    """Missing numbers and dead letters, from the database."""
    check_reader()
    act = take_act(_LIST)
    if act[0]:
        st.session_state[_ASKED] = act
        st.rerun()  # a dialog belongs to the page: this fragment's next tick would close it
    now, zone = now_ms(), display_zone()
    try:
        with reading(get_runtime().engine) as connection:
            gaps = account.missing(connection, _GAPS)
            asked = shown_first(resends.newest(connection, _ASKED_LATELY), _OF_A_FATE)
            kept, removed = dead_letters.count(connection), account.letters_removed(connection)
            newest = dead_letters.newest(connection, _LETTERS)
    except DatabaseAway:
        st.markdown("Missing messages and dead letters are shown again when the database is back.")
        return
    st.subheader("Missing messages", anchor=False)
    st.html(missing_html(gaps, now, zone, asked))
    st.subheader("Dead letters", anchor=False)
    if may(guard(), "admin") and newest:
        show_acting(letters_html(newest, kept, removed, now, zone, acts=True), _LIST)
    else:
        st.html(letters_html(newest, kept, removed, now, zone))


@st.fragment(run_every=5)
def show_storage() -> None:
    """How much is stored, what it takes, and for how long the disk will do."""
    check_reader()
    runtime = get_runtime()
    found = runtime.sizes.current()
    st.subheader("Storage", anchor=False)
    if found is None:
        away = runtime.health().database.state != "connected"
        st.html(dim("Shown again when the database is back." if away else "Being measured…"))
        return
    st.html(storage_html(found, growth(found, runtime.settings.seal_after_days), now_ms(), display_zone()))


def meant(of: str) -> tuple[list[int], str]:
    """Which letters a button is for, and how the audit log calls them. Raises DatabaseAway."""
    runtime = get_runtime()
    if of == "all":
        ids = every_letter(runtime)
        return ids, f"all up to {ids[-1]}" if ids else "all"
    if not of.isdecimal():  # the browser may send anything
        return [], ""
    with reading(runtime.engine) as connection:
        found = dead_letters.some(connection, [int(of)])
    return [one.id for one in found], f"{of} on {preview(found[0].letter.topic.encode(), 200)}" if found else of


def start(work: Work, of: str) -> None:
    """Do it in a thread of its own; the page waits for what is quick."""
    who = actor_of(check_role("admin"))
    runtime = get_runtime()
    found, which = attempt(lambda: meant(of))
    if not found or which is None:
        return
    ids, subject = which
    if not ids:
        note_done("Somebody replayed or deleted it meanwhile.")
        return
    job = bench().start(lambda: Job("letters", work(runtime, who, ids, subject), runtime.stopping))
    if job is None:
        note_problem("Somebody is replaying or deleting dead letters just now. Wait until that has ended.")
        return
    st.session_state[_JOB] = job
    job.wait(PATIENCE_S)


@st.fragment(run_every=1)
def show_work() -> None:
    """How far it is, and then what came of it."""
    job: Job = st.session_state[_JOB]
    check_role("admin")
    if job.running:
        st.html(dim(job.words or "Begins…"))
    else:
        st.rerun()


@st.dialog("Delete dead letters?")
def ask_to_delete(of: str) -> None:
    """Ask once, and say what goes with it."""
    check_role("admin")
    found, which = attempt(lambda: meant(of))
    if not found or which is None or not which[0]:
        st.html(note_html("problem", take_note() or "It is gone already."))
        return
    ids, subject = which
    what = f"All {things(len(ids), 'message')}" if of == "all" else f"The message {html(subject)}"
    held = "it held" if len(which[0]) == 1 else "they held"
    st.html(f"<p>{what} that could not be understood will be gone, with what {held}. This can't be undone.</p>")
    if st.button(f"Delete {things(len(ids), 'message')}", type="primary"):
        start(delete, of)
        st.rerun()


def show_result() -> None:
    """What became of the work that was asked for last."""
    job: Job | None = st.session_state.get(_JOB)
    if job is not None and job.running:
        show_work()
    elif job is not None:
        del st.session_state[_JOB]
        (note_problem if job.failed else note_done)(job.words)
    show_notes()


verb, of = st.session_state.pop(_ASKED, ("", ""))
if verb == "replay" and may(guard(), "admin"):
    start(replay, of)
st.title("System", anchor=False)
show_result()
show_health()
show_storage()
show_losses()
if may(guard(), "admin"):
    show_doctor()
if verb == "delete" and may(guard(), "admin"):
    ask_to_delete(of)
