"""The real parts that tests ask for by name. Each xdist worker has its own, started at the first test that needs it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from hypothesis import settings

from tests.parts.mosquitto import Mosquitto

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.parts.chromium import Pages
    from tests.parts.mariadb import MariaDB


# The same examples each time, so that what was green stays green; `make chaos` draws new ones.
settings.register_profile("same", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def _directory() -> Iterator[Path]:
    """A short-named directory that goes with its test: servers leave a lot, and sockets need short paths."""
    path = Path(tempfile.mkdtemp(prefix="sm-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def part_directory() -> Iterator[Path]:
    """An empty directory with a short path, for the parts a test starts itself."""
    yield from _directory()


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[Mosquitto]:
    """The broker that this worker's tests share. Use `topic_root` and client ids of your own, and leave it running."""
    for directory in _directory():
        with Mosquitto(directory) as broker:
            yield broker


@pytest.fixture
def own_mosquitto(part_directory: Path) -> Iterator[Mosquitto]:
    """A broker for one test, which may stop, kill, freeze and restart it."""
    with Mosquitto(part_directory) as broker:
        yield broker


@pytest.fixture
def topic_root() -> str:
    """A TOPIC_ROOT that no other test uses."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def mariadb_template(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A new server's files, made once a run."""
    from tests.parts.mariadb import install  # noqa: PLC0415  # what is not asked for is not loaded

    base = tmp_path_factory.getbasetemp()
    return install((base if worker_id == "master" else base.parent) / "mariadb-template")


@pytest.fixture(scope="session")
def mariadb(mariadb_template: Path) -> Iterator[MariaDB]:
    """The server that this worker's tests share. Take a `fresh_database()`, and leave it running."""
    from tests.parts.mariadb import MariaDB  # noqa: PLC0415

    for directory in _directory():
        with MariaDB(directory, mariadb_template) as server:
            yield server


@pytest.fixture
def own_mariadb(part_directory: Path, mariadb_template: Path) -> Iterator[MariaDB]:
    """A server for one test, which may stop, kill, freeze and restart it. Costs a second or two."""
    from tests.parts.mariadb import MariaDB  # noqa: PLC0415

    directory = part_directory / "db"
    directory.mkdir()
    with MariaDB(directory, mariadb_template) as server:
        yield server


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """A new empty database on the shared MariaDB: its SQLAlchemy URL."""
    url = mariadb.fresh_database()
    yield url
    mariadb.drop_database(url)


@pytest.fixture(params=["sqlite", "mariadb"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new empty database: its SQLAlchemy URL. A test that asks for it runs once on each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/monitor.db"
    url: str = request.getfixturevalue("mariadb_url")
    return url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium for a module's tests; not for a session's, because asyncio.run() fails while Playwright is there."""
    from tests.parts.chromium import chromium  # noqa: PLC0415

    with chromium() as running:
        yield running


@pytest.fixture
def pages(browser: Browser) -> Iterator[Pages]:
    """Opens pages by `pages.open(url, width=390, scheme="dark")`; the test fails if one asked another host."""
    from tests.parts.chromium import Pages  # noqa: PLC0415

    opened = Pages(browser)
    yield opened
    opened.close()
