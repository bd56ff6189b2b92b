from __future__ import annotations

import threading

import pytest
from sqlalchemy import update

from db import leases, schema
from db.engine import Engine, reading, writing
from db.leases import LeaseLost

FREE_AFTER_MS = 10_000


def take(engine: Engine, worker: str, token: str, *, inherit: bool = True) -> bool:
    with writing(engine) as connection:
        return leases.take(connection, "keeper", worker, token, FREE_AFTER_MS, inherit=inherit)


def renew(engine: Engine, token: str) -> bool:
    with writing(engine) as connection:
        return leases.renew(connection, "keeper", token)


def release(engine: Engine, token: str) -> None:
    with writing(engine) as connection:
        leases.release(connection, "keeper", token)


def shift(engine: Engine, ms: int) -> None:
    """Let the last renewal be so much older."""
    with writing(engine) as connection:
        connection.execute(update(schema.leases).values(renewed_at=schema.leases.c.renewed_at - ms))


def holder(engine: Engine) -> tuple[str, str] | None:
    with reading(engine) as connection:
        found = leases.holder(connection, "keeper")
    return None if found is None else (found.worker, found.token)


def test_the_first_takes_it_and_the_second_does_not(engine: Engine) -> None:
    assert holder(engine) is None
    assert take(engine, "attic", "t1")
    assert not take(engine, "cellar", "t2")
    assert take(engine, "attic", "t1"), "it is ours already: a commit whose answer was lost"
    assert holder(engine) == ("attic", "t1")


def test_one_that_was_not_renewed_is_free(engine: Engine) -> None:
    assert take(engine, "attic", "t1")
    shift(engine, FREE_AFTER_MS - 2_000)
    assert not take(engine, "cellar", "t2")
    shift(engine, 2_000)
    assert take(engine, "cellar", "t2")
    assert holder(engine) == ("cellar", "t2")
    assert not renew(engine, "t1"), "who lost it can't renew it"


def test_renewing_keeps_it(engine: Engine) -> None:
    assert take(engine, "attic", "t1")
    shift(engine, 3_600_000)
    assert renew(engine, "t1"), "late, but nobody took it"
    assert not take(engine, "cellar", "t2")


def test_its_age_is_by_the_databases_clock(engine: Engine) -> None:
    assert take(engine, "attic", "t1")
    shift(engine, 3_600_000)
    with reading(engine) as connection:
        found = leases.holder(connection, "keeper")
    assert found is not None
    assert found.age_ms >= 3_600_000


def test_another_start_of_the_same_worker_takes_it_at_once(engine: Engine) -> None:
    assert take(engine, "attic", "t1")
    assert take(engine, "attic", "t2")
    assert not take(engine, "attic", "t1", inherit=False), "the start that lost it waits as others do"
    assert not take(engine, "Attic", "t3"), "names are compared by case"
    assert holder(engine) == ("attic", "t2")


def test_what_is_released_is_free(engine: Engine) -> None:
    assert take(engine, "attic", "t1")
    release(engine, "t2")
    assert holder(engine) == ("attic", "t1"), "only its holder can give it back"
    release(engine, "t1")
    assert holder(engine) is None
    assert take(engine, "cellar", "t2")


def test_a_clock_that_was_set_back_does_not_keep_it_for_ever(engine: Engine) -> None:
    assert take(engine, "attic", "t1")
    shift(engine, -5_000)
    assert not take(engine, "cellar", "t2")
    shift(engine, -3_600_000)
    assert take(engine, "cellar", "t2")


def test_of_many_at_once_one_takes_it(engine: Engine) -> None:
    for round_number in range(5):
        barrier = threading.Barrier(4)
        held: list[str] = []

        def race(name: str, barrier: threading.Barrier, held: list[str]) -> None:
            barrier.wait(10)
            if take(engine, name, name):
                held.append(name)

        threads = [threading.Thread(target=race, args=(f"w{n}-{round_number}", barrier, held)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(held) == 1
        assert holder(engine) == (held[0], held[0])
        shift(engine, FREE_AFTER_MS * (1 + round_number % 2))
        if round_number % 2:
            release(engine, held[0])


@pytest.mark.parametrize("token", ["t2", ""])
def test_the_fence_lets_none_but_the_holder_pass(engine: Engine, token: str) -> None:
    with pytest.raises(LeaseLost, match="another worker has become the keeper"), writing(engine) as connection:
        leases.fence(connection, "keeper", token)
    assert take(engine, "attic", "t1")
    with writing(engine) as connection:
        leases.fence(connection, "keeper", "t1")
    with pytest.raises(LeaseLost), writing(engine) as connection:
        leases.fence(connection, "keeper", token)


def test_nobody_takes_over_while_what_is_fenced_is_under_way(engine: Engine) -> None:
    assert take(engine, "attic", "t1")
    shift(engine, FREE_AFTER_MS)
    taken = threading.Event()

    def take_over() -> None:
        if take(engine, "cellar", "t2"):
            taken.set()

    thread = threading.Thread(target=take_over)
    with writing(engine) as connection:
        leases.fence(connection, "keeper", "t1")
        thread.start()
        assert not taken.wait(0.3)
    assert taken.wait(15)
    thread.join()
    assert holder(engine) == ("cellar", "t2")
