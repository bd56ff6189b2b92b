"""Readings as Altair charts: a panel a unit, a band from lowest to highest under the mean, gaps as gaps. Pure.

Time is counted in UTC ms on every axis, and the axis is told what stands where: see `time_ticks`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

import altair as alt
import pandas as pd

from db.ranges import Range
from pages.parts.chosen_series import COLOURS, DASHES, Shown
from pages.parts.history_hover import hover_rows
from pages.parts.periods import Period
from pages.parts.time_ticks import axis_zone, ticks

#: Series of a panel that are labelled where they end; more have a legend.
DIRECT_LABELS: Final = 5
#: What dragging over a chart and double-clicking it are called in what the browser answers.
DRAGGED: Final = "dragged"
DOUBLE_CLICKED: Final = "double_clicked"
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
class Paint:
    """What a chart can't know of the theme: the colour of its text, and the colours of series in their order."""

    ink: str
    colours: tuple[str, ...]

    def of(self, stroke: int) -> str:
        """The colour of a stroke."""
        return self.colours[stroke % COLOURS % len(self.colours)]


@dataclass(frozen=True, slots=True)
class Panel:
    """What has one unit: its name, the series in it, and their chart."""

    name: str
    drawn: tuple[Drawn, ...]
    chart: alt.LayerChart

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
    hover = hover_rows([(one.shown, one.range, one.before, one.shift) for one in drawn], zone)
    height = _HEIGHT if len(grouped) <= 2 else _HEIGHT_OF_MANY
    made = []
    for index, ((_, name), group) in enumerate(grouped.items()):
        x = time_axis(period, zone, axis_zone(period, zone) if index == len(grouped) - 1 else None)
        layers = _Layers(group, x, paint).all(hover)
        described = f"{name}: {', '.join(one.shown.label for one in group)} over time. The figures are below."
        chart = alt.LayerChart(layer=layers).properties(height=height, description=described)
        made.append(Panel(name, tuple(group), chart))
    return made


def time_axis(period: Period, zone: tzinfo, title: str | None) -> alt.X:
    """An axis of UTC ms with the clocks of a zone."""
    marks = ticks(period, zone)
    labels = json.dumps({str(mark.ts): mark.label for mark in marks})
    axis = alt.Axis(
        title=title,
        titleAnchor="end",
        values=[mark.ts for mark in marks],
        labelExpr=f"{labels}[datum.value]",
        labelOverlap="greedy",
        labelBound=True,
        grid=False,
    )
    scale = alt.Scale(domain=[period.start, period.end], nice=False, zero=False)
    return alt.X("ts:Q", scale=scale, axis=axis)


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


class _Layers:
    """The layers of one panel."""

    def __init__(self, group: Sequence[Drawn], x: alt.X, paint: Paint) -> None:
        self._group = group
        self._x = x
        self._ink = paint.ink
        self._rows = pd.concat([frame_of(one, one.range) for one in group], ignore_index=True)
        labels = [one.shown.label for one in group]
        strokes = [one.shown.stroke for one in group]
        self._colour = alt.Color(
            "label:N", scale=alt.Scale(domain=labels, range=[paint.of(stroke) for stroke in strokes]), legend=None
        )
        self._dash = alt.StrokeDash(
            "label:N",
            scale=alt.Scale(domain=labels, range=[list(DASHES[stroke // COLOURS]) for stroke in strokes]),
            legend=None,
        )
        self._scale = alt.Scale(zero=False, nice=True)
        unit = group[0].shown.unit or None
        axis = alt.Axis(
            title=unit,
            titleAngle=0,
            titleAlign="left",
            titleAnchor="end",
            titleX=0,
            titleY=-10,
            tickCount=5,
            minExtent=44,
            maxExtent=72,
            domain=False,
        )
        self._y = alt.Y("mean:Q", scale=self._scale, axis=axis)

    def all(self, hover: pd.DataFrame) -> list[alt.Chart]:
        """From the back to the front."""
        base = alt.Chart(self._rows).encode(x=self._x, color=self._colour, detail="line:N")
        layers = [
            base.mark_area(opacity=0.25, clip=True).encode(y=alt.Y("lo:Q", scale=self._scale), y2="hi:Q"),
            base.mark_line(strokeWidth=1.5, clip=True).encode(y=self._y, strokeDash=self._dash).add_params(_drag()),
        ]
        every = len(self._rows) <= _POINTS_SHOWN
        points = self._rows if every else self._rows[self._rows["lone"]]
        if len(points):
            dots = alt.Chart(points).mark_circle(size=18, opacity=1, clip=True)
            layers.append(dots.encode(x=self._x, y=self._y, color=self._colour))
        layers += self._before()
        layers.append(self._reading_out(hover))
        if 1 < len(self._group) <= DIRECT_LABELS and len(self._rows):
            layers.append(self._labels())
        return layers

    def _before(self) -> list[alt.Chart]:
        frames = [frame_of(one, one.before, one.shift) for one in self._group if one.before is not None]
        if not frames or all(frame.empty for frame in frames):
            return []
        line = alt.Chart(pd.concat(frames, ignore_index=True)).mark_line(
            strokeWidth=1.5, strokeDash=[3, 3], opacity=0.6, clip=True
        )
        return [line.encode(x=self._x, y=self._y, color=self._colour, detail="line:N")]

    def _reading_out(self, hover: pd.DataFrame) -> alt.Chart:
        """A line at the time under the pointer, that tells what every series was then; double-clicked it leads back."""
        near: dict[str, Any] = {"fields": ["ts"], "nearest": True, "empty": False}
        pointed = alt.selection_point(name="pointed", on="pointermove", clear="pointerout", **near)
        twice = alt.selection_point(name=DOUBLE_CLICKED, on="dblclick", clear=False, toggle=False, **near)
        tooltip = [alt.Tooltip("at:N", title="time")]
        tooltip += [alt.Tooltip(f"{name}:N", title=title) for name, title in hover.attrs["titles"]]
        rule = alt.Chart(hover).mark_rule(color="gray")
        opacity = alt.condition(pointed, alt.value(0.6), alt.value(0))
        marked: alt.Chart = rule.encode(x=self._x, opacity=opacity, tooltip=tooltip).add_params(pointed, twice)
        return marked

    def _labels(self) -> alt.Chart:
        """Each series' name at its newest point, moved apart where two would lie on each other."""
        ends = self._rows.sort_values("ts").groupby("label", as_index=False).last().sort_values("mean")
        distance = (self._rows["hi"].max() - self._rows["lo"].min()) * 0.09
        places: list[float] = []
        for mean in ends["mean"]:
            places.append(max(mean, places[-1] + distance) if places else mean)
        text = alt.Chart(ends.assign(place=places)).mark_text(
            align="right", dx=-4, dy=-9, fontSize=12, color=self._ink, limit=220
        )
        named: alt.Chart = text.encode(x=self._x, y=alt.Y("place:Q", scale=self._scale), text="label:N")
        return named


def _drag() -> alt.Parameter:
    mark = alt.BrushConfig(fill="gray", fillOpacity=0.2, stroke="gray")
    return alt.selection_interval(name=DRAGGED, encodings=["x"], mark=mark, zoom=False, translate=False)
