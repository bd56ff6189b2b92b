"""Trying again: with growing waits and jitter, until it works or the owner says stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_when_event_set,
    wait_exponential_jitter,
)

T = TypeVar("T")


class Stopped(Exception):
    """The owner said stop before it worked."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """First and longest wait between attempts, in seconds."""

    first_s: float = 0.2
    longest_s: float = 5.0


def until_it_works(
    what: Callable[[], T],
    problem: type[Exception],
    backoff: Backoff,
    stop: threading.Event,
    on_failure: Callable[[Exception], None],
) -> T:
    """Call `what` until it does not raise `problem`; `on_failure` hears each one. Other exceptions pass.

    Raises:
        Stopped: If `stop` was set first.
    """
    try:  # as nearly always; what it takes to try again is made only then
        return what()
    except problem as error:
        on_failure(error)
        if stop.is_set():
            raise Stopped from error
    stop.wait(backoff.first_s)

    def _heard(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, Exception):
            on_failure(error)

    retrying = Retrying(
        retry=retry_if_exception_type(problem),
        wait=wait_exponential_jitter(max=backoff.longest_s, jitter=backoff.first_s, multiplier=backoff.first_s),
        sleep=sleep_using_event(stop),
        stop=stop_when_event_set(stop),
        before_sleep=_heard,
        reraise=True,
    )
    try:
        return retrying(what)
    except problem as error:
        on_failure(error)
        raise Stopped from error
