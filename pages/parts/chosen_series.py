"""Which series a view of the history shows, what they are called beside each other, and how each is drawn. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from db.devices import Series
from pages.parts.places import Named, titles_of
from pages.parts.view import View
from pages.parts.words import plain

#: Series that are compared at once.
MOST: Final = 20
#: Colours in the theme; beyond them come the same ones dashed.
COLOURS: Final = 8
#: Solid, dashed, dotted.
DASHES: Final = ((1, 0), (6, 3), (2, 2))
#: How metrics begin that tell how a board itself is doing, not what it measures: shown to who asks for them.
VITALS: Final = "vitals."


@dataclass(frozen=True, slots=True)
class Shown:
    """A series that is shown.

    `label` tells it from the others. `panel`: its unit, or where it has none its metric; what has the same is drawn
    together. `stroke`: the place of its colour in the theme, `COLOURS` more for each way to dash it.
    """

    series: Series
    label: str
    panel: str
    stroke: int

    @property
    def unit(self) -> str:
        """Its unit, empty if it has none."""
        return self.series.unit or ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a view comes to. `devices`: those that are chosen and there are. `metrics`: all that these have.

    `titles`: what each device that could be chosen is called, in the order in which they are offered.
    """

    devices: tuple[str, ...]
    metrics: tuple[str, ...]
    shown: tuple[Shown, ...]
    problems: tuple[str, ...]
    titles: Mapping[str, str]


def choose(
    every: Sequence[Series], view: View, names: Mapping[str, Named] | None = None, acting: Iterable[str] = ()
) -> Choice:
    """The series of `every` (by device and metric) that the view asks for: what the first device measures, if for none.

    `names`: how devices are shown. `acting`: those with actuators, which can be chosen without having any series.
    """
    by_device: dict[str, list[Series]] = {}
    for series in every:
        by_device.setdefault(series.device, []).append(series)
    for name in acting:
        by_device.setdefault(name, [])
    titles = titles_of(sorted(by_device), names or {})
    problems = [f"There is no device {plain(name, 64)}." for name in view.devices if name not in by_device]
    devices = tuple(name for name in view.devices if name in by_device) or tuple(by_device)[:1]
    metrics = tuple(sorted({series.metric for name in devices for series in by_device[name]}))
    wanted = [name for name in view.metrics if name in metrics]
    problems += [f"None of these devices has {plain(name, 64)}." for name in view.metrics if name not in metrics]
    meant = wanted or [name for name in metrics if not name.startswith(VITALS)] or metrics
    found = [series for name in devices for series in by_device[name] if series.metric in meant]
    if len(found) > MOST:
        problems.append(f"{len(found)} series are chosen; the first {MOST} are shown.")
    places = {series.id: index for name in devices for index, series in enumerate(by_device[name])}
    return Choice(devices, metrics, _shown(found[:MOST], places, titles), tuple(problems), titles)


def _shown(found: Sequence[Series], places: Mapping[int, int], titles: Mapping[str, str]) -> tuple[Shown, ...]:
    strokes = _strokes([places[series.id] for series in found])
    one_device = len({series.device for series in found}) == 1
    one_metric = len({series.metric for series in found}) == 1
    shown = []
    for series, stroke in zip(found, strokes, strict=True):
        label = f"{titles[series.device]} \N{MIDDLE DOT} {series.metric}"
        if one_device:
            label = series.metric
        elif one_metric:
            label = titles[series.device]
        shown.append(Shown(series, label, series.unit or series.metric, stroke))
    return tuple(shown)


def _strokes(places: Sequence[int]) -> list[int]:
    """A stroke for each, all different: that of its place among its device's metrics, as on Live, where it is free."""
    taken: dict[int, int] = {}
    for index, place in enumerate(places):
        taken.setdefault(place % COLOURS, index)
    given = {index: stroke for stroke, index in taken.items()}
    free = (stroke for stroke in range(COLOURS * len(DASHES)) if stroke not in taken)
    return [given[index] if index in given else next(free) for index in range(len(places))]
