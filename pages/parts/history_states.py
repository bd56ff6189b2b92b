"""What actuators did as bands under the charts: a row each, high while on, a thin line while off. Pure.

A number is as high as it lies within its range, so that a dimmer at half is half as high as one that is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import altair as alt
import pandas as pd

from pages.parts.format import at, decimals_for, number, span
from pages.parts.history_specs import Paint
from pages.parts.periods import Period

#: Rows that are drawn.
MOST: Final = 12
#: Of a row's height: how high "on" is, how thin "off" is, and what stands over it.
_HIGH: Final = 0.5
_THIN: Final = 0.05
_ROW: Final = 38
_COLUMNS: Final = {
    "ts": "float64",
    "end": "float64",
    "base": "float64",
    "top": "float64",
    "label": "object",
    "state": "object",
    "at": "object",
    "lasted": "object",
}


@dataclass(frozen=True, slots=True)
class Band:
    """What an actuator did in a period.

    `label` tells it from the others. `frame`: a row a change, by time, the state that held at the begin first; columns
    ts (UTC ms), state (ON, OFF or a number), value (1 for ON, 0 for OFF). `minimum`, `maximum`: of a number, as far as
    they are known.
    """

    label: str
    frame: pd.DataFrame
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None


def bands(found: Sequence[Band], period: Period, zone: tzinfo, paint: Paint, now: int) -> alt.LayerChart | None:
    """The chart of those that are known to have done anything in this period, None if there is none. `now`: UTC ms."""
    drawn = drawn_of(found)
    if not drawn:
        return None
    rows = rectangles(drawn, period, zone, now)
    names = pd.DataFrame(
        {
            "ts": float(period.start),
            "base": [place + _HIGH + 0.08 for place in range(len(drawn))],
            "label": [band.label for band in reversed(drawn)],
        }
    )
    plain = alt.Axis(labels=False, ticks=False, title=None, grid=False, domain=False)
    x = alt.X("ts:Q", scale=alt.Scale(domain=[period.start, period.end], nice=False, zero=False), axis=plain)
    # As wide at the left as the charts above, so that the same time lies under the same time.
    axis = alt.Axis(labels=False, ticks=False, title=None, grid=False, domain=False, minExtent=44, maxExtent=72)
    y = alt.Y("base:Q", scale=alt.Scale(domain=[0, len(drawn)], nice=False), axis=axis)
    bars = (
        alt.Chart(rows)
        .mark_rect(color=paint.ink, opacity=0.55, clip=True)
        .encode(
            x=x,
            x2="end:Q",
            y=y,
            y2="top:Q",
            tooltip=[
                alt.Tooltip("label:N", title="actuator"),
                alt.Tooltip("state:N", title="state"),
                alt.Tooltip("at:N", title="from"),
                alt.Tooltip("lasted:N", title="for"),
            ],
        )
    )
    told = alt.Chart(names).mark_text(align="left", baseline="bottom", dx=2, fontSize=12, color=paint.ink)
    layers = [bars, told.encode(x=x, y=y, text="label:N")]
    described = f"What {', '.join(band.label for band in drawn)} did over the same time."
    return alt.LayerChart(layer=layers).properties(height=_ROW * len(drawn), description=described)


def drawn_of(found: Sequence[Band]) -> list[Band]:
    """Those of which something is known, as far as there is room."""
    return [band for band in found if not band.frame.empty][:MOST]


def rectangles(drawn: Sequence[Band], period: Period, zone: tzinfo, now: int) -> pd.DataFrame:
    """A row for each state that held: ts, end (UTC ms as float64), base, top (counted in rows from below), words."""
    return pd.concat(
        [_rows(band, place, period, zone, now) for place, band in enumerate(reversed(drawn))], ignore_index=True
    )


def _rows(band: Band, place: int, period: Period, zone: tzinfo, now: int) -> pd.DataFrame:
    """What held from when to when, as rectangles in row `place`, counted from below."""
    frame = band.frame
    last = max(min(period.end, now), int(frame["ts"].iloc[-1]))
    end = frame["ts"].shift(-1).fillna(last)
    made = pd.DataFrame(
        {
            "ts": frame["ts"].astype("float64").to_numpy(),
            "end": end.astype("float64").to_numpy(),
            "base": float(place),
            "top": [place + _height(value, band) for value in frame["value"]],
            "label": band.label,
            "state": [state_word(state, band.unit) for state in frame["state"]],
            "at": [_exact(int(ts), zone) for ts in frame["ts"]],
            "lasted": [span(until - since) for since, until in zip(frame["ts"], end, strict=True)],
        }
    )
    return made.astype(_COLUMNS)


def _height(value: float, band: Band) -> float:
    values = band.frame["value"]
    on_off = band.frame["state"].isin(["ON", "OFF"]).all()
    low = 0.0 if on_off else min(values.min(), 0.0 if band.minimum is None else band.minimum)
    high = 1.0 if on_off else max(values.max(), values.max() if band.maximum is None else band.maximum)
    share = (value - low) / (high - low) if high > low else 1.0
    return _THIN + (_HIGH - _THIN) * min(1.0, max(0.0, float(share)))


def state_word(state: str, unit: str | None) -> str:
    """A state as people say it: "on", "off", "40 %"."""
    if state in ("ON", "OFF"):
        return state.lower()
    try:
        value = float(state)
    except ValueError:
        return state
    return f"{number(value, decimals_for([value]))} {unit or ''}".strip()


def labels(targets: Sequence[tuple[str, str]]) -> list[str]:
    """What tells actuators of (device, name) apart: their names, with their devices' before where there are several."""
    several = len({device for device, _ in targets}) > 1
    return [f"{device} \N{MIDDLE DOT} {name}" if several else name for device, name in targets]


def _exact(ts: int, zone: tzinfo) -> str:
    then = at(ts, zone)
    return f"{then.day} {then:%b %Y, %H:%M:%S %Z}"
