"""The rights that docs/deploy.md grants are enough for all that the program does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import make_url

from db import archive, backup, devices, migrations, restore
from db.engine import Engine, create, writing
from tests.db.conftest import NOW
from tests.db.sealed import DAY, Series
from tests.parts.doors import actor, add_user, make_doors
from tests.parts.mariadb import MariaDB

PAGE: Final = Path(__file__).parents[2] / "docs" / "deploy.md"
MINUTE_MS: Final = 60_000


def granted() -> str:
    """The rights that the page grants to the program's user on MariaDB."""
    found = re.search(r"^GRANT (.*) ON monitor\.\* TO 'smart-monitor'", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.fixture
def restricted(mariadb: MariaDB, mariadb_url: str) -> Iterator[Engine]:
    """A new database, as a user sees it who has these rights there."""
    parsed = make_url(mariadb_url)
    name = f"u_{parsed.database}"
    mariadb.run(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY 'a-password'")
    mariadb.run(f"GRANT {granted()} ON {parsed.database}.* TO '{name}'@'127.0.0.1'")
    engine = create(parsed.set(username=name, password="a-password").render_as_string(hide_password=False))
    yield engine
    engine.dispose()
    mariadb.run(f"DROP USER '{name}'@'127.0.0.1'")


def test_a_servers_whole_life(restricted: Engine, tmp_path: Path) -> None:
    """Tables, people, readings, folded, sealed and as rows again, backup and restore in its place."""
    engine, file = restricted, tmp_path / "monitor.zip"
    migrations.apply(engine)
    doors = make_doors(engine)
    doors.create_key(actor(add_user(doors, "anna", "admin")), "script")
    with writing(engine) as connection:
        kitchen = devices.ensure(connection, ["kitchen"], NOW)["kitchen"]
        temperature = devices.ensure_series(connection, [(kitchen, "temperature")], NOW)[kitchen, "temperature"]
    series = Series(engine, temperature)
    series.receive((DAY + minute * MINUTE_MS, float(minute)) for minute in range(100))
    series.fold(DAY + 2 * 86_400_000)
    series.seal(DAY + 86_400_000)
    series.unseal()
    backup.make(engine, file, NOW, lambda _: lambda _: None)
    with archive.reading(file) as source:
        restore.restore(engine, source, lambda _: None, replace=True)
