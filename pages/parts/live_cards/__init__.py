"""All devices as cards: a component that is painted from a snapshot and then moved by /api/live/ in the browser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import streamlit as st

from ingest.snapshot import Snapshot
from pages.parts.painted import painted
from pages.parts.places import Named

_HERE: Final = Path(__file__).parent
#: Put together in this order; a component's script is one module and can't import others.
_SHARED: Final = ("format.js", "dom.js", "standing.js", "house.js", "stream.js")
_SCRIPTS: Final = ("sparkline.js", "card.js", "cards.js")
#: What another component needs that shows devices and follows the stream.
SHARED_SCRIPTS: Final = tuple(_HERE / name for name in _SHARED)
SHARED_STYLES: Final = (_HERE.parent / "shapes.css", _HERE / "cards.css")
_KEY: Final = "live_cards"


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
            [painted(device, names.get(device.name, Named()), bins=True) for device in snapshot.devices.values()]
        ),
    }


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
