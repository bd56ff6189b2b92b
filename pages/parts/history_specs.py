"""How History's charts look: Vega-Lite, as Altair writes it, made once for each kind and kept.

A spec holds no reading and no time. These come under names of their own (`Spec.data`), and so a browser that shows a
chart already takes the new ones into it: no chart is built anew while time moves on or another range is chosen. What
Altair takes to write a spec, some 50 ms, is spared too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import altair as alt
import pandas as pd

from pages.parts.chosen_series import COLOURS, DASHES
from pages.parts.format import TICK_LABEL

#: Series of a panel that are labelled where they end; more have a legend.
DIRECT_LABELS: Final = 5
#: What dragging over a chart and double-clicking it are called in what the browser answers.
DRAGGED: Final = "dragged"
DOUBLE_CLICKED: Final = "double_clicked"
#: Names of datasets. `EDGES` has one row: `ts` and `to`, UTC ms, from where to where the time axis goes. `MARKS`: `ts`
#: and `label` of what stands at it.
EDGES: Final = "edges"
MARKS: Final = "marks"

_KEPT: Final = 256
DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_STRIP_HEIGHT: Final = 96
_PATTERN_HEIGHT: Final = 220


@dataclass(frozen=True, slots=True)
class Paint:
    """What a chart can't know of the theme: the colour of its text, and the colours of series in their order."""

    ink: str
    colours: tuple[str, ...]

    def of(self, stroke: int) -> str:
        """The colour of a stroke."""
        return self.colours[stroke % COLOURS % len(self.colours)]


@dataclass(frozen=True, slots=True)
class Spec:
    """A chart: how it looks, as JSON, and what it shows, by name."""

    look: str
    data: Mapping[str, pd.DataFrame]

    @property
    def whole(self) -> dict[str, Any]:
        """For `st.vega_lite_chart`."""
        return {**json.loads(self.look), "datasets": dict(self.data)}


@dataclass(frozen=True, slots=True)
class PanelLook:
    """What a panel's look depends on.

    `labels` and `strokes`: of its series. `titles`: column and title of what is read out under the pointer. `compared`:
    with the period before. `axis`: what stands under the time axis.
    """

    described: str
    unit: str
    labels: tuple[str, ...]
    strokes: tuple[int, ...]
    titles: tuple[tuple[str, str], ...]
    compared: bool
    height: int
    axis: str | None
    paint: Paint


@lru_cache(maxsize=_KEPT)
def panel(look: PanelLook) -> str:
    """A panel: a band from lowest to highest under the mean. Datasets: lines, dots, before, hover, names."""
    x = _time_axis(look.axis)
    colours = [look.paint.of(stroke) for stroke in look.strokes]
    colour = alt.Color("label:N", scale=alt.Scale(domain=list(look.labels), range=colours), legend=None)
    dashes = [list(DASHES[stroke // COLOURS]) for stroke in look.strokes]
    dash = alt.StrokeDash("label:N", scale=alt.Scale(domain=list(look.labels), range=dashes), legend=None)
    scale = alt.Scale(zero=False, nice=True)
    y = alt.Y("mean:Q", scale=scale, axis=_value_axis(look.unit))
    base = _named("lines").encode(x=x, color=colour, detail="line:N")
    layers = [
        base.mark_area(opacity=0.25, clip=True).encode(y=alt.Y("lo:Q", scale=scale), y2="hi:Q"),
        base.mark_line(strokeWidth=1.5, clip=True).encode(y=y, strokeDash=dash).add_params(_drag()),
        _named("dots")
        .mark_circle(opacity=1, clip=True, aria=False)
        .encode(x=x, y=y, color=colour, size=alt.Size("size:Q", scale=None, legend=None)),
        *_frame(x),
    ]
    if look.compared:
        line = _named("before").mark_line(strokeWidth=1.5, strokeDash=[3, 3], opacity=0.6, clip=True)
        layers.append(line.encode(x=x, y=y, color=colour, detail="line:N"))
    layers.append(_reading_out(look, x))
    if has_names(len(look.labels)):
        text = _named("names").mark_text(align="right", dx=-4, dy=-9, fontSize=12, color=look.paint.ink, limit=220)
        layers.append(text.encode(x=x, y=alt.Y("place:Q", scale=scale), text="label:N"))
    return _written(alt.LayerChart(layer=layers).properties(height=look.height, description=look.described))


def has_names(series: int) -> bool:
    """Whether so many series are named where they end."""
    return 1 < series <= DIRECT_LABELS


@lru_cache(maxsize=_KEPT)
def strip(labels: tuple[str, ...], strokes: tuple[int, ...], paint: Paint) -> str:
    """The overview. Datasets: lines, seen (one row: `ts` and `to` of what is shown)."""
    x = _time_axis(None)
    colours = [paint.of(stroke) for stroke in strokes]
    colour = alt.Color("label:N", scale=alt.Scale(domain=list(labels), range=colours), legend=None)
    base = _named("lines").encode(x=x, color=colour, detail="line:N")
    scale = alt.Scale(domain=[0, 1], zero=False, nice=False)
    here = _named("seen").mark_rect(color=paint.ink, opacity=0.14, stroke=paint.ink, strokeWidth=1.5)
    layers = [
        here.encode(x=x, x2="to:Q"),
        base.mark_area(opacity=0.25).encode(y=alt.Y("lo:Q", scale=scale, axis=None), y2="hi:Q"),
        base.mark_line(strokeWidth=1).encode(y=alt.Y("mean:Q", scale=scale, axis=None)).add_params(_drag()),
        *_frame(x),
    ]
    told = "All that is stored; what is shown above is marked"
    return _written(alt.LayerChart(layer=layers).properties(height=_STRIP_HEIGHT, description=told))


@lru_cache(maxsize=_KEPT)
def week(label: str, unit: str, *, dark: bool) -> str:
    """The mean of each hour of each weekday. Dataset: week."""
    hours = [f"{hour:02d}" for hour in range(24)]
    tooltip = [
        alt.Tooltip("day:N", title="day"),
        alt.Tooltip("hours:N", title="time"),
        alt.Tooltip("mean_text:N", title="mean"),
        alt.Tooltip("n_text:N", title="readings"),
    ]
    legend = alt.Legend(title=unit or None, gradientLength=_PATTERN_HEIGHT - 40, tickCount=4)
    axis = alt.Axis(title=None, labelAngle=0, labelOverlap="greedy", values=hours[::3])
    chart = (
        _named("week")
        .mark_rect()
        .encode(
            x=alt.X("clock:N", scale=alt.Scale(domain=hours, paddingInner=0.06), axis=axis),
            y=alt.Y("day:N", scale=alt.Scale(domain=list(DAYS), paddingInner=0.08), axis=alt.Axis(title=None)),
            color=alt.Color("mean:Q", scale=alt.Scale(scheme="viridis", reverse=not dark, zero=False), legend=legend),
            tooltip=tooltip,
        )
    )
    return _written(chart.properties(height=_PATTERN_HEIGHT, description=f"{label}: mean by hour and weekday"))


@lru_cache(maxsize=_KEPT)
def distribution(label: str, unit: str, colour: str) -> str:
    """How many readings had which value. Dataset: values."""
    axis = alt.Axis(title=unit or None, titleAnchor="end", tickCount=6, grid=False)
    chart = (
        _named("values")
        .mark_rect(color=colour, opacity=0.85)
        .encode(
            x=alt.X("low:Q", scale=alt.Scale(zero=False, nice=False), axis=axis),
            x2="high:Q",
            y=alt.Y("n:Q", axis=alt.Axis(title="readings", tickCount=4, titleAngle=0, titleAlign="left", titleY=-8)),
            y2="none:Q",
            tooltip=[alt.Tooltip("values_text:N", title="value"), alt.Tooltip("n_text:N", title="readings")],
        )
    )
    described = f"{label}: how many readings had which value"
    return _written(chart.properties(height=_PATTERN_HEIGHT, description=described))


@lru_cache(maxsize=_KEPT)
def bands(labels: tuple[str, ...], height: int, ink: str) -> str:
    """What was switched. Datasets: bands (rectangles, counted in rows from below), names."""
    plain: dict[str, Any] = {"labels": False, "ticks": False, "title": None, "grid": False, "domain": False}
    x = alt.X("ts:Q", scale=_time_scale(), axis=alt.Axis(**plain))
    # As wide at the left as the charts above, so that the same time lies under the same time.
    axis = alt.Axis(**plain, minExtent=44, maxExtent=72)
    y = alt.Y("base:Q", scale=alt.Scale(domain=[0, len(labels)], nice=False), axis=axis)
    tooltip = [
        alt.Tooltip("label:N", title="actuator"),
        alt.Tooltip("state:N", title="state"),
        alt.Tooltip("at:N", title="from"),
        alt.Tooltip("lasted:N", title="for"),
    ]
    bars = _named("bands").mark_rect(color=ink, opacity=0.55, clip=True)
    told = _named("names").mark_text(align="left", baseline="bottom", dx=2, fontSize=12, color=ink)
    layers = [
        bars.encode(x=x, x2="end:Q", y=y, y2="top:Q", tooltip=tooltip),
        told.encode(x=x, y=y, text="label:N"),
        *_frame(x),
    ]
    described = f"What {', '.join(labels)} did over the same time."
    return _written(alt.LayerChart(layer=layers).properties(height=height, description=described))


def _named(dataset: str) -> alt.Chart:
    return alt.Chart(alt.NamedData(name=dataset))


def _written(chart: alt.Chart | alt.LayerChart) -> str:
    return json.dumps(chart.to_dict())


def _time_axis(title: str | None) -> alt.X:
    """An axis of UTC ms that goes from edge to edge, with our marks on it."""
    axis = alt.Axis(
        title=title,
        titleAnchor="end",
        values=alt.ExprRef(f"pluck(data('{MARKS}'), 'ts')"),
        labelExpr=f"pluck(data('{MARKS}'), 'label')[indexof(pluck(data('{MARKS}'), 'ts'), datum.value)]",
        labelOverlap="greedy",
        labelBound=True,
        grid=False,
    )
    return alt.X("ts:Q", scale=_time_scale(), axis=axis)


def _time_scale() -> alt.Scale:
    """From edge to edge."""
    ends = {"domainMin": alt.ExprRef(f"data('{EDGES}')[0].ts"), "domainMax": alt.ExprRef(f"data('{EDGES}')[0].to")}
    return alt.Scale(nice=False, zero=False, **ends)


def _frame(x: alt.X) -> list[alt.Chart]:
    """Marks that nobody sees: a dataset that none has is not there for the axis either."""
    return [_named(name).mark_rule(opacity=0, aria=False).encode(x=x) for name in (EDGES, MARKS)]


def _value_axis(unit: str) -> alt.Axis:
    return alt.Axis(
        title=unit or None,
        titleAngle=0,
        titleAlign="left",
        titleAnchor="end",
        titleX=0,
        titleY=-10,
        tickCount=5,
        labelExpr=TICK_LABEL,
        minExtent=44,
        maxExtent=72,
        domain=False,
    )


def _reading_out(look: PanelLook, x: alt.X) -> alt.Chart:
    """A line at the time under the pointer, that tells what every series was then; double-clicked it leads back."""
    near: dict[str, Any] = {"fields": ["ts"], "nearest": True, "empty": False}
    pointed = alt.selection_point(name="pointed", on="pointermove", clear="pointerout", **near)
    twice = alt.selection_point(name=DOUBLE_CLICKED, on="dblclick", clear=False, toggle=False, **near)
    tooltip = [alt.Tooltip("at:N", title="time")]
    tooltip += [alt.Tooltip(f"{name}:N", title=title) for name, title in look.titles]
    opacity = alt.condition(pointed, alt.value(0.6), alt.value(0))
    rule = _named("hover").mark_rule(color="gray", aria=False).encode(x=x, opacity=opacity, tooltip=tooltip)
    marked: alt.Chart = rule.add_params(pointed, twice)
    return marked


def _drag() -> alt.Parameter:
    mark = alt.BrushConfig(fill="gray", fillOpacity=0.2, stroke="gray")
    return alt.selection_interval(name=DRAGGED, encodings=["x"], mark=mark, zoom=False, translate=False)
