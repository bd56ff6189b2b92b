"""The child that is killed at a step of a command's life."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

_ROOT = Path(__file__).parents[2]


class Doomed:
    """`tests.ingest.killed_dispatcher`, usable as a context manager: inside it is connected."""

    def __init__(
        self, step: str, *, database_url: str, broker_url: str, root: str, name: str = "", group: str = ""
    ) -> None:
        arguments = [database_url, broker_url, root, name, group, step]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.ingest.killed_dispatcher", *arguments],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, order: str) -> None:
        """Have it asked for this, or told to hand over, in its own process."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{order}\n")
        self._child.stdin.flush()

    def dies(self) -> None:
        """Wait until it is killed at its step."""
        assert self._child.wait(20) == -signal.SIGKILL

    def kill(self) -> None:
        """SIGKILL, by hand."""
        self._child.kill()
        self.dies()

    def __enter__(self) -> Self:
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == "connected\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        for stream in (self._child.stdin, self._child.stdout):
            assert stream is not None
            stream.close()
        self._child.wait()
