"""`python -m ingest audit` and `replay` as their user types them."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from db import account, dead_letters, devices, migrations, resends
from db import engine as database
from db.dead_letters import DeadLetter, Selection
from db.engine import Engine, reading, writing
from db.resends import Resend
from ingest.command_line import app
from ingest.writer import Writer
from tests.ingest.unit.messages import NOW, decode
from tests.parts.ports import free_port

Run = Callable[..., Result]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: what is asked of the database is tested on each kind in tests/db, test_audit and test_replay."""
    return f"sqlite:///{tmp_path}/monitor.db"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> Run:
    """Runs the program on that database, in a folder without `.env`."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path), "COLUMNS": "200"}.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments, **options: CliRunner().invoke(app, [str(one) for one in arguments], **options)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = database.create(database_url)
    migrations.apply(engine)
    yield engine
    engine.dispose()


def receive(engine: Engine, *payloads: Any) -> None:
    writer = Writer(engine, "the-worker", uuid4().hex)
    writer.load()
    writer.store([decode("iot/kitchen/telemetry", payload) for payload in payloads], NOW)


def keep(engine: Engine, *payloads: bytes, topic: str = "iot/kitchen/telemetry", at: int = NOW) -> list[int]:
    with writing(engine) as connection:
        letters = [DeadLetter(at, topic, one[:65_536], len(one), "not\nunderstood") for one in payloads]
        dead_letters.store(connection, letters)
        return dead_letters.select_ids(connection, Selection(topic=topic))


def count(engine: Engine) -> int:
    with reading(engine) as connection:
        return dead_letters.count(connection)


def test_audit_says_that_all_adds_up(run: Run, engine: Engine) -> None:
    receive(engine, *({"ts": NOW + n, "v": n} for n in range(1_200)))
    result = run("audit")
    assert result.exit_code == 0
    assert "All adds up." in result.stdout
    assert "Readings in the database: 1,200. Dead letters kept: 0." in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["the-worker", "messages", "1,200", "1,200", "0", "0", "0"] in lines
    assert ["all", "messages", "1,200", "1,200", "0", "0", "0"] in lines
    assert len({len(line) for line in result.stdout.splitlines()[1:6]}) == 1, "its columns stand below each other"


def test_audit_names_what_is_missing_and_what_is_off(run: Run, engine: Engine) -> None:
    receive(engine, *({"ts": NOW + n, "boot": "a1", "seq": n, "v": n} for n in (0, 4, 6)), "no JSON")
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM readings WHERE value = 4"))
        account.count_letters_removed(connection, "the-worker", 12, NOW)
    result = run("audit")
    assert result.exit_code == 1
    assert "Missing: 4 messages. The device sent it, it never reached us." in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    when = "2025-11-24T16:00:00Z"
    assert ["kitchen", "a1", "1..3", "3", when, when] in lines
    assert ["kitchen", "a1", "5", "1", when, when] in lines
    assert "1 readings were stored and are not in the database" in result.stdout
    assert "It does not add up." in result.stdout
    assert "Dead letters kept: 1. 12 older ones had to leave." in result.stdout
    assert "Silent: 1 device. Nothing was sent, as far as we know." in result.stdout

    result = run("audit", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    gap = {"device": "kitchen", "boot": "a1", "first": 1, "last": 3, "count": 3, "sent_after": NOW, "sent_before": NOW}
    assert gap in document["missing"]
    assert (document["ok"], document["rows"], len(document["mismatches"])) == (False, 2, 1)
    assert document["total"]["rejected"] == 1
    assert document["workers"]["the-worker"]["readings"]["stored"] == 3
    assert document["dead_letters"] == {"kept": 1, "removed": 12}
    assert document["silent"] == [{"device": "kitchen", "since": NOW + 6, "usual_ms": 6, "offline": False}]


def test_audit_names_what_was_asked_for_again(run: Run, engine: Engine) -> None:
    receive(engine, *({"ts": NOW + n, "boot": "a1", "seq": n, "v": n} for n in (0, 9, 20)))
    with writing(engine) as connection:
        device_id = devices.ids(connection, ["kitchen"])["kitchen"]
        repaired = Resend(device_id, "a1", 30, 33, NOW, 1, NOW, outcome="repaired", ended_at=NOW)
        gone = Resend(device_id, "a1", 1, 5, NOW, 2, NOW, outcome="gone", ended_at=NOW)
        waiting = Resend(device_id, "a1", 6, 8, NOW, 1, NOW, NOW + 60_000)
        resends.replace(connection, [], [repaired, gone, waiting, Resend(device_id, "a1", 10, 10, NOW)], [])
    shown = run("audit").stdout
    assert "Asked for again, of the last 30 days: 4 repaired, 4 waiting, 5 gone, 0 unanswered." in shown
    lines = [line.split() for line in shown.splitlines()]
    when, later = "2025-11-24T16:00:00Z", "2025-11-24T16:01:00Z"
    assert ["kitchen", "a1", "1..5", "5", "gone", "2", when, "ended", when] in lines
    assert ["kitchen", "a1", "6..8", "3", "waiting", "1", when, "again", "from", later] in lines
    assert ["kitchen", "a1", "10", "1", "waiting", "0"] in lines
    first = json.loads(run("audit", "--json").stdout)["resends"][0]
    assert first == {
        "device": "kitchen",
        "boot": "a1",
        "first": 1,
        "last": 5,
        "count": 5,
        "state": "gone",
        "tries": 2,
        "asked_at": NOW,
        "next_at": None,
        "ended_at": NOW,
    }


def test_audit_against_a_list(run: Run, engine: Engine, tmp_path: Path) -> None:
    receive(engine, *({"ts": NOW + n, "boot": "a1", "seq": n, "v": n} for n in range(3)))
    sent = tmp_path / "sent.jsonl"
    line = '{"device": "kitchen", "boot": "a1", "seq": %d, "value": %d, "ts": %d}\n'
    sent.write_text("".join(line % (n, n, NOW + n) for n in range(4)))
    result = run("audit", "--against", sent)
    assert result.exit_code == 1
    assert "The account adds up, and something is missing." in result.stdout
    assert "Published: 4 lines, 1 lost, 0 doubled." in result.stdout
    assert f"lost: kitchen number 3, boot a1, value 3.0, ts {NOW + 3}: it never reached us" in result.stdout
    (one,) = json.loads(run("audit", "--json", "--against", sent).stdout)["published"]["lost"]
    assert (one["seq"], one["arrived"]) == (3, False)
    sent.write_text("".join(line % (n, n, NOW + n) for n in range(3)))
    assert run("audit", "--against", sent).exit_code == 0
    sent.write_text("{}")
    result = run("audit", "--against", sent)
    assert (result.exit_code, "line 1: " in result.stderr) == (2, True)
    assert run("audit", "--against", tmp_path / "nothing").exit_code == 2


def test_many_missing_ranges_are_cut_on_the_terminal_alone(run: Run, engine: Engine) -> None:
    with writing(engine) as connection:
        for n in range(61):
            account.claim_batch(
                connection, account.BatchKey("w", "t", n), account.Tally(), [(1, "a", 2 * n, 2 * n)], NOW
            )
    receive(engine, {"ts": NOW, "v": 1})
    assert "and 10 more; --json names all." in run("audit").stdout
    assert len(json.loads(run("audit", "--json").stdout)["missing"]) == 60


def test_replay_stores_and_says_what_stays(run: Run, engine: Engine) -> None:
    keep(engine, b'{"v": 1}', b"\x1b[31mno JSON")
    result = run("replay", "--dry-run")
    assert (result.exit_code, count(engine)) == (0, 2)
    assert "1 dead letter of 2 would be stored, or found to be known. Nothing was changed." in result.stdout
    result = run("replay")
    assert result.exit_code == 1
    assert "1 stored, 0 known already, 1 stay." in result.stdout
    assert "iot/kitchen/telemetry  stays: the message is not JSON" in result.stdout
    assert "\x1b" not in result.stdout
    assert count(engine) == 1
    result = run("audit", "--json")
    assert json.loads(result.stdout)["ok"]
    (worker,) = json.loads(result.stdout)["workers"].items()
    assert worker[0].endswith("-replay")
    assert (worker[1]["received"], worker[1]["stored"], worker[1]["rejected"]) == (2, 1, 1)
    run("replay", "--delete", "--yes")
    assert (run("replay").exit_code, count(engine)) == (0, 0)


def test_letters_are_chosen_by_id_topic_and_time(run: Run, engine: Engine) -> None:
    first, second = keep(engine, b"x", b"y")
    (attic,) = keep(engine, b"z", topic="iot/attic/x", at=NOW - 1_000)

    def listed(*options: object) -> list[int]:
        *lines, total = run("replay", "--list", *options).stdout.splitlines()
        assert total == f"{len(lines)} dead letter{'' if len(lines) == 1 else 's'}."
        return [int(line.split()[0]) for line in lines]

    assert listed() == [first, second, attic]
    assert listed("--id", second, "--id", attic) == [second, attic]
    assert listed("--topic", "iot/kitchen/*") == [first, second]
    assert listed("--before", NOW) == [attic]
    assert listed("--before", "2025-11-24T16:00:00Z") == [attic]
    assert listed("--before", "2025-11-24T17:00:00+01:00", "--topic", "*kitchen*") == []
    assert listed("--before", "-1s") == [first, second, attic]
    line = run("replay", "--list", "--id", first).stdout.splitlines()[0]
    assert line == f"{first}  2025-11-24T16:00:00Z  iot/kitchen/telemetry  1 B  not\\x0aunderstood"


def test_letters_are_deleted_after_asking_once(run: Run, engine: Engine) -> None:
    first, _ = keep(engine, b"x", b"y")
    assert "2 dead letters would be deleted." in run("replay", "--delete", "--dry-run").stdout
    result = run("replay", "--delete", input="n\n")
    assert (result.exit_code, count(engine)) == (1, 2)
    assert "Delete 2 dead letters? What they hold is gone then." in result.stdout
    assert run("replay", "--delete", "--id", first, input="y\n").exit_code == 0
    assert count(engine) == 1
    assert "1 dead letter deleted." in run("replay", "--delete", "--yes").stdout
    assert run("replay", "--delete").stdout == "0 dead letters deleted.\n"


def test_letters_are_exported_with_every_byte(run: Run, engine: Engine, tmp_path: Path) -> None:
    payloads = [bytes(range(256)), "21 °C".encode(), b"a" * 70_000]
    ids = keep(engine, *payloads)
    file = tmp_path / "letters.jsonl"
    assert run("replay", "--export", file).stdout == f"3 dead letters written to {file}.\n"
    exported = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["id"] for one in exported] == ids
    assert [base64.b64decode(one["payload"]) for one in exported] == [one[:65_536] for one in payloads]
    assert [one.get("text") for one in exported] == [None, "21 °C", "a" * 65_536]
    assert [(one["size"], one["whole"]) for one in exported] == [(256, True), (6, True), (70_000, False)]
    assert (exported[0]["topic"], exported[0]["reason"], exported[0]["received_at"]) == (
        "iot/kitchen/telemetry",
        "not\nunderstood",
        NOW,
    )
    assert [json.loads(line)["id"] for line in run("replay", "--export", "-").stdout.splitlines()] == ids
    assert run("replay", "--export", tmp_path / "no" / "folder").exit_code == 2
    assert count(engine) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("replay", "--list", "--delete"), "choose one of"),
        (("replay", "--before", "soon"), "'soon' is no time"),
        (("replay", "--before", "9" * 30), "is no time"),
        (("audit", "extra"), "extra"),
    ],
)
def test_a_wrong_option_is_explained(run: Run, engine: Engine, arguments: tuple[str, ...], words: str) -> None:  # noqa: ARG001
    result = run(*arguments)
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("command", ["audit", "replay"])
def test_what_can_not_be_asked_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    for settings, words in (
        ({"DATA_DIR": str(tmp_path / "none")}, "There is no database"),
        (
            {"DATABASE_URL": f"mysql+pymysql://u:secret-word@127.0.0.1:{free_port()}/d"},
            "The database can't be asked now",
        ),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL: "),
        ({"DATABASE_URL": f"sqlite:///{sys.executable}"}, "The database can't be asked now: file is not a database"),
    ):
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            result = CliRunner().invoke(app, [command])
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(words)
        assert len(result.stderr.splitlines()) == 1
        assert "secret-word" not in result.stderr
    assert not (tmp_path / "none").exists()
