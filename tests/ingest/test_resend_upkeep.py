"""From what was seen to what is asked for, on a database: which starts count, and what is written when."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from db import account, devices, migrations, removal, resends
from db import engine as database
from db.account import BatchKey, SeenRange, Tally
from db.engine import Connection, Engine, reading, writing
from db.resends import Gone, Resend
from db.rights import Actor, Origin
from ingest.resend_plan import ResendSettings
from ingest.resend_upkeep import ResendUpkeep
from tests.ingest.unit.messages import NOW
from tests.ingest.worker import KEY


class Place:
    """A database, its upkeep, and how often that wrote."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.written = 0
        self.upkeep = ResendUpkeep(engine, self._transaction, ResendSettings())
        self._number = 0
        with writing(engine) as connection:
            self.ids = devices.ensure(connection, ["kitchen", "hall"], NOW)
        self.kitchen = self.ids["kitchen"]

    def see(self, at: int, *ranges: SeenRange) -> None:
        self._number += 1
        with writing(self.engine) as connection:
            account.claim_batch(connection, BatchKey("w", f"t{self._number}", 1), Tally(), ranges, at)
            account.fold(connection, "w", None)

    def work(self, now: int = NOW) -> list[tuple[int, str, int, int, str | None]]:
        self.upkeep.work(now)
        with reading(self.engine) as connection:
            return [(row.device_id, row.boot, row.first, row.last, row.outcome) for row in resends.every(connection)]

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with writing(self.engine) as connection:
            self.written += 1
            yield connection


@pytest.fixture
def place(database_url: str) -> Iterator[Place]:
    engine = database.create(database_url)
    migrations.apply(engine)
    yield Place(engine)
    engine.dispose()


def test_where_nothing_is_missing_or_nothing_changed_nothing_is_written(place: Place) -> None:
    assert place.work() == []
    place.see(NOW, (place.kitchen, "a", 0, 9), (place.kitchen, "b", 4, 9))
    assert place.work() == []
    assert place.written == 0
    place.see(NOW, (place.kitchen, "a", 12, 14))
    for _ in range(3):
        assert place.work() == [(place.kitchen, "a", 10, 11, None)]
    assert place.written == 1


def test_a_start_that_we_named_is_none_that_can_be_asked_for(place: Place) -> None:
    place.see(NOW, (place.kitchen, "~1764", 0, 1), (place.kitchen, "~1764", 4, 5))
    assert place.work() == []


def test_of_a_device_that_started_twice_since_nothing_is_asked(place: Place) -> None:
    gap = [(place.kitchen, "a", 0, 1), (place.kitchen, "a", 4, 5)]
    place.see(NOW, *gap, (place.ids["hall"], "a", 0, 1), (place.ids["hall"], "a", 4, 5))
    for number, boot in enumerate(("b", "c"), start=1):
        assert (place.kitchen, "a", 2, 3, None) in place.work(NOW + number)
        place.see(NOW + number, (place.kitchen, boot, 0, 0))
    assert set(place.work(NOW + 3)) == {
        (place.kitchen, "a", 2, 3, "unanswered"),
        (place.ids["hall"], "a", 2, 3, None),
    }


def test_what_is_gone_is_taken_once_and_what_somebody_noted_meanwhile_stays(place: Place) -> None:
    place.see(NOW, (place.kitchen, "a", 0, 1), (place.kitchen, "a", 9, 9))
    place.work()
    with writing(place.engine) as connection:
        resends.note_gone(connection, place.kitchen, Gone("kitchen", "a", 0, 4), NOW + 1)
    seen_by_upkeep = place.upkeep._transaction

    @contextmanager
    def after_the_dispatcher() -> Iterator[Connection]:
        with writing(place.engine) as connection:
            (row,) = resends.every(connection)
            assert resends.note_asked(connection, [(row, NOW + 60_000)], NOW + 2) == [row]
        with seen_by_upkeep() as connection:
            yield connection

    place.upkeep._transaction = after_the_dispatcher
    place.upkeep.work(NOW + 3)
    with reading(place.engine) as connection:
        assert resends.every(connection) == [
            Resend(place.kitchen, "a", 2, 4, NOW, 1, NOW + 2, None, "gone", NOW + 1),
            Resend(place.kitchen, "a", 5, 8, NOW, 1, NOW + 2, NOW + 90_000),
        ]
        assert resends.gone(connection) == []


def test_a_deleted_device_is_not_asked(place: Place) -> None:
    with writing(place.engine) as connection:
        removal.ask(connection, KEY, "kitchen", by=Actor("anna", "admin", Origin("")), at=NOW)
    place.see(NOW, (place.kitchen, "a", 0, 1), (place.kitchen, "a", 9, 9))
    assert place.work() == []
