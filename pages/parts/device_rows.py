"""Devices as the Devices page lists them: how each stands, put together from memory and the database. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final, Literal

from db.account import Missing
from ingest.snapshot import DeviceNow
from pages.parts.format import age, at, count, decimals_for, number
from pages.parts.places import Named
from pages.parts.standing import KINDS, Kind
from pages.parts.tables import button, state, table, when
from pages.parts.words import html

Order = Literal["name", "place", "trouble", "missing", "heard"]

ORDERS: Final[Mapping[Order, str]] = {
    "name": "By name",
    "place": "By place",
    "trouble": "Silent and late first",
    "missing": "Most missing first",
    "heard": "Heard last first",
}
#: Rows that are drawn; whoever has more devices searches.
MOST: Final = 200
_COLUMNS: Final = ("Device", "State", "Place", "Model", "Firmware", "Last seen", "Readings/min", "Missing today", "")
_WORST: Final[Mapping[Kind, int]] = {"silent": 0, "late": 1, "unknown": 2, "online": 3}


@dataclass(frozen=True, slots=True)
class Row:
    """A device in the list. `last_seen` UTC ms, None if it was never heard. `missing`: messages lost since midnight."""

    device: str
    named: Named
    kind: Kind
    model: str | None
    firmware: str | None
    last_seen: int | None
    per_minute: float | None
    missing: int

    @property
    def title(self) -> str:
        """What it is called where people read."""
        return self.named.title or self.device


def missing_today(gaps: Iterable[Missing], now: int, zone: tzinfo) -> dict[str, int]:
    """Messages that were noticed missing since midnight in this zone, by device. `now`: UTC ms."""
    midnight = at(now, zone).replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000
    found: dict[str, int] = {}
    for gap in gaps:
        if gap.noticed_at >= midnight:
            found[gap.device] = found.get(gap.device, 0) + gap.count
    return found


def row_of(device: DeviceNow, named: Named, missing: int, kind: Kind) -> Row:
    """One device that stands so."""
    return Row(
        device.name,
        named,
        kind,
        device.model,
        device.firmware,
        device.last_seen or None,
        device.rate.per_minute if kind == "online" else None,
        missing,
    )


def arranged(rows: Iterable[Row], search: str, order: Order, *, hidden: bool) -> list[Row]:
    """Those that are searched for, in this order; hidden ones only if asked for."""
    words = search.strip().casefold()
    shown = [row for row in rows if (hidden or not row.named.hidden) and words in _text(row)]

    def key(row: Row) -> tuple[object, ...]:
        name = (row.title.casefold(), row.device)
        match order:
            case "place":
                return (row.named.area is None, (row.named.area or "").casefold(), *name)
            case "trouble":
                return (_WORST[row.kind], *name)
            case "missing":
                return (-row.missing, *name)
            case "heard":
                return (-(row.last_seen or 0), *name)
            case _:
                return name

    return sorted(shown, key=key)


def _text(row: Row) -> str:
    return "\n".join((row.title, row.device, row.named.area or "", row.model or "", row.firmware or "")).casefold()


def devices_html(rows: Sequence[Row], now: int, zone: tzinfo) -> str:
    """The list, with a button to each device's own page. Times are UTC ms."""
    lines = [
        (
            _name(row),
            state(row.kind, row.kind),
            html(row.named.area or ""),
            html(row.model or ""),
            html(row.firmware or ""),
            when(row.last_seen, now, zone),
            "" if row.per_minute is None else number(row.per_minute, decimals_for([row.per_minute])),
            f"<b>{count(row.missing)}</b>" if row.missing else "0",
            button("Open", row.title, f"open:{row.device}"),
        )
        for row in rows[:MOST]
    ]
    return table("Devices", _COLUMNS, lines)


def _name(row: Row) -> str:
    hidden = ' <span class="sm-dim">hidden</span>' if row.named.hidden else ""
    own = f' <span class="sm-dim">{html(row.device)}</span>' if row.named.title else ""
    return f"{html(row.title)}{own}{hidden}"


def counts_text(rows: Sequence[Row], now: int, zone: tzinfo) -> str:
    """As in "48 online, 2 late, 1 silent; heard last 3 s ago"."""
    kinds = [row.kind for row in rows]
    counted = {kind: kinds.count(kind) for kind in KINDS}
    told = ", ".join(f"{count(much)} {kind}" for kind, much in counted.items() if much or kind != "unknown")
    last = max((row.last_seen or 0 for row in rows), default=0)
    return f"{told}; heard last {age(last, now, zone)}" if last else told
