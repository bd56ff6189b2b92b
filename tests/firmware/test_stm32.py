"""The STM32's loop by itself: what it sends, and that it keeps nothing."""

from __future__ import annotations

import json
import os
import pty
import threading
import tty
from pathlib import Path

import pytest

from firmware import pulses
from tests.firmware.test_frame import reference
from tests.parts.micropython import STM32_HEAP, run

FIRST = 0x10


class Wire:
    """The far end of a board's UART: answers the first frames with noise, and keeps what comes."""

    def __init__(self, near_link: Path) -> None:
        self.received = b""
        self._far, near = pty.openpty()
        tty.setraw(near)
        near_link.symlink_to(os.ttyname(near))
        self._near = near  # else what was sent would be gone when the board ends
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        os.close(self._near)
        self._reader.join()
        os.close(self._far)

    def _read(self) -> None:
        while True:
            try:
                self.received += os.read(self._far, 4096)
                if self.received.count(b"~") < 8:  # less than the line holds, so that this never waits
                    os.write(self._far, bytes(range(256)) + b"~1,0,0,0,0,0,0*0000\n")
            except OSError:  # the board and we have let go of the other end
                return


@pytest.mark.parametrize(("sensors", "missing"), [(["PA8"], []), (["PA8", "PB4"], []), (["PA8", "PB4"], ["PB4"])])
def test_it_sends_each_sensors_readings_in_turn_and_its_heap_stays_as_it_is(
    tmp_path: Path, sensors: list[str], missing: list[str]
) -> None:
    config = {"sensors": sensors, "period_ms": 40, "sensor_rest_ms": 0, "led_pin": "PC13"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for sensor in set(sensors) - set(missing):
        (tmp_path / f"dht{sensor}").write_text(pulses.text(pulses.widths(pulses.frame(-1.5, 62))))
    wire = Wire(tmp_path / "uart2")
    told = run("stm32_loop.py", heap=STM32_HEAP, outside=tmp_path)
    wire.close()
    before, after, free = (int(word) for word in told[-1].split()[1:])
    assert abs(after - before) < (before + free) * 0.02, "it keeps something of each round"
    frames = reference(wire.received)
    for number, sensor in enumerate(sensors):
        mine = [frame for frame in frames if frame[0] == number]
        assert len(mine) >= 5
        assert [seq for _, seq, *_ in mine] == list(range(len(mine)))
        values = (1, 0, 0) if sensor in missing else (0, -150, 6200)
        assert {(flags & ~FIRST, t, h) for _, _, _, flags, t, h in mine} == {values}
        assert [flags & FIRST for _, _, _, flags, *_ in mine] == [FIRST] + [0] * (len(mine) - 1)
        assert [uptime for _, _, uptime, *_ in mine] == sorted(uptime for _, _, uptime, *_ in mine)
    order = [frame[0] for frame in frames]
    assert order == [place % len(sensors) for place in range(len(order))]
