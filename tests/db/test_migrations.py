from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from db import migrations, schema
from db.engine import DatabaseAway, Engine, create, reading
from tests.parts.mariadb import MariaDB

_ROOT = Path(__file__).parents[2]


def _compare(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata))


def test_migrations_make_what_the_schema_says(engine: Engine) -> None:
    assert _compare(engine) == []


def test_a_database_without_tables_does_differ(empty_engine: Engine) -> None:
    assert _compare(empty_engine) != []


def test_applying_again_changes_nothing(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO devices (name, last_seen, created_at) VALUES ('a', 1, 1)"))
    migrations.apply(engine)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM devices")) == 1


def test_tables_of_a_newer_version_are_left_alone(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseAway, match=r"newer version .*The way back \(they are at 9999\)"):
        migrations.apply(engine)


def test_readings_lie_in_the_order_of_series_and_time(engine: Engine) -> None:
    assert inspect(engine).get_pk_constraint("readings")["constrained_columns"] == ["series_id", "ts"]


def test_threads_that_apply_at_the_same_time_do_not_race(database_url: str) -> None:
    engines = [create(database_url) for _ in range(4)]
    assert _applied_together(engines) == []
    assert _compare(engines[0]) == []
    for engine in engines:
        engine.dispose()


def test_threads_with_a_database_each_do_not_race(tmp_path: Path) -> None:
    engines = [create(f"sqlite:///{tmp_path}/{number}.db") for number in range(4)]
    assert _applied_together(engines) == []
    for engine in engines:
        assert _compare(engine) == []
        engine.dispose()


def _applied_together(engines: list[Engine]) -> list[BaseException]:
    """What went wrong when a thread for each of them applied the migrations at the same moment."""
    failures: list[BaseException] = []
    together = threading.Barrier(len(engines))

    def apply(engine: Engine) -> None:
        try:
            together.wait(10)
            migrations.apply(engine)
        except BaseException as error:  # noqa: BLE001  # told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=apply, args=(engine,), name=f"applies-{n}") for n, engine in enumerate(engines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return failures


def test_processes_that_apply_at_the_same_time_do_not_race(database_url: str) -> None:
    script = (
        "import sys; from db import engine, migrations; sys.stdin.readline();"
        "migrations.apply(engine.create(sys.argv[1])); print('applied')"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, database_url],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        out, err = process.communicate(timeout=30)
        assert (out, process.returncode) == ("applied\n", 0), err


def test_a_start_that_was_killed_between_two_tables_goes_on_from_there(empty_engine: Engine) -> None:
    schema.metadata.create_all(empty_engine, tables=[schema.account, schema.latest, schema.devices])
    migrations.apply(empty_engine)
    assert _compare(empty_engine) == []


def test_a_database_of_the_version_before_is_brought_up_with_what_is_in_it(empty_engine: Engine) -> None:
    migrations.apply_up_to(empty_engine, "0001")
    with empty_engine.begin() as connection:
        connection.execute(text("INSERT INTO devices (name, last_seen, created_at) VALUES ('a', 1, 1)"))
    migrations.apply(empty_engine)
    assert _compare(empty_engine) == []
    with reading(empty_engine) as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM devices")) == 1


def test_a_start_that_was_killed_while_it_made_the_doors_goes_on_from_there(empty_engine: Engine) -> None:
    migrations.apply_up_to(empty_engine, "0001")
    schema.metadata.create_all(empty_engine, tables=[schema.audit_head, schema.users, schema.login_tries])
    for _ in range(2):
        migrations.apply(empty_engine)
        assert _compare(empty_engine) == []
        with reading(empty_engine) as connection:
            assert connection.scalar(text("SELECT COUNT(*) FROM audit_head")) == 1
        with empty_engine.begin() as connection:  # killed after the last statement, before it was noted
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def test_a_start_that_was_killed_while_it_replaced_an_index_goes_on_from_there(empty_engine: Engine) -> None:
    migrations.apply_up_to(empty_engine, "0005")
    with empty_engine.begin() as connection:
        connection.execute(text("CREATE INDEX ix_commands_device_settled ON commands (device, settled)"))
    for _ in range(2):
        migrations.apply(empty_engine)
        assert _compare(empty_engine) == []
        with empty_engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0005'"))


def test_hours_are_compressed_on_a_server_unless_it_only_reads_such_tables(mariadb: MariaDB, mariadb_url: str) -> None:
    query = text(
        "SELECT row_format FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'hours'"
    )
    engine = create(mariadb_url)
    migrations.apply_up_to(engine, "0007")
    mariadb.run("SET GLOBAL innodb_read_only_compressed = ON")
    try:
        migrations.apply(engine)
    finally:
        mariadb.run("SET GLOBAL innodb_read_only_compressed = OFF")
    with reading(engine) as connection:
        assert connection.scalar(query) == "Dynamic"
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0007'"))
    for _ in range(2):  # the second as if it was killed before that was noted
        migrations.apply(engine)
        with reading(engine) as connection:
            assert connection.scalar(query) == "Compressed"
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0007'"))
    engine.dispose()
