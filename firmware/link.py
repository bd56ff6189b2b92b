"""A device's connection to its broker: MQTT 3.1.1 by paho, driven by the asyncio loop, with reconnecting."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

logger = logging.getLogger("simulator")

KEEP_ALIVE_S = 30
#: How often a link looks at its keep-alive, which a broker forgives half of; thousands of links do it one by one.
HOUSEKEEPING_S = 5.0
CONNECTING_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where the broker is and who we are to it. The password never shows in a repr."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> BrokerAddress:
        """Read `mqtt://[user:password@]host[:port]`. Raises ValueError, which never shows the password."""
        try:
            parts = urlsplit(url)
            port = parts.port or 1883
        except ValueError:
            raise ValueError("the port of a broker address is a number from 1 to 65535") from None
        if parts.scheme != "mqtt" or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("a broker address is mqtt://[user:password@]host[:port]")
        username = unquote(parts.username) if parts.username else None
        return cls(parts.hostname, port, username, unquote(parts.password) if parts.password else None)

    def __str__(self) -> str:
        return f"mqtt://[{self.host}]:{self.port}" if ":" in self.host else f"mqtt://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: between attempts to connect (doubling, with jitter), and for one attempt. Seconds."""

    first_s: float = 0.2
    longest_s: float = 5.0
    attempt_s: float = 5.0

    def pause_s(self, attempt: int, random: Random) -> float:
        """The pause after failed attempt number `attempt`, counted from 0: between half and all of its bound."""
        return min(self.longest_s, self.first_s * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us, retained, when we are cut off."""

    topic: str
    payload: bytes


class LinkOwner(Protocol):
    """Whom a link tells what happens; all calls come from the event loop."""

    def connected(self) -> None:
        """The broker has accepted a new connection; nothing is subscribed yet."""

    def acknowledged(self, packet_id: int) -> None:
        """The broker has the message with this packet id."""

    def received(self, topic: str, payload: bytes, retained: bool) -> None:
        """A message for us arrived."""


class Crowd:
    """What the links of one fleet share: how many of them connect at once, and one voice for all.

    It says once that the broker is away and once that it is back, however many links and attempts there are.
    """

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._away: set[str] = set()
        #: Thousands that connect at once would keep each other waiting until their attempts run out of time.
        self.connecting = asyncio.Semaphore(CONNECTING_AT_ONCE)

    def lost(self, client_id: str, reason: object) -> None:
        """A link is without a connection."""
        if not self._away:
            logger.warning("broker %s is away (%s); readings wait on the devices, trying again", self._address, reason)
        self._away.add(client_id)

    def found(self, client_id: str) -> None:
        """A link has its connection again."""
        if client_id in self._away:
            self._away.remove(client_id)
            if not self._away:
                logger.warning("broker %s is back", self._address)


class _Client(paho.Client):
    """paho, connecting over a socket that asyncio has connected: its own connect would block every device."""

    ready: socket.socket | None = None

    def _create_socket_connection(self) -> socket.socket:
        if self.ready is None:
            raise ConnectionError("no connected socket was handed over")
        ready, self.ready = self.ready, None
        return ready

    def drop(self) -> None:
        """Close the socket, if there is one, without a word; on_socket_close is told, on_disconnect is not."""
        if self.ready is not None:
            self.ready.close()
            self.ready = None
        self._sock_close()


class Link:
    """One device's connection. Unacknowledged messages stay with it over reconnects and are sent again (DUP).

    `run` keeps it connected until cancelled; `close` ends it politely. Everything happens on one event loop.
    """

    def __init__(
        self,
        address: BrokerAddress,
        client_id: str,
        will: Will,
        owner: LinkOwner,
        crowd: Crowd,
        patience: Patience,
        random: Random,
    ) -> None:
        self._address = address
        self._client_id = client_id
        self._owner = owner
        self._crowd = crowd
        self._patience = patience
        self._random = random
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._verdict: asyncio.Future[ReasonCode] | None = None
        self._up = False
        self._unacknowledged: set[int] = set()
        self._settled = asyncio.Event()
        self._settled.set()
        self._client = self._make_client(will)

    @property
    def up(self) -> bool:
        """Whether the broker has accepted the connection and it has not broken since."""
        return self._up

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Hand over a QoS 1 message; returns the packet id that `acknowledged` will name."""
        packet_id = self._client.publish(topic, payload, qos=1, retain=retain).mid
        self._unacknowledged.add(packet_id)
        self._settled.clear()
        return packet_id

    @property
    def unacknowledged(self) -> int:
        """How many messages wait for their PUBACK."""
        return len(self._unacknowledged)

    async def settled(self) -> None:
        """Wait until every message was acknowledged."""
        await self._settled.wait()

    def subscribe(self, topics: list[str]) -> None:
        """Ask for messages on `topics`, QoS 1. Once a connection: the session does not outlive it."""
        self._client.subscribe([(topic, 1) for topic in topics])

    async def run(self) -> None:
        """Connect, stay connected, connect again with growing pauses; until cancelled."""
        attempt = 0
        while True:
            try:
                async with self._crowd.connecting:
                    await self._connect()
            except OSError as error:
                self._crowd.lost(self._client_id, error)
            else:
                began = self._loop.time()
                self._crowd.found(self._client_id)
                self._owner.connected()
                await self._serve()
                self._crowd.lost(self._client_id, "connection lost")
                if self._loop.time() - began > self._patience.longest_s:
                    attempt = 0  # not after a short one: two clients of one id would throw each other out for ever
            await asyncio.sleep(self._patience.pause_s(attempt, self._random))
            attempt += 1

    async def close(self) -> None:
        """Say DISCONNECT, so that the broker keeps the will to itself. For after `run` was cancelled."""
        if self._up:
            self._client.disconnect()
            await self._ended.wait()

    def drop(self) -> None:
        """Close the connection, if there is one, without a word. For after `run` was cancelled."""
        self._up = False
        self._client.drop()

    async def _connect(self) -> None:
        """One attempt. Raises OSError (TimeoutError is one) with what stood in the way."""
        try:
            async with asyncio.timeout(self._patience.attempt_s):
                self._client.ready = await self._connected_socket()
                self._ended.clear()
                self._verdict = self._loop.create_future()
                self._client.reconnect()
                verdict = await self._verdict
        except TimeoutError as error:
            self.drop()
            raise TimeoutError(f"no answer within {self._patience.attempt_s:g} s") from error
        except BaseException:
            self.drop()
            raise
        if verdict.is_failure:
            self.drop()
            raise ConnectionRefusedError(f"refused: {verdict}")

    async def _connected_socket(self) -> socket.socket:
        infos = await self._loop.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM)
        reason: OSError = ConnectionError(f"no address for {self._address.host}")
        for family, kind, protocol, _, target in infos:
            connection = socket.socket(family, kind, protocol)
            connection.setblocking(False)
            try:
                await self._loop.sock_connect(connection, target)
            except OSError as error:
                connection.close()
                reason = error
                continue
            except BaseException:
                connection.close()
                raise
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
        raise reason

    async def _serve(self) -> None:
        """Wait for the connection's end, looking at the keep-alive meanwhile."""
        while not self._ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(HOUSEKEEPING_S):
                    await self._ended.wait()
            self._client.loop_misc()

    # paho's side: all of these are called from within loop_read, loop_write, loop_misc or reconnect, on our loop.

    def _make_client(self, will: Will) -> _Client:
        client = _Client(
            CallbackAPIVersion.VERSION2, self._client_id, protocol=paho.MQTTv311, reconnect_on_failure=False
        )
        client.username_pw_set(self._address.username, self._address.password)
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.max_inflight_messages_set(0)  # the device has its own window; paho shall never queue
        client.connect_async(self._address.host, self._address.port, KEEP_ALIVE_S)
        client.on_connect = lambda _client, _data, _flags, reason, _properties: self._answered(reason)
        client.on_disconnect = lambda *_: self._lost()
        client.on_publish = lambda _client, _data, packet_id, *_: self._acknowledged(packet_id)
        client.on_message = lambda _client, _data, m: self._owner.received(m.topic, bytes(m.payload), m.retain)
        client.on_socket_open = lambda _client, _data, s: self._loop.add_reader(s, client.loop_read)
        client.on_socket_close = lambda _client, _data, s: self._unwatch(s)
        client.on_socket_register_write = lambda _client, _data, s: self._loop.add_writer(s, client.loop_write)
        client.on_socket_unregister_write = lambda _client, _data, s: self._unwatch_writing(s)
        return client

    def _answered(self, verdict: ReasonCode) -> None:
        self._up = not verdict.is_failure
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(verdict)

    def _acknowledged(self, packet_id: int) -> None:
        self._unacknowledged.discard(packet_id)
        if not self._unacknowledged:
            self._settled.set()
        self._owner.acknowledged(packet_id)

    def _lost(self) -> None:
        self._up = False
        self._ended.set()
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_exception(ConnectionError("the broker closed the connection"))

    def _unwatch(self, connection: SocketLike) -> None:
        self._loop.remove_reader(connection)
        self._loop.remove_writer(connection)

    def _unwatch_writing(self, connection: SocketLike) -> None:
        self._loop.remove_writer(connection)
