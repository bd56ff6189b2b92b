"""Sentences on a page: what was done, what went wrong, and what is shown once and never again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Final, Literal, TypeVar

import streamlit as st

from broker.logins import LoginError
from db.doors import DoorsError
from db.engine import DatabaseAway
from pages.parts.words import html

T = TypeVar("T")
Kind = Literal["done", "told", "problem"]

_AWAY: Final = (
    "The database is out of reach, so nothing was changed. The server keeps trying; do it again when it is back."
)
#: Longest sentence: a reason that a database or a device gave may be in it.
_LONGEST: Final = 1_000
#: How it is read out, and its shape.
_KINDS: Final[dict[Kind, tuple[str, str]]] = {
    "done": ("status", "online"),
    "told": ("status", "silent"),
    "problem": ("alert", "trouble"),
}
_NOTE: Final = "note"
_ONCE: Final = "shown once"
_PAGE: Final = "notes are of"


@dataclass(frozen=True, slots=True)
class Note:
    """What became of what was asked for."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Folded:
    """More of a secret, opened when it is wanted: a sentence, a text to copy, the address of a
    picture (`data:`) with what it shows in words.
    """

    title: str
    told: str = ""
    text: str = ""
    picture: str = ""
    shows: str = ""


@dataclass(frozen=True, slots=True)
class Once:
    """A secret that is shown until somebody says it was taken: what it is, what to do with it, lines to copy."""

    title: str
    text: str
    lines: tuple[tuple[str, str], ...]
    folded: tuple[Folded, ...] = ()


def note_done(text: str) -> None:
    """Say on the page's next run what was done."""
    st.session_state[_NOTE] = Note("done", text)


def note_told(text: str) -> None:
    """Say on the page's next run what is so, and was not done."""
    st.session_state[_NOTE] = Note("told", text)


def note_problem(text: str) -> None:
    """Say on the page's next run what went wrong."""
    st.session_state[_NOTE] = Note("problem", text)


def attempt(do: Callable[[], T]) -> tuple[bool, T | None]:
    """Do it: whether it could be done, and what came of it. What went wrong becomes a sentence for `show_notes`."""
    st.session_state.pop(_NOTE, None)
    try:
        return True, do()
    except (DoorsError, LoginError) as refused:
        note_problem(str(refused))
    except DatabaseAway:
        note_problem(_AWAY)
    return False, None


def take_note() -> str | None:
    """The sentence for the next run, to be shown at another place."""
    note: Note | None = st.session_state.pop(_NOTE, None)
    return None if note is None else note.text


def show_once(once: Once) -> None:
    """Keep a secret on the page until it was taken, or another page is opened."""
    st.session_state[_ONCE] = once


def notes_of_page(path: str) -> bool:
    """Drop what was said on another page; whether there was one. Call it once a run."""
    before = st.session_state.get(_PAGE)
    st.session_state[_PAGE] = path
    if before in (None, path):
        return False
    for name in (_NOTE, _ONCE):
        st.session_state.pop(name, None)
    return True


def show_notes() -> None:
    """What was done or went wrong last, and the secret that somebody has to take. Nothing most of the time."""
    note: Note | None = st.session_state.get(_NOTE)
    if note is not None:
        st.html(note_html(note.kind, note.text))
    once: Once | None = st.session_state.get(_ONCE)
    if once is None:
        return
    with st.container(border=True, key="sm_once"):
        st.html(f'<h2 class="sm-once-title">{html(once.title)}</h2><p>{html(once.text, _LONGEST)}</p>')
        for label, line in once.lines:
            st.html(f'<p class="sm-dim">{html(label)}</p>')
            st.code(line, language=None, wrap_lines=True)
        for one in once.folded:
            _show_folded(one)
        if st.button("I have taken it", key="once_taken"):
            del st.session_state[_ONCE]
            st.session_state.pop(_NOTE, None)
            st.rerun()


def _show_folded(folded: Folded) -> None:
    with st.expander(folded.title):
        if folded.told:
            st.html(f'<p class="sm-dim">{html(folded.told, _LONGEST)}</p>')
        if folded.text:
            st.code(folded.text, language=None, wrap_lines=True)
        if folded.picture:
            st.html(f'<img class="sm-picture" src="{escape(folded.picture)}" alt="{html(folded.shows)}">')


def note_html(kind: Kind, text: str) -> str:
    """A sentence in its frame, as HTML: a problem is read out at once, all else in its turn."""
    role, shape = _KINDS[kind]
    return (
        f'<div class="sm-note" role="{role}"><span class="shape {shape}"></span>'
        f"<span>{html(text, _LONGEST)}</span></div>"
    )
