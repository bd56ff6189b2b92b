"""One connection to a broker for the doctor: everything happens in the calling thread, within a bounded time."""

from __future__ import annotations

import contextlib
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

_LOOK_S: Final = 0.05


class NotIn(Exception):
    """There is no broker, or it does not let us in. `refused`: it answered, and said no."""

    def __init__(self, text: str, *, refused: bool) -> None:
        super().__init__(text)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A broker and a login there; without `username` none. With `tls`, `ca_file` None means the system's."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __str__(self) -> str:
        """Without the password."""
        return f"mqtt{'s' if self.tls else ''}://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Heard:
    """A message as it came: `at_s` on this process's monotonic clock, `wall_ms` UTC ms."""

    topic: str
    payload: bytes
    retained: bool
    at_s: float
    wall_ms: int


class Connection:
    """Connected as a context manager. MQTT 3.1.1, which every broker speaks."""

    def __init__(self, endpoint: Endpoint, patience_s: float = 5.0, client_id: str | None = None) -> None:
        self._endpoint = endpoint
        self._patience_s = patience_s
        self.heard: list[Heard] = []
        self._reason: Any = None
        self._granted: dict[int, bool] = {}
        self._acknowledged: set[int] = set()
        chosen = f"doctor-{secrets.token_hex(4)}" if client_id is None else client_id
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=chosen, protocol=MQTTProtocolVersion.MQTTv311)
        if endpoint.username is not None:
            client.username_pw_set(endpoint.username, endpoint.password)
        if endpoint.tls:
            context = ssl.create_default_context(cafile=endpoint.ca_file)
            if endpoint.certificate is not None:
                context.load_cert_chain(endpoint.certificate, endpoint.key)
            client.tls_set_context(context)
        client.connect_timeout = patience_s
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client

    def subscribe(self, topic: str) -> bool:
        """Whether the broker grants it; False also where it does not answer in time. Raises NotIn if it hung up."""
        _, number = self._client.subscribe(topic, 1)
        if number is None or not self.wait(lambda: number in self._granted):
            return False
        return self._granted[number]

    def publish(self, topic: str, payload: bytes) -> bool:
        """Whether the broker acknowledges it in time. Raises NotIn if it hung up."""
        number = self._client.publish(topic, payload, 1).mid
        return self.wait(lambda: number in self._acknowledged)

    def wait(self, until: Callable[[], bool], seconds: float | None = None) -> bool:
        """Take what comes until the condition holds, or the time is over; whether it holds. Raises NotIn."""
        deadline = time.monotonic() + (self._patience_s if seconds is None else seconds)
        while not until():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if self._client.loop(min(_LOOK_S, left)) != MQTTErrorCode.MQTT_ERR_SUCCESS and not until():
                raise NotIn(f"{self._endpoint} ended the connection", refused=True)
        return True

    def __enter__(self) -> Self:
        try:
            self._client.connect(self._endpoint.host, self._endpoint.port)
        except ssl.SSLError as error:
            self._drop()
            raise NotIn(f"{self._endpoint}: TLS failed ({error.reason or error})", refused=True) from error
        except OSError as error:
            self._drop()
            raise NotIn(f"{self._endpoint} is not there ({error})", refused=False) from error
        try:
            answered = self.wait(lambda: self._reason is not None)
        except NotIn:
            self._drop()
            raise
        if not answered or self._reason.is_failure:
            self._drop()
            said = f"refuses the login ({self._reason})" if answered else f"says nothing for {self._patience_s:g} s"
            raise NotIn(f"{self._endpoint} {said}", refused=answered)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # it went before us
            self._client.disconnect()
        self._drop()

    def _drop(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        self._reason = reason

    def _on_subscribe(self, _client: Any, _data: Any, number: int, reasons: Any, _properties: Any) -> None:
        self._granted[number] = not reasons[0].is_failure

    def _on_publish(self, _client: Any, _data: Any, number: int, _reason: Any, _properties: Any) -> None:
        self._acknowledged.add(number)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        now_ms = time.time_ns() // 1_000_000
        self.heard.append(Heard(message.topic, bytes(message.payload), message.retain, time.monotonic(), now_ms))
