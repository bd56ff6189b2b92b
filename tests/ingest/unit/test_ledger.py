from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from db.account import Tally
from ingest.health import Account, Counts, Rates
from ingest.ledger import Batches, Ledger, account_of
from tests.ingest.unit.messages import NOW

TALLY = Tally(1, 2, 3, 10, 20, 30)


def test_it_begins_with_what_the_database_holds() -> None:
    ledger = Ledger()
    assert ledger.account == Account()
    ledger.load(TALLY)
    assert ledger.account == account_of(TALLY) == Account(Counts(1, 2, 3), Counts(10, 20, 30))
    assert (ledger.account.messages.received, ledger.account.readings.received) == (6, 60)


def test_a_batch_in_hand_is_waiting_then_settled() -> None:
    ledger = Ledger()
    ledger.load(TALLY)
    ledger.hold(6, 60)
    assert (ledger.account.messages, ledger.account.readings) == (Counts(1, 2, 3, 6), Counts(10, 20, 30, 60))
    ledger.settle(TALLY, NOW, NOW + 5)
    assert ledger.account == account_of(TALLY + TALLY)


def test_a_batch_that_goes_back_was_not_received() -> None:
    ledger = Ledger()
    ledger.load(TALLY)
    ledger.hold(6, 60)
    ledger.drop()
    assert ledger.account == account_of(TALLY)


TALLIES = st.builds(Tally, *[st.integers(0, 9)] * 6)


@settings(max_examples=100, deadline=None)
@given(batches=st.lists(st.tuples(TALLIES, st.booleans())))
def test_received_is_always_the_sum_and_never_falls_but_when_a_batch_goes_back(
    batches: list[tuple[Tally, bool]],
) -> None:
    ledger, settled = Ledger(), Tally()
    for tally, stored in batches:
        messages = tally.stored + tally.duplicate + tally.rejected
        readings = tally.readings_stored + tally.readings_duplicate + tally.readings_rejected
        ledger.hold(messages, readings)
        held = ledger.account
        assert held == account_of(settled) + Account(Counts(waiting=messages), Counts(waiting=readings))
        if stored:
            ledger.settle(tally, NOW, NOW)
            settled += tally
            assert ledger.account.messages.received == held.messages.received
            assert ledger.account.readings.received == held.readings.received
        else:
            ledger.drop()
        assert ledger.account == account_of(settled)


def test_rates_are_those_of_the_last_minute() -> None:
    ledger = Ledger()
    assert ledger.rates(NOW) == Rates(0, 0, None)
    for second in range(90):
        ledger.settle(Tally(stored=2, duplicate=5, readings_stored=4), NOW, NOW + second * 1_000)
    assert ledger.rates(NOW + 89_001) == Rates(120, 240, 89_000)
    assert ledger.rates(NOW + 89_000 + 60_000) == Rates(2, 4, 89_000)
    assert ledger.rates(NOW + 89_000 + 60_001) == Rates(0, 0, 89_000)


def test_batches_of_one_second_are_added() -> None:
    ledger = Ledger()
    for ms in (0, 400, 999):
        ledger.settle(Tally(stored=1, readings_stored=2), NOW, NOW + ms)
    assert ledger.rates(NOW + 999) == Rates(3, 6, 999)


def test_a_clock_that_steps_back_makes_no_negative_time() -> None:
    ledger = Ledger()
    ledger.settle(Tally(stored=1), NOW, NOW)
    ledger.settle(Tally(stored=1), NOW, NOW - 7_200_000)
    assert ledger.rates(NOW).store_ms == 0


def test_the_lag_of_the_last_batch_is_told_for_a_minute() -> None:
    ledger = Ledger()
    ledger.hold(1, 1, NOW, 3_000)
    assert ledger.rates(NOW + 999).lag_ms is None, "it is just being stored"
    ledger.settle(Tally(stored=1), NOW, NOW + 5)
    assert ledger.rates(NOW + 5).lag_ms == 3_000
    assert ledger.rates(NOW + 60_005).lag_ms == 3_000
    assert ledger.rates(NOW + 60_006).lag_ms is None


def test_while_a_batch_waits_its_wait_is_added() -> None:
    ledger = Ledger()
    ledger.hold(1, 1, NOW, 3_000)
    assert ledger.rates(NOW + 60_000).lag_ms == 63_000
    ledger.drop()
    assert ledger.rates(NOW + 60_000).lag_ms is None
    ledger.hold(1, 1, NOW)
    assert ledger.rates(NOW + 60_000).lag_ms == 60_000


def test_batches_of_a_time_are_counted() -> None:
    ledger = Ledger()
    for second, size in ((0, 20), (0, 10), (1, 20), (2, 500)):
        ledger.hold(size, size)
        ledger.settle(Tally(stored=size), NOW, NOW + second * 1_000)
    begin = NOW - NOW % 1_000
    assert ledger.batches(begin, begin + 2_000) == Batches(3, 50, 20)
    assert ledger.batches(begin + 5_000, begin + 9_000) == Batches()
