"""Readings as charts: a panel a unit, a band from lowest to highest under the mean, gaps as gaps. Pure.

Time is counted in UTC ms on every axis, and the axis is told what stands where: see `time_ticks`. How a chart looks
stands in `history_specs`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import pandas as pd

from db.ranges import Range
from pages.parts import history_specs as specs
from pages.parts.chosen_series import Shown
from pages.parts.history_hover import hover
from pages.parts.history_specs import EDGES, MARKS, Paint, PanelLook, Spec
from pages.parts.periods import Period
from pages.parts.time_ticks import axis_zone, ticks

#: Readings in a panel up to which each has its point.
_POINTS_SHOWN: Final = 150
_HEIGHT: Final = 300
_HEIGHT_OF_MANY: Final = 200


@dataclass(frozen=True, slots=True)
class Drawn:
    """A series as it was read, and where it is compared the same of the period before, which is moved by `shift` ms."""

    shown: Shown
    range: Range
    before: Range | None = None
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Panel:
    """What has one unit: its name, the series in it, and their chart."""

    name: str
    drawn: tuple[Drawn, ...]
    spec: Spec

    @property
    def title(self) -> str:
        """What stands over it: "temperature, °C"; of several metrics the unit alone, since each has its label."""
        metrics = dict.fromkeys(one.shown.series.metric for one in self.drawn)
        unit = self.drawn[0].shown.unit
        return f"{next(iter(metrics))}, {unit}" if unit and len(metrics) == 1 else self.name


def panels(drawn: Sequence[Drawn], period: Period, zone: tzinfo, paint: Paint) -> list[Panel]:
    """A panel for each unit, and for each metric without one, of those that hold readings."""
    grouped: dict[tuple[str, str], list[Drawn]] = {}
    for one in drawn:
        if not one.range.frame.empty or (one.before is not None and not one.before.frame.empty):
            grouped.setdefault((one.shown.unit, one.shown.panel), []).append(one)
    pointed = hover([(one.shown, one.range, one.before, one.shift) for one in drawn], zone)
    frame = time_frame(period, zone)
    height = _HEIGHT if len(grouped) <= 2 else _HEIGHT_OF_MANY
    made = []
    for index, ((unit, name), group) in enumerate(grouped.items()):
        look = PanelLook(
            described=f"{name}: {', '.join(one.shown.label for one in group)} over time. The figures are below.",
            unit=unit,
            labels=tuple(one.shown.label for one in group),
            strokes=tuple(one.shown.stroke for one in group),
            titles=pointed.titles,
            compared=any(one.before is not None for one in group),
            height=height,
            axis=axis_zone(period, zone) if index == len(grouped) - 1 else None,
            paint=paint,
        )
        data = frame | _datasets(group) | {"hover": pointed.rows}
        made.append(Panel(name, tuple(group), Spec(specs.panel(look), data)))
    return made


def time_frame(period: Period, zone: tzinfo) -> dict[str, pd.DataFrame]:
    """From where to where a time axis goes, and what stands at it."""
    marks = ticks(period, zone)
    return {
        EDGES: pd.DataFrame({"ts": [float(period.start)], "to": [float(period.end)]}),
        MARKS: pd.DataFrame({"ts": [float(mark.ts) for mark in marks], "label": [mark.label for mark in marks]}),
    }


def frame_of(one: Drawn, source: Range, shift: int = 0) -> pd.DataFrame:
    """A range as rows for Vega: ts (UTC ms as float64), mean, lo, hi, label, line (what is joined by a line), lone."""
    frame = source.frame
    rows = pd.DataFrame(
        {
            "ts": frame["ts"].astype("float64") + shift,
            "mean": frame["mean"],
            "lo": frame["min"],
            "hi": frame["max"],
            "label": one.shown.label,
            "line": f"{one.shown.stroke} " + frame["segment"].astype("str"),
        }
    )
    return rows.assign(lone=frame.groupby("segment")["ts"].transform("size") == 1)


def _datasets(group: Sequence[Drawn]) -> dict[str, pd.DataFrame]:
    """What the panel's layers show, by the names that its look has for them."""
    rows = pd.concat([frame_of(one, one.range) for one in group], ignore_index=True)
    every = len(rows) <= _POINTS_SHOWN
    found = {"lines": rows, "dots": rows if every else rows[rows["lone"]].reset_index(drop=True)}
    before = [frame_of(one, one.before, one.shift) for one in group if one.before is not None]
    if before:
        found["before"] = pd.concat(before, ignore_index=True)
    if specs.has_names(len(group)):
        found["names"] = _names(rows)
    return found


def _names(rows: pd.DataFrame) -> pd.DataFrame:
    """Each series' name at its newest point, moved apart where two would lie on each other: ts, place, label."""
    ends = rows.sort_values("ts").groupby("label", as_index=False).last().sort_values("mean")
    distance = (rows["hi"].max() - rows["lo"].min()) * 0.09
    places: list[float] = []
    for mean in ends["mean"]:
        places.append(max(mean, places[-1] + distance) if places else mean)
    return pd.DataFrame({"ts": ends["ts"], "place": places, "label": ends["label"]}).reset_index(drop=True)
