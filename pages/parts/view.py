"""What the History page shows, as it stands in the page's address: a link to it shows the same. Pure.

An address such as `history?device=kitchen&range=7d&from=2026-11-23T10:00:00Z&to=2026-11-23T12:00:00Z` shows two hours
of seven days. Without `range`, `from` and `to` are the whole. What is not said is as it is by default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Final, Literal, cast
from zoneinfo import ZoneInfo

from pages.parts.periods import EARLIEST, LATEST, PRESETS, Period, iso, preset
from pages.parts.words import plain

Form = Literal["long", "wide"]
Resolution = Literal["raw", "minutes", "hours", "days"]

DEFAULT_RANGE: Final = "24h"
ROWS: Final = (20, 100, 500)
RESOLUTIONS: Final[Mapping[Resolution, str]] = {
    "raw": "Every reading",
    "minutes": "By the minute",
    "hours": "By the hour",
    "days": "By the day",
}
FORMS: Final[Mapping[Form, str]] = {"long": "A row a reading", "wide": "A column a series"}
_MILLISECONDS: Final = re.compile(r"[0-9]{1,15}")
_OWN: Final = ".."


@dataclass(frozen=True, slots=True)
class View:
    """What is shown.

    `devices`, `metrics`: empty if the page is to choose. `whole`: the name of a ready-made period, or one of its own.
    `zoom`: the part of it that is shown. `zone`: a name, None for the viewer's own. `thresholds`: by panel. `pattern`:
    device and metric of the series whose week is drawn. `rows`: readings in the table. `problems`: sentences about
    what of the address could not be used.
    """

    devices: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    whole: str | Period = DEFAULT_RANGE
    zoom: Period | None = None
    compare: bool = False
    zone: str | None = None
    thresholds: tuple[tuple[str, float], ...] = ()
    pattern: tuple[str, str] | None = None
    rows: int = ROWS[0]
    resolution: Resolution = "raw"
    form: Form = "long"
    problems: tuple[str, ...] = ()

    @property
    def frame(self) -> View:
        """What the bar above the charts shows of it: the same for views that differ in what stands under it alone."""
        return replace(self, thresholds=(), pattern=None, rows=ROWS[0], resolution="raw", form="long")

    @property
    def moving(self) -> bool:
        """Whether its range ends now, and so moves on: not while a part of it is looked at."""
        return isinstance(self.whole, str) and self.zoom is None

    def shown(self, now: int, stored: Period | None, zone: tzinfo) -> Period:
        """What is shown of it at `now` (UTC ms)."""
        return self.zoom or self.all_of_it(now, stored, zone)

    def all_of_it(self, now: int, stored: Period | None, zone: tzinfo) -> Period:
        """The whole at `now`, of which it may show a part. `stored`: from the first to the last reading."""
        return preset(self.whole, now, stored, zone) if isinstance(self.whole, str) else self.whole

    def threshold(self, panel: str) -> float | None:
        """The threshold that was set for this panel."""
        return dict(self.thresholds).get(panel)

    def with_threshold(self, panel: str, value: float | None) -> View:
        """Another threshold for this panel, or none."""
        others = tuple(pair for pair in self.thresholds if pair[0] != panel)
        return replace(self, thresholds=others if value is None else (*others, (panel, value)))


def to_query(view: View) -> dict[str, str | list[str]]:
    """The view as the address has it."""
    query: dict[str, str | list[str]] = {"device": list(view.devices), "metric": list(view.metrics)}
    query |= _range_query(view)
    query["threshold"] = [f"{value!r} {panel}".strip() for panel, value in view.thresholds]
    for name, value, default in (
        ("compare", "before" if view.compare else "", ""),
        ("tz", view.zone or "", ""),
        ("pattern", ":".join(view.pattern or ()), ""),
        ("rows", str(view.rows), str(ROWS[0])),
        ("resolution", view.resolution, "raw"),
        ("form", view.form, "long"),
    ):
        if value != default:
            query[name] = value
    return {name: value for name, value in query.items() if value}


def _range_query(view: View) -> dict[str, str]:
    query = {}
    shown = view.zoom
    if isinstance(view.whole, str):
        query["range"] = view.whole
    elif view.zoom is None:
        shown = view.whole
    else:
        query["range"] = f"{iso(view.whole.start)}{_OWN}{iso(view.whole.end)}"
    if shown is not None:
        query |= {"from": iso(shown.start), "to": iso(shown.end)}
    return query


def says_range(query: Mapping[str, object]) -> bool:
    """Whether an address says what range is shown."""
    return any(name in query for name in ("range", "from", "to"))


def from_query(query: Mapping[str, Sequence[str]]) -> View:
    """The view that an address asks for. What can't be used is left out, and a sentence says so."""
    problems: list[str] = []
    whole, zoom = _range(query, problems)
    return View(
        devices=tuple(dict.fromkeys(query.get("device", ()))),
        metrics=tuple(dict.fromkeys(query.get("metric", ()))),
        whole=whole,
        zoom=zoom,
        compare=_one(query, "compare") == "before",
        zone=_zone(_one(query, "tz"), problems),
        thresholds=_thresholds(query.get("threshold", ()), problems),
        pattern=_pattern(_one(query, "pattern")),
        rows=next((rows for rows in ROWS if str(rows) == _one(query, "rows")), ROWS[0]),
        resolution=cast("Resolution", _among(RESOLUTIONS, _one(query, "resolution"), "raw")),
        form=cast("Form", _among(FORMS, _one(query, "form"), "long")),
        problems=tuple(problems),
    )


def _one(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    given = query.get(name, ())
    return given[-1] if given else None


def _among(known: Mapping[Resolution, str] | Mapping[Form, str], given: str | None, default: str) -> str:
    return given if given is not None and given in known else default


def _range(query: Mapping[str, Sequence[str]], problems: list[str]) -> tuple[str | Period, Period | None]:
    given, start, end = _one(query, "range"), _one(query, "from"), _one(query, "to")
    shown = None
    if start is not None or end is not None:
        shown = _period(start, end, "from", "to", problems)
    if given is not None and given in PRESETS:
        return given, shown
    if given is not None:
        first, between, last = given.partition(_OWN)
        if between:
            whole = _period(first, last, "range", "range", problems)
            return whole or shown or DEFAULT_RANGE, shown if whole is not None else None
        problems.append(f"In the address range is none that there is: {plain(given, 40)}.")
    return shown or DEFAULT_RANGE, None


def _period(start: str | None, end: str | None, first: str, last: str, problems: list[str]) -> Period | None:
    times = []
    for name, text in ((first, start), (last, end)):
        ts = _time(text)
        if ts is None:
            said = f"is no time: {plain(text, 40)}" if text else "is missing"
            problems.append(f"In the address {name} {said}. A time is such as 2026-11-23T10:00:00Z.")
            return None
        times.append(ts)
    if times[0] >= times[1]:
        problems.append(f"In the address {first} is not before {last}.")
        return None
    return Period(times[0], times[1])


def _time(text: str | None) -> int | None:
    """UTC ms of an ISO time, of UTC if it names no zone, or of ms as they are; None if it is neither."""
    if text is None:
        return None
    if _MILLISECONDS.fullmatch(text):
        ts = int(text)
    else:
        try:
            then = datetime.fromisoformat(text)
            ts = round((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)
        except (ValueError, OverflowError):
            return None
    return ts if EARLIEST <= ts <= LATEST else None


def _zone(name: str | None, problems: list[str]) -> str | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError):
        problems.append(f"This machine knows no time zone {plain(name, 40)}.")
        return None


def _thresholds(given: Sequence[str], problems: list[str]) -> tuple[tuple[str, float], ...]:
    found: dict[str, float] = {}
    for text in given:
        number, _, panel = text.partition(" ")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            found[panel] = value
        else:
            problems.append(f"In the address threshold is no number: {plain(text, 40)}.")
    return tuple(found.items())


def _pattern(given: str | None) -> tuple[str, str] | None:
    device, between, metric = (given or "").partition(":")
    return (device, metric) if between else None
