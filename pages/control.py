"""Control: what each actuator reports, what it is asked for and what lies between, and the last commands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from db import commands, devices
from db.commands import BadState, Command, TooMany, UnknownTarget
from db.devices import Actuator
from db.engine import DatabaseAway, reading
from db.sessions import Session
from ingest.snapshot import Snapshot
from pages.parts.clock import display_zone, now_ms
from pages.parts.connect import show_how_to_report
from pages.parts.controls import Answer, Press, data_of, show_controls
from pages.parts.login import LOGIN_PAGE, actor_of, check_reader, guard, may
from pages.parts.places import every_name
from pages.parts.tables import dim
from runtime import Runtime, get_runtime

_ANSWERS: Final = "control answers"
#: Answers that are kept, because a press may be sent again until its answer has arrived.
_KEPT: Final = 1_000
_LISTED: Final = 100
_AWAY: Final = "The database is out of reach, so nothing was asked. Press again when it is back."
_NOT_YOURS: Final = "Nothing was asked: this login has ended or may not control devices any more. Log in again."


@st.cache_data(ttl=2, show_spinner=False, max_entries=1)
def every_actuator() -> list[Actuator]:
    """All actuators with their ranges. Raises DatabaseAway."""
    with reading(get_runtime().engine) as connection:
        return devices.every_actuator(connection)


def last_commands() -> list[Command]:
    """The newest of all. Raises DatabaseAway."""
    with reading(get_runtime().engine) as connection:
        return commands.recent(connection, limit=_LISTED)


def take(presses: Sequence[Press]) -> None:
    """Ask for what was pressed, and keep the answers for the browser."""
    runtime, session = get_runtime(), guard()
    answers: dict[str, Answer] = st.session_state.setdefault(_ANSWERS, {})
    for press in presses:
        if press.id not in answers:
            answers[press.id] = ask(runtime, session, press)
    for old in list(answers)[:-_KEPT]:
        del answers[old]


def ask(runtime: Runtime, session: Session | None, press: Press) -> Answer:
    """Make a command of a press, and what to tell of it."""
    if session is None or session.user.must_change or not may(session, "operator"):
        return Answer(press.id, None, _NOT_YOURS)
    try:
        command = runtime.order(actor_of(session), press.device, press.actuator, press.order)
    except (UnknownTarget, BadState, TooMany) as refused:
        return Answer(press.id, None, str(refused))
    except DatabaseAway:
        return Answer(press.id, None, _AWAY)
    return Answer(press.id, command.id, None)


@st.fragment
def show_actuators() -> None:
    """All of them. A press runs this alone."""
    check_reader()
    session = guard()
    known: list[Actuator] = []
    listed: list[Command] | None = None
    try:
        known = every_actuator()
        listed = last_commands() if session is not None else None
    except DatabaseAway:
        st.html(dim("The database is out of reach: states are as they were last reported, and nothing can be asked."))
        listed = [] if session is not None else None
    answers: dict[str, Answer] = st.session_state.get(_ANSWERS, {})
    current = get_runtime().board.current
    show_controls(
        data_of(
            current,
            known,
            every_name(current),
            listed,
            answers.values(),
            may=may(session, "operator"),
            now=now_ms(),
            zone=str(display_zone()),
        ),
        take,
    )


def show_who_may(session: Session | None) -> None:
    """To somebody who sees no buttons: who does, and how to become one of them."""
    if session is None:
        with st.container(horizontal=True, vertical_alignment="center", key="sm_log_in"):
            st.html(dim("You see how everything stands. To control it,"), width="content")
            st.page_link(st.session_state[LOGIN_PAGE], label="Log in", icon=":material/login:")
    elif not may(session, "operator"):
        st.html(dim("You see how everything stands. Operators and admins control it; an admin can make you one."))


def has_actuators(snapshot: Snapshot) -> bool:
    """Whether there is anything to control."""
    return any(device.actuators for device in snapshot.devices.values())


@st.fragment(run_every=2)
def wait_for_first_actuator() -> None:
    """What will be here, and what to type. The page goes on by itself when a device tells of an actuator."""
    check_reader()
    runtime = get_runtime()
    if has_actuators(runtime.board.current):
        st.rerun()
    if not runtime.board.current.devices and runtime.health().database.state != "connected":
        st.markdown("What is known of your devices is in the database. They appear here when it is back.")
        return
    st.subheader("Nothing to control yet", anchor=False)
    st.markdown("Each lamp, fan or set point gets a card here once its device reports its state:")
    show_how_to_report(runtime)


st.title("Control", anchor=False)
show_who_may(guard())
if has_actuators(get_runtime().board.current):
    show_actuators()
else:
    wait_for_first_actuator()
