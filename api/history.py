"""`/readings/`: a range of one series or several, as many points of it as a chart is wide, with its gaps."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Annotated, Final, Literal, cast

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from api.auth import READER, who
from api.chosen import Chosen, Span
from api.current import TheRuntime
from api.problems import wrong_field
from db import devices, ranges
from db.engine import Connection, snapshot

router = APIRouter(tags=["readings"])

#: Points in one answer, over all its series.
MOST_POINTS: Final = 100_000
_RESOLUTIONS: Final = ("auto", "raw", "minutes", "hours", "days")
#: It may be kept, but not shown again without asking whether it still holds: a late reading may have come.
_CACHE: Final = "private, no-cache"
_ENCODER: Final = msgspec.json.Encoder()


class Point(BaseModel):
    """One reading, or a bucket of them: its start in UTC ms, how many, and their mean, lowest and highest value."""

    ts: int
    n: int
    mean: float
    min: float
    max: float


class Gap(BaseModel):
    """A silence of more than three usual intervals, UTC ms.

    Between single readings these are the times of the last before and the first after; between buckets the end of the
    last that holds a reading and the start of the next.
    """

    start: int = Field(serialization_alias="from")
    end: int = Field(serialization_alias="to")


class SeriesReadings(BaseModel):
    """A series in a range. `resolution` is what it was read from; `bucket_ms` is null for single readings.

    Each bucket that touches the range is there as a whole. Buckets of days are an hour shorter or longer where the
    zone's clocks change.
    """

    device: str
    metric: str
    unit: str | None
    resolution: Literal["raw", "minutes", "hours", "days"]
    bucket_ms: int | None
    points: list[Point]
    gaps: list[Gap]


class Asked(Chosen):
    """What `/readings/` takes."""

    points: int = Field(
        default=1000,
        ge=1,
        le=ranges.MOST_ASKED,
        description="At most so many of a series, and one more; without effect where a resolution is named",
    )
    resolution: str = Field(
        default="auto",
        description="raw, minutes, hours, days; auto is the coarsest that loses nothing at so many points, and single "
        "readings where there are few",
    )


class _Point(msgspec.Struct, gc=False):
    ts: int
    n: int
    mean: float
    min: float
    max: float


class _Gap(msgspec.Struct, rename={"start": "from", "end": "to"}):
    start: int
    end: int


class _Series(msgspec.Struct):
    device: str
    metric: str
    unit: str | None
    resolution: str
    bucket_ms: int | None
    points: list[_Point]
    gaps: list[_Gap]


@router.get(
    "/readings/",
    summary="A range of one series or several",
    dependencies=[who(READER)],
    response_model=SeriesReadings | list[SeriesReadings],
    responses={
        304: {"description": "Nothing has changed since the answer whose ETag If-None-Match names"},
        400: {"description": "A parameter can't be used"},
        404: {"description": "No such device or metric"},
        503: {"description": "The database is away"},
    },
)
def history(runtime: TheRuntime, request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """One object where one device and one metric are named, else a list. At most 100,000 points in all.

    Where many series are asked for, each has fewer points than `points`, so that all together are no more than that.
    """
    resolution = parse_resolution(asked.resolution)
    span = asked.span(runtime)
    with snapshot(runtime.engine) as connection:
        wanted = asked.wanted(runtime, connection)
        found = _read(connection, wanted.series, span, asked.points, resolution)
    return _answer(request, _ENCODER.encode(found[0] if wanted.single else found))


def parse_resolution(text: str) -> ranges.Resolution | None:
    """None for auto. Raises ProblemError 400."""
    if text not in _RESOLUTIONS:
        raise wrong_field("resolution", f"is not available; allowed: {', '.join(_RESOLUTIONS)}")
    return None if text == "auto" else cast("ranges.Resolution", text)


def _answer(request: Request, body: bytes) -> Response:
    tag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": _CACHE}
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or tag in [one.strip().removeprefix("W/") for one in known.split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type="application/json")


def _read(
    connection: Connection,
    wanted: Sequence[devices.Series],
    span: Span,
    points: int,
    resolution: ranges.Resolution | None,
) -> list[_Series]:
    found: list[_Series] = []
    points = max(1, min(points, MOST_POINTS // max(1, len(wanted))))
    left = MOST_POINTS
    for series in wanted:
        try:
            one = ranges.read(connection, series, span.start, span.end, points, resolution, span.zone)
        except ranges.BadRange as error:
            raise wrong_field(error.field, str(error)) from error
        left -= len(one.frame)
        if left < 0 and resolution is not None:
            raise wrong_field("from", f"and to span more than {MOST_POINTS:,} points; ask for a shorter range")
        found.append(_told(one))
    return found


def _told(one: ranges.Range) -> _Series:
    columns = (one.frame[name].tolist() for name in ("ts", "n", "mean", "min", "max"))
    return _Series(
        one.series.device,
        one.series.metric,
        one.series.unit,
        one.resolution,
        one.bucket_ms,
        list(map(_Point, *columns)),
        [_Gap(gap.start, gap.end) for gap in one.gaps],
    )
