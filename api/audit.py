"""`/audit/`: who did what, from where, and how it ended. For admins."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from api.auth import Admin
from api.current import TheRuntime
from api.problems import AWAY, wrong_field
from api.times import ALLOWED, parse_time, parse_zone
from db.audit import Recorded
from db.doors import Doors
from ingest.vitals import now_ms

router = APIRouter(tags=["audit"])

#: Records that are read at once for an export.
_PORTION: Final = 1000
_COLUMNS: Final = ("number", "at", "actor", "address", "action", "subject", "result", "detail", "mac")
#: How a cell begins that a spreadsheet would run.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_ANSWERS: Final = AWAY | {400: {"description": "A time can't be used"}}


class AuditRecord(BaseModel):
    """One record. `at` is UTC ms; `mac` chains it to the record before."""

    number: int
    at: int
    actor: str
    address: str
    action: str
    subject: str
    result: Literal["asked", "ok", "failed", "refused"]
    detail: str
    mac: str


class Asked(BaseModel):
    """Which records."""

    text: str = Field(default="", max_length=200, description="Stands somewhere in the record")
    actor: str | None = Field(default=None, max_length=200, description="Who did it")
    action: str | None = Field(default=None, max_length=100, description="Such as login or user.role")
    since: str | None = Field(default=None, alias="from", max_length=100, description=ALLOWED)
    until: str | None = Field(default=None, alias="to", max_length=100, description=f"Not included; {ALLOWED}")
    tz: str = Field(default="UTC", max_length=100, description="Zone of times that name none, such as Europe/Berlin")

    def filters(self) -> dict[str, Any]:
        """What `Doors.audit` takes. Raises ProblemError 400."""
        now, field = now_ms(), "tz"
        try:
            zone = parse_zone(self.tz)
            field = "from"
            since = parse_time(self.since, now, zone) if self.since else None
            field = "to"
            until = parse_time(self.until, now, zone) if self.until else None
        except ValueError as error:
            raise wrong_field(field, str(error)) from error
        return {
            "text": self.text,
            "actor": self.actor or None,
            "action": self.action or None,
            "since": since,
            "until": until,
        }


class Page(Asked):
    """Which records, and which part of them."""

    before: int | None = Field(default=None, ge=1, le=2**63 - 1, description="Only records with a lower number")
    limit: int = Field(default=100, ge=1, le=1000)


@router.get("/audit/", summary="The audit log", responses=_ANSWERS)
def list_records(runtime: TheRuntime, _caller: Admin, asked: Annotated[Page, Query()]) -> list[AuditRecord]:
    """Newest first. For older ones ask with `before` and the last number."""
    found = runtime.doors.audit(**asked.filters(), before=asked.before, limit=asked.limit)
    return [AuditRecord(**_fields(one)) for one in found]


@router.get(
    "/audit/export.csv",
    summary="The audit log as a table",
    response_class=Response,
    responses=_ANSWERS | {200: {"description": "All that fits, newest first", "content": {"text/csv": {}}}},
)
def export_csv(runtime: TheRuntime, caller: Admin, asked: Annotated[Asked, Query()]) -> Response:
    """Any size. Is itself recorded. A cell that a spreadsheet would run begins with an apostrophe."""
    filters = asked.filters()
    runtime.doors.record(caller.actor(), "audit.export", "csv", detail=_told(asked))
    return _file(_csv(runtime.doors, filters), "text/csv; charset=utf-8", "audit.csv")


@router.get(
    "/audit/export.ndjson",
    summary="The audit log as a line of JSON each",
    response_class=Response,
    responses=_ANSWERS | {200: {"description": "All that fits, newest first", "content": {"application/x-ndjson": {}}}},
)
def export_ndjson(runtime: TheRuntime, caller: Admin, asked: Annotated[Asked, Query()]) -> Response:
    """Any size. Is itself recorded."""
    filters = asked.filters()
    runtime.doors.record(caller.actor(), "audit.export", "ndjson", detail=_told(asked))
    return _file(_ndjson(runtime.doors, filters), "application/x-ndjson", "audit.ndjson")


def _told(asked: Asked) -> str:
    """The filters, for the record of the export."""
    return asked.model_dump_json(exclude_defaults=True, by_alias=True)


def _file(parts: Iterator[bytes], media_type: str, name: str) -> Response:
    headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(parts, media_type=media_type, headers=headers)


def _csv(doors: Doors, filters: dict[str, Any]) -> Iterator[bytes]:
    head = io.StringIO()
    csv.writer(head).writerow(_COLUMNS)
    yield head.getvalue().encode()
    for portion in _portions(doors, filters):
        text = io.StringIO()
        rows = csv.writer(text)
        for one in portion:
            fields = _fields(one)
            rows.writerow([_cell(fields[column]) for column in _COLUMNS])
        yield text.getvalue().encode()


def _cell(value: str | int) -> str | int:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _ndjson(doors: Doors, filters: dict[str, Any]) -> Iterator[bytes]:
    for portion in _portions(doors, filters):
        yield msgspec.json.Encoder().encode_lines([_fields(one) for one in portion])


def _portions(doors: Doors, filters: dict[str, Any]) -> Iterator[list[Recorded]]:
    before = None
    while portion := doors.audit(**filters, before=before, limit=_PORTION):
        yield portion
        before = portion[-1].number


def _fields(one: Recorded) -> dict[str, Any]:
    entry = one.entry
    return {
        "number": one.number,
        "at": entry.at,
        "actor": entry.actor,
        "address": entry.address,
        "action": entry.action,
        "subject": entry.subject,
        "result": entry.result,
        "detail": entry.detail,
        "mac": one.mac,
    }
