"""The boards' firmware for a minute of outages, at a hundred times their usual pace."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import build
from tests.e2e.board_soak import soak
from tests.e2e.test_boards import free_on_a_board, pair
from tests.e2e.test_control_api import house
from tests.parts.mosquitto import Mosquitto


@pytest.mark.timeout(180)
def test_a_minute_of_outages(
    part_directory: Path, mariadb_url: str, own_mosquitto: Mosquitto, topic_root: str, record_line: list[str]
) -> None:
    settings = {"health_ms": 200, "readings_kept": 64}
    with (
        house(part_directory, mariadb_url, own_mosquitto, topic_root, "thread") as place,
        pair(place, own_mosquitto, topic_root, stm32={"period_ms": 20}, esp8266=settings) as boards,
    ):
        found = soak(place, boards, own_mosquitto, mariadb_url, seconds=60, outage_s=1.5)
        before, after = (free_on_a_board(free, 64) for free in (found.heap_before, found.heap_after))
        record_line.append(
            f"Boards, a minute of outages: {found.heard:,} readings heard, {found.rows:,} stored, {found.lost:,} "
            f"lost by the board's own count; free heap {before:,} before and {after:,} bytes after; "
            f"longest loop gap {found.longest_gap_ms} ms."
        )
        assert found.rows <= found.heard <= found.rows + found.lost
        assert abs(found.heap_after - found.heap_before) < found.heap_before * 0.02
        assert free_on_a_board(found.heap_after, 64) >= build.budget("esp8266").free_after_soak_bytes
