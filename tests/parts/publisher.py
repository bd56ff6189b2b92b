"""A device's connection: publishes many messages over one connection and waits until the broker has them all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

#: Topic, payload, and whether the broker keeps it for later subscribers.
Publication = tuple[str, str | bytes] | tuple[str, str | bytes, bool]


class Publisher:
    """A paho client (MQTT 3.1.1, QoS 1) on 127.0.0.1, usable as a context manager. `ca_file`: over TLS."""

    def __init__(self, port: int, *, ca_file: Path | None = None) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(100)
        self._port = port
        if ca_file is not None:
            self._client.tls_set(ca_certs=str(ca_file))

    def publish(self, messages: Iterable[Publication]) -> None:
        """Publish all, in order; the broker has acknowledged each when this returns."""
        sent = [self._client.publish(m[0], m[1], qos=1, retain=len(m) == 3 and m[2]) for m in messages]
        for info in sent:
            info.wait_for_publish(5)
            assert info.is_published(), "the broker did not acknowledge within 5 s"

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()
