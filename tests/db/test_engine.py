from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text

from db import devices, migrations, schema
from db.engine import (
    Connection,
    DatabaseAway,
    DatabaseError,
    Engine,
    RefusedRows,
    create,
    facts,
    reading,
    snapshot,
    writing,
)
from tests.db.conftest import NOW
from tests.parts.mariadb import MariaDB
from tests.parts.ports import free_port

DEVICE = {"name": "kitchen", "last_seen": NOW, "created_at": NOW}


def _names(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(connection.scalars(select(schema.devices.c.name).order_by(schema.devices.c.id)))


def test_writing_commits(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(schema.devices), [DEVICE])
    assert _names(engine) == ["kitchen"]


def test_writing_rolls_back_on_any_exception(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            connection.execute(insert(schema.devices), [DEVICE])
            raise KeyError("ours")

    with pytest.raises(KeyError):
        fail()
    assert _names(engine) == []


def test_a_snapshot_stays_at_its_moment_and_leaves_no_trace(engine: Engine) -> None:
    def names(connection: Connection) -> list[str]:
        return [device.name for device in devices.every(connection)]

    with snapshot(engine) as connection:
        assert names(connection) == []
        with writing(engine) as other:
            devices.ensure(other, ["kitchen"], NOW)
        assert names(connection) == []
    for _ in range(8):  # whichever of the pool's connections it was
        with reading(engine) as connection:
            assert names(connection) == ["kitchen"]
            with writing(engine) as other:
                devices.ensure(other, ["attic"], NOW)
            if engine.dialect.name != "sqlite":
                assert names(connection) == ["attic", "kitchen"], "a reading sees what is committed"
        with writing(engine) as other:
            other.execute(text("DELETE FROM devices WHERE name = 'attic'"))


def test_rollback_inside_writing_undoes_everything_and_is_no_error(engine: Engine) -> None:
    with writing(engine) as connection:
        connection.execute(insert(schema.devices), [DEVICE])
        connection.rollback()
    assert _names(engine) == []
    with writing(engine) as connection:
        connection.execute(insert(schema.devices), [DEVICE])
    assert _names(engine) == ["kitchen"]


def test_nothing_can_be_written_after_a_rollback_inside_writing(engine: Engine) -> None:
    def go_on() -> None:
        with writing(engine) as connection:
            connection.rollback()
            connection.execute(insert(schema.devices), [DEVICE])

    with pytest.raises(DatabaseError):
        go_on()
    assert _names(engine) == []


def test_a_violated_constraint_refuses_the_rows(engine: Engine) -> None:
    def twice() -> None:
        with writing(engine) as connection:
            connection.execute(insert(schema.devices), [DEVICE])
            connection.execute(insert(schema.devices), [DEVICE])

    with pytest.raises(RefusedRows, match=r"(?i)duplicate|unique"):
        twice()
    assert _names(engine) == []


def test_a_null_refuses_the_rows(engine: Engine) -> None:
    def incomplete() -> None:
        with writing(engine) as connection:
            connection.execute(insert(schema.devices), [{**DEVICE, "created_at": None}])

    with pytest.raises(RefusedRows):
        incomplete()


def test_an_unknown_device_refuses_a_series(engine: Engine) -> None:
    def orphan() -> None:
        with writing(engine) as connection:
            row = {"device_id": 999, "metric": "temperature", "created_at": NOW}
            connection.execute(insert(schema.series), [row])

    with pytest.raises(RefusedRows, match=r"(?i)foreign key"):
        orphan()


def test_too_long_a_text_is_refused_rather_than_cut(mariadb_url: str) -> None:
    engine = create(mariadb_url)

    def long() -> None:
        with writing(engine) as connection:
            connection.execute(text("CREATE TABLE t (name VARCHAR(3))"))
            connection.execute(text("INSERT INTO t VALUES ('four')"))

    with pytest.raises(RefusedRows):
        long()
    engine.dispose()


def test_a_statement_that_fails_is_told_on_one_line_without_its_parameters(engine: Engine) -> None:
    def fail() -> None:
        with reading(engine) as connection:
            connection.execute(text("SELECT :x\nFROM missing_table"), {"x": "hush"})

    with pytest.raises(DatabaseAway) as caught:
        fail()
    assert "missing_table" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unreachable_server_is_away_and_its_password_stays_secret() -> None:
    engine = create(f"mysql+pymysql://user:hush@127.0.0.1:{free_port()}/monitor", timeout_s=1)
    with pytest.raises(DatabaseAway) as caught, reading(engine):
        pass
    assert "127.0.0.1" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_wrong_password_is_away_and_stays_secret(mariadb: MariaDB) -> None:
    engine = create(f"mysql+pymysql://monitor:hush@127.0.0.1:{mariadb.port}/x", timeout_s=5)
    with pytest.raises(DatabaseAway, match="Access denied") as caught, reading(engine):
        pass
    assert "hush" not in str(caught.value)


def test_a_server_that_accepts_and_says_nothing_is_away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = create(f"mysql+pymysql://user:hush@127.0.0.1:{silent.getsockname()[1]}/monitor", timeout_s=1)
        with pytest.raises(DatabaseAway), reading(engine):
            pass


def test_a_server_that_comes_back_works_again(own_mariadb: MariaDB) -> None:
    engine = create(own_mariadb.fresh_database(), timeout_s=5)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    own_mariadb.kill()
    with pytest.raises(DatabaseAway), reading(engine):
        pass
    own_mariadb.start()
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_the_folder_of_a_file_is_made(tmp_path: Path) -> None:
    engine = create(f"sqlite:///{tmp_path}/a/b/monitor.db")
    with reading(engine) as connection:
        assert facts(connection).product == "SQLite"
    engine.dispose()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(DatabaseAway, match=f"{tmp_path}/a"):
        create(f"sqlite:///{tmp_path}/a/b/monitor.db")


def test_a_file_that_is_no_database_is_away(tmp_path: Path) -> None:
    (tmp_path / "monitor.db").write_bytes(b"no database at all" * 1000)
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    with pytest.raises(DatabaseAway, match="not a database"), reading(engine):
        pass


def test_sqlite_commits_are_durable_and_keys_are_checked(tmp_path: Path) -> None:
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    with reading(engine) as connection:
        pragmas = {name: connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1
    engine.dispose()


def test_a_connection_that_came_to_know_its_file_as_read_only_is_not_used_again(tmp_path: Path) -> None:
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    with reading(engine) as connection:
        connection.execute(text("PRAGMA query_only = ON"))
    with pytest.raises(DatabaseAway, match="readonly") as kept, writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
    open_files = {file.resolve() for file in Path("/proc/self/fd").iterdir()}
    assert tmp_path / "monitor.db" not in open_files, f"closed, though somebody looks at {kept.value}"
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE t (a INTEGER)"))
    engine.dispose()


def test_two_writers_wait_for_each_other(engine: Engine) -> None:
    """Each reads before it writes, which on SQLite fails at random unless the transaction begins as a write."""
    failures: list[BaseException] = []

    def count_up() -> None:
        try:
            for _ in range(20):
                with writing(engine) as connection:
                    highest = connection.scalar(text(f"SELECT COALESCE(MAX(day), 0) FROM account {lock}"))
                    row = dict.fromkeys(schema.account.c.keys(), 0) | {"worker": "w", "day": (highest or 0) + 1}
                    connection.execute(insert(schema.account), [row])
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            failures.append(error)

    lock = "" if engine.dialect.name == "sqlite" else "FOR UPDATE"
    threads = [threading.Thread(target=count_up, name=f"writer-{n}") for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM account")) == 40


def test_facts(engine: Engine, database_url: str) -> None:
    with reading(engine) as connection:
        found = facts(connection)
    assert found.product == ("SQLite" if database_url.startswith("sqlite") else "MariaDB")
    assert found.version[0].isdigit()
    assert "-" not in found.version
    assert found.warning is None


def test_a_server_whose_commits_are_not_durable_is_told(own_mariadb: MariaDB) -> None:
    engine = create(own_mariadb.fresh_database())
    with reading(engine) as connection:
        connection.execute(text("SET GLOBAL innodb_flush_log_at_trx_commit = 2"))
        assert "innodb_flush_log_at_trx_commit is 2" in (facts(connection).warning or "")
    engine.dispose()


def test_sessions_on_a_server_are_utc_and_strict(mariadb_url: str) -> None:
    engine = create(mariadb_url)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT @@time_zone")) == "+00:00"
        assert "STRICT_ALL_TABLES" in (connection.scalar(text("SELECT @@sql_mode")) or "")
    engine.dispose()


def _connection_id(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.scalar(text("SELECT CONNECTION_ID()")) or 0


def test_what_was_committed_is_not_rolled_back_as_well(mariadb_url: str, mariadb: MariaDB) -> None:
    engine = create(mariadb_url)
    migrations.apply(engine)
    with writing(engine) as connection:
        connection.execute(insert(schema.devices), [DEVICE])
    before = _rollbacks(mariadb)
    with writing(engine) as connection:
        connection.execute(insert(schema.devices), [{**DEVICE, "name": "attic"}])
    assert _rollbacks(mariadb) == before
    with pytest.raises(RefusedRows), writing(engine) as connection:
        connection.execute(insert(schema.devices), [{**DEVICE, "name": "cellar"}, DEVICE])
    assert _rollbacks(mariadb) > before
    assert _names(engine) == ["kitchen", "attic"]
    engine.dispose()


def _rollbacks(server: MariaDB) -> int:
    return int(server.run("SHOW GLOBAL STATUS LIKE 'Com_rollback'")[0][1])


def test_a_connection_that_was_closed_while_it_lay_idle_is_replaced_unseen(
    mariadb_url: str, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create(mariadb_url)
    first = _connection_id(engine)
    mariadb.run(f"KILL {first}")
    monkeypatch.setattr("db.engine._TRUSTED_S", 0.0)
    assert _connection_id(engine) not in (0, first)
    engine.dispose()


def test_a_connection_that_was_closed_a_moment_after_its_commit_costs_one_attempt(
    mariadb_url: str, mariadb: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create(mariadb_url)
    monkeypatch.setattr("db.engine._TRUSTED_S", 60.0)
    first = _connection_id(engine)
    mariadb.run(f"KILL {first}")
    with pytest.raises(DatabaseAway):
        _connection_id(engine)
    assert _connection_id(engine) not in (0, first)
    engine.dispose()
