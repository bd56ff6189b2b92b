"""The fault tests at full size: `make chaos` asks for them by name, `make test` leaves them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.kills import Outcome

_HERE = Path(__file__).parent
_outcomes = pytest.StashKey[list[tuple[str, Outcome]]]()

Record = Callable[[Outcome], None]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave this folder out unless it, or something in it, is asked for."""
    asked = (Path(argument.split("::")[0]).resolve() for argument in config.args)
    if any(path == _HERE or _HERE in path.parents for path in asked):
        return None
    return True if collection_path == _HERE or _HERE in collection_path.parents else None


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Adds a line to the table at the end."""

    def add(outcome: Outcome) -> None:
        request.config.stash.setdefault(_outcomes, []).append((request.node.name, outcome))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of lost and doubled."""
    found = config.stash.get(_outcomes, [])
    if not found:
        return
    terminalreporter.section("lost and doubled")
    terminalreporter.write_line(f"{'fault':<60}{'sent':>8}{'kills':>8}{'stored':>8}{'lost':>8}{'doubled':>8}")
    for name, o in found:
        terminalreporter.write_line(f"{name:<60}{o.sent:>8}{o.kills:>8}{o.stored:>8}{o.lost:>8}{o.doubled:>8}")
