"""All devices as cards: a component that is painted from a snapshot and then moved by /api/live/ in the browser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import streamlit as st

from ingest.presence import Presence
from ingest.series import Bin, SeriesNow
from ingest.snapshot import ActuatorNow, DeviceNow, Snapshot
from pages.parts.places import Named

_HERE: Final = Path(__file__).parent
#: Put together in this order; a component's script is one module and can't import others.
_SHARED: Final = ("format.js", "dom.js", "standing.js", "house.js", "stream.js")
_SCRIPTS: Final = ("sparkline.js", "card.js", "cards.js")
#: What another component needs that shows devices and follows the stream.
SHARED_SCRIPTS: Final = tuple(_HERE / name for name in _SHARED)
SHARED_STYLES: Final = (_HERE.parent / "shapes.css", _HERE / "cards.css")
_KEY: Final = "live_cards"


@dataclass(frozen=True, slots=True)
class _Actuator:
    actuator: str
    state: str | None
    since: int | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class _Metric:
    metric: str
    unit: str | None
    ts: int
    value: float
    received_at: int
    interval_ms: int | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class _Device:
    device: str
    title: str | None
    area: str | None
    presence: Presence
    online: bool | None
    last_seen: int
    model: str | None
    firmware: str | None
    readings_per_minute: float | None
    metrics: list[_Metric]
    actuators: list[_Actuator]


def script() -> str:
    """The component's script: one JavaScript module."""
    paths = (*SHARED_SCRIPTS, *(_HERE / name for name in _SCRIPTS))
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def data_of(snapshot: Snapshot, names: Mapping[str, Named], chosen: str | None, now: int, zone: str) -> dict[str, Any]:
    """What the component is painted from, in the words of /api/live/'s events, with 15 minutes of bins each.

    Args:
        snapshot: What is so now.
        names: How devices are shown, by their own names.
        chosen: The device whose card is marked.
        now: This machine's clock, UTC ms; the browser reckons ages by it.
        zone: Time zone for clocks and dates.
    """
    return {
        "started_at": snapshot.started_at,
        "version": snapshot.version,
        "now": now,
        "chosen": chosen,
        "zone": zone,
        "hidden": [name for name, one in names.items() if one.hidden],
        "devices": msgspec.to_builtins(
            [_device(device, names.get(device.name, Named())) for device in snapshot.devices.values()]
        ),
    }


def _device(device: DeviceNow, named: Named) -> _Device:
    return _Device(
        device.name,
        named.title,
        named.area,
        device.presence,
        device.online,
        device.last_seen,
        device.model,
        device.firmware,
        device.rate.per_minute,
        [_metric(series) for series in device.metrics.values()],
        [_actuator(actuator) for actuator in device.actuators.values()],
    )


def _metric(series: SeriesNow) -> _Metric:
    return _Metric(
        series.metric, series.unit, series.ts, series.value, series.received_at, series.interval_ms, series.bins
    )


def _actuator(actuator: ActuatorNow) -> _Actuator:
    return _Actuator(actuator.name, actuator.state, actuator.since, actuator.unit)


def show_cards(data: dict[str, Any], choice_key: str) -> None:
    """Mount the cards. The device whose card is chosen is put into the session's state under `choice_key`."""

    def choose() -> None:
        st.session_state[choice_key] = st.session_state[_KEY]["device"]

    _component()(
        key=_KEY,
        data=data,
        on_device_change=choose,
        on_refresh_change=_nothing,  # the rerun itself brings new data
    )


def _nothing() -> None:
    """A callback that a trigger must have."""


def _component() -> Any:
    css = "\n".join(path.read_text(encoding="utf-8") for path in SHARED_STYLES)
    return st.components.v2.component(_KEY, css=css, js=script())
