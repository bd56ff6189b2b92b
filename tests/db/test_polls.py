from __future__ import annotations

from db import polls
from db.engine import Engine, reading, writing
from db.polls import Poll
from tests.db.conftest import NOW


def test_the_last_request_is_kept_with_the_usual_pause(engine: Engine, kitchen: int) -> None:
    assert kitchen
    found = []
    for at, until in ((NOW, NOW + 20_000), (NOW, NOW + 5_000), (NOW + 35_000, NOW + 55_000)):
        with writing(engine) as connection:
            polls.note(connection, "kitchen", at, until)
            polls.note(connection, "no such", at, until)
        with reading(engine) as connection:
            found += polls.every(connection)
    assert found == [
        Poll("kitchen", NOW, NOW + 20_000, None),
        Poll("kitchen", NOW, NOW + 5_000, None),
        Poll("kitchen", NOW + 35_000, NOW + 55_000, 30_000),
    ]


def test_a_device_is_there_while_it_asks_and_for_some_of_its_pauses() -> None:
    assert Poll("a", NOW, NOW + 20_000, None).grace_ms == 10_000
    assert Poll("a", NOW, NOW + 20_000, 30_000).grace_ms == 90_000
    assert Poll("a", NOW, NOW, 86_400_000).grace_ms == 300_000
    assert Poll("a", NOW, NOW + 20_000, 30_000).alive(NOW + 110_000)
    assert Poll("a", NOW, NOW, 1_000).alive(NOW + 10_000)
    assert not Poll("a", NOW, NOW, 1_000).alive(NOW + 10_001)
    assert Poll("a", NOW, NOW, 1_000).alive(NOW + 60_000, started_at=NOW + 55_000)
