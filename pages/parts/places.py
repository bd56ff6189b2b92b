"""How devices are called and where they stand, as pages show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from db.places import Place
from ingest.snapshot import Snapshot

_BETWEEN: Final = " \N{MIDDLE DOT} "


@dataclass(frozen=True, slots=True)
class Named:
    """How a device is shown: its name for people, None if it has none but its own; where it stands; or not at all."""

    title: str | None = None
    area: str | None = None
    hidden: bool = False


def every_name(snapshot: Snapshot) -> dict[str, Named]:
    """How devices are shown of which somebody said something, by their own names."""
    return {device: named(place) for device, place in snapshot.places.items()}


def named(place: Place) -> Named:
    """How a device of this place is shown. A device that came over a bridge has its site in its name."""
    site = place.site or (place.device.partition("/")[0] if "/" in place.device else None)
    area = _BETWEEN.join(part for part in (site, place.area) if part)
    return Named(place.label, area or None, place.hidden)


def title_of(device: str, names: Mapping[str, Named]) -> str:
    """What a device is called where people read."""
    return names.get(device, Named()).title or device


def titles_of(devices: Iterable[str], names: Mapping[str, Named]) -> dict[str, str]:
    """What each of these devices is called, and none as another: where two are, their own names stand with it."""
    given = {device: title_of(device, names) for device in devices}
    counted = Counter(given.values())
    return {
        device: f"{title} ({device})" if counted[title] > 1 and title != device else title
        for device, title in given.items()
    }
