"""The first start says once how to log in, whenever the database comes, and no later one does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from db import migrations
from db.doors import Doors, Origin
from db.engine import create
from settings import Settings, secret_key
from tests.parts.eventually import eventually
from tests.parts.mariadb import MariaDB
from tests.parts.server import Server
from tests.runtime.processes import is_well
from tests.runtime.test_refusing_to_start import refusal

LOCAL = Origin("127.0.0.1")
LOGIN = re.compile(r"^  Log in at (\S+) as admin with the password (\S+)$", re.MULTILINE)


def doors_of(server: Server, url: str | None = None) -> Doors:
    """The doors of another process on the same data."""
    settings = Settings(data_dir=server.data_dir)
    return Doors(create(url or settings.database), secret_key(settings))


def test_a_generated_password_is_printed_once(part_directory: Path) -> None:
    with Server(part_directory) as server:
        eventually(lambda: LOGIN.search(server.output()) is not None)
        found = LOGIN.findall(server.output())
        assert [address for address, _ in found] == [server.url]
        eventually(lambda: is_well(server))
        server.restart()
        eventually(lambda: is_well(server))
        user = doors_of(server).check_password("admin", found[0][1], LOCAL)
        assert (user.role, user.must_change) == ("admin", True)
        assert LOGIN.findall(server.output()) == found
        assert server.output().count(found[0][1]) == 1


def test_a_given_password_is_never_printed(part_directory: Path) -> None:
    with Server(part_directory, {"ADMIN_PASSWORD": "seven green bottles"}) as server:
        eventually(lambda: "as admin with the password that ADMIN_PASSWORD has" in server.output())
        user = doors_of(server).check_password("admin", "seven green bottles", LOCAL)
        assert (user.role, user.must_change) == ("admin", False)
        assert "seven green" not in server.output()


def test_a_database_that_comes_late_gets_its_admin_then(part_directory: Path, own_mariadb: MariaDB) -> None:
    url = own_mariadb.fresh_database()
    own_mariadb.stop()
    with Server(part_directory, {"DATABASE_URL": url}) as server:
        assert LOGIN.search(server.output()) is None
        own_mariadb.start()
        eventually(lambda: LOGIN.search(server.output()) is not None, 15)
        found = LOGIN.findall(server.output())
        assert doors_of(server, url).check_password("admin", found[0][1], LOCAL).role == "admin"


def test_a_server_with_another_key_says_so(part_directory: Path) -> None:
    with Server(part_directory) as server:
        eventually(lambda: LOGIN.search(server.output()) is not None)
        assert "SECRET_KEY is not the one" not in server.output()
        server.stop()
        (server.data_dir / "secret_key").write_text("k" * 40)
        server.start()
        eventually(lambda: "SECRET_KEY is not the one that the audit log was begun with" in server.output())


@pytest.mark.parametrize("password", ["adminadmin", "1234567890", "my-admin-password"])
def test_a_password_that_is_tried_first_is_refused(part_directory: Path, password: str) -> None:
    line = refusal({"DATA_DIR": str(part_directory / "data"), "ADMIN_PASSWORD": password})
    assert line.startswith("ADMIN_PASSWORD: *** can't be used. ")
    assert password not in line


def test_the_first_admin_waits_until_all_tables_are_made(part_directory: Path, mariadb_url: str) -> None:
    """Half of them are enough to try, and a row that is being made would refuse the admin for ever."""
    engine = create(mariadb_url)
    migrations.apply_up_to(engine, "0002")
    with engine.connect() as connection:
        connection.exec_driver_sql("SELECT GET_LOCK('smart_monitor_migrations', 5)")
        connection.commit()
        with Server(part_directory, {"DATABASE_URL": mariadb_url}) as server:
            assert LOGIN.search(server.output()) is None
            assert connection.exec_driver_sql("SELECT COUNT(*) FROM users").scalar() == 0
            connection.exec_driver_sql("SELECT RELEASE_LOCK('smart_monitor_migrations')")
            connection.commit()
            eventually(lambda: LOGIN.search(server.output()) is not None, what="the first admin")
    engine.dispose()
