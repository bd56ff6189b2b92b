"""How a device stands, as pages say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from ingest.presence import Presence
from ingest.snapshot import DeviceNow

#: A shape and a word: offline is silent.
Kind = Literal["online", "late", "silent", "unknown"]
KINDS: Final[tuple[Kind, ...]] = ("online", "late", "silent", "unknown")

_KIND_OF: Final[Mapping[Presence, Kind]] = {
    "online": "online",
    "late": "late",
    "offline": "silent",
    "unknown": "unknown",
}


def standing_of(device: DeviceNow) -> Kind:
    """How it stands now."""
    return _KIND_OF[device.presence]
