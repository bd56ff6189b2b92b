"""The worker as its own process, as `python -m ingest` starts it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.parts.process import Process

_ROOT = Path(__file__).parents[2]
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class WorkerProcess:
    """`python -m ingest` with these settings, its log in `directory`, usable as a context manager.

    `program` is what Python runs instead, `prefix` a command that starts it.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        program: Sequence[str] = ("-m", "ingest"),
        prefix: Sequence[str] = (),
    ) -> None:
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        command = [*prefix, sys.executable, *program]
        self.process = Process(
            command, log=directory / "worker.log", directory=_ROOT, environment=environment | dict(settings)
        )

    def begin(self) -> None:
        """Start without waiting for anything."""
        self.process.start()

    def start(self) -> None:
        """Start and wait until it is connected to its broker. Raises PartFailedError."""
        before = self.output().count("Connected to the broker")
        self.process.start()
        self.process.wait_until(lambda: self.output().count("Connected to the broker") > before)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it, and its exit status. Raises PartFailedError if it has not ended after 5 s."""
        return self.process.stop(how, seconds=5)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def output(self) -> str:
        """All it has said, over all its starts."""
        return self.process.output()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.running:
            self.stop()
