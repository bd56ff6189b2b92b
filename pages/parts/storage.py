"""How much the database takes, how it grows, and when its disk is full, in words and as a table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from html import escape
from typing import Final

from db.sizes import WHOLE, Growth, Sizes
from pages.parts.format import at, count, moment, number, size, span
from pages.parts.notes import note_html
from pages.parts.service_cards import Figure, figures_html
from pages.parts.tables import NOTHING, dim

_DAY_MS: Final = 86_400_000
_YEAR_MS: Final = 365 * _DAY_MS
#: Later than this nobody plans, and by then the rate is another.
_FAR_MS: Final = 50 * _YEAR_MS
#: From here on it needs a person.
_SOON_MS: Final = 30 * _DAY_MS
#: What is told by itself; all others are told together.
_HOLDS: Final[Mapping[str, str]] = {
    "readings": "Readings of the last days, a row each",
    "chunks": "Older readings, packed, with their minutes",
    "hours": "Lowest, highest and mean of each hour",
    "dead_letters": "Dead letters",
    "audit_log": "Audit log",
    WHOLE: "Everything",
}
_A_READING: Final = "All resolutions and indexes included. Told from 10,000 readings on."
_A_DAY: Final = "What came in a day of the last week, by what a packed reading takes. Imports do not count."
_AT_MOST: Final = "Nothing is packed yet: as rows they take some ten times as much as later. Imports do not count."
_TOO_EARLY: Final = "Known from an hour and 10,000 readings on."
_ELSEWHERE: Final = "The disk of a database on another machine can't be seen from here."
_FULL: Final = "When the disk is full, if nothing else fills it and everything goes on as in the last week."


def storage_html(sizes: Sizes, grows: Growth | None, now: int, zone: tzinfo) -> str:
    """Figures, a table, and a warning where the disk is full soon. `now`: UTC ms."""
    parts = [figures_html(figures(sizes, grows, now, zone))]
    soon = warning(sizes, grows, now, zone)
    if soon is not None:
        parts.insert(0, note_html("problem", soon))
    parts.append(_table(sizes))
    parts.append(dim(f"As of {moment(sizes.at, now, zone)}."))
    return "".join(parts)


def figures(sizes: Sizes, grows: Growth | None, now: int, zone: tzinfo) -> list[Figure]:
    """What there is, what a reading takes, and how it goes on."""
    each = sizes.bytes_a_reading
    figures = [
        Figure("readings kept", count(sizes.kept)),
        Figure("taken by the database", size(sizes.taken)),
        Figure("a reading", NOTHING if each is None else number(each, 1), "" if each is None else " B", _A_READING),
    ]
    if grows is None:
        figures.append(Figure("growth a day", NOTHING, hover=_TOO_EARLY))
    else:
        of_late = f"{_AT_MOST if grows.at_most else _A_DAY} Told from {span(sizes.over_ms)}."
        most = "at most " if grows.at_most else ""
        figures.append(Figure("growth a day", f"{most}{size(round(grows.bytes_a_day))}", hover=of_late))
    free = sizes.disk_free
    figures.append(
        Figure("free on its disk", NOTHING if free is None else size(free), hover=_ELSEWHERE * (free is None))
    )
    figures.append(_full(sizes, grows, now, zone))
    return figures


def _full(sizes: Sizes, grows: Growth | None, now: int, zone: tzinfo) -> Figure:
    label = "disk full at this rate"
    if sizes.disk_free is None:
        return Figure(label, NOTHING, hover=_ELSEWHERE)
    if grows is None:
        return Figure(label, NOTHING, hover=_TOO_EARLY)
    if grows.full_at is None:
        return Figure(label, "never", hover="Nothing came of late, or as much went.")
    if grows.full_at - now > _FAR_MS:
        return Figure(label, "not in 50 years", hover=_FULL)
    before = "not before " if grows.at_most else ""
    then = at(grows.full_at, zone)
    day = f"{then.day} " if grows.full_at - now < _YEAR_MS else ""
    return Figure(label, f"{before}{day}{then:%b %Y}", hover=_FULL)


def warning(sizes: Sizes, grows: Growth | None, now: int, zone: tzinfo) -> str | None:
    """A sentence where the disk may be full within a month; None where it need not worry anybody."""
    if grows is None or grows.full_at is None or sizes.disk_free is None or grows.full_at - now > _SOON_MS:
        return None
    then = at(grows.full_at, zone)
    by = f"{then.day} {then:%b}" if grows.full_at > now else "now"
    return (
        f"The database's disk has {size(sizes.disk_free)} left, and at this rate is full by {by}. A full disk loses "
        "nothing that was acknowledged, but nothing new is stored. Make room on it, or set RETENTION_RAW_DAYS."
    )


def _table(sizes: Sizes) -> str:
    """Largest first, what is small together, and the sum of it."""
    rest = sum(one.taken for one in sizes.tables if one.name not in _HOLDS)
    free = sizes.free + sum(one.free for one in sizes.tables)
    total = max(1, sizes.taken)
    rows = [_row(_HOLDS[one.name], one.name, one.taken, total) for one in sizes.tables if one.name in _HOLDS]
    if rest:
        rows.append(_row("Devices, users, the account and other small tables", WHOLE, rest, total))
    if sizes.free:
        rows.append(_row("Free, and filled by what comes next", WHOLE, sizes.free, total))
    foot = f", {size(free)} of it free for what comes next" if free > sizes.free else ""
    return (
        '<table class="sm-sum sm-sizes"><caption class="unseen">Size by table</caption><thead><tr>'
        '<th scope="col"><span class="unseen">holds</span></th><th scope="col">size</th><th scope="col">share</th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody>"
        f'<tfoot><tr><th scope="row">in all{foot}</th><td>{size(sizes.taken)}</td><td></td></tr></tfoot></table>'
    )


def _row(holds: str, name: str, taken: int, total: int) -> str:
    told = "" if name == WHOLE else f" <code>{escape(name)}</code>"
    share = f"{number(100 * taken / total, 1)} %"
    return f'<tr><th scope="row">{escape(holds)}{told}</th><td>{size(taken)}</td><td>{share}</td></tr>'
