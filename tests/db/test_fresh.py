from __future__ import annotations

import pytest

from db.fresh import Fresh


class Asked:
    """Answers with how often it was asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> int:
        self.times += 1
        return self.times


def test_an_answer_holds_for_its_time() -> None:
    now = [100.0]
    fresh: Fresh[int] = Fresh(1.0, lambda: now[0])
    asked = Asked()
    assert (fresh.get("a", asked), fresh.get("a", asked), fresh.get("b", asked)) == (1, 1, 2)
    now[0] += 0.999
    assert fresh.get("a", asked) == 1
    now[0] += 0.001
    assert fresh.get("a", asked) == 3


def test_a_change_ends_all_answers_and_what_is_being_asked() -> None:
    fresh: Fresh[int] = Fresh(1000.0)
    asked = Asked()
    assert fresh.get("a", asked) == 1
    fresh.clear()
    assert fresh.get("a", asked) == 2

    def changed_meanwhile() -> int:
        fresh.clear()
        return 77

    assert fresh.get("b", changed_meanwhile) == 77, "it was asked before the change"
    assert fresh.get("b", asked) == 3, "and is kept for nobody after it"


def test_nothing_is_kept_where_nothing_may_be_old() -> None:
    fresh: Fresh[int] = Fresh(0.0)
    asked = Asked()
    assert [fresh.get("a", asked) for _ in range(3)] == [1, 2, 3]


def test_a_failure_is_no_answer() -> None:
    fresh: Fresh[int] = Fresh(1000.0)

    def fails() -> int:
        raise ValueError("away")

    with pytest.raises(ValueError, match="away"):
        fresh.get("a", fails)
    assert fresh.get("a", Asked()) == 1


def test_it_does_not_grow_without_end() -> None:
    fresh: Fresh[int] = Fresh(1000.0)
    asked = Asked()
    for number in range(10_001):
        fresh.get(str(number), asked)
    fresh.get("10000", asked)
    assert asked.times == 10_001, "the newest is kept"
    fresh.get("0", asked)
    assert asked.times == 10_002, "the oldest is not"
