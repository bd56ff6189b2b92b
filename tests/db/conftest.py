"""A migrated database of each kind, and two devices in it to hang readings on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import devices, migrations
from db.engine import Engine, create, writing
from tests.parts.program import Run, database_program

NOW = 1_764_000_000_000


@pytest.fixture
def empty_engine(database_url: str) -> Iterator[Engine]:
    """An engine for a database without tables."""
    engine = create(database_url, timeout_s=15)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(empty_engine: Engine) -> Engine:
    """An engine for a database with empty tables."""
    migrations.apply(empty_engine)
    return empty_engine


@pytest.fixture
def kitchen(engine: Engine) -> int:
    """The id of a device."""
    with writing(engine) as connection:
        return devices.ensure(connection, ["kitchen"], NOW)["kitchen"]


@pytest.fixture
def temperature(engine: Engine, kitchen: int) -> int:
    """The id of that device's first series."""
    with writing(engine) as connection:
        return devices.ensure_series(connection, [(kitchen, "temperature")], NOW)[kitchen, "temperature"]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> Run:
    """Runs `python -m db` on that database, in a folder without `.env`."""
    return database_program(monkeypatch, tmp_path, database_url)
