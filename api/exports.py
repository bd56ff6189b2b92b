"""`/export.csv`, `/export.parquet`, `/export.xlsx`: readings as a file of any size, sent while it is written."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope, Send

from api.auth import READER, closed, still_admitted, who
from api.chosen import Chosen
from api.current import TheRuntime
from api.problems import AWAY, ProblemError, wrong_field
from db.engine import snapshot
from db.export_job import ExportJob, NoRoom
from db.exports import Format, Plan
from db.ranges import BadRange
from runtime import Runtime

log = logging.getLogger(__name__)
router = APIRouter(tags=["export"])

#: Exports whose queries run at the same time: each has a connection and a core's attention.
AT_ONCE: Final = 4
#: How often it is looked whether the login that an export needs still holds, and the server still runs.
CHECK_S: Final = 0.75
#: An export that is ready by then is sent with its length, so that a browser shows how much is left.
_READY_S: Final = 0.15
_CHUNK: Final = 262_144
_WAIT_S: Final = 0.25
_RUNNING: Final = threading.BoundedSemaphore(AT_ONCE)
_MEDIA: Final[dict[Format, str]] = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_ANSWERS: Final = AWAY | {
    400: {"description": "A parameter can't be used"},
    404: {"description": "No such device or metric"},
    429: {"description": f"{AT_ONCE} exports are being written"},
    503: {"description": "The database is away, or the disk has too little room"},
}


class Asked(Chosen):
    """What an export takes."""

    resolution: Literal["raw", "minutes", "hours", "days"] = Field(
        default="raw", description="Single readings, or n, mean, min and max of each minute, hour, or day of the zone"
    )
    form: Literal["long", "wide"] = Field(
        default="long", description="A row a reading, or a row a time with a column a series (their mean)"
    )


def _answers(form: Format) -> dict[int | str, dict[str, Any]]:
    return _ANSWERS | {200: {"description": "The file", "content": {_MEDIA[form].split(";")[0]: {}}}}


@router.get(
    "/export.csv",
    summary="Readings as CSV",
    dependencies=[who(READER)],
    response_class=Response,
    responses=_answers("csv"),
)
def export_csv(runtime: TheRuntime, request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """Any size, as of its start. Numbers read back bit for bit; text that a spreadsheet would run begins with `'`.

    Columns: `time` (ISO 8601 with offset), `ts` (UTC ms), `device`, `metric`, `value`, `unit`. Where reading needs a
    login, the download breaks off within two seconds of that login's end.
    """
    return _export(runtime, request, asked, "csv")


@router.get(
    "/export.parquet",
    summary="Readings as Parquet",
    dependencies=[who(READER)],
    response_class=Response,
    responses=_answers("parquet"),
)
def export_parquet(runtime: TheRuntime, request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """The same columns, `time` as a timestamp with its zone."""
    return _export(runtime, request, asked, "parquet")


@router.get(
    "/export.xlsx",
    summary="Readings as a spreadsheet",
    dependencies=[who(READER)],
    response_class=Response,
    responses=_answers("xlsx"),
)
def export_xlsx(runtime: TheRuntime, request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """The same columns, `time` by the clocks of the zone that its head names. A full sheet goes on in the next."""
    return _export(runtime, request, asked, "xlsx")


def _export(runtime: Runtime, request: Request, asked: Asked, form: Format) -> Response:
    span = asked.span(runtime)
    with snapshot(runtime.engine) as connection:
        wanted = asked.wanted(runtime, connection)
    try:
        plan = Plan(wanted.series, span.start, span.end, asked.resolution, span.zone, asked.form)
    except BadRange as error:
        raise wrong_field(error.field, str(error)) from error
    if not _RUNNING.acquire(blocking=False):
        raise ProblemError(
            429, f"{AT_ONCE} exports are being written. Ask again when one is ready.", headers={"Retry-After": "5"}
        )
    try:
        job = ExportJob(runtime.engine, plan, form, runtime.settings.data_dir, _RUNNING.release)
    except NoRoom as error:
        _RUNNING.release()
        raise ProblemError(503, str(error)) from error
    except BaseException:
        _RUNNING.release()
        raise
    job.start()
    try:
        size = job.size(_READY_S)
    except NoRoom as error:
        job.close()
        raise ProblemError(503, str(error)) from error
    except BaseException:
        job.close()
        raise
    holds = partial(still_admitted, runtime, request) if closed(runtime) else None
    headers = {"Cache-Control": "no-store", "Content-Disposition": _attachment(file_name(plan, form))}
    if size is not None:
        headers["Content-Length"] = str(size)
    return ExportStream(runtime, job, headers, _MEDIA[form], holds)


class ExportStream(Response):
    """Sends what a job has written, and then what it writes. Breaks off, visibly, where that can't be whole."""

    def __init__(
        self,
        runtime: Runtime,
        job: ExportJob,
        headers: dict[str, str],
        media_type: str,
        login_holds: Callable[[], bool] | None,
    ) -> None:
        """`login_holds` is asked in another thread, and may wait there; None: this needs no login."""
        super().__init__(None, headers=headers, media_type=media_type)
        if "Content-Length" not in headers:
            del self.headers["content-length"]
        self._runtime, self._job, self._login_holds = runtime, job, login_holds
        self._asked_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until all is sent, the client leaves, the login ends or the server stops."""
        del scope
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            self._job.close()
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})

    async def _send(self, send: Send) -> None:
        self._asked_at = asyncio.get_running_loop().time()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        offset = 0
        while await self._may_go_on():
            try:
                chunk = await run_in_threadpool(self._job.read, offset, _CHUNK, _WAIT_S)
            except Exception as error:  # noqa: BLE001 - the answer has begun: all that is left is to break it off
                log.warning("An export was broken off, and its file is not whole: %a", str(error))
                return
            if chunk is None:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            offset += len(chunk)
            if chunk and not await self._sent(send, {"type": "http.response.body", "body": chunk, "more_body": True}):
                return

    async def _sent(self, send: Send, message: Message) -> bool:
        """Whether it went out; a client that does not read holds up nobody whose login has ended."""
        sending = asyncio.ensure_future(send(message))
        try:
            while not (await asyncio.wait({sending}, timeout=CHECK_S))[0]:
                if not await self._may_go_on():
                    return False
            sending.result()
            return True
        finally:
            sending.cancel()

    async def _may_go_on(self) -> bool:
        """Without the last part of an answer the server closes the connection, which tells the client."""
        if self._runtime.stopping.is_set():
            return False
        now = asyncio.get_running_loop().time()
        if self._login_holds is None or now - self._asked_at < CHECK_S:
            return True
        self._asked_at = now
        return await run_in_threadpool(self._login_holds)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def file_name(plan: Plan, form: Format) -> str:
    """Says what is in it: `kitchen temperature 2026-11-18 2026-11-25.csv`."""
    devices = sorted({series.device for series in plan.series})
    metrics = sorted({series.metric for series in plan.series})
    who_ = devices[0] if len(devices) == 1 else f"{len(devices)} devices"
    what = metrics[0] if len(metrics) == 1 else f"{len(metrics)} metrics"
    days = [_day(plan, ts) for ts in (plan.start, plan.end - 1)]
    name = f"{who_} {what} {' '.join(dict.fromkeys(days))}"
    return re.sub(r"[^\w. +@-]", "_", name).lstrip(".")[:150] + f".{form}"


def _day(plan: Plan, ts: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=max(ts, -62_135_510_400_000))
    return moment.astimezone(plan.zone).date().isoformat()


def _attachment(name: str) -> str:
    plain = name.encode("ascii", "replace").decode().replace("?", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
