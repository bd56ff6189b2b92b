"""What is chosen on the History page: series, range, zone, comparison. The page's address holds all of it.

Every widget shows what the address says, and when it is changed, changes the address.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.parts.chosen_series import Choice
from pages.parts.clock import display_zone, now_ms
from pages.parts.format import at, things
from pages.parts.history_address import current_view, go, go_to
from pages.parts.notes import note_html
from pages.parts.periods import MOVING, PRESETS, Period, moved, period_words, wall, widened
from pages.parts.view import View
from pages.parts.words import markdown

_EARLIEST: Final = datetime(1900, 1, 1)  # noqa: DTZ001  # the widget knows clocks without a zone alone
_LATEST: Final = datetime(2200, 1, 1)  # noqa: DTZ001
_NARROWEST_MS: Final = 100
#: Of what is shown; less was a hand that shook.
_LEAST_DRAGGED: Final = 0.005
_EPOCH: Final = "history zooms"
_REFUSED: Final = "history range refused"


def zone_of(view: View) -> ZoneInfo:
    """The zone that was chosen, else the viewer's."""
    return ZoneInfo(view.zone) if view.zone is not None else display_zone()


def bound(key: str, value: Any, change: Callable[[View, Any], View], *, in_part: bool = False) -> dict[str, Any]:
    """What a widget needs that shows `value` and changes the view by what it is set to: its key and its callback.

    `in_part`: it stands in the part of the page that runs by itself. One that does not is never set in a run of that
    part alone. What such a run brings of it is what a browser showed that had not heard of the last change, and would
    undo it.
    """
    name = f"history {key}"
    st.session_state[name] = value

    def changed() -> None:
        if not in_part and _runs_a_part():
            st.session_state[name] = value
        else:
            go(change(current_view(), st.session_state[name]))

    return {"key": name, "on_change": changed}


def _runs_a_part() -> bool:
    """Whether this is not a run of the whole page."""
    context = get_script_run_ctx()
    return context is not None and bool(context.fragment_ids_this_run)


def show_series(choice: Choice, view: View) -> None:
    """Which devices and metrics."""
    with st.popover(_series_words(choice), icon=":material/stacked_line_chart:"):
        st.multiselect(
            "Devices",
            list(choice.titles),
            format_func=lambda name: choice.titles[name],
            placeholder="First device",
            **bound("devices", list(choice.devices), lambda old, names: replace(old, devices=tuple(names))),
        )
        chosen = [name for name in view.metrics if name in choice.metrics]
        st.multiselect(
            "Metrics",
            choice.metrics,
            placeholder="All that is measured",
            **bound("metrics", chosen, lambda old, names: replace(old, metrics=tuple(names))),
        )
        st.caption("Up to 20 series are compared. Those with the same unit share a panel.")


def _series_words(choice: Choice) -> str:
    if len(choice.devices) == 1:
        metrics = list(dict.fromkeys(one.series.metric for one in choice.shown))
        what = ", ".join(metrics) if len(metrics) <= 2 else things(len(metrics), "metric")
        return markdown(f"{choice.titles[choice.devices[0]]}: {what or 'no metrics'}", 60)
    metrics = list(dict.fromkeys(one.series.metric for one in choice.shown))
    what = metrics[0] if len(metrics) == 1 else things(len(metrics), "metric")
    return markdown(f"{things(len(choice.devices), 'device')}: {what}", 60)


def show_presets(view: View) -> None:
    """The ready-made ranges."""
    st.pills(
        "Range",
        list(PRESETS),
        format_func=lambda name: PRESETS[name],
        required=True,
        wrap=True,
        label_visibility="collapsed",
        **bound(
            "preset",
            view.whole if isinstance(view.whole, str) and view.zoom is None else None,
            lambda old, name: replace(old, whole=name or old.whole, zoom=None),
        ),
    )


def show_range(view: View, stored: Period | None, zone: ZoneInfo) -> None:
    """What is shown in words, the way to a range of one's own, to the one before and after, and out of a zoom.

    `stored`: from the first to the last reading.
    """
    shown = view.shown(now_ms(), stored, zone)
    words = MOVING[view.whole] if view.moving and isinstance(view.whole, str) else period_words(shown, now_ms(), zone)

    def change(to: Callable[[Period], Period]) -> Callable[[], None]:
        """What a button does: it changes what is shown when it is pressed, which may have moved on."""

        def changed() -> None:
            old = current_view()
            period = to(old.shown(now_ms(), stored, zone))
            go(replace(old, zoom=period) if old.zoom is not None else replace(old, whole=period))

        return changed

    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="sm_range"):
        back, on = change(lambda old: moved(old, -1, zone)), change(lambda old: moved(old, 1, zone))
        st.button("Previous", icon=":material/chevron_left:", key="history_Previous", on_click=back)
        with st.popover(markdown(words), icon=":material/date_range:"):
            _own_range(shown, zone)
        latest = shown.end > now_ms()
        st.button("Next", icon=":material/chevron_right:", key="history_Next", on_click=on, disabled=latest)
        if view.zoom is not None:
            st.button("Reset zoom", icon=":material/zoom_out_map:", key="history_reset", on_click=reset)
        else:
            st.button("Zoom out", icon=":material/zoom_out:", key="history_out", on_click=change(widened))
        st.toggle(
            "Compare with before",
            **bound("compare", view.compare, lambda old, on: replace(old, compare=bool(on))),
        )
        _zone_list(zone)


def _own_range(shown: Period, zone: ZoneInfo) -> None:
    """A form for a range of one's own, in clocks of the zone."""
    first, last = (min(max(at(ts, zone).replace(tzinfo=None), _EARLIEST), _LATEST) for ts in (shown.start, shown.end))
    with st.form("history_own", border=False):
        limits: dict[str, Any] = {"min_value": _EARLIEST, "max_value": _LATEST, "step": timedelta(minutes=1)}
        st.session_state["history from"], st.session_state["history to"] = first, last
        st.datetime_input("From", key="history from", format="YYYY-MM-DD", **limits)
        st.datetime_input("To", key="history to", format="YYYY-MM-DD", **limits)
        st.caption(f"By the clocks of {zone}.")
        st.form_submit_button("Show this range", on_click=_take_own, args=(zone,))
    if st.session_state.pop(_REFUSED, False):
        st.html(note_html("problem", "From has to be before To."))


def _take_own(zone: ZoneInfo) -> None:
    first, last = st.session_state["history from"], st.session_state["history to"]
    if first is None or last is None or wall(first, zone) >= wall(last, zone):
        st.session_state[_REFUSED] = True
        return
    go_to(Period(wall(first, zone), wall(last, zone)))


@cache
def _zones() -> tuple[str, ...]:
    """All that this machine knows, by name."""
    return tuple(sorted(available_timezones()))


def _zone_list(zone: ZoneInfo) -> None:
    own = display_zone().key
    names = list(dict.fromkeys([own, "UTC", zone.key, *_zones()]))
    st.selectbox(
        "Time zone",
        names,
        width=180,
        label_visibility="collapsed",
        **bound("zone", zone.key, lambda old, name: replace(old, zone=None if name in (own, None) else name)),
    )


def zooms() -> int:
    """How often was zoomed: a chart with another number is a new one, on which nothing is marked."""
    return int(st.session_state.get(_EPOCH, 0))


def zoom_to(first: float, last: float, shown: Period, whole: Period) -> None:
    """Show the part of what is shown that was dragged over, in UTC ms, unless it is too small to be meant."""
    start, end = sorted((round(first), round(last)))
    start, end = max(start, whole.start), min(end, whole.end)
    if end - start < max(_NARROWEST_MS, _LEAST_DRAGGED * shown.span):
        return
    st.session_state[_EPOCH] = zooms() + 1
    go(replace(current_view(), zoom=Period(start, end)))


def reset() -> None:
    """Show the whole again."""
    st.session_state[_EPOCH] = zooms() + 1
    go(replace(current_view(), zoom=None))
