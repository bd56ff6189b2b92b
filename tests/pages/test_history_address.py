from __future__ import annotations

from dataclasses import replace

from pages.parts.history_address import Address, written
from pages.parts.view import View

NOW = 1_764_000_000_000
WEEK = View(devices=("kitchen",), whole="7d")
DAY = replace(WEEK, whole="24h")
HOUR = replace(WEEK, whole="1h")


def at(view: View) -> Address:
    return Address(view, written(view))


def test_an_address_that_was_replaced_a_moment_ago_undoes_nothing() -> None:
    chosen = at(WEEK).changed(DAY, NOW).changed(HOUR, NOW + 300)

    for echo in (WEEK, DAY):
        assert chosen.heard(written(echo), NOW + 1_000).view == HOUR
    assert chosen.heard(written(HOUR), NOW + 1_000) == chosen


def test_going_back_to_it_later_is_going_back() -> None:
    back = at(WEEK).changed(DAY, NOW).heard(written(WEEK), NOW + 2_000)
    assert (back.view, back.query) == (WEEK, written(WEEK))


def test_an_address_that_was_never_there_is_gone_to_at_once() -> None:
    assert at(WEEK).changed(DAY, NOW).heard(written(HOUR), NOW + 1).view == HOUR
    assert at(WEEK).changed(DAY, NOW).heard((), NOW + 1).view == View()


def test_choosing_what_was_there_before_is_no_echo() -> None:
    chosen = at(WEEK).changed(DAY, NOW).changed(WEEK, NOW + 100)
    assert chosen.heard(written(WEEK), NOW + 200).view == WEEK
    assert chosen.heard(written(DAY), NOW + 200).view == WEEK


def test_choosing_the_same_again_changes_nothing_and_old_addresses_are_forgotten() -> None:
    assert at(WEEK).changed(WEEK, NOW) == at(WEEK)
    assert set(at(WEEK).changed(DAY, NOW).changed(HOUR, NOW + 5_000).replaced) == {written(DAY)}
