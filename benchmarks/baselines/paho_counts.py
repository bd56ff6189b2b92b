"""paho with a persistent session whose on_message counts. `paho_counts.py PORT 3.1.1|5 MESSAGES`; 0 only subscribes."""

from __future__ import annotations

import json
import sys
import time

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties


class Counter:
    """Counts, and remembers when the first and the last came."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.count = 0
        self.first = self.last = 0.0

    def on_message(self, client: paho.Client, _data: object, _message: paho.MQTTMessage) -> None:
        """Count."""
        self.count += 1
        if self.count == 1:
            self.first = time.perf_counter()
        if self.count == self.total:
            self.last = time.perf_counter()
            client.disconnect()


def _ended(client: paho.Client) -> None:
    client.disconnect()


def main(port: int, protocol: str, total: int) -> None:
    """Print the rate and the CPU seconds as JSON."""
    counter = Counter(total)
    version5 = protocol == "5"
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        "bench",
        clean_session=None if version5 else False,
        protocol=paho.MQTTv5 if version5 else paho.MQTTv311,
    )
    if total:
        client.on_message = counter.on_message
    else:
        client.on_subscribe = lambda *_: _ended(client)
    properties = None
    if version5:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 86_400
        properties.ReceiveMaximum = 2000
    if version5:
        client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    else:
        client.connect("127.0.0.1", port)
    client.subscribe("iot/#", qos=1)
    began = time.process_time()
    client.loop_forever()
    if total:
        rate = (counter.count - 1) / max(counter.last - counter.first, 1e-6)
        json.dump({"rate": rate, "cpu_s": time.process_time() - began}, sys.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
