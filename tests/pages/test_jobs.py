from __future__ import annotations

import threading
from collections.abc import Generator

from db.engine import DatabaseAway
from pages.parts.jobs import Bench, Job, JobFailed

NEVER = threading.Event()


def steps(count: int, go_on: threading.Event, closed: threading.Event) -> Generator[str]:
    try:
        for number in range(count):
            yield f"{number} done."
            assert go_on.wait(5)
    finally:
        closed.set()


def breaking(error: Exception) -> Generator[str]:
    yield "1 done."
    raise error


def finished(job: Job) -> Job:
    assert job.wait(5)
    return job


def test_a_job_tells_how_far_it_is_and_ends_with_its_last_words() -> None:
    go_on, closed = threading.Event(), threading.Event()
    job = Job("test", steps(3, go_on, closed), NEVER)
    assert not job.wait(0.01)
    assert job.running

    go_on.set()

    assert finished(job).words == "2 done."
    assert (job.failed, closed.is_set()) == (False, True)


def test_one_at_a_time() -> None:
    go_on, bench = threading.Event(), Bench()
    first = bench.start(lambda: Job("test", steps(1, go_on, threading.Event()), NEVER))
    assert first is not None
    assert bench.start(lambda: Job("test", steps(1, go_on, threading.Event()), NEVER)) is None

    go_on.set()
    finished(first)

    assert bench.start(lambda: Job("test", steps(1, go_on, threading.Event()), NEVER)) is not None


def test_what_goes_wrong_is_a_sentence() -> None:
    away = finished(Job("test", breaking(DatabaseAway("refused")), NEVER))
    broken = finished(Job("test", breaking(ZeroDivisionError()), NEVER))
    found = finished(Job("test", breaking(JobFailed("Entry 3 is missing.")), NEVER))

    assert away.words.startswith("1 done. The database went out of reach: refused.")
    assert "the server's log says why" in broken.words
    assert found.words == "Entry 3 is missing."
    assert all(job.failed for job in (away, broken, found))


def test_a_server_that_stops_ends_it_between_two_steps() -> None:
    stopping, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    job = Job("test", steps(1_000_000, go_on, closed), stopping)

    stopping.set()
    go_on.set()

    assert "The server is about to end." in finished(job).words
    assert closed.is_set()
