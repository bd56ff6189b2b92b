from __future__ import annotations

from db import dead_letters
from db.dead_letters import DeadLetter, Selection, StoredDeadLetter
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


def test_what_was_known_of_a_message_comes_back(engine: Engine) -> None:
    letter = DeadLetter(NOW, "iot/kitchen/telemetry", b"x", 1, "why", retained=True, stored=2, duplicate=3)
    with writing(engine) as connection:
        dead_letters.store(connection, [letter])
    with reading(engine) as connection:
        assert [stored.letter for stored in dead_letters.newest(connection, 1)] == [letter]


def test_letters_are_selected_by_id_topic_and_time(engine: Engine) -> None:
    topics = ["iot/kitchen/telemetry", "iot/Kitchen/status", "iot/attic/telemetry", "iot/[x]/%_"]
    with writing(engine) as connection:
        dead_letters.store(connection, [DeadLetter(NOW + n, topic, b"", 0, "r") for n, topic in enumerate(topics)])
    with reading(engine) as connection:
        ids = dead_letters.select_ids(connection, Selection())
        assert ids == sorted(ids)
        for selection, expected in (
            (Selection(ids=frozenset([ids[1], ids[3], 999])), [1, 3]),
            (Selection(topic="iot/kitchen/*"), [0]),
            (Selection(topic="*/telemetry"), [0, 2]),
            (Selection(before=NOW + 2), [0, 1]),
            (Selection(frozenset(ids[:3]), "*telemetry", NOW + 1), [0]),
        ):
            assert dead_letters.select_ids(connection, selection) == [ids[n] for n in expected], selection
        assert [stored.letter.topic for stored in dead_letters.some(connection, ids[:2])] == topics[:2]


def test_letters_are_removed_and_renewed_once(engine: Engine) -> None:
    with writing(engine) as connection:
        dead_letters.store(connection, [_letter(bytes([n])) for n in range(3)])
        first, second, third = dead_letters.select_ids(connection, Selection())
        assert dead_letters.remove(connection, [first, second]) == 2
        assert dead_letters.remove(connection, [first]) == 0
        again = DeadLetter(NOW, "t", b"", 0, "r" * 5_000, stored=4)
        assert dead_letters.renew(connection, third, again)
        assert dead_letters.renew(connection, third, again)
        assert not dead_letters.renew(connection, first, again)
        (kept,) = dead_letters.newest(connection, 10)
    assert (kept.id, kept.letter.payload, kept.letter.reason, kept.letter.stored) == (third, b"\x02", "r" * 1_000, 8)


def test_an_id_never_comes_to_mean_another_letter(engine: Engine) -> None:
    with writing(engine) as connection:
        dead_letters.store(connection, [_letter()])
        (first,) = dead_letters.select_ids(connection, Selection())
        dead_letters.remove(connection, [first])
        dead_letters.store(connection, [_letter()])
        (second,) = dead_letters.select_ids(connection, Selection())
    assert second > first
