"""How devices are called and where they stand, as pages show it: read a moment ago, kept while the database is away."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import streamlit as st

from db import places
from db.engine import DatabaseAway, reading
from db.places import Place
from runtime import get_runtime

_KEPT_S: Final = 3
_BETWEEN: Final = " \N{MIDDLE DOT} "


@dataclass(frozen=True, slots=True)
class Named:
    """How a device is shown: its name for people, None if it has none but its own; where it stands; or not at all."""

    title: str | None = None
    area: str | None = None
    hidden: bool = False


@dataclass(slots=True)
class _Known:
    """What was read last, for as long as the database does not answer."""

    names: Mapping[str, Named] = field(default_factory=dict)


@st.cache_resource(show_spinner=False)
def _known() -> _Known:
    return _Known()


@st.cache_data(ttl=_KEPT_S, show_spinner=False, max_entries=1)
def every_place() -> dict[str, Place]:
    """What was said of each device, by name. Raises DatabaseAway."""
    with reading(get_runtime().engine) as connection:
        return places.every(connection)


def every_name() -> Mapping[str, Named]:
    """How each device is shown, by its own name: as it was last known, if the database is away."""
    known = _known()
    with suppress(DatabaseAway):  # the banner says so
        known.names = {device: named(place) for device, place in every_place().items()}
    return known.names


def named(place: Place) -> Named:
    """How a device of this place is shown. A device that came over a bridge has its site in its name."""
    site = place.site or (place.device.partition("/")[0] if "/" in place.device else None)
    area = _BETWEEN.join(part for part in (site, place.area) if part)
    return Named(place.label, area or None, place.hidden)


def title_of(device: str, names: Mapping[str, Named]) -> str:
    """What a device is called where people read."""
    return names.get(device, Named()).title or device
