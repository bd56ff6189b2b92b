from __future__ import annotations

import re
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from db.account import Missing
from db.dead_letters import DeadLetter, StoredDeadLetter
from db.resends import Named, Resend
from ingest.health import Account, Counts
from pages.parts.account_sum import account_html
from pages.parts.letters import letters_html, preview
from pages.parts.missing_numbers import asked_sentence, missing_html, sentence, shown_first
from tests.pages.cases import ms

NOW = ms("2026-11-23T13:10:00Z")
ZONE = ZoneInfo("Europe/Berlin")


def letter(topic: str, payload: bytes, reason: str = "is not JSON") -> StoredDeadLetter:
    return StoredDeadLetter(1, DeadLetter(NOW, topic, payload, len(payload), reason))


def test_the_account_adds_up_in_sight() -> None:
    table = account_html(Account(Counts(41_902, 7, 3, 1), Counts(83_804, 14, 3, 2)))
    rows = [
        [int(figure.replace(",", "")) for figure in re.findall(r"<td>([\d,]+)</td>", row)]
        for row in table.split("<tr>")
    ]
    *summands, total = [row for row in rows if row]

    assert len(summands) == 4
    assert [sum(column) for column in zip(*summands, strict=True)] == total == [41_913, 83_823]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (120, 131, "greenhouse sent 12 messages that never reached us, noticed 14:10"),
        (120, 120, "greenhouse sent 1 message that never reached us, noticed 14:10"),
    ],
)
def test_missing_numbers_in_words(first: int, last: int, said: str) -> None:
    assert sentence(Missing("greenhouse", "a1", first, last, NOW - 60_000, NOW), NOW, ZONE) == said


def asked(first: int = 120, **more: Any) -> Named:
    return Named("greenhouse", Resend(1, "a1", first, first + 11, NOW - 300_000, **more))


NEVER = "greenhouse sent 12 messages that never reached us, noticed 14:05. "


@pytest.mark.parametrize(
    ("named", "said"),
    [
        (asked(), f"{NEVER}To be asked for after what is asked for now"),
        (asked(next_at=NOW), f"{NEVER}To be asked for from 14:10 on"),
        (
            asked(tries=1, asked_at=NOW - 60_000, next_at=NOW),
            f"{NEVER}Asked for once, last 14:09; again from 14:10 on",
        ),
        (asked(tries=2, asked_at=NOW), f"{NEVER}Asked for 2 times, last 14:10"),
        (asked(tries=1, outcome="gone"), f"{NEVER}The device says that it has them no longer"),
        (asked(tries=10, outcome="unanswered"), f"{NEVER}Asked for 10 times, no answer"),
        (asked(outcome="unanswered"), f"{NEVER}It could not be asked for them within a day"),
        (
            asked(tries=1, outcome="repaired", ended_at=NOW),
            "greenhouse sent 12 missing messages again when asked, here since 14:10",
        ),
    ],
)
def test_what_came_of_asking_in_words(named: Named, said: str) -> None:
    assert asked_sentence(named, NOW, ZONE) == said


def test_what_may_still_come_stands_first_and_a_gap_stands_there_once() -> None:
    gaps = [Missing("greenhouse", "a1", first, first + 11, NOW, NOW) for first in (120, 220, 320)]
    gaps.append(Missing("<b>", "a1", 120, 131, NOW, NOW))
    ranges = [asked(20, outcome="repaired"), asked(120, outcome="gone"), asked(220), asked(320, outcome="unanswered")]
    shown = missing_html(gaps, NOW, ZONE, ranges)
    assert re.findall(r"<b>(\w+)</b>", shown) == ["Waiting", "Lost", "Lost", "Missing", "Repaired"]
    assert "&lt;b&gt; sent 12 messages" in shown
    assert "numbers 220 to 231, noticed 23 Nov 2026, 14:05:00" in shown


def test_what_is_frequent_does_not_hide_the_rest() -> None:
    many = [asked(n * 20) for n in range(30)] + [asked(n * 20 + 1000, outcome="gone") for n in range(2)]
    assert len(shown_first(many, 5)) == 7


def test_empty_places_teach() -> None:
    assert "Nothing is missing" in missing_html([], NOW, ZONE)
    assert "kept here with the reason" in letters_html([], 0, 0, NOW, ZONE)


def test_letters_that_had_to_leave_are_told() -> None:
    assert "12 older ones had to leave" in letters_html([letter("iot/x", b"x")], 1, 12, NOW, ZONE)
    assert "1 older one had to leave" in letters_html([], 0, 1, NOW, ZONE)
    assert "had to leave" not in letters_html([letter("iot/x", b"x")], 1, 0, NOW, ZONE)


def test_a_letter_can_do_nothing_but_be_read() -> None:
    shown = letters_html([letter("iot/<b>/x", b"<script>alert(1)</script>", "'<img src=x>'")], 1, 0, NOW, ZONE)

    assert "<script" not in shown
    assert "<img" not in shown
    assert "iot/&lt;b&gt;/x" in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"21.5", "21.5"),
        ("21 °C".encode(), "21 °C"),
        (b"\xff\x00a\x1b[31m", "\\xff\\x00a\\x1b[31m"),
        (b"0" * 21, "0" * 20 + "…"),
        ("°".encode() * 90, "°" * 20 + "…"),
    ],
)
def test_what_is_no_text_shows_as_its_code(payload: bytes, text: str) -> None:
    assert preview(payload, 20) == text


def test_an_admin_gets_buttons_and_what_devices_send_can_not_change_what_they_do() -> None:
    odd = letter('iot/"><button data-act="delete:all">/x', b'"><button data-act="delete:all">x</button>', "<b>")
    seen = letters_html([odd], 2, 0, NOW, ZONE, acts=True)

    assert re.findall(r'<button type="button" data-act="([^"]*)"', seen) == [
        "replay:all",
        "delete:all",
        "replay:1",
        "delete:1",
    ]
    assert seen.count("<button") == 4
    assert "Replay all 2" in seen
    assert "<button" not in letters_html([odd], 2, 0, NOW, ZONE)
