from __future__ import annotations

from db import dead_letters
from db.dead_letters import DeadLetter, StoredDeadLetter
from db.engine import Connection, Engine, reading, writing
from tests.db.conftest import NOW


def _letter(payload: bytes = b"x", reason: str = "no reason") -> DeadLetter:
    return DeadLetter(NOW, "iot/kitchen/telemetry", payload, len(payload), reason)


def _payloads(connection: Connection) -> list[bytes]:
    return [stored.letter.payload for stored in dead_letters.newest(connection, 1_000)]


def test_letters_come_back_newest_first(engine: Engine) -> None:
    letters = [_letter(bytes([n])) for n in range(5)]
    with writing(engine) as connection:
        dead_letters.store(connection, letters)
        dead_letters.store(connection, [])
    with reading(engine) as connection:
        found = dead_letters.newest(connection, 3)
        assert [stored.letter for stored in found] == letters[:1:-1]
        assert [stored.id for stored in found] == sorted((stored.id for stored in found), reverse=True)
        assert dead_letters.count(connection) == 5


def test_any_payload_topic_and_reason_comes_back_as_it_was(engine: Engine) -> None:
    letter = DeadLetter(NOW, "iot/😀\x01/" + "t" * 65_000, bytes(range(256)), 256, "reason: ° 😀 'quoted' %s \\u0000")
    with writing(engine) as connection:
        dead_letters.store(connection, [letter])
    with reading(engine) as connection:
        (stored,) = dead_letters.newest(connection, 1)
    assert stored == StoredDeadLetter(stored.id, letter)


def test_a_long_payload_is_cut_and_its_length_kept(engine: Engine) -> None:
    with writing(engine) as connection:
        dead_letters.store(connection, [_letter(b"a" * 65_536 + b"b"), _letter(b"", "r" * 5_000)])
    with reading(engine) as connection:
        long_reason, long_payload = (stored.letter for stored in dead_letters.newest(connection, 2))
    assert long_payload.payload == b"a" * 65_536
    assert long_payload.size == 65_537
    assert long_reason.reason == "r" * 1_000


def test_trim_by_number(engine: Engine) -> None:
    with writing(engine) as connection:
        dead_letters.store(connection, [_letter(bytes([n])) for n in range(6)])
        assert dead_letters.trim(connection, 6) == 0
        assert dead_letters.trim(connection, 4) == 2
        assert _payloads(connection) == [bytes([n]) for n in (5, 4, 3, 2)]
        assert dead_letters.trim(connection, 4) == 0


def test_trim_by_size(engine: Engine) -> None:
    with writing(engine) as connection:
        dead_letters.store(connection, [_letter(bytes([n]) * 100) for n in range(6)])
        assert dead_letters.trim(connection, 100, keep_bytes=600) == 0
        assert dead_letters.trim(connection, 100, keep_bytes=599) == 1
        assert dead_letters.trim(connection, 100, keep_bytes=399) == 2
        assert _payloads(connection) == [bytes([n]) * 100 for n in (5, 4, 3)]


def test_trim_by_both(engine: Engine) -> None:
    with writing(engine) as connection:
        dead_letters.store(connection, [_letter(bytes([n]) * 100) for n in range(6)])
        assert dead_letters.trim(connection, 5, keep_bytes=200) == 4
        assert _payloads(connection) == [bytes([n]) * 100 for n in (5, 4)]


def test_trim_of_nothing(engine: Engine) -> None:
    with writing(engine) as connection:
        assert dead_letters.trim(connection, 1, keep_bytes=0) == 0


def test_what_all_payloads_may_take_together() -> None:
    assert dead_letters.KEPT_BYTES_IN_ALL == 256 * 1024 * 1024
