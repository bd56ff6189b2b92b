"""The connection on which commands go out: publishes with QoS 1 and tells what the broker acknowledged.

One thread uses it, and waits here both for the broker and for who wakes it. paho does the protocol (`PulledPaho`).
Nothing outlives a connection: what was not acknowledged on it is for the owner to send again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.connection import BrokerAway, BrokerConnection, SubscriberSettings
from ingest.pulled_paho import PulledPaho
from ingest.subscriber import VersionRefused

#: How many may be unacknowledged at a time, where the broker does not ask for fewer.
_WINDOW: Final = 100
#: MQTT 5: the broker has it, and nobody is subscribed.
_NOBODY: Final = 16


@dataclass(frozen=True, slots=True)
class Answer:
    """What the broker said of a message. `refused`: why it does not take it. `heard` False: nobody is subscribed."""

    token: str
    refused: str | None = None
    heard: bool = True


class CommandSender:
    """`settings.filters` are not used: it subscribes to nothing."""

    def __init__(self, settings: SubscriberSettings, protocol: Literal["auto", "5", "3.1.1"]) -> None:
        self._settings = settings
        self._versions: Sequence[MQTTProtocolVersion] = {
            "auto": (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311),
            "5": (MQTTProtocolVersion.MQTTv5,),
            "3.1.1": (MQTTProtocolVersion.MQTTv311,),
        }[protocol]
        self._connection = BrokerConnection(settings)
        self._paho = PulledPaho(settings, self._connection)
        self._version = self._versions[0]
        self._window = _WINDOW
        self._flying: dict[int, str] = {}
        self._answers: list[Answer] = []
        self._connected = False

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connected

    @property
    def room(self) -> int:
        """How many more may be sent before an answer comes."""
        return self._window - len(self._flying)

    def connect(self) -> None:
        """Connect anew, by MQTT 5 or 3.1.1 as asked for. Raises BrokerAway."""
        first: VersionRefused | None = None
        for version in self._versions:
            self.close()
            try:
                self._enter(version)
            except VersionRefused as refused:
                first = first or refused
            except BrokerAway:
                self.close()
                raise
            else:
                self._connected = True
                return
        self.close()
        raise first or BrokerAway("it speaks no version of MQTT that we do")

    def send(self, token: str, topic: str, payload: bytes, expires_in_s: float) -> None:
        """Publish with QoS 1, not retained; `answers` gives `token` back. Raises BrokerAway."""
        properties = None
        if self._version == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = max(1, math.ceil(expires_in_s))
        try:
            info = self._paho.client.publish(topic, payload, qos=1, retain=False, properties=properties)
        except BrokerAway:
            self._connected = False
            raise
        self._flying[info.mid] = token

    def answers(self, timeout_s: float) -> list[Answer]:
        """What the broker acknowledged, [] if nothing did within `timeout_s` or `wake()` was called.

        Raises:
            BrokerAway: If the connection is gone, and with it all answers that have not come.
        """
        try:
            self._connection.keep_alive()
            self._paho.read(timeout_s)
        except BrokerAway:
            self._connected = False
            raise
        answers, self._answers = self._answers, []
        return answers

    def wake(self) -> None:
        """End a wait for answers, from another thread."""
        self._connection.wake()

    def close(self) -> None:
        """Leave. Harmless if there is no connection."""
        self._connected = False
        self._flying.clear()
        self._answers.clear()
        self._connection.close()

    def release(self) -> None:
        """Close, and give back all else it holds. It can't be used again."""
        self.close()
        self._connection.release()

    def _enter(self, version: MQTTProtocolVersion) -> None:
        self._version = version
        client = self._paho.begin(version, clean=True)
        client.max_inflight_messages_set(0)  # the window is ours: it shall never queue
        client.on_publish = self._on_publish
        self._connection.open()
        self._paho.enter()
        self._window = min(_WINDOW, getattr(self._paho.properties, "ReceiveMaximum", _WINDOW))
        self._connection.subscribed(float(self._settings.keep_alive_s))

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        token = self._flying.pop(mid, None)
        if token is not None:
            refused = str(reason).lower() if reason.is_failure else None
            self._answers.append(Answer(token, refused, reason.value != _NOBODY))
