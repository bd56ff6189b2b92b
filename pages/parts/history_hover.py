"""What is read out under the pointer: a row a time, with what every series was then, in words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import pandas as pd

from db.ranges import Range
from pages.parts.chosen_series import Shown
from pages.parts.format import at, decimals_for, number

#: Times that can be pointed at; where series were read at more, those that lie within a pixel share a row.
_MOST: Final = 1_500
_NOTHING: Final = "\N{EN DASH}"

#: A series, its range, the same of the period before if it is compared, and by how many ms that one was moved.
Read = tuple[Shown, Range, Range | None, int]


@dataclass(frozen=True, slots=True)
class Hover:
    """What can be pointed at.

    `rows`: one a time, with `ts` (UTC ms as float64), `at` (the time as text), and m0, m1, ... (what each series was,
    as text): names of our own, because Vega takes dots and brackets in a column's name for a path. `titles`: these
    names with what they are called.
    """

    rows: pd.DataFrame
    titles: tuple[tuple[str, str], ...]


def hover(read: Sequence[Read], zone: tzinfo) -> Hover:
    """A row a time at which any of these was read."""
    columns: list[tuple[str, str]] = []
    texts: list[pd.Series[str]] = []
    for shown, found, before, shift in read:
        for source, moved, title in ((found, 0, shown.label), (before, shift, f"{shown.label}, before")):
            if source is not None:
                columns.append((f"m{len(columns)}", title))
                times = source.frame["ts"].to_numpy() + moved
                texts.append(pd.Series(_texts(source.frame, shown.unit), times, "object", columns[-1][0]))
    every = pd.concat(texts, axis=1, sort=True) if texts else pd.DataFrame()
    if len(every) > _MOST:
        width = (int(every.index[-1]) - int(every.index[0])) // _MOST + 1
        every = every.assign(ts=every.index).groupby(every.index // width).first().set_index("ts")
    rows = every.fillna(_NOTHING).reset_index(names="ts")
    rows.insert(1, "at", pd.Series([_exact(int(ts), zone) for ts in rows["ts"]], dtype="object"))
    rows["ts"] = rows["ts"].astype("float64")
    return Hover(rows, tuple(columns))


def _texts(frame: pd.DataFrame, unit: str) -> list[str]:
    """As "21.4 °C", of several readings "21.4 °C (20.9 to 22.0)"."""
    decimals = decimals_for(frame[["min", "max"]].to_numpy().ravel().tolist())
    texts = []
    for n, mean, low, high in frame[["n", "mean", "min", "max"]].itertuples(index=False):
        text = f"{number(mean, decimals)} {unit}".strip()
        texts.append(text if n == 1 else f"{text} ({number(low, decimals)} to {number(high, decimals)})")
    return texts


def _exact(ts: int, zone: tzinfo) -> str:
    then = at(ts, zone)
    parts = f".{ts % 1000:03d}" if ts % 1000 else ""
    return f"{then.day} {then:%b %Y, %H:%M:%S}{parts} {then:%Z}"
