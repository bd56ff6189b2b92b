"""One connection to a broker, for a question or two: all in the calling thread, within a bounded time."""

from __future__ import annotations

import contextlib
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

_LOOK_S: Final = 0.05


class NotIn(Exception):
    """The broker can't be asked. `kind`: nothing is there, it says nothing, it refuses us, or it hung up.

    `reason` is the bare cause; the text names the broker too.
    """

    def __init__(self, text: str, kind: Literal["away", "silent", "refused", "ended"], reason: str = "") -> None:
        super().__init__(text)
        self.kind, self.reason = kind, reason

    @property
    def refused(self) -> bool:
        """Whether somebody answered, and did not let us go on."""
        return self.kind in {"refused", "ended"}


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
    """Connected as a context manager. MQTT 3.1.1, which every broker speaks.

    `client_id` None: one drawn at random. With `session` what the broker keeps for the client id stays as it is, and
    messages that come are not acknowledged; without, it is thrown away.
    """

    def __init__(
        self, endpoint: Endpoint, patience_s: float = 5.0, client_id: str | None = None, *, session: bool = False
    ) -> None:
        self._endpoint = endpoint
        self._patience_s = patience_s
        self.heard: list[Heard] = []
        self._reason: Any = None
        self._granted: dict[int, bool] = {}
        self._acknowledged: set[int] = set()
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            f"smart-monitor-{secrets.token_hex(4)}" if client_id is None else client_id,
            clean_session=not session,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=session,
        )
        if endpoint.username is not None:
            client.username_pw_set(endpoint.username, endpoint.password)
        client.connect_timeout = patience_s
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        self._client = client

    def subscribe(self, topic: str) -> bool:
        """Whether the broker grants it. Raises NotIn if it hung up, or does not answer in time."""
        _, number = self._client.subscribe(topic, 1)
        if number is None or not self.wait(lambda: number in self._granted):
            raise self._silent()
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
                raise NotIn(f"{self._endpoint} ended the connection", "ended")
        return True

    def __enter__(self) -> Self:
        try:
            self._connect()
            if not self.wait(lambda: self._reason is not None):
                raise self._silent()
            if self._reason.is_failure:
                raise NotIn(f"{self._endpoint} refuses the login ({self._reason})", "refused", str(self._reason))
        except NotIn:
            self._drop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # it went before us
            self._client.disconnect()
        self._drop()

    def _connect(self) -> None:
        to = self._endpoint
        try:
            if to.tls:
                context = ssl.create_default_context(cafile=to.ca_file)
                if to.certificate is not None:
                    context.load_cert_chain(to.certificate, to.key)
                self._client.tls_set_context(context)
            # The keep-alive is also how long paho waits for TLS.
            self._client.connect(to.host, to.port, keepalive=max(1, round(self._patience_s)))
        except ssl.SSLError as error:
            raise NotIn(f"{to}: TLS failed ({error.reason or error})", "refused", str(error.reason or error)) from error
        except OSError as error:
            why = error.strerror or str(error)
            raise NotIn(f"{to} is not there ({why})", "away", why) from error

    def _silent(self) -> NotIn:
        return NotIn(f"{self._endpoint} says nothing for {self._patience_s:g} s", "silent")

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
