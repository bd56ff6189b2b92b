from __future__ import annotations

from ingest.outdated import without_outdated
from tests.ingest.unit.messages import NOW, telemetry

DAY_MS = 86_400_000


def test_without_a_limit_and_within_it_a_message_is_as_it_was() -> None:
    decoded = telemetry({"ts": NOW - 5 * DAY_MS, "v": 1})
    assert without_outdated(decoded, None, NOW) is decoded
    assert without_outdated(decoded, 5, NOW) is decoded


def test_an_older_reading_is_rejected_in_words() -> None:
    found = without_outdated(telemetry({"ts": NOW - 5 * DAY_MS - 1, "v": 1, "w": 2, "seq": 4, "boot": "a"}), 5, NOW)
    assert (found.rejected, [(one.seq, one.values) for one in found.samples]) == (2, [(4, ())])
    assert found.problems[0].startswith("v: 2025-11-19T")
    assert "longer ago than the 5 days for which readings are kept" in found.problems[0]


def test_of_a_backlog_only_the_older_part_is_rejected() -> None:
    found = without_outdated(telemetry([{"ts": NOW - n * DAY_MS, "v": n} for n in range(10)]), 5, NOW)
    assert (found.rejected, [one.values for one in found.samples]) == (4, [(("v", float(n)),) for n in range(6)])


def test_by_its_age_too() -> None:
    found = without_outdated(telemetry({"age": 6 * DAY_MS, "v": 1}), 5, NOW)
    assert (found.rejected, found.samples) == (1, ())
