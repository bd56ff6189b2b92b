"""One known reading, from Mosquitto's command-line client to the page in a browser."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from sqlalchemy import text

from db import engine
from tests.parts.chromium import Pages
from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server

TS = 1_764_000_000_123


def test_a_reading_travels_from_the_client_to_the_page(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str, pages: Pages
) -> None:
    settings = {
        "DATABASE_URL": mariadb_url,
        "MQTT_URL": mosquitto.url,
        "MQTT_CLIENT_ID": topic_root,
        "TOPIC_ROOT": topic_root,
    }
    with Server(part_directory, settings) as server:
        eventually(lambda: server.get("/api/health/").status_code == 200)
        page = pages.open(server.url)
        page.get_by_text("No device has reported yet").wait_for()
        payload = f'{{"ts": {TS}, "temperature": 23.4, "humidity": 56.1}}'
        mosquitto.publish(f"{topic_root}/kitchen/telemetry", payload)

        known = eventually(lambda: server.get("/api/dht22_db/", device="kitchen").json().get("temperature") and True)
        assert known
        record = server.get("/api/dht22_db/", device="kitchen").json()
        assert {name: record[name] for name in ("device", "temperature", "humidity", "ts")} == {
            "device": "kitchen",
            "temperature": 23.4,
            "humidity": 56.1,
            "ts": TS,
        }
        assert stored_rows(mariadb_url) == [("kitchen", "humidity", TS, 56.1), ("kitchen", "temperature", TS, 23.4)]
        page.get_by_text("kitchen").first.wait_for()
        page.get_by_text("23.4").first.wait_for()
        page.get_by_text("56.1").first.wait_for()


def stored_rows(database_url: str) -> list[tuple[str, str, int, float]]:
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        rows = connection.execute(
            text(
                "SELECT d.name, s.metric, r.ts, r.value FROM readings r JOIN series s ON s.id = r.series_id "
                "JOIN devices d ON d.id = s.device_id ORDER BY s.metric"
            )
        )
        found = [(row[0], row[1], row[2], row[3]) for row in rows]
    database.dispose()
    return found


def test_the_line_to_copy_works_as_it_stands(part_directory: Path, pages: Pages) -> None:
    with Server(part_directory) as server:
        eventually(lambda: server.get("/api/health/").status_code == 200)
        page = pages.open(server.url)
        line = page.locator("code", has_text="mosquitto_pub -h").first.inner_text()
        # As a person does it: pasted into a shell.
        subprocess.run(["/bin/sh", "-c", line], check=True, timeout=5, env={"PATH": os.environ["PATH"]})
        page.get_by_text("21.5").first.wait_for()
        page.get_by_text("48").first.wait_for()
        assert [d["device"] for d in server.get("/api/devices/").json()] == ["kitchen"]


def test_the_line_in_the_readme_is_stored(part_directory: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (line,) = (line for line in readme.splitlines() if line.startswith("mosquitto_pub "))
    with Server(part_directory) as server:
        eventually(lambda: server.get("/api/health/").status_code == 200)
        address = (server.data_dir / "mqtt_url").read_text().strip()
        # Where port 1883 was taken, the README says where to look for the other one.
        here = line.replace("-p 1883", f"-p {address.rsplit(':', 1)[1]}")
        subprocess.run(["/bin/sh", "-c", here], check=True, timeout=5, env={"PATH": os.environ["PATH"]})
        eventually(lambda: server.get("/api/dht22_db/").json())
        (record,) = server.get("/api/dht22_db/").json()
        assert (record["device"], record["temperature"], record["humidity"]) == ("kitchen", 23.4, 56.1)
