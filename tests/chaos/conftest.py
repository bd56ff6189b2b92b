"""The fault tests at full size: `make chaos` asks for them by name, `make test` leaves them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.verdict import Verdict

_HERE = Path(__file__).parent
_rows = pytest.StashKey[list[tuple[str, ...]]]()
_lines = pytest.StashKey[list[str]]()
_HEAD: Final = (
    "fault",
    "database",
    "sent",
    "acknowledged",
    "stored",
    "lost by us",
    "doubled",
    "acknowledged by the broker, never delivered",
    "seconds",
)

#: Fault, database, verdict, seconds.
Record = Callable[[str, str, Verdict, float], None]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless it, or something in it, is asked for."""
    asked = (Path(argument.split("::")[0]).resolve() for argument in config.args)
    if any(path == _HERE or _HERE in path.parents for path in asked):
        return None
    return True if collection_path == _HERE or _HERE in collection_path.parents else None


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Adds a line to the table at the end."""

    def add(fault: str, database: str, verdict: Verdict, seconds: float) -> None:
        v = verdict
        counts = [f"{n:,}" for n in (v.sent, v.acknowledged, v.stored, v.lost, v.doubled, v.undelivered)]
        request.config.stash.setdefault(_rows, []).append((fault, database, *counts, f"{seconds:.0f}"))

    return add


@pytest.fixture
def record_line(request: pytest.FixtureRequest) -> list[str]:
    """Sentences that stand under the table."""
    return request.config.stash.setdefault(_lines, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of lost and doubled, ready for docs/chaos.md."""
    found, lines = config.stash.get(_rows, []), config.stash.get(_lines, [])
    if not (found or lines):
        return
    terminalreporter.section("lost and doubled")
    for row in (_HEAD, ("---",) * len(_HEAD), *found) if found else ():
        terminalreporter.write_line(f"| {' | '.join(row)} |")
    for line in lines:
        terminalreporter.write_line(line)
