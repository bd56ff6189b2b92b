"""The boards' firmware over outages: a minute of them at a hundred times the usual pace, and two at the usual one."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware import build
from tests.e2e.board_soak import soak, wire_out_and_broker_away
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


@pytest.mark.timeout(300)
def test_the_wire_out_for_ten_seconds_and_the_broker_away_for_twenty(
    part_directory: Path, mariadb_url: str, own_mosquitto: Mosquitto, topic_root: str, record_line: list[str]
) -> None:
    usual = {"patience_ms": 5_000, "retry_first_ms": 1_000, "retry_longest_ms": 30_000, "keep_alive_s": 30}
    with (
        house(part_directory, mariadb_url, own_mosquitto, topic_root, "thread") as place,
        pair(
            place,
            own_mosquitto,
            topic_root,
            stm32={"period_ms": 2_000, "sensor_rest_ms": 2_000, "loop_ms": 20},
            esp8266=usual | {"health_ms": 1_000},
        ) as boards,
    ):
        found = wire_out_and_broker_away(place, boards, own_mosquitto, mariadb_url, wire_s=10, broker_s=20)
        record_line.append(
            f"Boards at their usual pace, wire out for 10 s and broker away for 20 s: {found.heard} readings heard, "
            f"{found.rows} stored, {found.lost} lost."
        )
        assert (found.lost, found.rows) == (0, found.heard)
