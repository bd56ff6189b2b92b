from __future__ import annotations

from db import receipts
from db.engine import Engine, reading, writing
from tests.db.conftest import NOW


def test_a_receipt_is_left_once(engine: Engine) -> None:
    with writing(engine) as connection:
        assert receipts.insert_new(connection, {(1, "a", 1): 11, (1, "a", 2): 12}, NOW) == 2
        assert receipts.insert_new(connection, {(1, "a", 2): 99, (1, "a", 3): 13}, NOW) == 1
        assert receipts.insert_new(connection, {}, NOW) == 0
    with reading(engine) as connection:
        found = receipts.existing(connection, [(1, "a", n) for n in range(9)])
    assert found == {(1, "a", 1): 11, (1, "a", 2): 12, (1, "a", 3): 13}


def test_receipts_are_told_apart_by_device_and_every_character_of_boot(engine: Engine) -> None:
    keys = {(1, "a", 1): 1, (2, "a", 1): 2, (1, "A", 1): 3, (1, "a ", 1): 4, (1, "a", 2**63 - 1): 2**32 - 1}
    with writing(engine) as connection:
        assert receipts.insert_new(connection, keys, NOW) == len(keys)
        assert receipts.existing(connection, keys) == keys


def test_existing_asks_for_any_number_of_keys(engine: Engine) -> None:
    keys = {(device, "a", n): n for device in (1, 2) for n in range(1_100)}
    with writing(engine) as connection:
        assert receipts.insert_new(connection, keys, NOW) == len(keys)
        assert receipts.existing(connection, [*keys, (3, "a", 1)]) == keys
        assert receipts.existing(connection, []) == {}


def test_receipts_stay_eight_days(engine: Engine) -> None:
    day = 86_400_000
    with writing(engine) as connection:
        for age in (9 * day, 8 * day + 1, 8 * day, 0):
            receipts.insert_new(connection, {(1, "a", age): 0}, NOW - age)
        assert receipts.prune(connection, NOW) == 2
        assert sorted(receipts.existing(connection, [(1, "a", n * day) for n in range(10)])) == [
            (1, "a", 0),
            (1, "a", 8 * day),
        ]
