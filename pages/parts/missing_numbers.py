"""Messages that a device sent and that never arrived, and what came of asking for them, in words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from html import escape

from db.account import Missing
from db.resends import Named, Resend
from pages.parts.format import exact, moment, things


def sentence(gap: Missing, now: int, zone: tzinfo) -> str:
    """Say it: "greenhouse sent 12 messages that never reached us, noticed 14:03". Times are UTC ms."""
    return _never(gap.device, gap.count, gap.noticed_at, now, zone)


def asked_sentence(named: Named, now: int, zone: tzinfo) -> str:
    """Say what came of asking: "…, noticed 14:03. Asked for again at 14:05; the device has them no longer"."""
    one = named.range
    if one.outcome == "repaired":
        at = "" if one.ended_at is None else f" {moment(one.ended_at, now, zone)}"
        return f"{named.device} sent {things(one.count, 'missing message')} again when asked, here since{at}"
    return f"{_never(named.device, one.count, one.noticed_at, now, zone)}. {_so_far(one, now, zone)}"


def missing_html(gaps: Sequence[Missing], now: int, zone: tzinfo, asked: Sequence[Named] = ()) -> str:
    """The newest gaps and what was asked for as HTML, or what this place is for.

    First what may still come, then what will not, then what nobody was asked for, then what was repaired.
    """
    if not gaps and not asked:
        return (
            '<p class="sm-dim">Nothing is missing. Devices number their messages; a number that never arrives is named '
            "here, and the device is asked for it again.</p>"
        )
    waiting = [one for one in asked if one.range.outcome is None]
    lost = [one for one in asked if one.range.outcome in ("gone", "unanswered")]
    repaired = [one for one in asked if one.range.outcome == "repaired"]
    rest = [gap for gap in gaps if not any(_covers(one, gap) for one in asked)]
    items = [
        *(_asked_item("Waiting", one, now, zone) for one in waiting),
        *(_asked_item("Lost", one, now, zone) for one in lost),
        *(_item("Missing", gap, sentence(gap, now, zone), gap.noticed_at, zone) for gap in rest),
        *(_asked_item("Repaired", one, now, zone) for one in repaired),
    ]
    return f'<ul class="sm-missing">{"".join(items)}</ul>'


def _never(device: str, count: int, noticed_at: int, now: int, zone: tzinfo) -> str:
    return f"{device} sent {things(count, 'message')} that never reached us, noticed {moment(noticed_at, now, zone)}"


def _so_far(one: Resend, now: int, zone: tzinfo) -> str:
    """What was done about a range that is not repaired."""
    if one.outcome == "gone":
        return "The device says that it has them no longer"
    if one.outcome == "unanswered":
        return (
            f"Asked for {_times(one.tries)}, no answer" if one.tries else "It could not be asked for them within a day"
        )
    next_at = "" if one.next_at is None else f" from {moment(one.next_at, now, zone)} on"
    if one.asked_at is None:
        return f"To be asked for{next_at or ' after what is asked for now'}"
    asked = f"Asked for {_times(one.tries)}, last {moment(one.asked_at, now, zone)}"
    return f"{asked}; again{next_at}" if next_at else asked


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _covers(named: Named, gap: Missing) -> bool:
    one = named.range
    return (named.device, one.boot) == (gap.device, gap.boot) and one.first <= gap.last and gap.first <= one.last


def _asked_item(word: str, named: Named, now: int, zone: tzinfo) -> str:
    return _item(word, named.range, asked_sentence(named, now, zone), named.range.noticed_at, zone)


def _item(word: str, of: Missing | Resend, said: str, noticed_at: int, zone: tzinfo) -> str:
    title = f"{_numbers(of)}, noticed {exact(noticed_at, zone)}"
    return f'<li title="{escape(title)}"><b>{word}</b> {escape(said)}</li>'


def _numbers(of: Missing | Resend) -> str:
    return f"number {of.first}" if of.count == 1 else f"numbers {of.first} to {of.last}"


def shown_first(found: Iterable[Named], limit: int) -> list[Named]:
    """The newest of each fate, as many as there is room for: one that is frequent does not hide the others."""
    kept: dict[str | None, list[Named]] = {}
    for one in found:
        kept.setdefault(one.range.outcome, []).append(one)
    return [one for of_fate in kept.values() for one in of_fate[:limit]]
