"""Messages that a device sent and that never arrived, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from html import escape

from db.account import Missing
from pages.parts.format import exact, moment, things


def sentence(gap: Missing, now: int, zone: tzinfo) -> str:
    """Say it: "greenhouse sent 12 messages that never reached us, noticed 14:03". Times are UTC ms."""
    never = f"{gap.device} sent {things(gap.count, 'message')} that never reached us"
    return f"{never}, noticed {moment(gap.noticed_at, now, zone)}"


def missing_html(gaps: Sequence[Missing], now: int, zone: tzinfo) -> str:
    """The newest gaps as HTML, or what this place is for."""
    if not gaps:
        return (
            '<p class="sm-dim">Nothing is missing. Devices number their messages; a number that never arrives is named '
            "here.</p>"
        )
    items = "".join(
        f'<li title="{escape(_numbers(gap))}, noticed {escape(exact(gap.noticed_at, zone))}">'
        f"{escape(sentence(gap, now, zone))}</li>"
        for gap in gaps
    )
    return f'<ul class="sm-missing">{items}</ul>'


def _numbers(gap: Missing) -> str:
    return f"number {gap.first}" if gap.count == 1 else f"numbers {gap.first} to {gap.last}"
