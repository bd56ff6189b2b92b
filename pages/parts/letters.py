"""Dead letters as a list that opens: when, where to, why, how large, and what each held."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from html import escape
from typing import Final

from db.dead_letters import StoredDeadLetter
from pages.parts.format import exact, moment, size, things

#: Characters of a message's content that are shown.
_SHOWN: Final = 2_000


def letters_html(stored: Sequence[StoredDeadLetter], kept: int, now: int, zone: tzinfo) -> str:
    """The letters as HTML, newest first as given, or what this place is for. Everything in them is escaped.

    Args:
        stored: The newest letters.
        kept: How many there are in all.
        now: UTC ms.
        zone: For clocks and dates.
    """
    if not stored:
        return (
            '<p class="sm-dim">Every message so far could be understood. '
            "One that can't be is kept here with the reason, and stops nothing.</p>"
        )
    which = "newest first" if kept <= len(stored) else f"here are the newest {len(stored)}"
    head = f"{things(kept, 'message')} could not be understood; {which}. Open one to see what it held."
    items = "".join(_item(one, now, zone) for one in stored)
    return f'<p class="sm-dim">{head}</p><ul class="sm-letters">{items}</ul>'


def _item(stored: StoredDeadLetter, now: int, zone: tzinfo) -> str:
    letter = stored.letter
    topic = escape(preview(letter.topic.encode(), 200))
    return (
        f'<li><details><summary><span title="{escape(exact(letter.received_at, zone))}">'
        f"{escape(moment(letter.received_at, now, zone))}</span><span>{topic}</span>"
        f'<span>{escape(letter.reason)}</span><span class="sm-letter-size">{size(letter.size)}</span></summary>'
        f"<pre>{escape(preview(letter.payload, _SHOWN)) or 'It was empty.'}</pre></details></li>"
    )


def preview(payload: bytes, limit: int) -> str:
    """The first characters of a message as text: what is no printable character shows as its code."""
    text = payload[: limit * 4].decode("utf-8", errors="backslashreplace")
    cut = "\N{HORIZONTAL ELLIPSIS}" if len(text) > limit or len(payload) > limit * 4 else ""
    return "".join(one if one.isprintable() or one in "\n\t" else f"\\x{ord(one):02x}" for one in text[:limit]) + cut
