"""Whether a device is online, late or silent, by the same rules as live_cards/standing.js. Pure."""

from __future__ import annotations

from typing import Final

from ingest.snapshot import DeviceNow
from pages.parts.device_rows import Kind

_LATE_AFTER_INTERVALS: Final = 3
_SILENT_AFTER_INTERVALS: Final = 20
_SILENT_AFTER_MS: Final = 300_000
#: Without a habit to compare with: one reading so far.
_INTERVAL_UNKNOWN_MS: Final = 100_000
#: The worker stores in batches.
_SLACK_MS: Final = 1_000


def standing_of(device: DeviceNow, now: int) -> Kind:
    """How it stands at `now` (UTC ms)."""
    last = max(device.metrics.values(), key=lambda series: series.received_at, default=None)
    if device.online is False:
        return "silent"
    if last is None:
        return "online" if device.online or now - device.last_seen < _SILENT_AFTER_MS else "silent"
    passed = now - last.received_at
    interval = last.interval_ms or _INTERVAL_UNKNOWN_MS
    if passed > max(_SILENT_AFTER_MS, _SILENT_AFTER_INTERVALS * interval):
        return "silent"
    return "late" if passed > _LATE_AFTER_INTERVALS * interval + _SLACK_MS else "online"
