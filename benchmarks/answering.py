"""Devices that answer at once, in a process of their own: `python -m benchmarks.answering PORT DEVICES`.

All of them are one connection, so that what is measured is not how many connections this machine bears. It says `ready`
once they are introduced; when its stdin closes it prints, as JSON, how often commands came and how many were applied.
Each id is applied once and answered each time, as a device does that remembers ids.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.telemetry import device

ROOT: Final = "iot"
ABOUT: Final = json.dumps({"model": "benchmark", "actuators": ["led"]})


class Devices:
    """What came for them, and how often each id did."""

    def __init__(self, port: int, count: int) -> None:
        self._names = [device(number) for number in range(count)]
        self.delivered: Counter[str] = Counter()
        self.ready = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="bench-devices")
        self._client.max_inflight_messages_set(1000)
        self._client.on_connect = self._connected
        self._client.on_message = self._received
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{ROOT}/+/+/set", qos=1)
        for name in self._names:
            client.publish(f"{ROOT}/{name}/about", ABOUT, qos=1, retain=True)
            client.publish(f"{ROOT}/{name}/status", "online", qos=1, retain=True)
            client.publish(f"{ROOT}/{name}/led/state", "OFF", qos=1, retain=True)
        self.ready.set()

    def _received(self, client: mqtt.Client, _userdata: Any, message: mqtt.MQTTMessage) -> None:
        command = json.loads(message.payload)
        self.delivered[command["id"]] += 1
        answer = json.dumps({"id": command["id"], "state": command["state"]})
        client.publish(f"{message.topic.removesuffix('/set')}/state", answer, qos=1, retain=True)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()


def main() -> None:
    """Answer until stdin closes."""
    devices = Devices(int(sys.argv[1]), int(sys.argv[2]))
    devices.ready.wait(60)
    print("ready", flush=True)
    sys.stdin.read()
    devices.close()
    print(json.dumps({"applied": len(devices.delivered), "delivered": devices.delivered.total()}))


if __name__ == "__main__":
    main()
