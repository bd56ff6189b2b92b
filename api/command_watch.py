"""Long polls: requests that wait for what happens to commands, in the event loop, without a thread for each.

However many wait, one listener looks at the board, and only those are woken whose command or device it concerns.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

from fastapi import Request

from ingest.snapshot import Board, CommandNow, Snapshot
from runtime import Runtime

_CONTROL: Final = "control"


class CommandWatch:
    """One board's commands, and who waits for a change of them. For one event loop, in which it must be made."""

    def __init__(self, board: Board, stopping: threading.Event) -> None:
        self.board, self.loop = board, asyncio.get_running_loop()
        self._stopping = stopping
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._commands: Mapping[str, CommandNow] = {}
        self._version = 0
        self._leave: Callable[[], None] | None = None
        self._rung = False

    @contextmanager
    def of_command(self, command_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever this command changed, or the server stops. To be cleared before each look."""
        with self._on(f"command {command_id}") as event:
            yield event

    @contextmanager
    def of_device(self, device: str) -> Iterator[asyncio.Event]:
        """The same for all commands to a device."""
        with self._on(f"device {device}") as event:
            yield event

    @contextmanager
    def of_control(self) -> Iterator[asyncio.Event]:
        """The same for any command, and for any actuator's state."""
        with self._on(_CONTROL) as event:
            yield event

    @contextmanager
    def _on(self, key: str) -> Iterator[asyncio.Event]:
        event = asyncio.Event()
        if self._leave is None:
            self._remember(self.board.current)
            self._leave = self.board.listen(self._ring)
        self._waiting.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]
            if not self._waiting and self._leave is not None:
                self._leave()
                self._leave = None

    def _ring(self) -> None:
        """In the thread of whoever changed the board: several rings before the look are one.

        Readings alone ring nobody: a busy worker changes the board hundreds of times a second.
        """
        changed = self.board.current.control_version != self._version or self._stopping.is_set()
        if changed and not self._rung:
            self._rung = True
            with suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
                self.loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        self._rung = False  # first: what changes from here on rings anew
        snapshot, known = self.board.current, self._commands
        if self._stopping.is_set():
            for key in self._waiting:
                self._wake(key)
        if snapshot.control_version == self._version:
            return
        self._remember(snapshot)
        self._wake(_CONTROL)
        if snapshot.commands is known:
            return
        for command_id, command in snapshot.commands.items():
            before = known.get(command_id)
            if before is None or before.version != command.version:
                self._wake(f"command {command_id}")
                self._wake(f"device {command.command.device}")
        for gone in known.keys() - snapshot.commands.keys():
            self._wake(f"command {gone}")

    def _remember(self, snapshot: Snapshot) -> None:
        self._commands, self._version = snapshot.commands, snapshot.control_version

    def _wake(self, key: str) -> None:
        for event in self._waiting.get(key, ()):
            event.set()


class CommandWatches:
    """The watch of the present board and loop. *Clear cache* brings another board, a test another loop."""

    def __init__(self) -> None:
        self._watch: CommandWatch | None = None

    def of(self, runtime: Runtime) -> CommandWatch:
        """The one watch of this runtime's board in this loop."""
        watch = self._watch
        if watch is None or watch.board is not runtime.board or watch.loop is not asyncio.get_running_loop():
            watch = self._watch = CommandWatch(runtime.board, runtime.stopping)
        return watch


@asynccontextmanager
async def client_of(request: Request) -> AsyncGenerator[asyncio.Task[None], None]:
    """A task that is done once the client has gone away. Only for requests whose body is read, or that have none."""

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(left())
    try:
        yield task
    finally:
        task.cancel()


async def first_of(event: asyncio.Event, gone: asyncio.Task[None], seconds: float) -> bool:
    """Wait for the event, the client's leaving, or the end of so many seconds; False once the client has gone."""
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((waiting, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    return not gone.done()


#: For all requests of this process.
WATCHES: Final = CommandWatches()
