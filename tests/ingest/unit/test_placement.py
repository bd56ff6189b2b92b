"""The rules of "Time, identity, the account", one by one."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from db.account import Tally
from db.devices import Status
from ingest.dialects.decoded import Decoded
from ingest.placement import Boot, Ids, Known, Placed, place
from ingest.snapshot import ReadingsChange
from tests.ingest.unit.messages import NOW, decode, message, telemetry

IDS = Ids({"kitchen": 1}, {1: {"x": 10, "y": 11}})


def _place(
    *batch: Decoded,
    boots: dict[int, Boot] | None = None,
    newest: dict[tuple[str, str], float] | None = None,
    readings: dict[tuple[int, int], float] | None = None,
    receipts: dict[tuple[int, str, int], int] | None = None,
) -> Placed:
    return place(
        batch, IDS, boots or {}, lambda *series: (newest or {}).get(series), Known(readings or {}, receipts or {})
    )


def _rows(placed: Placed) -> list[tuple[int, int, float]]:
    return list(placed.rows)


def _again(decoded: Decoded, **fields: Any) -> Decoded:
    return replace(decoded, message=replace(decoded.message, **fields))


def test_new_readings_go_in_under_their_names() -> None:
    placed = _place(telemetry({"ts": NOW - 5, "x": 1, "y": 2}))
    assert _rows(placed) == [(10, NOW - 5, 1.0), (11, NOW - 5, 2.0)]
    assert placed.new == [
        ReadingsChange("kitchen", [(NOW - 5, (("x", 1.0), ("y", 2.0)), NOW)]),
    ]
    assert placed.tally == Tally(stored=1, readings_stored=2)
    assert (placed.receipts, placed.dead_letters, placed.own_time) == ({}, [], frozenset())


def test_the_same_key_and_value_is_a_duplicate() -> None:
    decoded = telemetry({"ts": NOW, "x": 1})
    assert _place(decoded, decoded).tally == Tally(1, 1, 0, 1, 1, 0)
    assert _place(decoded, readings={(10, NOW): 1.0}).tally == Tally(duplicate=1, readings_duplicate=1)


@pytest.mark.parametrize("there_already", [True, False])
def test_of_a_conflict_the_first_stays_and_the_other_is_kept_aside(there_already: bool) -> None:
    first, second = telemetry({"ts": NOW, "x": 1}), telemetry({"ts": NOW, "x": 2})
    placed = _place(second, readings={(10, NOW): 1.0}) if there_already else _place(first, second)
    assert _rows(placed) == ([] if there_already else [(10, NOW, 1.0)])
    assert placed.tally.rejected == placed.tally.readings_rejected == 1
    (letter,) = placed.dead_letters
    assert letter.payload == second.message.payload
    assert letter.reason == "x: 2.0 at 2025-11-24T16:00:00.000+00:00 contradicts 1.0, which was stored first and stays"


def test_a_message_is_stored_if_one_of_its_readings_is_new() -> None:
    known = {(10, NOW): 1.0, (11, NOW): 5.0}
    conflict_and_new = telemetry([{"ts": NOW, "x": 9}, {"ts": NOW + 1, "x": 1}])
    assert _place(conflict_and_new, readings=known).tally == Tally(stored=1, readings_stored=1, readings_rejected=1)
    known_and_conflict = telemetry({"ts": NOW, "x": 1, "y": 6})
    assert _place(known_and_conflict, readings=known).tally == Tally(
        rejected=1, readings_duplicate=1, readings_rejected=1
    )


def test_a_report_is_stored() -> None:
    placed = _place(decode("iot/kitchen/status", "online"))
    assert placed.tally == Tally(stored=1)
    assert decode("iot/kitchen/status", "online").report == Status("kitchen", True)


def test_what_was_not_understood_is_rejected_with_its_reasons() -> None:
    decoded = telemetry('{"a": "x", "b": NaN}')
    placed = _place(decoded)
    assert placed.tally == Tally(rejected=1, readings_rejected=2)
    (letter,) = placed.dead_letters
    assert letter.reason == "; ".join(decoded.problems)
    assert (letter.topic, letter.size, letter.received_at) == ("iot/kitchen/telemetry", 20, NOW)


def test_half_understood_is_stored_and_leaves_a_letter() -> None:
    placed = _place(telemetry({"ts": NOW, "x": 1, "bad": "x"}))
    assert placed.tally == Tally(stored=1, readings_stored=1, readings_rejected=1)
    assert len(placed.dead_letters) == 1


# Our time


def test_without_ts_the_time_is_receipt_minus_age() -> None:
    placed = _place(telemetry([{"x": 1}, {"age": 250, "y": 2}]))
    assert _rows(placed) == [(10, NOW, 1.0), (11, NOW - 250, 2.0)]
    assert placed.own_time == {(10, NOW), (11, NOW - 250)}


@pytest.mark.parametrize("value", [1, 2])
def test_a_taken_ms_gives_way_to_the_next_free_one(value: int) -> None:
    known = {(10, NOW): 1.0, (10, NOW + 1): 7.0, (10, NOW + 3): 7.0}
    placed = _place(telemetry({"x": value}), telemetry({"x": value}), readings=known)
    assert _rows(placed) == [(10, NOW + 2, float(value)), (10, NOW + 4, float(value))]
    assert placed.tally == Tally(stored=2, readings_stored=2)


def test_a_ts_placed_between_is_not_overwritten() -> None:
    placed = _place(telemetry({"x": 1}), telemetry({"ts": NOW + 1, "x": 2}), telemetry({"x": 3}), telemetry({"x": 4}))
    assert _rows(placed) == [(10, NOW, 1.0), (10, NOW + 1, 2.0), (10, NOW + 2, 3.0), (10, NOW + 3, 4.0)]


# Receipts


def test_boot_and_seq_leave_a_receipt_and_a_repetition_is_known_by_it() -> None:
    decoded = telemetry({"boot": "a", "seq": 4, "x": 1, "y": 2})
    placed = _place(decoded, decoded)
    assert list(placed.receipts) == [(1, "a", 4)]
    assert placed.tally == Tally(1, 1, 0, 2, 2, 0)
    assert _place(decoded, receipts=dict(placed.receipts)).tally == Tally(duplicate=1, readings_duplicate=2)


def test_another_boot_is_another_message() -> None:
    placed = _place(telemetry({"boot": "a", "seq": 4, "x": 1}), telemetry({"boot": "b", "seq": 4, "x": 1}))
    assert placed.tally.stored == 2
    assert set(placed.receipts) == {(1, "a", 4), (1, "b", 4)}


def test_a_message_with_ts_or_without_seq_leaves_no_receipt() -> None:
    placed = _place(telemetry({"ts": NOW, "boot": "a", "seq": 4, "x": 1}), telemetry({"boot": "a", "x": 1}))
    assert placed.receipts == {}
    assert placed.seen == [(1, "a", 4, 4)]


def test_without_boot_only_a_redelivered_packet_is_compared() -> None:
    first = telemetry({"seq": 4, "x": 1})
    placed = _place(first, _again(first, redelivered=True), first)
    assert placed.tally == Tally(stored=2, duplicate=1, readings_stored=2, readings_duplicate=1)
    assert len(placed.receipts) == 2


def test_without_boot_a_redelivered_packet_of_a_restarted_device_is_new() -> None:
    placed = _place(telemetry({"seq": 4, "x": 1}), _again(telemetry({"seq": 4, "x": 2}), redelivered=True))
    assert placed.tally == Tally(stored=2, readings_stored=2)


def test_a_fall_of_seq_begins_a_boot_of_our_own() -> None:
    placed = _place(*(telemetry({"seq": seq, "ts": NOW + n, "x": 1}) for n, seq in enumerate([7, 8, 10, 0, 1])))
    (old, new) = placed.seen[0][1], placed.seen[-1][1]
    assert old != new
    assert placed.seen == [(1, old, 7, 8), (1, old, 10, 10), (1, new, 0, 1)]
    assert placed.boots == {1: Boot(new, 1)}


def test_a_boot_of_our_own_goes_on_over_batches() -> None:
    placed = _place(telemetry({"seq": 8, "x": 1}), boots={1: Boot("~5", 7)})
    assert placed.boots == {1: Boot("~5", 8)}
    assert placed.seen == [(1, "~5", 8, 8)]
    assert list(placed.receipts) == [(1, "~5", 8)]


def test_labels_of_our_own_never_repeat_in_a_batch() -> None:
    placed = _place(*(telemetry({"seq": 0, "x": 1}) for _ in range(4)))
    assert placed.tally.stored == 4
    assert len({boot for _, boot, _, _ in placed.seen}) == 4


def test_a_number_without_readings_is_seen() -> None:
    placed = _place(telemetry({"boot": "a", "seq": 4, "x": "bad"}))
    assert placed.seen == [(1, "a", 4, 4)]
    assert placed.receipts == {}, "the same number may still bring readings"


# Retained


def test_a_retained_reading_with_ts_is_stored_or_a_duplicate() -> None:
    decoded = telemetry({"ts": NOW, "x": 1}, retained=True)
    assert _place(decoded).tally == Tally(stored=1, readings_stored=1)
    assert _place(decoded, readings={(10, NOW): 1.0}).tally == Tally(duplicate=1, readings_duplicate=1)


def test_a_retained_reading_without_ts_is_never_stored() -> None:
    decoded = telemetry({"x": 1}, retained=True)
    assert _place(decoded, newest={("kitchen", "x"): 1.0}).tally == Tally(duplicate=1, readings_duplicate=1)
    placed = _place(decoded, newest={("kitchen", "x"): 2.0})
    assert placed.tally == Tally(rejected=1, readings_rejected=1)
    assert "carries no ts" in placed.dead_letters[0].reason


def test_a_retained_message_is_known_by_its_receipt() -> None:
    decoded = telemetry({"boot": "a", "seq": 4, "x": 1}, retained=True)
    assert _place(decoded, receipts={(1, "a", 4): 0}).tally == Tally(duplicate=1, readings_duplicate=1)


@pytest.mark.parametrize("seq", [3, 900])
def test_a_retained_message_without_boot_begins_no_start_and_no_gap(seq: int) -> None:
    old = telemetry({"ts": NOW - 9, "seq": seq, "x": 1}, retained=True)
    placed = _place(old, telemetry({"ts": NOW, "seq": 8, "x": 2}), boots={1: Boot("~5", 7)})
    assert placed.tally.stored == 2
    assert placed.seen == [(1, "~5", 8, 8)]


def test_numbers_are_seen_as_ranges() -> None:
    numbers = [5, 3, 4, 9, 4, 10, 1]
    placed = _place(*(telemetry({"ts": NOW + n, "boot": "a", "seq": seq, "x": 1}) for n, seq in enumerate(numbers)))
    assert placed.seen == [(1, "a", 1, 1), (1, "a", 3, 5), (1, "a", 9, 10)]


def test_times_that_no_calendar_has_are_told_in_ms() -> None:
    decoded = Decoded(message("iot/kitchen/telemetry", b""), telemetry({"ts": 0, "x": 2}).samples)
    far = replace(decoded, samples=(replace(decoded.samples[0], ts=2**62),))
    assert f"at {2**62} ms" in _place(far, readings={(10, 2**62): 1.0}).dead_letters[0].reason
