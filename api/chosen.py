"""Which series in which range: what the routes for readings and for exports ask alike."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from pydantic import BaseModel, Field

from api.current import device_now
from api.problems import unknown, wrong_field
from api.times import ALLOWED, parse_time, parse_zone
from db import devices
from db.engine import Connection
from ingest.vitals import now_ms
from runtime import Runtime

MOST_DEVICES: Final = 100
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to before `end`, UTC ms, and the zone whose days they are."""

    start: int
    end: int
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Wanted:
    """Series to read, and whether that is one by name and so answered as one object."""

    series: Sequence[devices.Series]
    single: bool


class Chosen(BaseModel):
    """Series and a range."""

    device: list[str] = Field(description="One or several, repeated or with commas between")
    metric: list[str] = Field(default=[], description="The same; all metrics of the devices without")
    start: str | None = Field(default=None, alias="from", description=f"{ALLOWED}; an hour before `to` without")
    end: str = Field(default="now", alias="to", description=f"Not included; {ALLOWED}")
    tz: str | None = Field(
        default=None,
        description="Zone of days, and of times that name none, such as Europe/Berlin; DISPLAY_TIMEZONE, else UTC, "
        "without",
    )

    def span(self, runtime: Runtime) -> Span:
        """The range. Raises ProblemError 400."""
        now = now_ms()
        field = "tz"
        try:
            zone = parse_zone(runtime.settings.display_timezone or "UTC" if self.tz is None else self.tz)
            field = "to"
            end = parse_time(self.end or "now", now, zone)
            field = "from"
            start = parse_time(self.start, now, zone) if self.start else end - _HOUR_MS
        except ValueError as error:
            raise wrong_field(field, str(error)) from error
        if start >= end:
            raise wrong_field("from", "is not before to")
        return Span(start, end, zone)

    def wanted(self, runtime: Runtime, connection: Connection) -> Wanted:
        """The series, in the order of their names in the question. Raises ProblemError 400, 404, 503."""
        names = _split(self.device)
        if not 0 < len(names) <= MOST_DEVICES:
            raise wrong_field(
                "device", f"names {len(names)} devices; allowed: 1 to {MOST_DEVICES}, with commas between"
            )
        found: list[devices.Series] = []
        for name in names:
            own = devices.every_series(connection, name)
            if not own:
                device_now(runtime, name)  # a device without a metric is known all the same
            found += own
        known = {series.metric for series in found}
        metrics = _split(self.metric, known)
        for metric in metrics:
            if metric not in known:
                raise unknown(f"metric {metric!r} of {', '.join(names)}")
        if metrics:
            found = [series for metric in metrics for series in found if series.metric == metric]
            found.sort(key=lambda series: names.index(series.device))
        return Wanted(found, len(names) == 1 and len(metrics) == 1)


def _split(given: Sequence[str], whole: Container[str] = ()) -> list[str]:
    """Names, each once, split at commas unless in `whole`: a metric's name may hold a comma, a device's can't."""
    parts = [part for one in given for part in ([one] if one in whole else one.split(","))]
    return list(dict.fromkeys(part for part in parts if part))
