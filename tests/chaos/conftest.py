"""The fault tests at full size: `make chaos` asks for them by name, `make test` leaves them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.bridge_stage import BridgeVerdict
from tests.chaos.verdict import Verdict

_HERE = Path(__file__).parent
_rows = pytest.StashKey[list[tuple[str, ...]]]()
_lines = pytest.StashKey[list[str]]()
_bridged = pytest.StashKey[list[tuple[str, ...]]]()
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

_BRIDGED_HEAD: Final = (
    "fault of a bridge",
    "sent",
    "acknowledged by the site",
    "stored in the cloud",
    "lost",
    "doubled",
    "sent again by the bridge",
    "echoed",
    "leaked",
    "longest answer of the site's broker",
    "seconds",
)

#: Fault, database, verdict, seconds.
Record = Callable[[str, str, Verdict, float], None]
#: Fault, verdict, seconds.
RecordBridge = Callable[[str, BridgeVerdict, float], None]


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
def record_bridge(request: pytest.FixtureRequest) -> RecordBridge:
    """Adds a line to the table of bridges at the end."""

    def add(fault: str, verdict: BridgeVerdict, seconds: float) -> None:
        v = verdict
        counted = (v.sent, v.acknowledged, v.stored, v.lost, v.doubled, v.repeated, v.echoed, v.leaked)
        longest = "it ended" if v.longest_answer_s is None else f"{v.longest_answer_s:.2f} s"
        row = (fault, *(f"{n:,}" for n in counted), longest, f"{seconds:.0f}")
        request.config.stash.setdefault(_bridged, []).append(row)

    return add


@pytest.fixture
def record_line(request: pytest.FixtureRequest) -> list[str]:
    """Sentences that stand under the table."""
    return request.config.stash.setdefault(_lines, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of lost and doubled, ready for docs/chaos.md."""
    found, bridged = config.stash.get(_rows, []), config.stash.get(_bridged, [])
    lines = config.stash.get(_lines, [])
    if not (found or bridged or lines):
        return
    terminalreporter.section("lost and doubled")
    for head, rows in ((_HEAD, found), (_BRIDGED_HEAD, bridged)):
        for row in (head, ("---",) * len(head), *rows) if rows else ():
            terminalreporter.write_line(f"| {' | '.join(row)} |")
    for line in lines:
        terminalreporter.write_line(line)
