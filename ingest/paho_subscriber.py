"""The subscriber for brokers that speak MQTT 3.1.1 alone: paho does the protocol (`PulledPaho`)."""

from __future__ import annotations

from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.health import ProtocolVersion
from ingest.message import Message
from ingest.packets import KEPT_BYTES
from ingest.pulled_paho import PulledPaho
from ingest.subscriber import BrokerAway, OneVersion, SubscriberSettings


class PahoSubscriber(OneVersion):
    """MQTT 3.1.1 with a persistent session under a fixed client id.

    MQTT 3.1.1 lets a client announce neither a window nor a largest packet, and paho reads a packet whole before it
    shows it: one that is too large is held once, at most 256 MB by the protocol, before all but its beginning is
    dropped. Acknowledgements and signs of life go past paho, whose `ack()` sends a packet each and whose PINGREQ comes
    only after the whole keep-alive.
    """

    def __init__(self, settings: SubscriberSettings) -> None:
        super().__init__(settings)
        self._paho = PulledPaho(settings, self._connection)
        self._messages: list[Message] = []
        self._granted: list[ReasonCode] | None = None

    @property
    def window(self) -> int | None:
        """Unknown: the broker decides and does not say."""
        return None

    @property
    def protocol(self) -> ProtocolVersion:
        """MQTT 3.1.1."""
        return "3.1.1"

    def _enter(self) -> float:
        settings = self._settings
        self._messages, self._granted = [], None
        client = self._paho.begin(MQTTProtocolVersion.MQTTv311, clean=not settings.persistent, manual_ack=True)
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._paho.enter()
        self._subscribe(client)
        return float(settings.keep_alive_s)

    def _subscribe(self, client: paho.Client) -> None:
        settings = self._settings
        filters: list[tuple[str, int]] = [(pattern, settings.qos) for pattern in settings.filters]
        client.subscribe(filters)
        self._paho.wait(lambda: self._granted is not None)
        if any(code.is_failure for code in self._granted or ()):
            raise BrokerAway(f"it refuses the subscription to {', '.join(settings.filters)}")
        if settings.former_filters:
            client.unsubscribe(list(settings.former_filters))

    def _arrived(self, timeout_s: float) -> list[Message]:
        if not self._messages:
            self._paho.read(timeout_s)
        messages, self._messages = self._messages, []
        return messages

    def _on_subscribe(
        self, _client: paho.Client, _data: Any, _id: int, granted: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._granted = granted

    def _on_message(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        payload = message.payload
        size = len(payload)
        if size > self._settings.largest_payload:
            payload = payload[:KEPT_BYTES]
        try:
            topic = message.topic
        except UnicodeDecodeError as error:
            raise BrokerAway(f"it sent what is no MQTT 3.1.1: a topic that is no text: {error}") from error
        self._messages.append(
            Message(
                topic,
                bytes(payload),
                size,
                self._paho.read_at,
                message.retain,
                message.dup,
                message.mid if message.qos else None,
            )
        )
