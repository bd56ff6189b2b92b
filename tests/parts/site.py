"""A server and its broker, set up as `python -m broker init` says, with logins for devices."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from db.doors import Doors
from tests.broker.device_client import DeviceClient
from tests.pages.visitors import settle
from tests.parts.doors import actor
from tests.parts.eventually import eventually
from tests.parts.production_broker import ProductionBroker
from tests.parts.server import Server


@dataclass(frozen=True, slots=True)
class Site:
    """A server, its broker, and who comes in. `admin`: headers of an admin's script."""

    server: Server
    broker: ProductionBroker
    doors: Doors
    admin: dict[str, str]

    def device(self, name: str, password: str) -> DeviceClient:
        """Who comes in over TLS with these."""
        return DeviceClient(self.broker.tls_port, name, name, password, self.broker.ca)

    def ask(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """The API, as an admin."""
        address = f"{self.server.url}/api{path}"
        return httpx2.request(method, address, headers=self.admin, timeout=60, trust_env=False, **more)

    def add(self, device: str) -> str:
        """Make a device by the API: the password of its login."""
        answer = self.ask("POST", "/devices/", json={"device": device})
        assert answer.status_code == 201, answer.text
        password: str = answer.json()["mqtt"]["password"]
        return password

    def value(self, device: str, metric: str = "temperature") -> float | None:
        """What the server has of it."""
        answer = self.server.get(f"/api/devices/{device}/")
        metrics = answer.json().get("metrics", []) if answer.status_code == 200 else []
        return next((one["value"] for one in metrics if one["metric"] == metric), None)

    def reported(self, device: str) -> str | None:
        """What its LED does."""
        answer = self.server.get("/api/led_status/", device=device, actuator="led")
        return answer.json().get("reported") if answer.status_code == 200 else None

    def outcome(self, device: str, state: str) -> str:
        """Ask its LED for a state: how that ended."""
        asked = self.ask("POST", "/led_control/", json={"device": device, "led": "led", "state": state})
        assert asked.status_code == 202, asked.text
        status: str = self.ask("GET", f"/commands/{asked.json()['id']}/?wait=25").json()["status"]
        return status


@contextmanager
def running_site() -> Iterator[Site]:
    """Both, on free ports, with a user of each role."""
    path = Path(tempfile.mkdtemp(prefix="sm-"))
    with ProductionBroker(path) as broker, Server(path, broker.settings) as server:
        doors = settle(server)
        eventually(lambda: server.get("/api/health/").json()["broker"]["state"] == "connected")
        user = doors.user("the-admin")
        assert user is not None
        key = doors.create_key(actor(user), "a script")[1]
        yield Site(server, broker, doors, {"Authorization": f"Bearer {key}"})
    shutil.rmtree(path)
