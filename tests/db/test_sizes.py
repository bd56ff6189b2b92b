from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from db import account, migrations, sealing
from db.engine import DatabaseAway, Engine, create, writing
from db.packing import DAY_MS, HOUR_MS
from db.size_watch import SizeWatch
from db.sizes import WHOLE, Sizes, TableSize, growth, measure
from tests.db.conftest import NOW
from tests.db.sealed import DAY, Series, every
from tests.parts.eventually import eventually
from tests.parts.mariadb import MariaDB

_GB = 10**9
SIZES = Sizes(
    at=NOW,
    tables=(TableSize("chunks", 3_000_000), TableSize("hours", 400_000), TableSize("readings", 900_000, 20_000)),
    free=0,
    rows=20_000,
    sealed=1_000_000,
    ever=1_000_000 + 20_000,
    stored_a_day=17_280.0,
    removed_a_day=0.0,
    over_ms=7 * DAY_MS,
    disk_free=10 * _GB,
)


@pytest.fixture
def series(engine: Engine, temperature: int, monkeypatch: pytest.MonkeyPatch) -> Series:
    """Two days of readings: as many as are enough to say what one takes."""
    monkeypatch.setattr(sealing, "SLOW", 10)
    found = Series(engine, temperature)
    found.receive(every(10_000, 2 * 8_640))
    return found


def names(found: Sizes) -> set[str]:
    return {table.name for table in found.tables}


def test_every_table_has_its_size_and_the_readings_are_known_without_counting_them(series: Series) -> None:
    found = measure(series.engine, NOW)

    assert {"readings", "chunks", "hours", "account", "devices"} <= names(found)
    assert [table.taken for table in found.tables] == sorted((table.taken for table in found.tables), reverse=True)
    assert (found.rows, found.sealed, found.kept, found.ever) == (17_280, 0, 17_280, 17_280)
    assert found.taken >= sum(table.taken for table in found.tables) > 17_280 * 15
    assert (found.at, found.disk_free is not None) == (NOW, True)


def test_what_is_sealed_takes_a_fraction(series: Series) -> None:
    as_rows = measure(series.engine, NOW).bytes_a_reading
    series.seal(DAY + 2 * DAY_MS)
    if series.engine.dialect.name != "sqlite":  # which tells the pages as they are; a server's figures come later
        with writing(series.engine) as connection:
            connection.execute(text("OPTIMIZE TABLE readings"))
    found = measure(series.engine, NOW)

    assert (found.rows, found.sealed) == (0, 17_280)
    assert as_rows is not None
    assert found.bytes_a_reading is not None
    assert found.bytes_a_reading < as_rows


def test_what_was_imported_is_kept_and_does_not_count_as_growth(series: Series) -> None:
    with writing(series.engine) as connection:
        account.count_imported(connection, "import", 5_000, NOW)
        account.fold(connection, "w", None)
    found = measure(series.engine, NOW + DAY_MS)
    assert (found.kept, found.stored_a_day) == (17_280 + 5_000, 0.0)


def test_a_rate_needs_an_hour(engine: Engine, kitchen: int) -> None:  # noqa: ARG001
    assert measure(engine, NOW + HOUR_MS - 1).stored_a_day is None
    found = measure(engine, NOW + HOUR_MS)
    assert (found.stored_a_day, found.over_ms) == (0.0, HOUR_MS)


def test_the_rate_is_that_of_the_last_week(engine: Engine, kitchen: int) -> None:  # noqa: ARG001
    now = (NOW // DAY_MS + 30) * DAY_MS + DAY_MS // 2
    with writing(engine) as connection:
        for days_ago in range(30):
            key = account.BatchKey("w", "t", days_ago)
            tally = account.Tally(stored=1, readings_stored=1_500 if days_ago <= 7 else 9)
            account.claim_batch(connection, key, tally, [], now - days_ago * DAY_MS)
        account.fold(connection, "w", None)
        account.count_removed(connection, "w", 750, now)
    found = measure(engine, now)

    assert found.over_ms == 7.5 * DAY_MS
    assert found.stored_a_day == pytest.approx(8 * 1_500 / 7.5)
    assert found.removed_a_day == pytest.approx(100)


def test_a_file_that_is_too_large_to_be_walked_through_is_told_as_a_whole(tmp_path: Path) -> None:
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    migrations.apply(engine)
    found = measure(engine, NOW, walked_bytes=0)
    engine.dispose()

    assert names(found) == {WHOLE}
    assert found.used("readings") is None
    assert found.taken == (tmp_path / "monitor.db").stat().st_size
    whole = replace(SIZES, tables=(TableSize(WHOLE, 4_280_000),))
    assert whole.bytes_a_reading == pytest.approx(4.2, abs=0.1)
    assert growth(whole, 2) is not None


def test_a_user_who_may_not_see_files_sees_tables(mariadb: MariaDB, mariadb_url: str) -> None:
    address = make_url(mariadb_url)
    admin = create(mariadb_url)
    migrations.apply(admin)
    with writing(admin) as connection:
        connection.execute(text("CREATE USER IF NOT EXISTS 'plain'@'127.0.0.1' IDENTIFIED BY 'plain-password'"))
        connection.execute(text(f"GRANT ALL ON {address.database}.* TO 'plain'@'127.0.0.1'"))
    plain = create(address.set(username="plain", password="plain-password").render_as_string(hide_password=False))
    found, all_seen = measure(plain, NOW), measure(admin, NOW)
    plain.dispose()
    admin.dispose()

    assert names(found) == names(all_seen)
    assert 0 < found.taken <= all_seen.taken
    assert mariadb.process.running


def test_growth_is_that_of_packed_readings_and_their_hours() -> None:
    found = growth(SIZES, 2)
    assert found is not None
    assert found.bytes_a_day == pytest.approx(17_280 * (3.0 + 400_000 / 1_020_000))
    assert not found.at_most
    assert found.full_at == pytest.approx(NOW + (10 * _GB + 20_000) / found.bytes_a_day * DAY_MS, abs=1)


def test_before_anything_is_sealed_it_is_at_most_that_of_rows() -> None:
    tables = (TableSize("readings", 900_000), TableSize("chunks", 16_384), TableSize("hours", 16_384))
    young = replace(SIZES, tables=tables, sealed=0, ever=20_000)
    found, for_ever = growth(young, 2), growth(young, 0)
    assert found is not None
    assert for_ever is not None
    assert found.bytes_a_day == pytest.approx(17_280 * (45 + 16_384 / 20_000))
    assert (found.at_most, for_ever.at_most) == (True, False)


def test_what_goes_is_growth_no_more_and_its_hours_are() -> None:
    found = growth(replace(SIZES, removed_a_day=17_280.0), 2)
    assert found is not None
    assert found.bytes_a_day == pytest.approx(17_280 * 400_000 / 1_020_000)


@pytest.mark.parametrize(
    "known",
    [replace(SIZES, stored_a_day=None), replace(SIZES, rows=0, sealed=9_999)],
    ids=["no rate", "too few readings"],
)
def test_what_is_too_early_to_say_is_not_said(known: Sizes) -> None:
    assert growth(known, 2) is None


def test_a_disk_that_can_not_be_seen_or_does_not_fill_has_no_date() -> None:
    for known in (replace(SIZES, disk_free=None), replace(SIZES, stored_a_day=0.0)):
        found = growth(known, 2)
        assert found is not None
        assert found.full_at is None


@pytest.fixture
def asked() -> Iterator[list[threading.Event]]:
    """The looks that are going on: each waits until its event is set."""
    events: list[threading.Event] = []
    yield events
    for event in events:
        event.set()


def test_nobody_waits_for_a_look_and_there_is_one_at_a_time(tmp_path: Path, asked: list[threading.Event]) -> None:
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    begun = threading.Event()

    def look(_: Engine, at: int) -> Sizes:
        asked.append(threading.Event())
        begun.set()
        assert asked[-1].wait(20)
        return replace(SIZES, at=at)

    watch = SizeWatch(engine, good_for_s=3600, measure=look)
    assert watch.current() is None
    assert begun.wait(20)
    assert watch.current() is None
    assert len(asked) == 1
    asked[0].set()
    assert eventually(watch.current) is not None
    assert len(asked) == 1, "one that is new is good for a while"
    watch.close()
    engine.dispose()


def test_a_look_that_failed_is_repeated_and_what_was_seen_stays(tmp_path: Path) -> None:
    engine = create(f"sqlite:///{tmp_path}/monitor.db")
    answers: list[Sizes | None] = [None, SIZES, None]

    def look(_: Engine, __: int) -> Sizes:
        found = answers.pop(0) if answers else None
        if found is None:
            raise DatabaseAway("gone")
        return found

    watch = SizeWatch(engine, good_for_s=0.0, again_s=0.0, measure=look)
    assert eventually(watch.current) == SIZES
    assert eventually(lambda: not answers and watch.current()) == SIZES
    watch.close()
    assert watch.current() == SIZES
    engine.dispose()
