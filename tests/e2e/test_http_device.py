"""A board without MQTT, against whole servers: with a worker inside, with workers elsewhere, and over `kill -9`."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2

from tests.parts.eventually import eventually
from tests.parts.mosquitto import Mosquitto
from tests.parts.server import Server
from tests.parts.worker import WorkerProcess

PASSWORD = "seven green bottles"


def admin(server: Server) -> dict[str, str]:
    """An admin's access token, once there is one: wrong tries before that would soon be made to wait."""
    eventually(lambda: "as admin with" in server.output(), what="the first admin")

    def ask() -> dict[str, str] | None:
        login = {"username": "admin", "password": PASSWORD}
        answer = httpx2.post(f"{server.url}/api/token/", json=login, timeout=10, trust_env=False)
        return {"Authorization": f"Bearer {answer.json()['access']}"} if answer.status_code == 200 else None

    found = eventually(ask, what="an admin who can log in")
    assert found is not None
    return found


def token_of(server: Server, device: str, headers: dict[str, str]) -> dict[str, str]:
    address = f"{server.url}/api/devices/{device}/token/"
    answer = httpx2.post(address, headers=headers, timeout=10, trust_env=False)
    return {"Authorization": f"Bearer {answer.json()['token']}"}


class Board:
    """A device with a token, and a connection that it keeps."""

    def __init__(self, server: Server, device: str, by: dict[str, str]) -> None:
        headers = token_of(server, device, by)
        self._client = httpx2.Client(base_url=server.url, headers=headers, timeout=10, trust_env=False)

    def report(self, payload: Any) -> dict[str, Any]:
        """What a board does: the same again until it is told that it is stored."""
        for _ in range(1_000):
            try:
                answer = self._client.post("/api/dht22_db/", json=payload)
            except httpx2.TransportError:
                time.sleep(0.02)
                continue
            if answer.status_code == 202:
                told: dict[str, Any] = answer.json()
                return told
            assert answer.status_code == 503, answer.text
            time.sleep(0.02)
        raise AssertionError("it was never stored")

    def close(self) -> None:
        self._client.close()


def sums(server: Server) -> tuple[int, int, int, int, int]:
    counts = server.get("/api/health/").json()["ingest"]
    stored, duplicate, rejected, waiting = (counts[name] for name in ("stored", "duplicate", "rejected", "waiting"))
    assert counts["received"] == stored + duplicate + rejected + waiting
    return counts["received"], stored, duplicate, rejected, waiting


def test_what_it_reports_counts_and_outlives_the_server(part_directory: Path, mariadb_url: str) -> None:
    with Server(part_directory, {"ADMIN_PASSWORD": PASSWORD, "DATABASE_URL": mariadb_url}) as server:
        by = admin(server)
        boards = [Board(server, f"d{n}", by) for n in range(5)]

        def run(board: Board) -> tuple[int, int]:
            told = [board.report({"boot": "a", "seq": n, "v": n}) for n in range(40)]
            board.close()
            return sum(one["stored"] for one in told), sum(one["duplicate"] for one in told)

        with ThreadPoolExecutor(5) as devices:
            running = [devices.submit(run, board) for board in boards]
            eventually(lambda: server.get("/api/health/").json()["ingest"]["stored"] > 20, what="reports under way")
            server.kill()
            server.start()
            outcomes = [one.result(60) for one in running]
        assert all(stored + duplicate == 40 for stored, duplicate in outcomes)
        received, stored, _, rejected, waiting = sums(server)
        assert (stored, rejected, waiting) == (200, 0, 0), "each once, however often it came"
        assert received >= 200
        shown = server.get("/api/devices/d3/").json()
        assert [(one["metric"], one["value"]) for one in shown["metrics"]] == [("v", 39.0)]
        assert server.stop() == 0
        assert "Traceback" not in server.output()


def test_with_workers_elsewhere_the_web_server_takes_it(
    part_directory: Path, mariadb_url: str, mosquitto: Mosquitto, topic_root: str
) -> None:
    settings = {
        "DATABASE_URL": mariadb_url,
        "MQTT_URL": mosquitto.url,
        "MQTT_CLIENT_ID": topic_root,
        "TOPIC_ROOT": topic_root,
    }
    worker = WorkerProcess(part_directory, settings | {"DATA_DIR": str(part_directory / "worker")})
    off = {"INGEST": "off", "ADMIN_PASSWORD": PASSWORD}
    with worker, Server(part_directory, settings | off) as server:
        board = Board(server, "kitchen", admin(server))
        assert board.report({"ts": 1_764_000_000_000, "v": 1})["stored"] == 1
        assert server.get("/api/devices/kitchen/").json()["metrics"][0]["value"] == 1, "at once, and from memory"
        mosquitto.publish(f"{topic_root}/cellar/telemetry", '{"ts": 1764000000000, "v": 2}')
        eventually(lambda: sums(server)[:2] == (2, 2), what="both in the sums")
        assert [one["name"] for one in server.get("/api/health/").json()["ingest"]["workers"]] == [topic_root]
        worker.kill()
        assert board.report({"ts": 1_764_000_001_000, "v": 3})["stored"] == 1, "it needs no worker"
        board.close()
        assert server.stop() == 0
        assert "Traceback" not in server.output()
