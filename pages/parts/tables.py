"""Plain tables as HTML that become cards on a phone, with buttons in their rows. Pure.

Cells are HTML: whoever makes them has escaped what is not ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from html import escape
from typing import Final, Literal

from pages.parts.format import age, exact
from pages.parts.words import html

#: Stands where nothing is known.
NOTHING: Final = "\N{EN DASH}"


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, log: bool = False) -> str:
    """A table; the first cell of each row names it, in a log it is the time. A column without a name holds buttons.

    The roles are written out, because on a phone the table is drawn as blocks, and readers would lose it.
    """
    heads = "".join(
        f'<th scope="col" role="columnheader">{escape(name) or _unseen("what can be done")}</th>' for name in columns
    )
    body = "".join(_row(columns, row) for row in rows)
    kind = "sm-table sm-log" if log else "sm-table"
    return (
        f'<table class="{kind}" role="table"><caption class="unseen">{escape(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead><tbody role="rowgroup">{body}</tbody></table>'
    )


def _row(columns: Sequence[str], cells: Sequence[str]) -> str:
    first, *rest = cells
    shown = "".join(
        f'<td role="cell" {_label(name, cell)}>{cell or NOTHING}</td>'
        for name, cell in zip(columns[1:], rest, strict=True)
    )
    return f'<tr role="row"><th scope="row" role="rowheader">{first}</th>{shown}</tr>'


def _label(name: str, cell: str) -> str:
    if not name:
        return 'class="sm-acts"'
    return f'data-label="{escape(name)}"' + ("" if cell else ' class="sm-nothing"')


def button(verb: str, of: str, act: str) -> str:
    """A button that says what it does, and to readers to what. `act` is what the page hears when it is pressed."""
    return f'<button type="button" data-act="{escape(act)}">{escape(verb)}{_unseen(f" {html(of)}")}</button>'


def _unseen(text: str) -> str:
    return f'<span class="unseen">{text}</span>'


def when(ts: int | None, now: int, zone: tzinfo, never: str = "never") -> str:
    """A time as a cell: how long ago or when, the exact time on hover. Times are UTC ms."""
    if ts is None:
        return f'<span class="sm-dim">{escape(never)}</span>'
    return f'<span title="{escape(exact(ts, zone))}">{escape(age(ts, now, zone))}</span>'


def state(shape: Literal["online", "late", "silent", "unknown", "trouble"], word: str) -> str:
    """A state as a cell: a shape and a word."""
    return f'<span class="sm-state"><span class="shape {shape}"></span>{escape(word)}</span>'


def dim(text: str) -> str:
    """Words of ours beside what matters."""
    return f'<p class="sm-dim">{escape(text)}</p>'
