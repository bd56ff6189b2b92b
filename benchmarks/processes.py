"""What the kernel says of a process: CPU seconds and memory."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds of all its threads since its start, resident memory now and at most, in MB of 10^6 bytes."""

    cpu_s: float
    rss_mb: float
    peak_mb: float


def usage(pid: int) -> Usage:
    """Of a running process. Raises FileNotFoundError if it is gone."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS_A_SECOND
    return Usage(cpu, _mb(status.get("VmRSS", "0 kB")), _mb(status.get("VmHWM", "0 kB")))


def _mb(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) * 1024 / 1e6
