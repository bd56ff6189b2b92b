"""Shows what devices say, as it comes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from firmware.link import BrokerAddress


def watch(address: BrokerAddress, topics: str, count: int | None, show: Callable[[str], None]) -> None:
    """Show each message on `topics`, until Ctrl-C or `count` of them. Raises OSError if the broker is not there."""
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.username_pw_set(address.username, address.password)
    left = [count]
    end = threading.Event()

    def show_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        show(f"{message.topic}  {message.payload.decode(errors='replace')}")
        if left[0] is not None:
            left[0] -= 1
            if left[0] <= 0:
                end.set()

    def subscribe() -> None:
        client.subscribe(topics, 0)

    client.on_connect = lambda *_: subscribe()
    client.on_message = show_message
    client.connect(address.host, address.port)
    client.loop_start()
    try:
        end.wait()
    finally:
        client.disconnect()
        client.loop_stop()
