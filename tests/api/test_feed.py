"""What streams share: a pace, and bytes. The clock is the test's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from api import feed as feed_module
from api.feed import CONTROL_S, FLUSH_S, LONGEST_S, Feed, Feeds
from db.commands import Command, Step
from ingest.snapshot import Board, ReadingChange, Snapshot, StateChange, apply
from ingest.standing import with_commands


def change(board: Board, value: float) -> None:
    version = board.current.version
    board.swap(apply(board.current, [ReadingChange("a", "x", version, value, version)]))


def feed_of(board: Board) -> Feed:
    """One whose flushes take no time to make."""
    return Feed(board, lambda: 0.0)


@pytest.fixture
def board() -> Board:
    """One device, at version 1."""
    board = Board(Snapshot(5, 0, {}))
    change(board, 1.0)
    return board


def test_streams_that_keep_up_send_the_same_bytes_made_once(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[int | None]()

    def counted(snapshot: Snapshot, since: int | None) -> Iterator[bytes]:
        made.append(since)
        yield b"%d " % snapshot.version
        yield b"end"

    monkeypatch.setattr(feed_module, "flush", counted)
    feed = feed_of(board)
    change(board, 2.0)
    version, one = feed.since(1, 10.0)
    ahead = iter(one)
    assert next(ahead) == b"2 "
    assert (version, list(feed.since(1, 10.1)[1]), list(ahead)) == (2, [b"2 ", b"end"], [b"end"])
    assert made == [1]

    assert list(feed.since(None, 10.1)[1]) == [b"2 ", b"end"]
    assert made == [1, None], "who knows something else is told something else"


def test_a_change_after_a_quiet_time_goes_out_at_once_and_the_next_at_the_pace(board: Board) -> None:
    feed = feed_of(board)
    change(board, 2.0)
    assert feed.is_behind
    assert feed.pause(10.0) == 0
    assert feed.since(1, 10.0)[0] == 2

    change(board, 3.0)

    assert feed.since(2, 10.0 + FLUSH_S / 2) == (2, ())
    assert feed.pause(10.0 + FLUSH_S / 2) == FLUSH_S / 2
    assert feed.since(2, 10.0 + FLUSH_S)[0] == 3
    assert not feed.is_behind


@pytest.mark.parametrize(("took_s", "pace_s"), [(0.001, FLUSH_S), (0.008, 0.64), (3.0, LONGEST_S)])
def test_what_takes_long_to_make_is_made_more_seldom(board: Board, took_s: float, pace_s: float) -> None:
    """Half of it before the first part, and half to learn that there is no other."""
    spent = itertools.count(0.0, took_s / 2)
    feed = Feed(board, lambda: next(spent))
    change(board, 2.0)
    _, parts = feed.since(1, 10.0)
    assert feed.pause(10.0) == FLUSH_S, "nobody has read it, so it took nothing"
    assert len(list(parts)) == 1
    change(board, 3.0)
    assert feed.pause(10.0) == pytest.approx(pace_s)
    assert feed.since(2, 10.0 + pace_s - 0.01) == (2, ())
    assert feed.since(2, 10.0 + pace_s + 0.01)[0] == 3


@pytest.mark.parametrize(
    "urgent",
    [
        StateChange("a", "led", "ON", 5),
        Command("5b0e", "a", "led", "ON", "queued", "anna", "", 5, 6, (Step("queued", 5, ""),)),
    ],
    ids=["state", "command"],
)
def test_what_somebody_may_be_waiting_for_goes_out_sooner(board: Board, urgent: StateChange | Command) -> None:
    feed = feed_of(board)
    change(board, 2.0)
    feed.since(1, 10.0)
    change(board, 3.0)
    assert feed.pause(10.0) == FLUSH_S
    if isinstance(urgent, Command):
        board.swap(with_commands(board.current, [urgent], 0))
    else:
        board.swap(apply(board.current, [urgent]))
    assert feed.pause(10.0) == pytest.approx(CONTROL_S)
    assert feed.since(2, 10.0 + CONTROL_S / 2) == (2, ())
    version, parts = feed.since(2, 10.0 + CONTROL_S + 1e-6)
    assert version == 4
    assert b"event: reading" in b"".join(parts)
    change(board, 4.0)
    assert feed.pause(10.0 + CONTROL_S) > CONTROL_S, "readings keep their pace"


def test_a_client_that_is_ahead_of_the_pace_waits_for_it(board: Board) -> None:
    """A page is painted from the board as it is, and then opens its stream."""
    feed = feed_of(board)
    change(board, 2.0)
    feed.since(1, 10.0)
    change(board, 3.0)
    change(board, 4.0)
    assert feed.since(3, 10.1) == (3, ())
    version, parts = feed.since(3, 10.3)
    assert version == 4
    assert b'"value":4.0' in b"".join(parts)


def test_a_slow_client_hears_all_that_it_missed_together(board: Board) -> None:
    feed = feed_of(board)
    for seconds, value in enumerate([2.0, 3.0, 4.0]):
        change(board, value)
        feed.since(board.current.version - 1, float(seconds))
    version, parts = feed.since(1, 3.0)
    assert version == 4
    assert b"".join(parts).count(b"event: reading") == 1


def test_another_board_has_another_feed(board: Board) -> None:
    feeds = Feeds()
    assert feeds.of(board) is feeds.of(board)
    other = Board(board.current)
    assert feeds.of(other).board is other
