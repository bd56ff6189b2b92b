"""A place to ask, on SQLite or on each kind of database, and a client for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.api.people import People
from tests.api.server import Place, Served, mounted, place


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A place on SQLite, for what does not depend on the database."""
    with place(tmp_path, f"sqlite:///{tmp_path}/monitor.db") as found:
        yield found


@pytest.fixture
def anywhere(tmp_path: Path, database_url: str) -> Iterator[Place]:
    """A place on each kind of database in turn."""
    with place(tmp_path, database_url) as found:
        yield found


@pytest.fixture
def people(here: Place) -> People:
    """Who calls: users of every role, a device, nobody."""
    return People(here.runtime.doors)


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Asks the API as it is mounted; an error in it arrives as its answer."""
    with TestClient(mounted(), raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def served(here: Place) -> Iterator[Served]:
    """The API over real HTTP."""
    server = Served()
    server.start()
    yield server
    here.runtime.announce_stop()
    assert server.stop(), "the server did not end although its streams were told to"
