"""Commands, deletions and silence on the board."""

from __future__ import annotations

from dataclasses import replace

from db.bridges import Bridge
from db.commands import Command, Step
from ingest.snapshot import ReadingChange, Snapshot, StateChange, StatusChange, apply
from ingest.standing import refreshed, with_commands, without

T = 1_764_000_000_000
EMPTY = Snapshot(T, 0, {})
QUEUED = Command("1", "d", "led", "ON", "queued", "anna", "", T, T + 60_000, (Step("queued", T, "It was asked for."),))
CONFIRMED = replace(
    QUEUED, status="confirmed", steps=(*QUEUED.steps, Step("confirmed", T + 5, "The device reported ON."))
)


def _reading(at: int, device: str = "d") -> ReadingChange:
    return ReadingChange(device, "x", at, 1.0, at)


def test_a_command_has_the_version_of_its_last_step() -> None:
    one = with_commands(EMPTY, [QUEUED], T)
    two = with_commands(one, [replace(QUEUED, id="2")], T)
    three = with_commands(two, [CONFIRMED, replace(QUEUED, id="2")], T)
    assert [snapshot.version for snapshot in (one, two, three)] == [1, 2, 3]
    assert {name: now.version for name, now in three.commands.items()} == {"1": 3, "2": 2}
    assert three.commands_since(2) == [CONFIRMED]
    assert three.control_version == 3
    assert with_commands(three, [CONFIRMED], T) is three


def test_one_that_has_ended_stays_for_a_while() -> None:
    shown = with_commands(EMPTY, [QUEUED, CONFIRMED], T + 5)
    assert shown.commands_since(0) == [CONFIRMED]
    gone = with_commands(shown, [], T + 6)
    assert gone.commands == {}
    assert with_commands(gone, [CONFIRMED], T + 6) is gone
    going_on = with_commands(EMPTY, [QUEUED], T)
    assert with_commands(going_on, [], T + 9).commands_since(0) == [QUEUED]
    assert with_commands(going_on, [CONFIRMED], T + 6).commands == {}


def test_batches_leave_commands_and_tell_of_states() -> None:
    shown = with_commands(EMPTY, [QUEUED], T)
    read = apply(shown, [_reading(T)])
    assert (read.commands, read.control_version) == (shown.commands, 1)
    state = apply(read, [StateChange("d", "led", "ON", T)])
    assert state.control_version == state.version == 3
    assert apply(state, [StateChange("d", "led", "ON", T + 1)]).control_version == 3


def test_a_deleted_device_leaves_and_comes_back_with_a_sign_of_life() -> None:
    shown = apply(EMPTY, [_reading(T), _reading(T, "other"), StatusChange("d", True, T)])
    gone = without(shown, {"d": T + 5})
    assert list(gone.devices) == ["other"]
    assert gone.left_version == gone.version == 2
    assert without(gone, {"d": T + 5}) is gone
    kept = apply(
        gone,
        [
            _reading(T + 5),
            StatusChange("d", True, T + 9, retained=True),
            StateChange("d", "led", "ON", T + 9, retained=True),
            StatusChange("d", False, T + 9),
            _reading(T + 9, "other"),
        ],
    )
    assert list(kept.devices) == ["other"]
    back = apply(kept, [_reading(T + 9)])
    assert set(back.devices) == {"d", "other"}
    assert back.removed == {}
    assert without(back, {"d": T + 5}) is back, "the table may not know yet that it was heard of"
    assert apply(kept, [StatusChange("d", True, T + 9)]).devices["d"].online is True


def test_silence_is_news_and_the_same_word_again_is_none() -> None:
    shown = apply(EMPTY, [_reading(T), _reading(T, "b")])
    shown = apply(shown, [_reading(T + 1_000), _reading(T + 1_000, "b")])
    assert {device.presence for device in shown.devices.values()} == {"online"}
    assert refreshed(shown, {}, T + 2_000, T) is shown
    late = refreshed(apply(shown, [_reading(T + 9_000, "b")]), {}, T + 9_500, T)
    assert {name: device.presence for name, device in late.devices.items()} == {"d": "late", "b": "online"}
    assert late.devices["d"].presence_version == late.version
    assert [device.name for device in late.changed_since(late.version - 1)] == ["d"]
    assert refreshed(late, {}, T + 9_600, T) is late
    assert apply(late, [_reading(T + 9_700)]).devices["d"].presence == "online"


def test_a_retained_offline_of_old_does_not_make_a_talking_device_offline() -> None:
    shown = apply(EMPTY, [StatusChange("d", False, T), _reading(T + 5)])
    again = apply(shown, [StatusChange("d", False, T + 9, retained=True)])
    device = again.devices["d"]
    assert (device.online, device.presence, device.status_at) == (True, "online", T)


def test_a_retained_online_is_no_sign_of_life() -> None:
    shown = apply(EMPTY, [StatusChange("d", False, T)])
    device = apply(shown, [StatusChange("d", False, T + 9, retained=True)]).devices["d"]
    assert (device.presence, device.last_seen) == ("offline", T)


def test_the_devices_of_a_site_are_unknown_while_its_bridge_is_away() -> None:
    names = ("here/d", "there/d", "d")
    shown = apply(EMPTY, [_reading(T, name) for name in names] + [StatusChange(name, True, T) for name in names])
    away = {"there": Bridge("there", up=False, since=T + 5)}
    gone = refreshed(shown, {}, T + 9, T, away)
    assert {device.name: device.presence for device in gone.devices.values()} == {
        "here/d": "online",
        "there/d": "unknown",
        "d": "online",
    }
    assert [gone.devices[name].online_now for name in names] == [True, None, True]
    assert refreshed(gone, {}, T + 10, T, away) is gone
    back = refreshed(gone, {}, T + 20, T, {"there": Bridge("there", up=True, since=T + 20)})
    assert back.devices["there/d"].presence == "online"
    talks = apply(gone, [_reading(T + 6, "there/d")])
    assert refreshed(talks, {}, T + 9, T, away).devices["there/d"].presence == "online"
