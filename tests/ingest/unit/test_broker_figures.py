from __future__ import annotations

import pytest

from ingest.broker_watch import BrokerFigures, SysReader
from ingest.ledger import Batches
from ingest.message import Message
from tests.ingest.unit.messages import NOW

STORED = "$SYS/broker/store/messages/count"
OLDER = "$SYS/broker/messages/stored"
RETAINED = "$SYS/broker/retained messages/count"
UPTIME = "$SYS/broker/uptime"


def told(seconds: float, **values: int | str) -> list[Message]:
    names = {
        "stored": STORED,
        "older": OLDER,
        "retained": RETAINED,
        "uptime": UPTIME,
        "dropped": "$SYS/broker/publish/messages/dropped",
        "version": "$SYS/broker/version",
    }
    return [Message(names[name], str(value).encode(), 0, NOW + int(seconds * 1000)) for name, value in values.items()]


def reader(batches: Batches | None = None) -> SysReader:
    return SysReader(lambda *_: batches or Batches())


def test_nothing_is_known_before_both_counts_are() -> None:
    watch = reader()
    assert watch.take(told(0, stored=400, version="mosquitto version 2.0.11")) == BrokerFigures(
        version="mosquitto version 2.0.11"
    )
    assert watch.take(told(0.1, retained=40, dropped=7)) == BrokerFigures(360, None, 7, "mosquitto version 2.0.11")


def test_what_is_retained_does_not_wait_and_a_count_that_lags_behind_is_not_negative() -> None:
    assert reader().take(told(0, stored=35, retained=40)).backlog == 0
    assert reader().take(told(0, older=300, retained=40)).backlog == 260


def test_the_time_left_is_told_by_how_fast_it_becomes_less() -> None:
    watch = reader()
    assert watch.take(told(0, stored=10_000, retained=0)).catch_up_ms is None
    assert watch.take(told(10, uptime="10 seconds", stored=6_000)).catch_up_ms == 15_000
    assert watch.take(told(20, uptime="20 seconds", stored=5_000)).catch_up_ms == 50_000
    assert watch.take(told(30, uptime="30 seconds")).catch_up_ms is None, "it stands still"
    assert watch.take(told(40, stored=7_000)).catch_up_ms is None, "it grows"
    assert watch.take(told(50, stored=0)).catch_up_ms == 0


def test_figures_that_come_in_two_parts_are_one_look() -> None:
    watch = reader()
    watch.take(told(0, stored=10_000, retained=0))
    watch.take(told(10, uptime="10 seconds"))
    assert watch.take(told(10.05, stored=5_000)).catch_up_ms == 10_000


@pytest.mark.parametrize(
    ("batches", "window"),
    [
        (Batches(50, 1000, 20), 20),
        (Batches(50, 900, 19), 19),
        (Batches(50, 1100, 40), None),
        (Batches(5, 100, 20), None),
        (Batches(50, 60, 20), None),
        (Batches(50, 100, 2), None),
        (Batches(), None),
    ],
)
def test_a_window_is_narrow_if_full_batches_stay_small_while_much_waits(batches: Batches, window: int | None) -> None:
    watch = reader(batches)
    watch.take(told(0, stored=5_000, retained=0))
    assert watch.take(told(10, stored=4_000)).window == window
    idle = reader(batches)
    idle.take(told(0, stored=5_000, retained=0))
    assert idle.take(told(10, stored=50)).window is None, "little waits: small batches are all there is"


def test_a_window_that_was_widened_is_noticed() -> None:
    found = [Batches(50, 1000, 20), Batches(), Batches(9, 9_000, 2_000)]
    watch = SysReader(lambda *_: found.pop(0))
    watch.take(told(0, stored=50_000, retained=0))
    windows = [watch.take(told(10 * n, stored=40_000 - n)).window for n in (1, 2, 3)]
    assert windows == [20, 20, None]
