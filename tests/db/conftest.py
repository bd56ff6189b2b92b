"""A migrated database of each kind, and two devices in it to hang readings on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from db import devices, migrations
from db.engine import Engine, create, writing

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
