"""Statistics and the last readings as HTML tables, and what tells many series apart. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Final

from db.ranges import Gap, Statistics
from pages.parts.chosen_series import COLOURS, Shown
from pages.parts.format import at, count, decimals_for, exact, moment, number, span
from pages.parts.history_specs import Paint
from pages.parts.tables import table
from pages.parts.words import html

#: Values of one device's metrics stand beside each other up to this many columns; more series have a row each.
_COLUMNS: Final = 6
_GAPS_TOLD: Final = 3


def swatch(stroke: int, paint: Paint) -> str:
    """A short line in the colour of a series, drawn as the series is."""
    style = ("solid", "dashed", "dotted")[stroke // COLOURS]
    return f'<span class="sm-swatch" style="border-top: 3px {style} {html(paint.of(stroke))}"></span>'


def legend(shown: Sequence[Shown], paint: Paint) -> str:
    """Which series has which colour."""
    items = "".join(f"<li>{swatch(one.stroke, paint)}{html(one.label)}</li>" for one in shown)
    return f'<ul class="sm-legend">{items}</ul>'


def statistics_html(
    shown: Sequence[Shown],
    found: Sequence[Statistics],
    thresholds: Mapping[str, float],
    paint: Paint,
    now: int,
    zone: tzinfo,
) -> str:
    """A row a series. `thresholds`: by panel; where none is set, nothing is said of the time above."""
    columns = ["Series", "Readings", "Mean", "Lowest", "Highest", "Standard deviation"]
    over = any(one.panel in thresholds for one in shown)
    columns += ["Above", "At or below"] if over else []
    columns.append("Gaps")
    rows = []
    for one, figures in zip(shown, found, strict=True):
        name = f"{swatch(one.stroke, paint)}{html(one.label)}"
        cells = [name, count(figures.n), *_values(one, figures, now, zone)]
        if over:
            limit = thresholds.get(one.panel)
            cells += [_lasting(figures.above_ms, limit, one), _lasting(figures.below_ms, limit, one)]
        cells.append(gaps_html(figures.gaps, now, zone))
        rows.append(cells)
    return table("Statistics", columns, rows)


def _values(one: Shown, figures: Statistics, now: int, zone: tzinfo) -> list[str]:
    if figures.min is None or figures.max is None or figures.mean is None:
        return ["", "", "", ""]
    decimals = decimals_for([figures.min, figures.max])
    unit = html(one.unit)

    def value(what: float, digits: int) -> str:
        return f'{number(what, digits)} <span class="sm-dim">{unit}</span>' if unit else number(what, digits)

    def when(ts: int | None) -> str:
        return (
            ""
            if ts is None
            else f' <span class="sm-dim" title="{html(exact(ts, zone))}">{moment(ts, now, zone)}</span>'
        )

    finer = min(decimals + 1, 3)
    cells = [
        value(figures.mean, finer),
        value(figures.min, decimals) + when(figures.min_at),
        value(figures.max, decimals) + when(figures.max_at),
        "" if figures.sd is None else value(figures.sd, finer),
    ]
    return [_whole(cell) for cell in cells]


def _whole(cell: str) -> str:
    """A cell in one piece, because on a phone each piece would have a place of its own."""
    return f"<span>{cell}</span>" if cell else ""


def _lasting(ms: int | None, threshold: float | None, one: Shown) -> str:
    if ms is None or threshold is None:
        return ""
    return f'<span title="{html(f"{threshold:g} {one.unit}".strip())}">{span(ms)}</span>'


def gaps_html(gaps: Sequence[Gap], now: int, zone: tzinfo) -> str:
    """How many there are and how long, the longest of them on hover."""
    if not gaps:
        return "none"
    longest = sorted(gaps, key=lambda gap: gap.start - gap.end)[:_GAPS_TOLD]
    told = "; ".join(f"{span(gap.end - gap.start)} from {moment(gap.start, now, zone)}" for gap in longest)
    total = span(sum(gap.end - gap.start for gap in gaps))
    return f'<span title="{html(told, 400)}">{count(len(gaps))}, {total} in all</span>'


def readings_html(shown: Sequence[Shown], rows: Sequence[tuple[int, int, float]], zone: tzinfo) -> str:
    """The last readings, newest first: place in `shown`, UTC ms, value. A column a series, of many a row each."""
    decimals = {
        place: decimals_for([value for where, _, value in rows if where == place]) for place in range(len(shown))
    }

    def cell(place: int, value: float) -> str:
        unit = html(shown[place].unit)
        return _whole(number(value, decimals[place]) + (f' <span class="sm-dim">{unit}</span>' if unit else ""))

    caption = f"Last readings, times of {zone}"
    if len(shown) > _COLUMNS:
        lines = [[_time(ts, zone), html(shown[place].label), cell(place, value)] for place, ts, value in rows]
        return table(caption, [f"Time ({zone})", "Series", "Value"], lines, log=True)
    by_time: dict[int, dict[int, float]] = {}
    for place, ts, value in rows:
        by_time.setdefault(ts, {})[place] = value
    lines = [
        [_time(ts, zone), *(cell(place, values[place]) if place in values else "" for place in range(len(shown)))]
        for ts, values in by_time.items()
    ]
    return table(caption, [f"Time ({zone})", *(one.label for one in shown)], lines, log=True)


def _time(ts: int, zone: tzinfo) -> str:
    then = at(ts, zone)
    parts = f".{ts % 1000:03d}" if ts % 1000 else ""
    return f'<span title="{ts} ms UTC">{then:%Y-%m-%d %H:%M:%S}{parts}</span>'
