"""Which numbers that never reached us are asked for again, of whom and when. Pure: no clock, no database, no broker.

Ranges of missing numbers become `Resend`s, each with one fate: what came of it is cut off as repaired, what the device
holds no longer as gone, and the rest is asked for again. Of each device one range is in turn at a time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from db.account import Interval
from db.resends import GoneRange, Outcome, Resend

#: Numbers from one to another, both included.
_Span = tuple[int, int]
#: A start of a device: its id and `boot`.
StartKey = tuple[int, str]

#: Doublings after which a wait is the longest in any case.
_DOUBLINGS: Final = 32


@dataclass(frozen=True, slots=True)
class ResendSettings:
    """Times are seconds; tests make them small.

    `settle_s`: after it was noticed, a missing number may still be under way: with another worker, or in an account
    that is not folded yet. A device that does not answer is asked after `first_s`, twice that and so on, at most every
    `longest_s`, and no more after `tries` or `give_up_s`. `newer_starts`: a start with more of them after it is not
    asked about. `calm_s`: the broker is to have been there for so long, and no worker may be further behind than
    `behind_s`.
    """

    settle_s: float = 90.0
    first_s: float = 60.0
    longest_s: float = 3600.0
    tries: int = 10
    give_up_s: float = 86_400.0
    #: A device that never answered is tried again after this.
    forgive_s: float = 7 * 86_400.0
    kept_s: float = 30 * 86_400.0
    newer_starts: int = 1
    ranges_a_device: int = 100
    ranges: int = 10_000
    numbers_at_once: int = 10_000
    calm_s: float = 10.0
    behind_s: float = 10.0
    #: Between two looks for what is due, and what is asked for in each of them: ranges, and numbers of all of them.
    look_s: float = 1.0
    asked_at_once: int = 10
    numbers_a_look: int = 20_000

    def next_at(self, tries: int, at: int) -> int | None:
        """When to ask the next time after so many tries, of which the last was at `at` (UTC ms); None: not again."""
        return at + self.wait_ms(tries) if tries < self.tries else None

    def wait_ms(self, tries: int) -> int:
        """How long an answer is waited for after so many tries, ms."""
        return round(1000 * min(self.first_s * float(2 ** min(tries - 1, _DOUBLINGS)), self.longest_s))


@dataclass(frozen=True, slots=True)
class StartNow:
    """What is known of a start: its seen intervals, sorted, and how many starts of its device came after it."""

    intervals: Sequence[Interval]
    newer: int = 0


def planned(
    rows: Iterable[Resend],
    starts: Mapping[StartKey, StartNow],
    gone: Iterable[GoneRange],
    now: int,
    how: ResendSettings,
) -> list[Resend]:
    """The ranges as they are from `now` (UTC ms) on. A start that is not in `starts` keeps its ranges as they are."""
    said: dict[StartKey, list[GoneRange]] = {}
    for one in gone:
        said.setdefault((one.device_id, one.boot), []).append(one)
    by_start: dict[StartKey, list[Resend]] = {key: [] for key in starts}
    for row in rows:
        by_start.setdefault((row.device_id, row.boot), []).append(row)
    by_device: dict[int, list[Resend]] = {}
    for key, of_start in sorted(by_start.items()):
        known = starts.get(key)
        found = of_start if known is None else _of_start(key, of_start, known, said.get(key, []), now, how)
        by_device.setdefault(key[0], []).extend(found)
    trimmed = [
        one
        for of_device in by_device.values()
        for one in _trimmed(_in_turn(of_device, now, how), how.ranges_a_device, now, how)
    ]
    return _trimmed(trimmed, how.ranges, now, how)


# A start


def _of_start(
    key: StartKey, rows: Sequence[Resend], start: StartNow, gone: Sequence[GoneRange], now: int, how: ResendSettings
) -> list[Resend]:
    seen = [(first, last) for first, last, _, _ in start.intervals]
    gaps = [(one[1] + 1, other[0] - 1) for one, other in pairwise(start.intervals)]
    noticed = [other[2] for _, other in pairwise(start.intervals)]
    too_old = start.newer > how.newer_starts
    new = [] if too_old else _new(key, rows, gaps, noticed, now, how)
    said = _merged((one.first, one.last) for one in gone)
    said_at = max((one.at for one in gone), default=now)
    found: list[Resend] = []
    for row in [*rows, *new]:
        if row.outcome == "repaired":
            found.append(row)
            continue
        arrived, missing = list(_within((row.first, row.last), seen)), list(_within((row.first, row.last), gaps))
        if row.tries:
            found += [_ended(row, span, "repaired", now) for span in arrived]
        if row.outcome == "gone":
            found += [replace(row, first=first, last=last) for first, last in missing]
            continue
        cut = [span for part in missing for span in _within(part, said)]
        found += [_ended(row, span, "gone", said_at) for span in cut]
        left = [span for part in missing for span in _without(part, said)]
        found += _left(row, left, now, how, answered=bool(arrived or cut), too_old=too_old)
    return _joined(found)


def _left(
    row: Resend, spans: Iterable[_Span], now: int, how: ResendSettings, *, answered: bool, too_old: bool
) -> Iterator[Resend]:
    """What of a range is neither here nor gone. `answered`: the rest of it is."""
    if answered and row.tries and row.outcome is None:
        row = replace(row, tries=1)  # asked for as patiently as at first
    over = row.outcome is None and (too_old or _given_up(row, now, how))
    for first, last in spans:
        yield _ended(row, (first, last), "unanswered", now) if over else replace(row, first=first, last=last)


def _new(
    key: StartKey,
    rows: Sequence[Resend],
    gaps: Sequence[_Span],
    noticed: Sequence[int],
    now: int,
    how: ResendSettings,
) -> list[Resend]:
    """Ranges for what is missing, not too old, and not in hand yet; the first of them are enough for a device."""
    known = sorted((row.first, row.last) for row in rows)
    found: list[Resend] = []
    for gap, at in zip(gaps, noticed, strict=True):
        if at < now - how.give_up_s * 1000:
            continue
        found += [Resend(*key, *span, noticed_at=at) for span in _without(gap, known)]
        if len(found) >= how.ranges_a_device:
            break
    return found


def _given_up(row: Resend, now: int, how: ResendSettings) -> bool:
    if row.noticed_at < now - how.give_up_s * 1000:
        return True
    return row.tries >= how.tries and row.asked_at is not None and row.asked_at + how.wait_ms(row.tries) <= now


def _ended(row: Resend, span: _Span, outcome: Outcome, at: int) -> Resend:
    first, last = span
    return replace(row, first=first, last=last, next_at=None, outcome=outcome, ended_at=at)


def _joined(rows: Iterable[Resend]) -> list[Resend]:
    """Neighbours with the same fate as one range, by number."""
    found: list[Resend] = []
    for row in sorted(rows, key=lambda row: row.first):
        before = found[-1] if found else None
        if before is not None and before.last + 1 == row.first and _alike(before, row):
            found[-1] = replace(
                before, last=row.last, ended_at=row.ended_at and max(row.ended_at, before.ended_at or 0)
            )
        else:
            found.append(row)
    return found


def _alike(one: Resend, other: Resend) -> bool:
    if one.outcome != other.outcome or one.noticed_at != other.noticed_at:
        return False
    return one.outcome is not None or one.tries == other.tries == 0


# A device


def _in_turn(rows: Sequence[Resend], now: int, how: ResendSettings) -> list[Resend]:
    """The same ranges of a device, one of them in turn. One that never answers is let alone."""
    last_answer = max(
        (row.ended_at or 0 for row in rows if row.tries and row.outcome in ("repaired", "gone")), default=0
    )
    asked = [
        (row.asked_at, row.tries)
        for row in rows
        if row.outcome in (None, "unanswered") and row.asked_at and row.asked_at > now - how.forgive_s * 1000
    ]
    silent = sum(tries for at, tries in asked if at > last_answer)
    earliest = max(asked)[0] + how.wait_ms(max(1, silent)) if asked else 0
    ended = [row for row in rows if row.outcome is not None]
    waiting = [row for row in rows if row.outcome is None]
    if silent >= how.tries and earliest <= now:
        return [*ended, *(_ended(row, (row.first, row.last), "unanswered", now) for row in waiting if row.tries)]
    askable = [row for row in waiting if row.tries < how.tries and silent < how.tries]
    if not askable:
        return [*ended, *(replace(row, next_at=None) for row in waiting)]
    chosen = min(askable, key=lambda row: (row.tries, row.noticed_at, row.boot, row.first))
    first, rest = _first_part(chosen, how.numbers_at_once)
    next_at = max(chosen.noticed_at + round(how.settle_s * 1000), earliest)
    others = [replace(row, next_at=None) for row in waiting if row is not chosen]
    return [*ended, *others, replace(first, next_at=next_at), *rest]


def _first_part(row: Resend, most: int) -> tuple[Resend, list[Resend]]:
    if row.count <= most:
        return row, []
    middle = row.first + most
    return replace(row, last=middle - 1), [replace(row, first=middle, next_at=None)]


def _trimmed(rows: Sequence[Resend], most: int, now: int, how: ResendSettings) -> list[Resend]:
    """Without what is past its time, and no more than so many: first without old ends, then without the newest gaps.

    A range that ended lately stays: forgotten, it would be asked for again.
    """
    kept_from, asked_from = now - how.kept_s * 1000, now - how.give_up_s * 1000
    forgettable = [
        row for row in rows if row.outcome == "repaired" or (row.outcome is not None and row.noticed_at < asked_from)
    ]
    too_many = len(rows) - most
    forgettable.sort(key=lambda row: row.ended_at or 0)
    out = {row.key for index, row in enumerate(forgettable) if index < too_many or (row.ended_at or 0) < kept_from}
    too_many -= len(out)
    if too_many > 0:
        new = [row for row in rows if row.outcome is None and not row.tries]
        new.sort(key=lambda row: (row.next_at is None, row.noticed_at, row.first))
        out |= {row.key for row in new[-too_many:]}
    return [row for row in rows if row.key not in out]


# Spans


def _within(span: _Span, spans: Sequence[_Span]) -> Iterator[_Span]:
    """The parts of a span that lie in others, which are sorted and do not overlap."""
    start, end = span
    for first, last in spans[max(0, bisect_right(spans, (start, start)) - 1) :]:
        if first > end:
            return
        if last >= start:
            yield max(first, start), min(last, end)


def _without(span: _Span, spans: Iterable[_Span]) -> Iterator[_Span]:
    """The parts of a span that lie in none of the others, which are sorted."""
    at, end = span
    for first, last in spans:
        if first > end:
            break
        if first > at:
            yield at, first - 1
        at = max(at, last + 1)
    if at <= end:
        yield at, end


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    found: list[_Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found
