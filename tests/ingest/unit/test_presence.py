"""Whether a device is there: what may be said, and what may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from db.bridges import Bridge
from db.polls import Poll
from ingest.presence import OFFLINE_AFTER_MS, Presence, Signs, judge

NOW = 1_764_000_000_000
SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
#: We have listened for long.
LONG_AGO = NOW - 100 * HOUR


def signs(
    online: bool | None = None,
    *,
    ago: int = SECOND,
    every: int | None = 10 * SECOND,
    status_ago: int | None = None,
    poll: Poll | None = None,
) -> Signs:
    """A device that was last heard `ago` ms ago and sends `every` so many ms."""
    told = 10 * HOUR if status_ago is None and online is not None else status_ago
    return Signs(online, None if told is None else NOW - told, NOW - ago, every, poll)


@pytest.mark.parametrize(
    ("known", "word"),
    [
        (signs(True), "online"),
        (signs(), "online"),
        (signs(ago=30 * SECOND), "online"),
        (signs(ago=30 * SECOND + 1), "late"),
        (signs(True, ago=30 * SECOND + 1), "late"),
        (signs(ago=OFFLINE_AFTER_MS), "late"),
        (signs(ago=OFFLINE_AFTER_MS + 1), "offline"),
        (signs(True, ago=48 * HOUR), "late"),
        (signs(False, ago=SECOND), "offline"),
        (signs(every=MINUTE, ago=10 * MINUTE), "late"),
        (signs(every=MINUTE, ago=10 * MINUTE + 1), "offline"),
        (signs(every=HOUR, ago=2 * HOUR), "online"),
        (signs(every=None, ago=MINUTE), "online"),
        (signs(every=None, ago=HOUR), "unknown"),
        (signs(True, every=None, ago=HOUR), "online"),
        (Signs(None, None, 0, None), "unknown"),
    ],
)
def test_by_status_and_by_traffic(known: Signs, word: Presence) -> None:
    assert judge(known, NOW, LONG_AGO) == word


@pytest.mark.parametrize("online", [True, None])
def test_our_own_restart_makes_no_device_offline(online: bool | None) -> None:
    silent = signs(online, ago=HOUR)
    assert judge(silent, NOW, NOW - SECOND) == ("online" if online else "unknown")
    assert judge(silent, NOW, NOW - 31 * SECOND) == "late"
    assert judge(silent, NOW, NOW - OFFLINE_AFTER_MS - 1) == ("late" if online else "offline")


def test_a_broker_that_is_away_makes_no_device_late() -> None:
    assert judge(signs(True, ago=HOUR), NOW, None) == "online"
    assert judge(signs(ago=HOUR), NOW, None) == "unknown"
    assert judge(signs(ago=SECOND), NOW, None) == "online"


def test_a_polling_device_is_there_as_long_as_it_asks() -> None:
    def poll(ago: int) -> Poll:
        return Poll("d", NOW - ago, NOW - ago, 5 * SECOND)

    assert judge(signs(ago=HOUR, poll=poll(15 * SECOND)), NOW, LONG_AGO) == "online"
    assert judge(signs(ago=HOUR, poll=poll(16 * SECOND)), NOW, LONG_AGO) == "offline"
    assert judge(signs(ago=SECOND, poll=poll(MINUTE)), NOW, LONG_AGO) == "online", "it goes on sending readings"
    assert judge(signs(ago=HOUR, poll=poll(MINUTE)), NOW, LONG_AGO, NOW - SECOND) == "online", "we have just begun"


def test_a_poll_of_old_says_nothing_of_a_device_that_has_told_its_status_since() -> None:
    old = Poll("d", NOW - HOUR, NOW - HOUR, None)
    assert judge(signs(True, status_ago=MINUTE, poll=old), NOW, LONG_AGO) == "online"
    forgotten = Poll("d", NOW - 25 * HOUR, NOW - 25 * HOUR, None)
    assert judge(signs(True, status_ago=30 * HOUR, poll=forgotten), NOW, LONG_AGO) == "online"
    newer = Poll("d", NOW - SECOND, NOW - SECOND, None)
    assert judge(signs(False, status_ago=HOUR, poll=newer, ago=2 * HOUR), NOW, LONG_AGO) == "online"


def bridged(online: bool | None, *, ago: int, up: bool, since_ago: int, poll: Poll | None = None) -> Signs:
    """A device of a site whose bridge has been so since then; the device sends every 10 s."""
    return replace(signs(online, ago=ago, poll=poll), bridge=Bridge("site1", up, NOW - since_ago))


@pytest.mark.parametrize("online", [True, False, None])
@pytest.mark.parametrize("since_ago", [SECOND, HOUR])
def test_nothing_is_known_of_a_device_whose_bridge_is_away(online: bool | None, since_ago: int) -> None:
    assert judge(bridged(online, ago=since_ago, up=False, since_ago=since_ago), NOW, LONG_AGO) == "unknown"
    assert judge(bridged(online, ago=10 * HOUR, up=False, since_ago=since_ago), NOW, LONG_AGO) == "unknown"


def test_a_device_that_is_heard_all_the_same_is_there() -> None:
    assert judge(bridged(True, ago=SECOND, up=False, since_ago=MINUTE), NOW, LONG_AGO) == "online"
    polls = Poll("site1/d", NOW - SECOND, NOW, None)
    assert judge(bridged(None, ago=HOUR, up=False, since_ago=MINUTE, poll=polls), NOW, LONG_AGO) == "online"


@pytest.mark.parametrize(("since_ago", "word"), [(SECOND, "online"), (30 * SECOND, "online"), (31 * SECOND, "late")])
def test_silence_while_the_bridge_was_away_is_not_the_devices(since_ago: int, word: Presence) -> None:
    assert judge(bridged(True, ago=HOUR, up=True, since_ago=since_ago), NOW, LONG_AGO) == word
    assert judge(bridged(False, ago=HOUR, up=True, since_ago=since_ago), NOW, LONG_AGO) == "offline"


def test_a_bridge_that_stands_for_long_excuses_nothing() -> None:
    assert judge(bridged(None, ago=HOUR, up=True, since_ago=10 * HOUR), NOW, LONG_AGO) == "offline"
