"""`/live/`: server-sent events, pushed when something changed, at most four times a second to each client.

What somebody may be waiting for, a command's progress or an actuator's state, goes out sooner.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from api.auth import READER, closed, still_admitted, who
from api.command_watch import WATCHES
from api.current import TheRuntime
from api.events import end, resume_from
from api.feed import Feeds
from runtime import Runtime

router = APIRouter(tags=["live"])

STILL_HERE_S: Final = 15.0
#: How often a stream that needs a login asks whether that still holds. What it asks is at most a second old.
LOGIN_CHECK_S: Final = 0.75
_FEEDS: Final = Feeds()
_RETRY: Final = b"retry: 2000\n\n"
_STILL_HERE: Final = b": still here\n\n"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_STREAM: Final = {
    "description": "Events `presence`, `reading`, `state`, `command` and `end`, each with one JSON object as data",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


@router.get(
    "/live/",
    summary="What changes, as it changes",
    dependencies=[who(READER)],
    response_class=Response,
    responses={200: _STREAM},
)
async def live(
    runtime: TheRuntime,
    request: Request,
    last_event_id: Annotated[str | None, Header(description="Sent by a browser that connects again")] = None,
    resume: Annotated[
        str | None, Query(alias="last_event_id", description="The same, for clients that can't set headers")
    ] = None,
) -> Response:
    """Begins with the whole state, or with what changed since the given id if it is of this server's present start.

    An id that ends in `-0` opens a whole state: what was shown before counts no more. Where reading needs a login, the
    stream ends within two seconds of that login's end, and with an access token when that runs out.
    """
    holds = partial(still_admitted, runtime, request) if closed(runtime) else None
    return LiveStream(runtime, last_event_id or resume, holds)


class Bell:
    """Rung from any thread, heard in the event loop; several rings before it is heard are one."""

    def __init__(self) -> None:
        """Must be made in the event loop that will hear it."""
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()
        self._pending = False

    def ring(self) -> None:
        """Takes no lock: the worker's thread and signal handlers call it."""
        if not self._pending:
            self._pending = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(self._rung.set)

    async def heard(self, seconds: float) -> None:
        """Return at the next ring, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        # In this order: who rings from now on rings anew, and what was rung for before is read after this.
        self._rung.clear()
        self._pending = False


class LiveStream(StreamingResponse):
    """One client's stream. It listens to the board while it is being sent, however that ends."""

    def __init__(
        self, runtime: Runtime, last_event_id: str | None, login_holds: Callable[[], bool] | None = None
    ) -> None:
        """`login_holds` is asked in another thread, and may wait there; None: this stream needs no login."""
        self._runtime = runtime
        self._login_holds = login_holds
        self._bell = Bell()
        self._urgent = asyncio.Event()
        self._chunks = self._flushes(last_event_id)
        super().__init__(self._chunks, headers=_HEADERS, media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves or the server stops."""
        stop = self._runtime.board.listen(self._bell.ring)
        try:
            with WATCHES.of(self._runtime).of_control() as self._urgent:
                await super().__call__(scope, receive, send)
        finally:
            stop()
            await self._chunks.aclose()

    async def _flushes(self, last_event_id: str | None) -> AsyncGenerator[bytes, None]:
        clock = asyncio.get_running_loop().time
        board, stopping = self._runtime.board, self._runtime.stopping
        feed = _FEEDS.of(board)
        yield _RETRY
        known = resume_from(last_event_id, board.current)
        spoke_at = asked_at = clock()
        while not stopping.is_set():
            if self._login_holds is not None and clock() - asked_at >= LOGIN_CHECK_S:
                asked_at = clock()
                if not await run_in_threadpool(self._login_holds):
                    yield end("login")
                    return
            known, parts = feed.since(known, clock())
            for part in parts:
                yield part
                spoke_at = clock()
                await asyncio.sleep(0)  # between two slices of a large fleet others have their turn
            if clock() - spoke_at >= STILL_HERE_S:
                yield _STILL_HERE
                spoke_at = clock()
            if not feed.is_behind:
                await self._bell.heard(self._longest_wait(spoke_at, asked_at, clock()))
            # The pace, even of a client that reads slowly: what changes meanwhile goes out together. A command does not
            # wait for it; cleared before the pause is asked for, so that one that comes in between ends it.
            self._urgent.clear()
            await _within(feed.pause(clock()), self._urgent)
        yield end()

    def _longest_wait(self, spoke_at: float, asked_at: float, now: float) -> float:
        """Seconds until there is something to do although nothing changes."""
        next_at = spoke_at + STILL_HERE_S
        if self._login_holds is not None:
            next_at = min(next_at, asked_at + LOGIN_CHECK_S)
        return max(0.0, next_at - now)


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Return when the event is set, or after so many seconds."""
    if seconds > 0:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
    else:
        await asyncio.sleep(0)
