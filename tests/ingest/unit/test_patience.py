from __future__ import annotations

import threading

import pytest

from ingest.patience import Backoff, Stopped, until_it_works

QUICK = Backoff(0.001, 0.002)


class _Away(Exception):
    pass


class _Task:
    """Fails so many times, then answers 42."""

    def __init__(self, failures: int, problem: type[Exception] = _Away) -> None:
        self.calls, self._failures, self._problem = 0, failures, problem

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._problem(self.calls)
        return 42


def test_what_works_at_once_is_called_once() -> None:
    task, heard = _Task(0), list[Exception]()
    assert until_it_works(task, _Away, QUICK, threading.Event(), heard.append) == 42
    assert (task.calls, heard) == (1, [])


def test_each_failure_is_heard_in_order() -> None:
    task, heard = _Task(3), list[Exception]()
    assert until_it_works(task, _Away, QUICK, threading.Event(), heard.append) == 42
    assert [error.args for error in heard] == [(1,), (2,), (3,)]


def test_other_exceptions_pass() -> None:
    task, heard = _Task(1, KeyError), list[Exception]()
    with pytest.raises(KeyError):
        until_it_works(task, _Away, QUICK, threading.Event(), heard.append)
    assert (task.calls, heard) == (1, [])


def test_a_stop_ends_the_wait() -> None:
    stop, task = threading.Event(), _Task(10)
    heard: list[Exception] = []

    def stop_at_the_second(error: Exception) -> None:
        heard.append(error)
        if len(heard) == 2:
            stop.set()

    with pytest.raises(Stopped):
        until_it_works(task, _Away, QUICK, stop, stop_at_the_second)
    assert task.calls <= 3


def test_a_stop_from_another_thread_ends_a_long_wait() -> None:
    stop, failed = threading.Event(), threading.Event()
    ended: list[Exception] = []

    def work() -> None:
        try:
            until_it_works(_Task(10), _Away, Backoff(60, 60), stop, lambda _: failed.set())
        except Stopped as stopped:
            ended.append(stopped)

    thread = threading.Thread(target=work, name="waits")
    thread.start()
    assert failed.wait(5)
    stop.set()
    thread.join(5)
    assert len(ended) == 1


def test_after_a_stop_it_is_tried_once_more_and_its_result_counts() -> None:
    stop = threading.Event()
    stop.set()
    assert until_it_works(_Task(0), _Away, QUICK, stop, lambda _: None) == 42
    with pytest.raises(Stopped):
        until_it_works(_Task(1), _Away, QUICK, stop, lambda _: None)
