"""The picture in README.md, taken by a test so that it can't show what is not there.

`UPDATE_PICTURES=1 make test ARGS=tests/pages/test_readme_picture.py` takes it anew.
"""

from __future__ import annotations

import json
import os
import struct
import time
from pathlib import Path
from random import Random

from playwright.sync_api import expect

from firmware.climate import NAMED_PLACES, Place, reading_at
from settings import parse_mqtt_url
from tests.parts.chromium import Pages
from tests.parts.eventually import eventually
from tests.parts.publisher import Publisher
from tests.parts.server import Server

PICTURE = Path(__file__).parents[2] / "docs" / "live.png"
WIDTH, HEIGHT = 1280, 900
PERIOD_MS = 10_000
HOUR_MS = 3_600_000


def last_hour(place: Place) -> str:
    """An hour of readings as one backlog, as a board sends it that was cut off."""
    now, noise = time.time_ns() // 1_000_000, Random(7)  # noqa: S311  # noise on a temperature is no secret
    taken = (reading_at(place, ts, noise) for ts in range(now - HOUR_MS, now, PERIOD_MS))
    times = range(now - HOUR_MS, now, PERIOD_MS)
    return json.dumps(
        [
            {"ts": ts, "temperature": reading.temperature, "humidity": reading.humidity}
            for ts, reading in zip(times, taken, strict=True)
        ]
    )


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height, from the IHDR chunk (PNG, section 11.2.2)."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_the_readme_picture_is_the_live_page(part_directory: Path, pages: Pages) -> None:
    with Server(part_directory) as server:
        eventually(lambda: server.get("/api/health/").status_code == 200)
        address = parse_mqtt_url((server.data_dir / "mqtt_url").read_text(encoding="utf-8").strip())
        about = json.dumps({"model": "esp8266-dht22", "units": {"temperature": "°C", "humidity": "%RH"}})
        with Publisher(address.port) as boards:
            for place in NAMED_PLACES:
                boards.publish(
                    [
                        (f"iot/{place.name}/status", "online"),
                        (f"iot/{place.name}/about", about),
                        (f"iot/{place.name}/led/state", "ON" if place.name == "greenhouse" else "OFF"),
                        (f"iot/{place.name}/telemetry", last_hour(place)),
                    ]
                )
        eventually(lambda: server.get("/api/health/").json()["ingest"]["stored"] == 4 * len(NAMED_PLACES))
        page = pages.open(server.url, width=WIDTH, height=HEIGHT)
        for place in NAMED_PLACES:
            expect(page.get_by_role("heading", name=place.name, exact=True)).to_be_visible()
        expect(page.locator("svg.marks").nth(1)).to_be_visible()
        taken = page.screenshot()
    if os.environ.get("UPDATE_PICTURES") == "1":
        PICTURE.write_bytes(taken)
    assert size_of(taken) == (WIDTH, HEIGHT)
    assert size_of(PICTURE.read_bytes()) == (WIDTH, HEIGHT)
