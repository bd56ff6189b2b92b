"""`python -m db backup`, `restore` and `import` as their user types them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from db import balance, devices, migrations, readings
from db.doors import Doors
from db.engine import Engine, create, snapshot, writing
from db.gate import now_ms
from settings import Settings, secret_key
from tests.parts.doors import add_user, make_doors
from tests.parts.program import Run


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: what is asked of the database is tested on each kind in the other modules."""
    return f"sqlite:///{tmp_path}/monitor.db"


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    """A database that a server has used, with its key."""
    engine = create(database_url)
    migrations.apply(engine)
    secret_key(Settings(data_dir=tmp_path))
    yield engine
    engine.dispose()


@pytest.fixture
def doors(server: Engine, tmp_path: Path) -> Doors:
    return make_doors(server, secret=secret_key(Settings(data_dir=tmp_path)))


def test_a_backup_and_its_restore(run: Run, doors: Doors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    add_user(doors, "anna", "admin")
    made = run("backup", "b.zip")
    assert (made.exit_code, made.stderr) == (0, "")
    assert "written to b.zip." in made.stdout
    assert "Keep SECRET_KEY" in made.stdout
    assert doors.audit(action="backup.make")[0].entry.subject == "b.zip"
    again = run("backup", "b.zip")
    assert (again.exit_code, again.stderr) == (
        2,
        "b.zip is there already. Give another name, or say --overwrite.\n",
    )
    assert run("backup", "b.zip", "--overwrite").exit_code == 0
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new/other.db")
    restored = run("restore", "b.zip")
    assert (restored.exit_code, restored.stderr) == (0, "")
    assert "tables are as on 20" in restored.stdout
    assert run("audit", "verify").stdout.startswith("All 3 entries hold.")
    assert "anna" in run("users", "list").stdout
    assert "backup.restore" in run("audit", "list").stdout


def test_a_restore_without_the_key_says_what_is_missing(
    run: Run, doors: Doors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    add_user(doors)
    assert run("backup", "b.zip").exit_code == 0
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new/other.db")
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "new"))
    restored = run("restore", "b.zip")
    assert restored.exit_code == 2
    assert "tables are as on" in restored.stdout
    assert restored.stderr.startswith("SECRET_KEY is not the one that the audit log was begun with.")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "b.zip is no backup, or only a part of one"),
        (None, "b.zip can't be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_backup(run: Run, tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "b.zip").write_bytes(content)
    result = run("restore", "b.zip")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert result.stderr.startswith(words)


def test_a_backup_to_where_nobody_can_write(run: Run, doors: Doors) -> None:
    assert doors.users() == []
    result = run("backup", "missing/b.zip")
    assert (result.exit_code, result.stderr) == (2, "missing/b.zip can't be written: No such file or directory\n")


def test_a_database_with_readings_is_not_overwritten(run: Run, server: Engine) -> None:
    with writing(server) as connection:
        readings.insert_new(connection, [(1, 1, 1.0)])
    made = run("backup", "b.zip")
    assert "There are 1 readings more than the account counts." in made.stdout
    refused = run("restore", "b.zip")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("This database holds readings, which a restore replaces.")
    replaced = run("restore", "b.zip", "--replace")
    assert (replaced.exit_code, replaced.stderr) == (0, "")


def test_an_import_is_told_line_by_line_before_it_is_done(run: Run, server: Engine, tmp_path: Path) -> None:
    now = now_ms() - 1000
    lines = ["ts,device,metric,value", f"{now},kitchen,t,1", f"{now},kitchen,t,x", f"{now + 1},kitchen,t,2"]
    (tmp_path / "in.csv").write_text("\n".join([*lines, ""]))
    summary = "2 readings to store, 0 stored already, 0 twice in the file, 1 rejected."
    problem = "line 3, value: 'x' is no number"
    dry = run("import", "in.csv", "--dry-run")
    assert dry.exit_code == 1
    assert dry.stdout.splitlines()[-2:] == [problem, summary]
    refused = run("import", "in.csv")
    assert refused.exit_code == 1
    assert refused.stdout.splitlines()[-3:-1] == [problem, summary]
    assert refused.stdout.splitlines()[-1].startswith("Nothing was stored.")
    with snapshot(server) as connection:
        assert devices.every(connection) == []
    stored = run("import", "in.csv", "--skip-rejected")
    assert (stored.exit_code, stored.stdout.splitlines()[-1]) == (0, "2 readings stored.")
    with snapshot(server) as connection:
        assert balance.read(connection) == balance.Balance(2, 2)
    again = run("import", "in.csv", "--skip-rejected")
    assert "0 readings to store, 2 stored already" in again.stdout
    assert "readings.import" in run("audit", "list").stdout


def test_a_file_of_which_nothing_can_be_imported(run: Run, server: Engine, tmp_path: Path) -> None:
    assert server.dialect.name == "sqlite"
    (tmp_path / "in.csv").write_text("a;b\n")
    result = run("import", "in.csv")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert result.stderr.startswith("line 1: fields are separated by ';'")
    assert run("import", "missing.csv").stderr == "missing.csv can't be read: No such file or directory\n"


def test_what_a_terminal_might_act_upon_is_shown_as_its_code(run: Run, server: Engine, tmp_path: Path) -> None:
    assert server.dialect.name == "sqlite"
    (tmp_path / "in.csv").write_bytes(b"ts,device,metric,value\n1764000000000,\x1b[2J\xff,t,1\n")
    result = run("import", "in.csv")
    assert result.exit_code == 1
    assert all(line.isprintable() for line in result.stdout.splitlines())
