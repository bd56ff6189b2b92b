"""Everything that is stored as a strip under the charts, and how the values of one series lie over the week. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from typing import Final

import altair as alt
import pandas as pd

from db.ranges import Statistics
from pages.parts.chosen_series import Shown
from pages.parts.format import count, decimals_for, number
from pages.parts.history_chart import DRAGGED, Drawn, Paint, frame_of, time_axis
from pages.parts.periods import Period

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_STRIP_HEIGHT: Final = 96
_PATTERN_HEIGHT: Final = 220


def strip(drawn: Sequence[Drawn], stored: Period, shown: Period, zone: tzinfo, paint: Paint) -> alt.LayerChart:
    """All that is stored of some series, each from its lowest to its highest, with what is shown marked."""
    frames = []
    for one in drawn:
        rows = frame_of(one, one.range)
        low, height = rows["lo"].min(), rows["hi"].max() - rows["lo"].min()
        heights = {name: (rows[name] - low) / height if height else 0.5 for name in ("lo", "mean", "hi")}
        frames.append(rows.assign(**heights))
    x = time_axis(stored, zone, None)
    labels = [one.shown.label for one in drawn]
    colours = [paint.of(one.shown.stroke) for one in drawn]
    colour = alt.Color("label:N", scale=alt.Scale(domain=labels, range=colours), legend=None)
    base = alt.Chart(pd.concat(frames, ignore_index=True)).encode(x=x, color=colour, detail="line:N")
    scale = alt.Scale(domain=[0, 1], zero=False, nice=False)
    mark = alt.BrushConfig(fill="gray", fillOpacity=0.2, stroke="gray")
    drag = alt.selection_interval(name=DRAGGED, encodings=["x"], mark=mark, zoom=False, translate=False)
    first, last = (float(min(max(ts, stored.start), stored.end)) for ts in (shown.start, shown.end))
    seen = pd.DataFrame({"ts": [first], "to": [last]})
    here = alt.Chart(seen).mark_rect(color=paint.ink, opacity=0.14, stroke=paint.ink, strokeWidth=1.5)
    layers = [
        here.encode(x=x, x2="to:Q"),
        base.mark_area(opacity=0.25).encode(y=alt.Y("lo:Q", scale=scale, axis=None), y2="hi:Q"),
        base.mark_line(strokeWidth=1).encode(y=alt.Y("mean:Q", scale=scale, axis=None)).add_params(drag),
    ]
    told = "All that is stored; what is shown above is marked"
    return alt.LayerChart(layer=layers).properties(height=_STRIP_HEIGHT, description=told)


def week(shown: Shown, found: Statistics, *, dark: bool) -> alt.Chart:
    """The mean of each hour of each weekday."""
    decimals = decimals_for(found.week["mean"].tolist())
    rows = found.week.assign(
        day=[_DAYS[day] for day in found.week["weekday"]],
        clock=[f"{hour:02d}" for hour in found.week["hour"]],
        mean_text=[f"{number(mean, decimals)} {shown.unit}".strip() for mean in found.week["mean"]],
        n_text=[count(n) for n in found.week["n"]],
        hours=[f"{hour:02d}:00 to {hour + 1:02d}:00" for hour in found.week["hour"]],
    )
    hours = [f"{hour:02d}" for hour in range(24)]
    tooltip = [
        alt.Tooltip("day:N", title="day"),
        alt.Tooltip("hours:N", title="time"),
        alt.Tooltip("mean_text:N", title="mean"),
        alt.Tooltip("n_text:N", title="readings"),
    ]
    legend = alt.Legend(title=shown.unit or None, gradientLength=_PATTERN_HEIGHT - 40, tickCount=4)
    axis = alt.Axis(title=None, labelAngle=0, labelOverlap="greedy", values=hours[::3])
    chart: alt.Chart = (
        alt.Chart(rows)
        .mark_rect()
        .encode(
            x=alt.X("clock:N", scale=alt.Scale(domain=hours, paddingInner=0.06), axis=axis),
            y=alt.Y("day:N", scale=alt.Scale(domain=list(_DAYS), paddingInner=0.08), axis=alt.Axis(title=None)),
            color=alt.Color("mean:Q", scale=alt.Scale(scheme="viridis", reverse=not dark, zero=False), legend=legend),
            tooltip=tooltip,
        )
        .properties(height=_PATTERN_HEIGHT, description=f"{shown.label}: mean by hour and weekday")
    )
    return chart


def distribution(shown: Shown, found: Statistics, paint: Paint) -> alt.Chart:
    """How many readings had which value."""
    rows = found.distribution
    edges = [*rows["low"].tolist(), *rows["high"].tolist()]
    decimals = decimals_for(edges)
    rows = rows.assign(
        none=0,
        values_text=[
            f"{number(low, decimals)} to {number(high, decimals)} {shown.unit}".strip()
            for low, high in zip(rows["low"], rows["high"], strict=True)
        ],
        n_text=[count(n) for n in rows["n"]],
    )
    axis = alt.Axis(title=shown.unit or None, titleAnchor="end", tickCount=6, grid=False)
    chart: alt.Chart = (
        alt.Chart(rows)
        .mark_rect(color=paint.of(shown.stroke), opacity=0.85)
        .encode(
            x=alt.X("low:Q", scale=alt.Scale(zero=False, nice=False), axis=axis),
            x2="high:Q",
            y=alt.Y("n:Q", axis=alt.Axis(title="readings", tickCount=4, titleAngle=0, titleAlign="left", titleY=-8)),
            y2="none:Q",
            tooltip=[alt.Tooltip("values_text:N", title="value"), alt.Tooltip("n_text:N", title="readings")],
        )
        .properties(height=_PATTERN_HEIGHT, description=f"{shown.label}: how many readings had which value")
    )
    return chart
