"""Readings a device and day, counted and compared with another server's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from db import engine as database
from db import migrations
from db.engine import Engine, snapshot
from ingest import day_counts
from ingest.command_line import app
from ingest.day_counts import CountsError, DayCounts, DayDifference
from ingest.vitals import now_ms
from ingest.writer import Writer
from tests.ingest.unit.messages import decode

DAY_MS = 86_400_000
TODAY = now_ms() // DAY_MS * DAY_MS
#: Runs `python -m ingest` on the site's database, or on the cloud's.
Run = Callable[..., Result]


def day(days_ago: int) -> date:
    return datetime.fromtimestamp((TODAY - days_ago * DAY_MS) / 1000, UTC).date()


def made(url: str) -> Iterator[Engine]:
    engine = database.create(url)
    migrations.apply(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An empty database."""
    yield from made(database_url)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Engine]:
    """The site's database."""
    yield from made(f"sqlite:///{tmp_path}/site.db")


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Engine]:
    """The cloud's."""
    yield from made(f"sqlite:///{tmp_path}/cloud.db")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Takes the name of the database before the arguments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def at(where: str, *arguments: object) -> Result:
        monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/{where}.db")
        return CliRunner().invoke(app, [str(one) for one in arguments])

    return at


def receive(engine: Engine, topic: str, *times: int, root: str = "iot") -> None:
    writer = Writer(engine, "w", uuid4().hex)
    writer.load()
    writer.store([decode(topic, {"ts": ts, "v": 1, "w": 2}, root, received_at=now_ms()) for ts in times], now_ms())


def test_it_counts_each_device_and_whole_day(engine: Engine) -> None:
    yesterday = TODAY - DAY_MS
    receive(engine, "iot/kitchen/telemetry", yesterday, yesterday + 1, TODAY - 1, TODAY, yesterday - 1)
    receive(engine, "iot/cellar/telemetry", yesterday)
    with snapshot(engine) as connection:
        counted = day_counts.read(connection, TODAY + 5, 1)
        more = day_counts.read(connection, TODAY + 5, 2)
    assert counted == DayCounts(day(1), day(0), {("kitchen", day(1)): 6, ("cellar", day(1)): 2})
    assert more.counts == {**counted.counts, ("kitchen", day(2)): 2}


def test_what_was_printed_is_read_again_under_the_sites_name() -> None:
    counted = DayCounts(day(3), day(0), {("kitchen", day(2)): 7})
    printed = json.dumps({"ok": True, "days": day_counts.document(counted)})
    assert day_counts.is_document(printed)
    assert day_counts.load(printed) == counted
    assert day_counts.load(printed, "site1").counts == {("site1/kitchen", day(2)): 7}


@pytest.mark.parametrize("text", ["", "{}", '{"ok": true}', '{"ok": true, "days": 5}', '{"ok": true, "days": {}'])
def test_what_holds_no_counts_is_refused(text: str) -> None:
    with pytest.raises(CountsError, match="audit --json"):
        day_counts.load(text)


def test_days_that_only_one_counted_are_not_compared() -> None:
    there = DayCounts(day(5), day(1), {("d", day(5)): 1, ("d", day(3)): 1})
    here = DayCounts(day(4), day(0), {("d", day(3)): 1, ("d", day(1)): 1})
    found = day_counts.compare(there, here)
    assert (found.first, found.end, found.compared, found.agrees) == (day(4), day(1), 1, True)


def test_fewer_more_and_none_are_told_apart() -> None:
    there = DayCounts(day(2), day(0), {("s/a", day(1)): 5, ("s/b", day(1)): 5, ("s/c", day(1)): 5})
    here = DayCounts(day(2), day(0), {("s/a", day(1)): 4, ("s/b", day(1)): 6, ("s/d", day(1)): 1, ("t/a", day(1)): 9})
    found = day_counts.compare(there, here, "s")
    assert found.differences == (
        DayDifference("s/a", day(1), 5, 4),
        DayDifference("s/b", day(1), 5, 6),
        DayDifference("s/c", day(1), 5, 0),
        DayDifference("s/d", day(1), 0, 1),
    )


def test_a_site_and_its_cloud_are_compared_by_two_commands(
    run: Run, site: Engine, cloud: Engine, tmp_path: Path
) -> None:
    times = [TODAY - DAY_MS + n for n in range(20)]
    receive(site, "iot/kitchen/telemetry", *times)
    receive(cloud, "site1/iot/kitchen/telemetry", *times, root="+/iot")
    receive(cloud, "site2/iot/kitchen/telemetry", TODAY - DAY_MS, root="+/iot")
    file = tmp_path / "site1.json"
    file.write_text(run("site", "audit", "--json").stdout)
    same = run("cloud", "audit", "--against", file, "--site", "site1")
    assert same.exit_code == 0
    assert "the same number of readings there and here" in same.stdout
    receive(site, "iot/kitchen/telemetry", TODAY - DAY_MS + 500)
    file.write_text(run("site", "audit", "--json").stdout)
    differs = run("cloud", "audit", "--against", file, "--site", "site1")
    assert differs.exit_code == 1
    assert ["site1/kitchen", day(1).isoformat(), "42", "40"] in [line.split() for line in differs.stdout.splitlines()]
    (one,) = json.loads(run("cloud", "audit", "--against", file, "--site", "site1", "--json").stdout)["by_day"][
        "differences"
    ]
    assert one == {"device": "site1/kitchen", "day": day(1).isoformat(), "there": 42, "here": 40}


def test_without_its_site_nothing_fits(run: Run, site: Engine, cloud: Engine, tmp_path: Path) -> None:
    receive(site, "iot/kitchen/telemetry", TODAY - DAY_MS)
    receive(cloud, "site1/iot/kitchen/telemetry", TODAY - DAY_MS, root="+/iot")
    file = tmp_path / "site1.json"
    file.write_text(run("site", "audit", "--json").stdout)
    assert run("cloud", "audit", "--against", file).exit_code == 1


@pytest.mark.usefixtures("cloud")
def test_a_document_of_before_is_named(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text('{"ok": true, "at": 5}\n')
    said = run("cloud", "audit", "--against", file)
    assert said.exit_code == 2
    assert "--against" in said.stderr
