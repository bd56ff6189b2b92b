"""The last hour as Altair charts: one panel a unit, gaps as gaps, a band from lowest to highest under the mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import altair as alt
import pandas as pd

from pages.parts.format import TICK_LABEL, at, decimals_for, number
from pages.parts.last_hour import BUCKET_MS, LastHour

#: Panels of several series are labelled directly up to this many, by a legend beyond.
_DIRECT_LABELS: Final = 5
_HEIGHT: Final = 180


@dataclass(frozen=True, slots=True)
class Panel:
    """One unit's chart. `title` names what it shows, for readers and screen readers."""

    title: str
    chart: alt.LayerChart


def panels(hour: LastHour, zone: tzinfo, ink: str) -> Iterator[Panel]:
    """A panel for each unit, and for each metric without one, in order of the metrics' names.

    Clocks are of `zone` as it is at the end of the hour. `ink` is the colour of the theme's text, which Vega does not
    know for a text in a chart.
    """
    frame = hour.frame.assign(wall=_wall(hour.frame["time"], hour.end, zone))
    hover = _hover(frame)
    edges = pd.DataFrame({"wall": _wall(_times([hour.start, hour.end]), hour.end, zone)})
    # What has no unit is comparable with nothing, and stands alone.
    keys = frame["unit"].where(frame["unit"] != "", "\0" + frame["metric"])
    for key in keys.unique():
        rows = frame[keys == key]
        title = _title(list(dict.fromkeys(rows["metric"])), str(rows["unit"].iloc[0]))
        x = _time_axis(str(zone) if key == keys.unique()[-1] else None)
        layers = [alt.Chart(edges).mark_rule(opacity=0).encode(x=x), *_layers(rows, hover, x, hour.metrics, ink)]
        chart = alt.LayerChart(layer=layers)
        yield Panel(title, chart.properties(height=_HEIGHT, description=f"The last hour: {title}"))


def _time_axis(title: str | None) -> alt.X:
    axis = alt.Axis(title=title, titleAnchor="end", format="%H:%M", tickCount=6, grid=False, labelOverlap=True)
    return alt.X("wall:T", scale=alt.Scale(type="utc"), axis=axis)


def _title(names: list[str], unit: str) -> str:
    """What stands over a panel: "temperature, °C"; of several series the unit alone, because each has its label."""
    if len(names) == 1:
        return f"{names[0]}, {unit}" if unit else names[0]
    return unit


def _times(values: list[int]) -> pd.Series[pd.Timestamp]:
    return pd.to_datetime(pd.Series(values, dtype="int64"), unit="ms", utc=True)


def _wall(times: pd.Series[pd.Timestamp], end: int, zone: tzinfo) -> pd.Series[pd.Timestamp]:
    """Clock times of the zone, as if they were UTC: Vega knows UTC and the browser's zone, and no other.

    They stay marked as UTC. Times without a zone Streamlit moves by the browser's own.
    """
    offset = at(end, zone).utcoffset()
    return times + pd.Timedelta(offset or 0)


@dataclass(frozen=True, slots=True)
class _Hover:
    """What is read out under the pointer. `rows`: `wall`, `at` as text, and m0, m1, ... as text, one of `metrics` each.

    Columns have names of our own because Vega takes dots and brackets in a field's name for a path.
    """

    rows: pd.DataFrame
    metrics: tuple[str, ...]


def _hover(frame: pd.DataFrame) -> _Hover:
    """A row a bucket, with the values and units of all metrics."""
    rows = pd.DataFrame({"wall": frame["wall"].dt.floor(f"{BUCKET_MS}ms")}).drop_duplicates().sort_values("wall")
    rows["at"] = rows["wall"].dt.strftime("%H:%M:%S")
    metrics = tuple(dict.fromkeys(frame["metric"]))
    for index, metric in enumerate(metrics):
        part = frame[frame["metric"] == metric]
        decimals = decimals_for(part[["low", "high"]].to_numpy().ravel().tolist())
        texts = [
            f"{number(mean, decimals)} {unit}".strip() for mean, unit in zip(part["mean"], part["unit"], strict=True)
        ]
        column = pd.DataFrame({"wall": part["wall"].dt.floor(f"{BUCKET_MS}ms"), f"m{index}": texts})
        rows = rows.merge(column, on="wall", how="left")
    return _Hover(rows.fillna("\N{EN DASH}"), metrics)


def _layers(rows: pd.DataFrame, hover: _Hover, x: alt.X, metrics: tuple[str, ...], ink: str) -> list[alt.Chart]:
    names = list(dict.fromkeys(rows["metric"]))
    rows = rows.assign(lone=rows.groupby(["metric", "segment"])["time"].transform("size") == 1)
    # All metrics of the device, so that each has the colour that it has on its card.
    legend = alt.Legend(title=None, orient="top") if len(names) > _DIRECT_LABELS else None
    colour = alt.Color("metric:N", scale=alt.Scale(domain=list(metrics)), legend=legend)
    scale = alt.Scale(zero=False, nice=True)
    axis = alt.Axis(title=None, tickCount=4, labelExpr=TICK_LABEL, minExtent=40, domain=False)
    y = alt.Y("mean:Q", scale=scale, axis=axis)
    base = alt.Chart(rows).encode(x=x, color=colour, detail="segment:N")
    layers: list[alt.Chart] = [
        base.mark_area(opacity=0.25).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        base.mark_line(strokeWidth=1.5).encode(y=y),
        base.mark_circle(size=14).encode(y=y, opacity=alt.condition("datum.lone", alt.value(1), alt.value(0))),
        _reading_out(hover, rows, x),
    ]
    if 1 < len(names) <= _DIRECT_LABELS:
        layers.append(_labels(rows, x, scale, ink))
    return layers


def _reading_out(hover: _Hover, rows: pd.DataFrame, x: alt.X) -> alt.Chart:
    """A line at the time under the pointer, that tells what all metrics of the device were then."""
    nearest = alt.selection_point(fields=["wall"], nearest=True, on="pointermove", clear="pointerout", empty=False)
    shown = hover.rows[hover.rows["wall"].isin(rows["wall"].dt.floor(f"{BUCKET_MS}ms"))]
    tooltip = [alt.Tooltip("at:N", title="time")]
    tooltip += [alt.Tooltip(f"m{index}:N", title=name) for index, name in enumerate(hover.metrics)]
    rule = alt.Chart(shown).mark_rule(color="gray")
    opacity = alt.condition(nearest, alt.value(0.6), alt.value(0))
    marked: alt.Chart = rule.encode(x=x, opacity=opacity, tooltip=tooltip).add_params(nearest)
    return marked


def _labels(rows: pd.DataFrame, x: alt.X, scale: alt.Scale, ink: str) -> alt.Chart:
    """Each series' name at its newest point, moved apart where two would lie on each other."""
    ends = rows.sort_values("time").groupby("metric", as_index=False).last().sort_values("mean")
    distance = (rows["high"].max() - rows["low"].min()) * 0.15
    places: list[float] = []
    for mean in ends["mean"]:
        places.append(max(mean, places[-1] + distance) if places else mean)
    ends = ends.assign(place=places)
    text = alt.Chart(ends).mark_text(align="right", dx=-4, dy=-9, fontSize=12, color=ink)
    named: alt.Chart = text.encode(x=x, y=alt.Y("place:Q", scale=scale), text="metric:N")
    return named
