from __future__ import annotations

from tests.parts.micropython import run


def told(capacity: int, *orders: str) -> list[str]:
    return run("ring.py", str(capacity), stdin="".join(f"{order}\n" for order in orders).encode())


def test_the_oldest_leave_first_and_are_counted_as_lost() -> None:
    # first, next, to_send, waiting, lost
    assert told(4, "append 3", "ack 0", "append 3", "append 2", "ack 7") == [
        "0 3 0 3 0",
        "0 3 1 2 0",
        "2 6 2 4 1",
        "4 8 4 4 3",
        "4 8 8 0 3",
    ]


def test_what_was_acknowledged_after_it_left_is_not_lost() -> None:
    assert told(2, "append 2", "ack 1", "append 4")[-1] == "4 6 4 2 2"
    assert told(2, "append 2", "ack 5", "append 4")[-1] == "4 6 6 0 0"


def test_a_reading_comes_out_as_it_went_in() -> None:
    assert told(300, "append 300", "load 299") == ["0 300 0 300 0", "reading 299 299 2 1 -299 299", "0 300 0 300 0"]


def test_its_time_is_decided_once_more() -> None:
    lines = told(3, "append 5", "load 3", "time 3 1800000000 999 2", "load 4", "load 3")
    assert lines[1] == "reading 3 3 2 1 -3 3"
    assert lines[4] == "reading 4 4 2 1 -4 4"
    assert lines[6] == "reading 1800000000 999 2 1 -3 3"
