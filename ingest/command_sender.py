"""The connection on which commands go out: publishes with QoS 1 and tells what the broker acknowledged.

One thread uses it, and waits here both for the broker and for who wakes it. paho does the protocol, pulled, as it does
for `PahoSubscriber`. Nothing outlives a connection: what was not acknowledged on it is for the owner to send again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.connection import BrokerAway, BrokerConnection, ConnectionClosed, SubscriberSettings
from ingest.paho_subscriber import Buffer
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


class _Client(paho.Client):
    """A paho client on a connection that stands already."""

    def __init__(self, client_id: str, version: MQTTProtocolVersion, buffer: Buffer) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session=None if version == MQTTProtocolVersion.MQTTv5 else True,
            protocol=version,
            reconnect_on_failure=False,
        )
        self.max_inflight_messages_set(0)  # the window is ours: it shall never queue
        self._buffer = buffer

    def _create_socket(self) -> paho.SocketLike:
        return self._buffer


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
        self._buffer = Buffer(self._connection.send)
        self._version = self._versions[0]
        self._client = _Client(settings.client_id, self._version, self._buffer)
        self._welcome: ReasonCode | None = None
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
            info = self._client.publish(topic, payload, qos=1, retain=False, properties=properties)
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
            self._read(timeout_s)
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
        settings = self._settings
        self._version, self._welcome, self._window = version, None, _WINDOW
        self._buffer.fill(b"")
        client = _Client(settings.client_id, version, self._buffer)
        if settings.address.username is not None:
            password = settings.address.password
            client.username_pw_set(settings.address.username, password.get_secret_value() if password else None)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        self._client = client
        self._connection.open()
        more: dict[str, Any] = {"clean_start": True} if version == MQTTProtocolVersion.MQTTv5 else {}
        client.connect(settings.address.host, settings.address.port, settings.keep_alive_s, **more)
        try:
            self._await(lambda: self._welcome is not None)
        except ConnectionClosed as error:
            raise VersionRefused(str(error)) from error
        self._check_welcome()
        self._connection.subscribed(float(settings.keep_alive_s))

    def _check_welcome(self) -> None:
        if self._welcome is not None and self._welcome.is_failure:
            words = str(self._welcome).lower()
            kind = VersionRefused if "protocol version" in words else BrokerAway
            raise kind(f"it refuses us: {words}")

    def _await(self, answered: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._settings.connect_timeout_s
        while not answered():
            if time.monotonic() >= deadline:
                raise BrokerAway("it accepts the connection and does not answer; is there an MQTT broker?")
            self._read(max(0.0, deadline - time.monotonic()))

    def _read(self, timeout_s: float) -> None:
        self._buffer.fill(self._connection.read(timeout_s))
        while self._buffer.pending:
            code = self._client.loop_read()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS and not (self._welcome is not None and self._welcome.is_failure):
                kind = BrokerAway if self._welcome is not None else VersionRefused
                raise kind(f"it ended the connection, or sent what we do not speak: {paho.error_string(code)}")

    def _on_connect(
        self,
        _client: paho.Client,
        _data: Any,
        _flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._welcome = reason
        self._window = min(_WINDOW, getattr(properties, "ReceiveMaximum", _WINDOW))

    def _on_publish(
        self, _client: paho.Client, _data: Any, mid: int, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        token = self._flying.pop(mid, None)
        if token is not None:
            refused = str(reason).lower() if reason.is_failure else None
            self._answers.append(Answer(token, refused, reason.value != _NOBODY))
