"""Everything that is stored as a strip under the charts, and how the values of one series lie over the week. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import pandas as pd

from db.ranges import Statistics
from pages.parts import history_specs as specs
from pages.parts.chosen_series import Shown
from pages.parts.format import count, decimals_for, number
from pages.parts.history_chart import Drawn, frame_of, time_frame
from pages.parts.history_specs import DAYS, Paint, Spec
from pages.parts.periods import Period


def strip(drawn: Sequence[Drawn], stored: Period, shown: Period, zone: tzinfo, paint: Paint) -> Spec:
    """All that is stored of some series, each from its lowest to its highest, with what is shown marked."""
    frames = []
    for one in drawn:
        rows = frame_of(one, one.range)
        low, height = rows["lo"].min(), rows["hi"].max() - rows["lo"].min()
        heights = {name: (rows[name] - low) / height if height else 0.5 for name in ("lo", "mean", "hi")}
        frames.append(rows.assign(**heights))
    first, last = (float(min(max(ts, stored.start), stored.end)) for ts in (shown.start, shown.end))
    data = time_frame(stored, zone) | {
        "lines": pd.concat(frames, ignore_index=True),
        "seen": pd.DataFrame({"ts": [first], "to": [last]}),
    }
    labels, strokes = tuple(one.shown.label for one in drawn), tuple(one.shown.stroke for one in drawn)
    return Spec(specs.strip(labels, strokes, paint), data)


def week(shown: Shown, found: Statistics, *, dark: bool) -> Spec:
    """The mean of each hour of each weekday."""
    decimals = decimals_for(found.week["mean"].tolist())
    rows = found.week.assign(
        day=[DAYS[day] for day in found.week["weekday"]],
        clock=[f"{hour:02d}" for hour in found.week["hour"]],
        mean_text=[f"{number(mean, decimals)} {shown.unit}".strip() for mean in found.week["mean"]],
        n_text=[count(n) for n in found.week["n"]],
        hours=[f"{hour:02d}:00 to {hour + 1:02d}:00" for hour in found.week["hour"]],
    )
    return Spec(specs.week(shown.label, shown.unit, dark=dark), {"week": rows})


def distribution(shown: Shown, found: Statistics, paint: Paint) -> Spec:
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
    return Spec(specs.distribution(shown.label, shown.unit, paint.of(shown.stroke)), {"values": rows})
