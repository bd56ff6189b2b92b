"""MQTT_PROTOCOL: which version of MQTT is spoken, and with `auto` by trying."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ingest.health import ProtocolVersion
from ingest.message import Message
from ingest.paho_subscriber import PahoSubscriber
from ingest.subscriber import (
    Mqtt5Subscriber,
    Subscriber,
    SubscriberSettings,
    VersionRefused,
)


def make_subscriber(settings: SubscriberSettings, protocol: Literal["auto", "5", "3.1.1"]) -> Subscriber:
    """The subscriber that MQTT_PROTOCOL asks for."""
    match protocol:
        case "5":
            return Mqtt5Subscriber(settings)
        case "3.1.1":
            return PahoSubscriber(settings)
        case "auto":
            return NegotiatedSubscriber(settings)


class NegotiatedSubscriber:
    """MQTT 5, and 3.1.1 where the broker refuses it.

    Each connection begins with MQTT 5: a broker that closed it for another reason, or was replaced, is soon spoken to
    in the faster version again.
    """

    def __init__(self, settings: SubscriberSettings) -> None:
        self._newer = Mqtt5Subscriber(settings)
        self._older = PahoSubscriber(settings)
        self._chosen: Mqtt5Subscriber | PahoSubscriber = self._newer

    @property
    def window(self) -> int | None:
        """Of the version in use."""
        return self._chosen.window

    @property
    def protocol(self) -> ProtocolVersion:
        """The version in use."""
        return self._chosen.protocol

    def connect(self) -> None:
        """Connect by MQTT 5, else by 3.1.1. Raises BrokerAway."""
        self.close()
        self._chosen = self._newer
        try:
            self._newer.connect()
        except VersionRefused as refused:
            try:
                self._older.connect()
            except VersionRefused:  # no broker at all; what it said first tells more
                raise refused from None
            self._chosen = self._older

    def receive(self, timeout_s: float) -> list[Message]:
        """What has arrived. Raises BrokerAway."""
        return self._chosen.receive(timeout_s)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these are stored. Raises BrokerAway."""
        self._chosen.acknowledge(messages)

    def keep_alive(self) -> None:
        """Give a sign of life if one is due. Raises BrokerAway."""
        self._chosen.keep_alive()

    def wake(self) -> None:
        """End a `receive()` that waits, from another thread. The one not in use forgets it at its next read."""
        self._newer.wake()
        self._older.wake()

    def close(self) -> None:
        """Leave; the broker keeps the session."""
        self._chosen.close()

    def release(self) -> None:
        """Close, and give back all else they hold."""
        self._newer.release()
        self._older.release()
