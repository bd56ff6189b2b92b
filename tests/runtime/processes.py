"""What belongs to one server: its processes, and what its health says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.parts.process import is_alive
from tests.parts.server import Server


def processes_of(data_dir: Path) -> dict[int, str]:
    """Process ids and command lines of all that run with this DATA_DIR, parents and orphans alike."""
    wanted = b"DATA_DIR=" + os.fsencode(data_dir)
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or not is_alive(int(entry.name)):
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:  # it ended meanwhile, or is not ours to look at
            continue
    return found


def child_of(server: Server, words: str) -> int | None:
    """The process of this server whose command line holds these words, None if there is none now."""
    return next((pid for pid, command in processes_of(server.data_dir).items() if words in command), None)


def health(server: Server) -> dict[str, Any]:
    """What /api/health/ says now."""
    answer: dict[str, Any] = server.get("/api/health/").json()
    return answer


def is_well(server: Server) -> bool:
    """Whether what arrives now would be stored."""
    return server.get("/api/health/").status_code == 200


def stored(server: Server) -> int:
    """Messages that the account has as stored."""
    return int(health(server)["ingest"]["stored"])
