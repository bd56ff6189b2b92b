"""History: any series over any range, as charts, figures and files. The page's address holds what is shown."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import streamlit as st

from db.engine import DatabaseAway
from db.ranges import Range
from pages.parts.chosen_series import Choice, choose
from pages.parts.clock import now_ms
from pages.parts.connect import show_how_to_connect
from pages.parts.format import moment, span, things
from pages.parts.history_address import current_view, go, go_to
from pages.parts.history_bar import (
    reset,
    show_presets,
    show_range,
    show_series,
    zone_of,
    zoom_to,
    zooms,
)
from pages.parts.history_chart import Drawn, panels
from pages.parts.history_detail import Scene, show_export, show_patterns, show_readings, show_statistics
from pages.parts.history_patterns import strip
from pages.parts.history_read import (
    OVERVIEW_POINTS,
    acting_devices,
    every_series,
    extent_of,
    points_for,
    ranges_of,
    states_of,
)
from pages.parts.history_specs import DIRECT_LABELS, DOUBLE_CLICKED, DRAGGED, Paint
from pages.parts.history_states import MOST as MOST_BANDS
from pages.parts.history_states import Band, bands, labels
from pages.parts.history_tables import legend
from pages.parts.login import check_reader
from pages.parts.look import ink, palette
from pages.parts.notes import note_html
from pages.parts.periods import Period, fitting, moved, pace_s, period_words
from pages.parts.places import every_name
from pages.parts.tables import dim
from pages.parts.view import View, says_range
from pages.parts.words import markdown
from runtime import get_runtime

#: Series of the overview.
_OVERVIEW: Final = 5
#: The database is asked again after this.
_PATIENCE_MS: Final = 1_000
#: When a part of the page found the database gone, UTC ms.
_AWAY: Final = "history away"


def show_charts(scene: Scene, whole: Period) -> None:
    """A chart for each unit. Raises DatabaseAway."""
    series = tuple(one.series for one in scene.series)
    points, zone = points_for(len(series)), scene.zone.key
    found: list[Range] = ranges_of(series, scene.shown, points, zone)
    before: list[Range | None] = [None] * len(series)
    earlier = moved(scene.shown, -1, scene.zone)
    if scene.view.compare:
        before = list(ranges_of(series, earlier, points, zone))
    shift = scene.shown.start - earlier.start
    drawn = [Drawn(one, now, then, shift) for one, now, then in zip(scene.series, found, before, strict=True)]
    made = panels(drawn, scene.shown, scene.zone, scene.paint)
    if not made:
        show_nothing(scene)
        show_states(scene)
        return
    for index, panel in enumerate(made):
        st.markdown(f"**{markdown(panel.title)}**")
        if len(panel.drawn) > DIRECT_LABELS:
            st.html(legend([one.shown for one in panel.drawn], scene.paint))
        key = f"history chart {index} {zooms()}"
        st.vega_lite_chart(
            panel.spec.whole,
            width="stretch",
            key=key,
            on_select=partial(take_gesture, key, scene.shown, whole),
            selection_mode=[DRAGGED, DOUBLE_CLICKED],
        )
    show_states(scene)
    st.html(dim(told_of(found, scene)))


def show_states(scene: Scene) -> None:
    """What the actuators of these devices did at the same time. Raises DatabaseAway."""
    found = states_of(scene.choice.devices, scene.shown)
    titles = scene.choice.titles
    told = labels([(titles.get(one.device, one.device), one.name) for one, _ in found])
    rows = [
        Band(label, frame, one.unit, one.minimum, one.maximum) for label, (one, frame) in zip(told, found, strict=True)
    ]
    chart = bands(rows, scene.shown, scene.zone, scene.paint, now_ms())
    if chart is not None:
        st.markdown("**What was switched**")
        st.vega_lite_chart(chart.whole, width="stretch", key="history states")
        if (more := sum(not row.frame.empty for row in rows) - MOST_BANDS) > 0:
            st.html(dim(f"{things(more, 'more actuator')} not drawn here: choose fewer devices."))


def take_gesture(key: str, shown: Period, whole: Period) -> None:
    """What was dragged over is shown larger; a double click leads back."""
    selection = st.session_state[key].selection
    dragged = selection.get(DRAGGED, {}).get("ts")
    if selection.get(DOUBLE_CLICKED):
        reset()
    elif dragged:
        zoom_to(dragged[0], dragged[-1], shown, whole)


def told_of(found: list[Range], scene: Scene) -> str:
    """What a point of the charts is."""
    widths = sorted({one.bucket_ms for one in found if one.bucket_ms is not None and not one.frame.empty})
    if widths:
        each = f"A point is {' or '.join(span(width) for width in widths)}: the mean, from lowest to highest as a band."
    else:
        each = "Every single reading."
    words = period_words(scene.shown, now_ms(), scene.zone)
    back = " Dotted: the period before." if scene.view.compare else ""
    drag = "Drag over a chart to zoom in, double-click to go back."
    return f"{words[0].upper()}{words[1:]}. {each}{back} {drag} Times are those of {scene.zone.key}."


def show_nothing(scene: Scene) -> None:
    """No readings in this range: where there are some."""
    stored = extent_of(tuple(one.series.id for one in scene.series))
    with st.container(key="sm_nothing"):
        st.markdown(f"**No readings** from {markdown(period_words(scene.shown, now_ms(), scene.zone))}.")
        if stored is None:
            st.markdown("Nothing was ever stored of these series.")
            return
        first, last = (moment(ts, now_ms(), scene.zone) for ts in (stored.start, stored.end - 1))
        st.markdown(f"The first is of {markdown(first)}, the last of {markdown(last)}.")
        length = max(scene.shown.span, 1_000)
        last_ones = Period(stored.end - length, stored.end)
        st.button("Show the last readings", key="history_last", on_click=go_to, args=(last_ones,))


def show_overview(scene: Scene, stored: Period) -> None:
    """All that is stored, to find one's way. Raises DatabaseAway."""
    series = scene.series[:_OVERVIEW]
    found = ranges_of(tuple(one.series for one in series), stored, OVERVIEW_POINTS, scene.zone.key)
    drawn = [Drawn(one, part) for one, part in zip(series, found, strict=True) if not part.frame.empty]
    key = f"history overview {zooms()}"
    st.vega_lite_chart(
        strip(drawn, stored, scene.shown, scene.zone, scene.paint).whole,
        width="stretch",
        key=key,
        on_select=partial(take_part, key),
        selection_mode=[DRAGGED],
    )


def take_part(key: str) -> None:
    """What was dragged over on the overview is the range that is shown."""
    dragged = st.session_state[key].selection.get(DRAGGED, {}).get("ts")
    if dragged and round(dragged[-1]) > round(dragged[0]):
        reset()
        go_to(Period(round(dragged[0]), round(dragged[-1])))


def show_all(choice: Choice, zone: ZoneInfo) -> None:
    """The bar, and everything under it. Raises DatabaseAway."""
    view = current_view()
    stored = extent_of(tuple(one.series.id for one in choice.shown))
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="sm_bar"):
        show_series(choice, view)
        show_presets(view)
    show_range(view, stored, zone)
    for problem in (*view.problems, *choice.problems):
        st.html(note_html("problem", problem))
    run_every = pace_s(view.shown(now_ms(), stored, zone)) if view.moving else None
    st.fragment(show_what_is_chosen, run_every=run_every)(view.frame, choice, zone)


def show_what_is_chosen(frame: View, choice: Choice, zone: ZoneInfo) -> None:
    """All that stands under the bar, as it is now: a part of the page that runs by itself.

    `frame`: what the bar shows. Where something here led to another range, the bar has to follow.
    """
    check_reader()
    view = current_view()
    if view.frame != frame:
        st.rerun()
    try:
        show_scene(view, choice, zone)
    except DatabaseAway:
        st.session_state[_AWAY] = now_ms()
        st.rerun()


def show_scene(view: View, choice: Choice, zone: ZoneInfo) -> None:
    """Charts, figures, patterns, readings, files. Raises DatabaseAway."""
    stored, now = extent_of(tuple(one.series.id for one in choice.shown)), now_ms()
    scene = Scene(view, choice, view.shown(now, stored, zone), zone, Paint(ink(), palette()))
    show_charts(scene, view.all_of_it(now, stored, zone))
    if stored is None:
        return
    show_overview(scene, stored)
    found = show_statistics(scene)
    show_patterns(scene, found)
    show_readings(scene)
    show_export(scene, found)


@st.fragment(run_every=2)
def wait_for_database(asked_at: int) -> None:
    """Say so, and go on when it is back. `asked_at`: when it was not there, UTC ms."""
    check_reader()
    if now_ms() - asked_at > _PATIENCE_MS and get_runtime().health().database.state == "connected":
        st.rerun()
    st.markdown("The database is out of reach. History comes back by itself when it does; nothing of it is lost.")


@st.fragment(run_every=2)
def wait_for_readings() -> None:
    """What will be here, and what to type. The page goes on by itself when there is something to show."""
    check_reader()
    runtime = get_runtime()
    try:
        if every_series() or acting_devices():
            st.rerun()
    except DatabaseAway:
        st.markdown("History comes back by itself when the database does.")
        return
    st.subheader("Nothing is stored yet", anchor=False)
    st.markdown("Every reading stays here, for charts of any range and as files. Send a first one from a terminal:")
    show_how_to_connect(runtime)


def first_view(view: View, choice: Choice) -> View:
    """What is shown to somebody who chose nothing: the first device, and of a young one no empty day before it."""
    if not says_range(st.query_params):
        stored = extent_of(tuple(one.series.id for one in choice.shown))
        whole = fitting(now_ms() - stored.start) if stored is not None else None
        view = replace(view, whole=whole or view.whole)
    return replace(view, devices=view.devices or choice.devices)


def show_page() -> None:
    """Everything, or what will be here. Raises DatabaseAway."""
    every, acting = every_series(), acting_devices()
    if not every and not acting:
        wait_for_readings()
        return
    view = current_view()
    choice = choose(every, view, every_name(get_runtime().board.current), acting)
    if not view.devices or not says_range(st.query_params):
        go(first_view(view, choice))
    show_all(choice, zone_of(view))


st.title("History", anchor=False)
away_at = st.session_state.pop(_AWAY, None)
try:
    if away_at is not None:
        wait_for_database(away_at)
    else:
        show_page()
except DatabaseAway:
    wait_for_database(now_ms())
