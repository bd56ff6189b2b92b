"""The MQTT connection in, pulled: `receive()` what has arrived, `acknowledge()` what is safe. Knows MQTT, not readings.

One thread uses it. The broker is the queue: what is not received stays there, and what is not acknowledged comes again.
`wake()` and nothing else may be called from another thread.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import mqtt5

from ingest.message import Message
from ingest.packets import MalformedPacket, OversizedPublish, Packet, PacketReader
from settings import MqttAddress

_Answer = TypeVar("_Answer", mqtt5.ConnAckPacket, mqtt5.SubAckPacket)

_CHUNK: Final = 1 << 18
#: Bytes of a packet beside the payload: header, topic, packet id, properties.
_OVERHEAD: Final = 70_000
#: A broker that ends a connection this soon after its beginning may have another client with our id.
_SOON_S: Final = 10.0


class BrokerAway(Exception):
    """The broker can't be reached, closed the connection or refused us. The text says which and why."""


@dataclass(frozen=True, slots=True)
class SubscriberSettings:
    """How to connect. `window` is how many unacknowledged messages we ask for at once; times are seconds.

    `former_filters` are those that a session kept from before may still have and is to lose. Without `keep_session` the
    broker forgets us when we leave, and begins with what it retains when we come.
    """

    address: MqttAddress
    client_id: str
    filters: tuple[str, ...]
    largest_payload: int = 1_000_000
    keep_alive_s: int = 60
    session_expiry_s: int = 7 * 86_400
    connect_timeout_s: float = 5.0
    window: int = 2000
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    former_filters: tuple[str, ...] = ()
    keep_session: bool = True


class Subscriber(Protocol):
    """What the worker needs of a connection, whichever protocol it speaks."""

    @property
    def window(self) -> int | None:
        """How many unacknowledged messages the broker may have with us, None while unknown."""

    def connect(self) -> None:
        """Connect and subscribe. Raises BrokerAway."""

    def receive(self, timeout_s: float) -> list[Message]:
        """What has arrived, waiting for it `timeout_s` at most. Raises BrokerAway."""

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these are stored. Raises BrokerAway."""

    def keep_alive(self) -> None:
        """Give a sign of life if one is due. Raises BrokerAway."""

    def wake(self) -> None:
        """End a `receive()` that waits, from another thread."""

    def close(self) -> None:
        """Leave; the broker keeps the session. Harmless if there is no connection."""

    def release(self) -> None:
        """Close, and give back all else it holds. It can't be used again."""


class Mqtt5Subscriber:
    """MQTT 5 over the sans-I/O package mqtt5, with a persistent session under a fixed client id."""

    def __init__(self, settings: SubscriberSettings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        self._reader = PacketReader(settings.largest_payload + _OVERHEAD)
        self._early: list[Packet] = []
        self._sent_at = 0.0
        self._pinged_at: float | None = None
        self._subscribed_at: float | None = None
        self._keep_alive_s = float(settings.keep_alive_s)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)

    @property
    def window(self) -> int | None:
        """What we announced; a broker may use less of it and does not say so."""
        return self._settings.window

    def connect(self) -> None:
        """Connect, wait for the broker's answer, subscribe and wait for that answer too.

        Raises:
            BrokerAway: If the broker can't be reached, or refuses us or the subscription.
        """
        self.close()
        settings = self._settings
        try:
            self._socket = self._open()
            self._reader = PacketReader(settings.largest_payload + _OVERHEAD)
            self._early = []
            self._pinged_at = self._subscribed_at = None
            self._send(self._hello().write())
            self._welcome(self._await(mqtt5.ConnAckPacket))
            self._subscribe()
            self._subscribed_at = time.monotonic()
        except OSError as error:
            self.close()
            raise BrokerAway(_reason(error)) from error
        except (BrokerAway, MalformedPacket) as error:
            self.close()
            raise BrokerAway(str(error)) from error

    def receive(self, timeout_s: float) -> list[Message]:
        """What has arrived, [] if nothing did within `timeout_s` or `wake()` was called.

        Raises:
            BrokerAway: If the connection is gone. What was received and not acknowledged will come again.
        """
        self.keep_alive()
        packets, self._early = self._early, []
        if not packets:
            packets = self._read(timeout_s)
        now = time.time_ns() // 1_000_000
        messages: list[Message] = []
        for packet in packets:
            message = self._message(packet, now)
            if message is not None:
                messages.append(message)
        return messages

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """PUBACK with success for each message that has a packet id (MQTT 5, section 3.4)."""
        data = b"".join([b"\x40\x02" + m.packet_id.to_bytes(2, "big") for m in messages if m.packet_id is not None])
        if data:
            self._send(data)

    def keep_alive(self) -> None:
        """PINGREQ if a third of the keep-alive passed without a packet from us."""
        if time.monotonic() - self._sent_at > self._keep_alive_s / 3:
            self._send(mqtt5.PingReqPacket().write())
            self._pinged_at = self._pinged_at or self._sent_at

    def wake(self) -> None:
        """End a `receive()` that waits. May be called from any thread."""
        with contextlib.suppress(OSError):  # full: it is awake already; closed: there is nothing to wake
            self._wake_out.send(b"\0")

    def close(self) -> None:
        """DISCONNECT and close; the broker keeps the session for its expiry."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):  # it is gone, which is what we want
            self._socket.settimeout(self._settings.connect_timeout_s)
            self._socket.sendall(mqtt5.DisconnectPacket().write())
        self._socket.close()
        self._socket = None

    def release(self) -> None:
        """Close, and give back the pair of sockets that `wake()` uses."""
        self.close()
        self._wake_in.close()
        self._wake_out.close()

    def _open(self) -> socket.socket:
        settings = self._settings
        address = (settings.address.host, settings.address.port)
        raw = socket.create_connection(address, settings.connect_timeout_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not settings.address.tls:
            return raw
        context = ssl.create_default_context(cafile=settings.ca_file)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        return context.wrap_socket(raw, server_hostname=settings.address.host)

    def _hello(self) -> mqtt5.ConnectPacket:
        settings, address = self._settings, self._settings.address
        return mqtt5.ConnectPacket(
            settings.client_id,
            username=address.username,
            password=address.password.get_secret_value().encode() if address.password else None,
            clean_start=not settings.keep_session,
            keep_alive=settings.keep_alive_s,
            session_expiry_interval=settings.session_expiry_s if settings.keep_session else 0,
            receive_max=settings.window,
        )

    def _welcome(self, answer: mqtt5.ConnAckPacket) -> None:
        if answer.reason_code != mqtt5.ConnAckReasonCode.SUCCESS:
            raise BrokerAway(f"it refuses us: {_words(answer.reason_code.name)}")
        self._keep_alive_s = float(answer.server_keep_alive or self._settings.keep_alive_s)

    def _subscribe(self) -> None:
        settings = self._settings
        filters = [
            mqtt5.TopicFilter(pattern, max_qos=mqtt5.QoS.AT_LEAST_ONCE, retain_as_published=False)
            for pattern in settings.filters
        ]
        self._send(mqtt5.SubscribePacket(1, filters).write())
        answer = self._await(mqtt5.SubAckPacket)
        refused = [code.name for code in answer.reason_codes if int(code) >= 128]  # 3.9.3: an error
        if refused:
            raise BrokerAway(f"it refuses the subscription to {', '.join(settings.filters)}: {_words(refused[0])}")
        if settings.former_filters:
            # After the new ones, so that nothing falls between them. No answer is awaited: rumqttd gives none for a
            # filter that it does not know.
            self._send(mqtt5.UnsubscribePacket(2, list(settings.former_filters)).write())

    def _await(self, kind: type[_Answer]) -> _Answer:
        """The answer of that kind; messages that come before it wait for the next `receive()`."""
        deadline = time.monotonic() + self._settings.connect_timeout_s
        while True:
            packets = self._read(max(0.0, deadline - time.monotonic()))
            for index, packet in enumerate(packets):
                if isinstance(packet, mqtt5.DisconnectPacket):
                    raise BrokerAway(f"it ended the connection: {_words(packet.reason_code.name)}")
                if isinstance(packet, kind):
                    self._early += packets[index + 1 :]
                    return packet
                self._early.append(packet)
            if not packets and time.monotonic() >= deadline:
                raise BrokerAway("it accepts the connection and does not answer; is there an MQTT 5 broker?")

    def _read(self, timeout_s: float) -> list[Packet]:
        sock = self._connected()
        try:
            if not self._await_data(sock, timeout_s):
                return []
            sock.setblocking(False)
            data = sock.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return []  # of TLS: a part of a record, or one without data
        except OSError as error:
            raise BrokerAway(_reason(error)) from error
        if not data:
            raise BrokerAway(f"it closed the connection{self._suspicion()}")
        self._pinged_at = None
        try:
            return self._reader.feed(data)
        except MalformedPacket as error:
            raise BrokerAway(f"it sent what is no MQTT 5: {error}") from error

    def _await_data(self, sock: socket.socket, timeout_s: float) -> bool:
        """Whether something can be read, within `timeout_s`. Raises BrokerAway if a ping has had no answer for long.

        Only where nothing is there to read: answers that came while we were busy storing are in the buffer.
        """
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True
        poll = select.poll()  # not select(), which takes no descriptor above 1023
        for watched in (sock, self._wake_in):
            poll.register(watched, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(timeout_s * 1000)}
        if self._wake_in.fileno() in ready:
            self._wake_in.recv(4096)
        if sock.fileno() in ready:
            return True
        if self._pinged_at is not None and time.monotonic() - self._pinged_at > self._keep_alive_s / 2:
            raise BrokerAway("it does not answer any more")
        return False

    def _suspicion(self) -> str:
        """Some brokers, Mosquitto 2.0.11 for one, do not say that another client took over our id."""
        if self._subscribed_at is None or time.monotonic() - self._subscribed_at > _SOON_S:
            return ""
        return f" soon after it let us in; maybe another worker uses the client id {self._client_id_hint()}"

    def _client_id_hint(self) -> str:
        return f"{self._settings.client_id} (MQTT_CLIENT_ID)"

    def _message(self, packet: Packet, now: int) -> Message | None:
        match packet:
            case mqtt5.PublishPacket():
                return Message(
                    packet.topic,
                    packet.payload,
                    len(packet.payload),
                    now,
                    packet.retain,
                    packet.duplicate,
                    packet.packet_id,
                )
            case OversizedPublish():
                return Message(
                    packet.topic, packet.payload, packet.size, now, packet.retain, packet.duplicate, packet.packet_id
                )
            case mqtt5.DisconnectPacket():
                hint = ""
                if packet.reason_code == mqtt5.DisconnectReasonCode.SESSION_TAKEN_OVER:
                    hint = f"; another worker uses the client id {self._client_id_hint()}"
                raise BrokerAway(f"it ended the connection: {_words(packet.reason_code.name)}{hint}")
        return None

    def _send(self, data: bytes) -> None:
        sock = self._connected()
        try:
            sock.settimeout(self._settings.connect_timeout_s)
            sock.sendall(data)
        except OSError as error:
            raise BrokerAway(_reason(error)) from error
        self._sent_at = time.monotonic()

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise BrokerAway("there is no connection")
        return self._socket


def _words(name: str) -> str:
    return name.lower().replace("_", " ")


def _reason(error: OSError) -> str:
    """The cause in a few words: `Connection refused`, `timed out`, what TLS objects to."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message} (MQTT_CA_FILE)"
    return error.strerror or str(error) or type(error).__name__
