"""Dead letters as a list that opens: when, where to, why, how large, and what each held."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from html import escape
from typing import Final

from db.dead_letters import StoredDeadLetter
from pages.parts.format import count, exact, moment, size, things
from pages.parts.tables import button

#: Characters of a message's content that are shown.
_SHOWN: Final = 2_000


def letters_html(
    stored: Sequence[StoredDeadLetter], kept: int, removed: int, now: int, zone: tzinfo, *, acts: bool = False
) -> str:
    """The letters as HTML, newest first as given, or what this place is for. Everything in them is escaped.

    Args:
        stored: The newest letters.
        kept: How many there are in all.
        removed: How many ever had to leave for newer ones.
        now: UTC ms.
        zone: For clocks and dates.
        acts: Whether there are buttons to replay and to delete them.
    """
    gone = _gone(removed)
    if not stored:
        so_far = "No message is kept here now." if removed else "Every message so far could be understood."
        return (
            f'<p class="sm-dim">{so_far} One that can\'t be is kept here with the reason, and stops nothing.{gone}</p>'
        )
    which = "newest first" if kept <= len(stored) else f"here are the newest {len(stored)}"
    head = f"{things(kept, 'message')} could not be understood; {which}. Open one to see what it held.{gone}"
    items = "".join(_item(one, now, zone, acts=acts) for one in stored)
    return f'<p class="sm-dim">{head}</p>{_acts_on_all(kept) if acts else ""}<ul class="sm-letters">{items}</ul>'


def _acts_on_all(kept: int) -> str:
    which = f"all {count(kept)}" if kept > 1 else "it"
    replay = button(f"Replay {which}", "of the dead letters", "replay:all")
    return f'<p class="sm-acts">{replay}{button(f"Delete {which}", "of the dead letters", "delete:all")}</p>'


def _gone(removed: int) -> str:
    """As in "12 older ones had to leave": there is room for DEAD_LETTERS_MAX, or for 256 MiB of them."""
    return f" {things(removed, 'older one')} had to leave for newer ones." if removed else ""


def _item(stored: StoredDeadLetter, now: int, zone: tzinfo, *, acts: bool) -> str:
    letter = stored.letter
    topic = escape(preview(letter.topic.encode(), 200))
    reason = escape(preview(letter.reason.encode(), 1_000))
    buttons = ""
    if acts:
        of = f"the message on {preview(letter.topic.encode(), 200)}"
        pair = button("Replay", of, f"replay:{stored.id}") + button("Delete", of, f"delete:{stored.id}")
        buttons = f'<p class="sm-acts">{pair}</p>'
    return (
        f'<li><details data-id="{stored.id}"><summary><span title="{escape(exact(letter.received_at, zone))}">'
        f"{escape(moment(letter.received_at, now, zone))}</span><span>{topic}</span>"
        f'<span>{reason}</span><span class="sm-letter-size">{size(letter.size)}</span></summary>'
        f"<pre>{escape(preview(letter.payload, _SHOWN)) or 'It was empty.'}</pre>{buttons}</details></li>"
    )


def preview(payload: bytes, limit: int) -> str:
    """The first characters of a message as text: what is no printable character shows as its code."""
    text = payload[: limit * 4].decode("utf-8", errors="backslashreplace")
    cut = "\N{HORIZONTAL ELLIPSIS}" if len(text) > limit or len(payload) > limit * 4 else ""
    return "".join(one if one.isprintable() or one in "\n\t" else f"\\x{ord(one):02x}" for one in text[:limit]) + cut
