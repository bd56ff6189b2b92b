"""A batch that is placed while the one before it is being stored ends as if it had been placed in its turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from db import migrations
from db.engine import DatabaseAway, Engine, create, reading, writing
from ingest import writer as writer_module
from ingest.dialects.decoded import Decoded
from ingest.placement import place
from ingest.writer import Writer
from tests.ingest.unit.messages import NOW, decode
from tests.parts.mariadb import MariaDB

Batches = Sequence[Sequence[Decoded]]


@pytest.fixture
def engine(mariadb_url: str) -> Iterator[Engine]:
    """A database on a server, which works while we do something else."""
    with opened(mariadb_url) as engine:
        yield engine


@pytest.fixture
def second(mariadb: MariaDB) -> Iterator[Engine]:
    """Another one on the same server."""
    url = mariadb.fresh_database()
    with opened(url) as engine:
        yield engine
    mariadb.drop_database(url)


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    engine = create(url)
    migrations.apply(engine)
    yield engine
    engine.dispose()


def store(engine: Engine, batches: Batches, *, preparing: bool, name: str = "w") -> Writer:
    """Store them one after the other, each of them prepared while the one before it is being stored, or not."""
    following: list[Sequence[Decoded]] = []

    def prepare() -> None:
        if preparing and following:
            writer.prepare(following[0])

    writer = Writer(engine, name, "token", meanwhile=prepare)
    writer.load()
    for number, batch in enumerate(batches):
        following[:] = batches[number + 1 : number + 2]
        writer.store(batch, NOW)
    return writer


def held(engine: Engine) -> list[list[tuple[object, ...]]]:
    """All that is stored, the devices' and series' names in place of their numbers."""
    queries = (
        "SELECT d.name, s.metric, r.ts, r.value FROM readings r JOIN series s ON s.id = r.series_id "
        "JOIN devices d ON d.id = s.device_id ORDER BY 1, 2, 3",
        "SELECT d.name, r.boot, r.seq FROM receipts r JOIN devices d ON d.id = r.device_id ORDER BY 1, 2, 3",
        "SELECT name, boot, boot_seq, online FROM devices ORDER BY 1",
        "SELECT number, stored, duplicate, rejected, readings_stored, seen FROM batches ORDER BY 1",
        "SELECT topic, payload, reason FROM dead_letters ORDER BY id",
    )
    with reading(engine) as connection:
        return [[tuple(row) for row in connection.execute(text(query))] for query in queries]


def telemetry(device: str, **fields: object) -> Decoded:
    return decode(f"iot/{device}/telemetry", fields)


BATCHES: dict[str, Batches] = {
    "plain": [[telemetry("a", ts=NOW + n, seq=n, boot="b", v=n)] for n in range(4)],
    "new devices and series": [
        [telemetry("a", ts=NOW, v=1)],
        [telemetry("a", ts=NOW + 1, v=1, w=2), telemetry("b", ts=NOW, v=1)],
        [telemetry("a", ts=NOW + 2, v=1, w=2), telemetry("b", ts=NOW + 1, v=2)],
    ],
    "no boot, and a fall of seq": [[telemetry("a", seq=n, v=n)] for n in (5, 6, 1, 2, 2, 7)],
    "our time, all in the same ms": [[decode("iot/a/v", str(n)), decode("iot/a/v", str(n))] for n in range(4)],
    "repeated": [[telemetry("a", ts=NOW, seq=1, boot="b", v=1)]] * 3,
    "contradicted": [[telemetry("a", ts=NOW, v=n), telemetry("a", ts=NOW + n, v=1)] for n in (1, 2, 3)],
    "reports": [
        [telemetry("a", ts=NOW, v=1)],
        [decode("iot/a/status", "online"), telemetry("a", ts=NOW + 1, v=1)],
        [decode("iot/c/status", "offline"), telemetry("a", ts=NOW + 2, v=1)],
    ],
    "nothing understood": [[decode("iot/a/telemetry", "no JSON")], [telemetry("a", ts=NOW, v=1)]],
}


@pytest.mark.parametrize("batches", BATCHES.values(), ids=BATCHES)
def test_it_ends_as_if_placed_in_its_turn(engine: Engine, second: Engine, batches: Batches) -> None:
    store(engine, batches, preparing=True)
    store(second, batches, preparing=False)
    assert held(engine) == held(second)


def test_what_was_prepared_is_not_placed_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[Sequence[Decoded]] = []

    def counted(batch: Sequence[Decoded], *arguments: object, **options: object) -> object:
        placed.append(batch)
        return place(batch, *arguments, **options)  # type: ignore[arg-type]

    store(engine, BATCHES["plain"][:1], preparing=False, name="other")
    monkeypatch.setattr(writer_module, "place", counted)
    store(engine, BATCHES["plain"][1:], preparing=True)
    assert placed == BATCHES["plain"][1:]


def test_what_was_prepared_after_a_batch_that_went_in_otherwise_is_forgotten(engine: Engine) -> None:
    """Somebody else has taken a key of the first batch, so its second attempt has other labels than its first."""
    store(engine, [[telemetry("a", ts=NOW, v=1)]], preparing=False, name="other")
    first = [telemetry("a", ts=NOW, v=1), telemetry("b", seq=5, v=1)]
    store(engine, [first, [telemetry("b", seq=6, v=2)], [telemetry("b", seq=1, v=3)]], preparing=True)
    readings, receipts, *_ = held(engine)
    assert [row[3] for row in readings] == [1.0, 1.0, 2.0, 3.0]
    assert len({(row[1], row[2]) for row in receipts}) == 3
    assert len({row[1] for row in receipts}) == 2, "two starts of the device"


def test_what_was_prepared_for_a_batch_that_is_tried_again_does_no_harm(engine: Engine) -> None:
    batches = BATCHES["no boot, and a fall of seq"]
    left = [1]

    def fail_once() -> None:
        writer.prepare(batches[1])
        if left and left.pop():
            raise DatabaseAway("on purpose")

    writer = Writer(engine, "w", "token", meanwhile=fail_once)
    writer.load()
    with pytest.raises(DatabaseAway):
        writer.store(batches[0], NOW)
    for batch in batches[:2]:
        writer.store(batch, NOW)
    readings, receipts, *_ = held(engine)
    assert [row[3] for row in readings] == [5.0, 6.0]
    assert len({row[1] for row in receipts}) == 1, "one start of the device"


def test_a_mistake_of_ours_is_told_in_its_turn(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    [first, second, *_] = BATCHES["plain"]

    def stumble(batch: Sequence[Decoded], *arguments: object, **options: object) -> object:
        if batch is second and not stumbled:
            stumbled.append(batch)
            raise ZeroDivisionError("on purpose")
        return place(batch, *arguments, **options)  # type: ignore[arg-type]

    stumbled: list[Sequence[Decoded]] = []
    monkeypatch.setattr(writer_module, "place", stumble)
    store(engine, [first, second], preparing=True)
    assert len(stumbled) == 1
    assert [row[3] for row in held(engine)[0]] == [0.0, 1.0]
    with writing(engine) as connection:
        assert connection.scalar(text("SELECT COUNT(*) FROM batches")) == 2
