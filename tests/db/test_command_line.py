"""`python -m db users` and `audit` as their user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from typer.testing import Result

from db import migrations
from db.doors import Doors, Origin, WrongLogin
from db.engine import Engine, create, writing
from db.schema import audit_log
from settings import Settings, secret_key
from tests.parts.doors import HERE, PASSWORD, ROOT, add_user, make_doors
from tests.parts.program import Run

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: what is asked of the database is tested on each kind in the other modules."""
    return f"sqlite:///{tmp_path}/monitor.db"


@pytest.fixture
def doors(database_url: str, tmp_path: Path) -> Iterator[Doors]:
    """The server's doors."""
    engine = create(database_url)
    migrations.apply(engine)
    yield make_doors(engine, secret=secret_key(Settings(data_dir=tmp_path)))
    engine.dispose()


def password_in(result: Result) -> str:
    line = next(line for line in result.stdout.splitlines() if line.startswith("The password is "))
    return line.split()[3]


def test_a_user_from_making_to_disabling(run: Run, doors: Doors) -> None:
    made = run("users", "add", "anna", "--role", "operator")
    assert made.exit_code == 0
    assert "anna may log in as operator." in made.stdout
    assert doors.check_password("anna", password_in(made), HERE).must_change
    assert run("users", "role", "anna", "admin").stdout == "anna is admin now.\n"
    again = run("users", "reset", "anna")
    assert "All logins of anna are ended." in again.stdout
    with pytest.raises(WrongLogin):
        doors.check_password("anna", password_in(made), HERE)
    assert doors.check_password("anna", password_in(again), HERE).role == "admin"
    add_user(doors, "bert", "admin")
    assert run("users", "disable", "ANNA").stdout == "anna is disabled.\n"
    with pytest.raises(WrongLogin):
        doors.check_password("anna", password_in(again), HERE)
    assert run("users", "enable", "anna").stdout == "anna is enabled.\n"
    who = {(one.entry.address, one.entry.result) for one in doors.audit(action="user.") if one.entry.subject != "bert"}
    assert who == {("local", "ok")}


def test_a_list_of_users(run: Run, doors: Doors) -> None:
    add_user(doors, "anna", "admin")
    add_user(doors, "bert")
    doors.set_disabled(ROOT, "bert", True)
    doors.check_password("anna", PASSWORD, HERE)
    lines = [line.split() for line in run("users", "list").stdout.splitlines()]
    assert lines[0] == ["name", "role", "state", "last", "login", "password"]
    assert lines[1][:3] == ["anna", "admin", "enabled"]
    assert lines[2][:4] == ["bert", "viewer", "disabled", "never"]


def test_a_password_of_ones_own_comes_by_stdin(run: Run, doors: Doors) -> None:
    made = run("users", "add", "anna", "--password-stdin", input=f"{PASSWORD}\n")
    assert made.stdout == "anna may log in as viewer.\n"
    assert not doors.check_password("anna", PASSWORD, HERE).must_change
    refused = run("users", "add", "bert", "--password-stdin", input="short\n")
    assert (refused.exit_code, refused.stderr) == (2, "A password has at least 10 characters.\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("add", "a b"), "A user's name has"),
        (("add", "anna"), "There is a user anna already."),
        (("reset", "nobody"), "There is no user nobody."),
        (("role", "anna", "viewer"), "anna is the last admin."),
        (("disable", "anna"), "anna is the last admin."),
    ],
)
def test_what_can_not_be_done_is_one_line(run: Run, doors: Doors, arguments: tuple[str, ...], words: str) -> None:
    add_user(doors, "anna", "admin")
    result = run("users", *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(words)
    assert len(result.stderr.splitlines()) == 1


def test_a_role_that_is_none(run: Run, doors: Doors) -> None:
    assert doors.users() == []
    result = run("users", "add", "anna", "--role", "owner")
    assert result.exit_code == 2
    assert "'viewer', 'operator', 'admin'" in result.stderr


def test_a_log_that_holds_and_its_head(run: Run, doors: Doors) -> None:
    assert run("audit", "verify").stdout == "The audit log is empty.\n"
    add_user(doors)
    first = run("audit", "verify")
    assert first.stdout.startswith("The one entry holds. ")
    add_user(doors, "bert")
    result = run("audit", "verify", "--head", first.stdout.split()[-1])
    assert result.exit_code == 0
    assert result.stdout.startswith("All 2 entries hold. ")
    other = run("audit", "verify", "--head", "f" * 64)
    assert (other.exit_code, other.stdout) == (
        1,
        "The head that was noted is not in the log: its end was taken away.\n",
    )


def test_a_log_that_was_changed(run: Run, doors: Doors, database_url: str) -> None:
    for name in ("anna", "bert", "carla"):
        add_user(doors, name)
    engine = create(database_url)
    with writing(engine) as connection:
        connection.execute(update(audit_log).where(audit_log.c.number == 2).values(actor="somebody else"))
    engine.dispose()
    result = run("audit", "verify")
    assert (result.exit_code, result.stdout.split(",")[0]) == (1, "Entry 2 was changed")


def test_a_list_of_entries_is_fit_for_a_terminal(run: Run, doors: Doors) -> None:
    add_user(doors)
    evil = "\x1b[2J<b>\u202e=cmd|' /C calc'!A0\r\nlogin ok"
    doors.record(type(ROOT)("root", "admin", Origin(evil)), "dead_letters.delete", evil, detail=evil)
    result = run("audit", "list")
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("2  ")
    assert "dead_letters.delete" in lines[0]
    assert all(line.isprintable() for line in lines)
    assert [line[0] for line in run("audit", "list", "--action", "user.", "--since", "-1h").stdout.splitlines()] == [
        "1"
    ]
    assert run("audit", "list", "--text", "nothing like it").stdout == "No entry is as asked for.\n"
    assert "is no time; allowed" in run("audit", "list", "--since", "yesterday").stderr


def test_an_export_has_every_entry_and_is_recorded(run: Run, doors: Doors, tmp_path: Path) -> None:
    for name in ("anna", "bert"):
        add_user(doors, name)
    doors.record(ROOT, "dead_letters.delete", "a\nb\u2028=1+1")
    result = run("audit", "export", tmp_path / "log.jsonl")
    assert result.stdout == f"3 entries written to {tmp_path}/log.jsonl.\n"
    lines = (tmp_path / "log.jsonl").read_text().split("\n")
    documents = [json.loads(line) for line in lines if line]
    assert [one["number"] for one in documents] == [1, 2, 3]
    assert documents[2]["subject"] == "a\nb\u2028=1+1"
    assert [json.loads(line)["action"] for line in run("audit", "export", "-").stdout.splitlines()][
        -1
    ] == "audit.export"
    assert run("audit", "export", tmp_path / "missing" / "log").exit_code == 2
    assert run("audit", "verify").exit_code == 0


def test_a_lost_key(run: Run, doors: Doors, tmp_path: Path) -> None:
    add_user(doors, "anna", "admin")
    (tmp_path / "secret_key").unlink()
    for arguments in (("users", "add", "bert"), ("audit", "export", "-")):
        refused = run(*arguments)
        assert refused.exit_code == 2
        assert refused.stderr.startswith("SECRET_KEY is not the one that the audit log was begun with.")
    assert not (tmp_path / "secret_key").exists(), "none is made beside a log that has one"
    assert run("users", "list").exit_code == 0
    assert run("audit", "verify").exit_code == 2
    assert run("audit", "begin", input="n\n").exit_code == 1
    begun = run("audit", "begin", "--yes")
    assert begun.stdout == "A new chain begins, after 1 entry that can't be verified any more.\n"
    assert run("audit", "verify").exit_code == 0
    assert run("users", "add", "bert").exit_code == 0
    assert run("audit", "verify").stdout.startswith("All 3 entries hold.")
    again = run("audit", "begin", "--yes")
    assert (again.exit_code, again.stderr.split(".")[0]) == (
        2,
        "The audit log was begun with the present SECRET_KEY",
    )


def test_before_there_is_a_database(run: Run, tmp_path: Path) -> None:
    result = run("users", "list")
    assert result.exit_code == 2
    assert result.stderr == (
        f"There is no database {tmp_path}/monitor.db yet. Start the server first, or set DATABASE_URL or DATA_DIR.\n"
    )


def test_a_database_that_is_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql+pymysql://u:hush@127.0.0.1:1/m")
    result = run("users", "list")
    assert result.exit_code == 2
    assert result.stderr.startswith("The database can't be asked now: ")
    assert "hush" not in result.output


def test_it_runs_as_a_module(doors: Doors, tmp_path: Path, database_url: str, engine: Engine) -> None:
    assert engine is not None
    add_user(doors)
    environment = {"DATA_DIR": str(tmp_path), "DATABASE_URL": database_url}
    result = subprocess.run(
        [sys.executable, "-m", "db", "users", "list"],
        cwd=_ROOT,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1].startswith("anna")
