"""A server that takes 64 KiB a packet: a larger statement would end the connection, each time it is tried."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from db import account, dead_letters, devices, hours, late, migrations, readings, receipts, records
from db.account import BatchKey, Tally
from db.dead_letters import DeadLetter
from db.engine import Engine, RefusedRows, create, reading, writing
from db.history import HOUR_MS, Buckets
from tests.db.conftest import NOW
from tests.parts.mariadb import MariaDB


@pytest.fixture
def small(mariadb: MariaDB, mariadb_url: str) -> Iterator[Engine]:
    (largest,) = mariadb.run("SELECT @@GLOBAL.max_allowed_packet")[0]
    mariadb.run("SET GLOBAL max_allowed_packet = 65536")
    engine = create(mariadb_url)
    migrations.apply(engine)
    yield engine
    engine.dispose()
    mariadb.run(f"SET GLOBAL max_allowed_packet = {largest}")


def test_many_rows_go_in_several_statements(small: Engine) -> None:
    rows = [(2_000_000_000 + n, 9_000_000_000_000_000_000 - n, -1.2345678901234567e-300) for n in range(3_000)]
    numbers = {(1, "b" * 64, n): 4_000_000_000 for n in range(3_000)}
    with writing(small) as connection:
        assert readings.insert_new(connection, rows) == 3_000
        assert receipts.insert_new(connection, numbers, NOW) == 3_000


def test_late_readings_of_many_series_are_named_and_a_series_is_read_in_several_statements(small: Engine) -> None:
    rows = [(series_id, 1_000_000_000_000, 1.0) for series_id in range(2_000_000_000, 2_000_003_000)]
    rows += [(7, 1_000_000_000_000 + n, -1.2345678901234567e-300) for n in range(3_000)]
    with writing(small) as connection:
        assert readings.insert_new(connection, rows) == 6_000
        ids, named = late.oldest(connection, 100)
        found = readings.points_between(connection, 7, 0, 2**62)
    assert (len(ids) > 1, len(named)) == (True, 3_001)
    assert (len(found), set(found.value.tolist())) == (3_000, {-1.2345678901234567e-300})


def test_hours_of_many_years_are_read_in_several_statements(small: Engine) -> None:
    count = 3_000
    ts = np.arange(count, dtype=np.int64) * HOUR_MS
    value = np.full(count, -1.2345678901234567e-300)
    with writing(small) as connection:
        hours.replace(connection, 7, 0, count * HOUR_MS, Buckets(ts, ts + 1, value, value, value))
        found = hours.between(connection, 7, 0, count * HOUR_MS)
    assert (found.ts.tolist(), set(found.total.tolist())) == (ts.tolist(), {-1.2345678901234567e-300})


def test_records_of_many_devices_are_asked_for_in_several_statements(small: Engine) -> None:
    with writing(small) as connection:
        ids = devices.ensure(connection, [f"d{n}" for n in range(400)], NOW)
        series = devices.ensure_series(connection, [(one, "temperature") for one in ids.values()], NOW)
        far = NOW + 2**62
        readings.insert_new(connection, [(one, far + n, 1.0) for n, one in enumerate(series.values())])
    with reading(small) as connection:
        found = records.records(connection, None, 400)
    assert [record.ts for record in found] == [far + n for n in range(399, -1, -1)]


@pytest.mark.parametrize("payload", [b"\0'\\\n" * 16_384, b"a" * 65_536])
@pytest.mark.parametrize("topic", ["iot/d/telemetry", "'" * 65_000])
def test_a_dead_letter_is_cut_to_what_fits_and_keeps_its_reason(small: Engine, topic: str, payload: bytes) -> None:
    reason = "°'" * 500
    with writing(small) as connection:
        dead_letters.store(connection, [DeadLetter(NOW, topic, payload, len(payload), reason)] * 3)
    with reading(small) as connection:
        letter = dead_letters.newest(connection, 1)[0].letter
    assert topic.startswith(letter.topic)
    assert payload.startswith(letter.payload)
    assert 20_000 < len(letter.payload) < letter.size == 65_536
    assert letter.reason == reason


def test_a_batch_with_too_many_gaps_in_its_numbers_is_refused_so_that_it_is_split(small: Engine) -> None:
    gaps = [(1, "b1", 2 * n, 2 * n) for n in range(10_000)]
    with pytest.raises(RefusedRows, match="max_allowed_packet"), writing(small) as connection:
        account.claim_batch(connection, BatchKey("w", "t", 1), Tally(), gaps, NOW)
    with writing(small) as connection:
        assert account.claim_batch(connection, BatchKey("w", "t", 1), Tally(), gaps[:2_000], NOW)
