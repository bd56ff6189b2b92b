"""The real MicroPython, run on a script with as much heap as a board has."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SHIMS: Final = ROOT / "firmware" / "host"
SCRIPTS: Final = ROOT / "tests" / "firmware" / "scripts"
#: Heap in KiB.
ESP8266_HEAP: Final = 38
STM32_HEAP: Final = 48


def command(script: Path, *arguments: str, heap: int) -> list[str]:
    """What starts MicroPython with `heap` KiB as a 32-bit board would have them: this one is 64-bit, hence `wk`."""
    starter = "import sys; from micropython_unix import main; sys.exit(main())"
    return [sys.executable, "-c", starter, "-X", f"heapsize={heap}wk", str(script), *arguments]


def environment(*paths: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which MicroPython finds the shims, the firmware's sources and `paths`."""
    found = [str(path) for path in (*paths, SHIMS, ROOT)]
    return {"PATH": os.environ["PATH"], "MICROPYPATH": ":".join([*found, ".frozen"])} | dict(more or {})


def run(
    script: str,
    *arguments: str,
    stdin: bytes = b"",
    heap: int = ESP8266_HEAP,
    outside: Path | None = None,
    seconds: float = 20,
) -> list[str]:
    """Run one of tests/firmware/scripts to its end; the lines it printed. Fails with its words if it failed.

    `outside` is the directory that stands for what is around the board.
    """
    done = subprocess.run(
        command(SCRIPTS / script, *arguments, heap=heap),
        input=stdin,
        capture_output=True,
        timeout=seconds,
        env=environment(more={"BOARD": str(outside)} if outside else None),
        check=False,
    )
    told = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{script} ended with {done.returncode}:\n{told}\n{done.stderr.decode()}"
    return told.splitlines()


def numbers(lines: Sequence[str]) -> list[tuple[int, ...]]:
    """Lines of whole numbers as tuples."""
    return [tuple(int(field) for field in line.split()) for line in lines]
