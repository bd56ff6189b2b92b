"""What stands under the charts of the History page: figures, patterns, the last readings, and files of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from zoneinfo import ZoneInfo

import streamlit as st

from db.ranges import Statistics
from pages.parts.chosen_series import Choice, Shown
from pages.parts.clock import now_ms
from pages.parts.format import count, things
from pages.parts.history_address import current_view, go
from pages.parts.history_bar import bound
from pages.parts.history_export import FORMATS, buttons, curl_line, export_path
from pages.parts.history_patterns import distribution, week
from pages.parts.history_read import last_readings, statistics_of
from pages.parts.history_specs import Paint
from pages.parts.history_tables import readings_html, statistics_html
from pages.parts.periods import Period
from pages.parts.tables import dim
from pages.parts.view import FORMS, RESOLUTIONS, ROWS, View
from pages.parts.words import markdown
from runtime import get_runtime


@dataclass(frozen=True, slots=True)
class Scene:
    """What the page shows: which series, when, by which clocks, and in which colours."""

    view: View
    choice: Choice
    shown: Period
    zone: ZoneInfo
    paint: Paint

    @property
    def series(self) -> tuple[Shown, ...]:
        """The series that are shown."""
        return self.choice.shown


def show_statistics(scene: Scene) -> list[Statistics]:
    """The figures of each series, and a threshold for each unit. Raises DatabaseAway."""
    st.subheader("Statistics", anchor=False)
    thresholds = dict(scene.view.thresholds)
    found = statistics_of(
        tuple(one.series for one in scene.series),
        tuple(thresholds.get(one.panel) for one in scene.series),
        scene.shown,
        scene.zone.key,
    )
    st.html(statistics_html(scene.series, found, thresholds, scene.paint, now_ms(), scene.zone))
    panels = list(dict.fromkeys(one.panel for one in scene.series))
    with st.container(horizontal=True, gap="small"):
        for panel in panels:
            key = f"history threshold {panel}"
            st.session_state[key] = thresholds.get(panel)
            st.number_input(
                f"Threshold, {markdown(panel)}",
                value=None,
                format="%g",
                placeholder="none",
                width=170,
                key=key,
                on_change=partial(_take_threshold, panel, key),
            )
    return found


def _take_threshold(panel: str, key: str) -> None:
    go(current_view().with_threshold(panel, st.session_state[key]))


def show_patterns(scene: Scene, found: Sequence[Statistics]) -> None:
    """The week and the values of one series."""
    names = [f"{one.series.device}:{one.series.metric}" for one in scene.series]
    labels = dict(zip(names, (one.label for one in scene.series), strict=True))
    wanted = ":".join(scene.view.pattern or ())
    chosen = names.index(wanted) if wanted in names else 0
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Week and values", anchor=False, width="content")
        if len(names) > 1:
            st.selectbox(
                "Series whose week and values are shown",
                names,
                format_func=lambda name: labels[name],
                label_visibility="collapsed",
                width=280,
                **bound("pattern", names[chosen], _with_pattern, in_part=True),
            )
    one, figures = scene.series[chosen], found[chosen]
    if not figures.n:
        st.html(dim(f"{one.label} has no readings in this range."))
        return
    left, right = st.columns(2)
    with left:
        st.markdown(f"**Mean by hour and weekday**, {scene.zone.key}")
        by_hour = week(one, figures, dark=st.context.theme.type == "dark")
        st.vega_lite_chart(by_hour.whole, width="stretch", key="history_week")
    with right:
        st.markdown("**How often which value**")
        st.vega_lite_chart(distribution(one, figures, scene.paint).whole, width="stretch", key="history_values")


def _with_pattern(view: View, name: str) -> View:
    device, _, metric = name.partition(":")
    return replace(view, pattern=(device, metric))


def show_readings(scene: Scene) -> None:
    """The newest readings of what is shown. Raises DatabaseAway."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Last readings", anchor=False, width="content")
        st.selectbox(
            "How many times are listed",
            ROWS,
            format_func=lambda rows: f"{rows} rows",
            label_visibility="collapsed",
            width=130,
            **bound("rows", scene.view.rows, lambda view, rows: replace(view, rows=rows), in_part=True),
        )
    rows = last_readings(tuple(one.series for one in scene.series), scene.shown, scene.view.rows)
    with st.container(key="sm_readings"):
        st.html(readings_html(scene.series, rows, scene.zone))


def show_export(scene: Scene, found: Sequence[Statistics]) -> None:
    """What is shown, as files."""
    st.subheader("Export", anchor=False)
    view = scene.view
    what = things(len(scene.series), "series", "series")
    total = sum(one.n for one in found)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.selectbox(
            "Resolution",
            list(RESOLUTIONS),
            format_func=lambda name: RESOLUTIONS[name],
            width=190,
            **bound("resolution", view.resolution, lambda old, name: replace(old, resolution=name), in_part=True),
        )
        st.selectbox(
            "Form",
            list(FORMS),
            format_func=lambda name: FORMS[name],
            width=190,
            **bound("form", view.form, lambda old, name: replace(old, form=name), in_part=True),
        )
    said = f"{count(total)} readings of {what}"
    if view.resolution != "raw":
        said += f", {RESOLUTIONS[view.resolution].lower()}: mean, lowest, highest and how many"
    st.html(dim(f"{said}. Times are those of {scene.zone.key} with their offset, and UTC milliseconds."))
    paths = {name: export_path(name, scene.choice, view, scene.shown, scene.zone.key) for name in FORMATS}
    st.html(buttons(paths, said))
    closed = get_runtime().settings.require_login == "all"
    st.markdown("The same from a terminal" + (", with an API key of yours in `API_KEY`:" if closed else ":"))
    address = st.context.url if isinstance(st.context.url, str) else ""
    st.code(curl_line(address, paths["csv"], key_needed=closed), language=None, wrap_lines=True)
