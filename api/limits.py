"""How much one may ask: the size of a body, the time it may take, and how many requests a second.

Bodies are counted as they stream past, so that an endless one costs no memory. Requests are counted by address and by
credential, before anything else looks at them; a refused credential costs an address as much as many right ones.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import answer

#: After such an answer the rest of a body, which nobody reads, must not follow.
_CLOSE: Final = {"Connection": "close"}
_COOKIE: Final = "sm_session"


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a second in the long run, and so many at once."""

    a_second: float
    at_once: float


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """What is allowed. A route that takes larger bodies reads them by `read_body` and stands in `own_bodies`."""

    body_bytes: int = 65_536
    #: For a whole body, in seconds.
    body_s: float = 30.0
    own_bodies: frozenset[str] = frozenset({"/dht22_db", "/dht22_db/"})
    by_address: Rate = Rate(500, 1_000)
    by_credential: Rate = Rate(300, 600)
    #: What a request costs its address that was answered with 401.
    refused_costs: float = 10.0
    #: Of how many addresses, and of how many credentials, it is remembered what they asked.
    remembered: int = 10_000


class TooLarge(HTTPException):
    """413: the body has more bytes than are taken."""

    def __init__(self, largest: int) -> None:
        super().__init__(413, f"The body is larger than the {largest} bytes that are taken here.", dict(_CLOSE))


class TooSlow(HTTPException):
    """408: the body did not arrive in time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(408, f"The body did not arrive within {seconds:g} seconds. Send it again.", dict(_CLOSE))


class NoRoom(HTTPException):
    """503: more is being sent at this moment than is held in memory."""

    def __init__(self) -> None:
        super().__init__(503, "Too much is being sent at once. Send it again.", {"Retry-After": "1", **_CLOSE})


class Buckets:
    """What each of many has left of its rate, the one that asked longest ago forgotten first. For one thread."""

    def __init__(self, rate: Rate, remembered: int) -> None:
        self._rate, self._remembered = rate, remembered
        self._left: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, who: bytes, now: float, cost: float = 1.0) -> float:
        """Take `cost`; 0, or the seconds until there would be enough, and then nothing is taken. `now`: monotonic s."""
        left = self._now(who, now)
        if left < cost:
            return (cost - left) / self._rate.a_second
        self._keep(who, left - cost, now)
        return 0.0

    def charge(self, who: bytes, now: float, cost: float) -> None:
        """Take `cost` afterwards, even if there is not enough: then it is missing at the next request."""
        self._keep(who, self._now(who, now) - cost, now)

    def __len__(self) -> int:
        return len(self._left)

    def _now(self, who: bytes, now: float) -> float:
        left, at = self._left.get(who, (self._rate.at_once, now))
        return min(self._rate.at_once, left + (now - at) * self._rate.a_second)

    def _keep(self, who: bytes, left: float, now: float) -> None:
        self._left[who] = (max(left, -self._rate.at_once), now)
        self._left.move_to_end(who)
        if len(self._left) > self._remembered:
            self._left.popitem(last=False)


@dataclass(slots=True)
class _Body:
    """What of a request's body has come, by when all of it has to, and whether the answer has begun."""

    size: int = 0
    ended: bool = False
    until: float | None = None
    answered: bool = False


class Limits:
    """ASGI middleware around the API. Behind TRUSTED_PROXIES it stands inside of what finds the client's address."""

    def __init__(
        self, app: ASGIApp, settings: LimitSettings | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._settings, self._clock = app, settings or LimitSettings(), clock
        self._addresses = Buckets(self._settings.by_address, self._settings.remembered)
        self._credentials = Buckets(self._settings.by_credential, self._settings.remembered)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 429, 413 or 408."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        address = _address(scope)
        settings = self._settings
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        largest = math.inf if path in settings.own_bodies else settings.body_bytes
        refusal = self._refusal(address, headers, largest)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        body = _Body()

        async def limited() -> Message:
            try:
                return await _receive(receive, body, largest, settings.body_s)
            except (TooLarge, TooSlow):
                if body.answered:  # nobody reads it: what is waited for is the client's leaving
                    return {"type": "http.disconnect"}
                raise

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                body.answered = True
                if message["status"] == 401:
                    self._addresses.charge(address, self._clock(), settings.refused_costs - 1)
                if not body.ended and _has_body(headers):
                    message = _closing(message)
            await send(message)

        await self._app(scope, limited, watched)

    def _refusal(self, address: bytes, headers: Headers, largest: float) -> Response | None:
        """The answer to a request that is not even passed on."""
        wait = self._wait(address, headers)
        if wait > 0:
            seconds = max(1, math.ceil(wait))
            retry = {"Retry-After": str(seconds), **_CLOSE}
            return answer(429, f"Too many requests. Ask again in {seconds} s.", headers=retry)
        if _announced(headers) > largest:
            refused = TooLarge(int(largest))
            return answer(413, refused.detail, headers=refused.headers)
        return None

    def _wait(self, address: bytes, headers: Headers) -> float:
        now = self._clock()
        wait = self._addresses.take(address, now)
        credential = _credential(headers)
        if wait <= 0 and credential is not None:
            wait = self._credentials.take(credential, now)
        return wait


class Room:
    """How many bytes the bodies that are just being read may hold together. For one event loop."""

    def __init__(self, most: int) -> None:
        self._most, self._used = most, 0

    def take(self, size: int) -> bool:
        """Whether there was room; one body alone always has it, however large."""
        if self._used and self._used + size > self._most:
            return False
        self._used += size
        return True

    def give(self, size: int) -> None:
        """Give back what was taken."""
        self._used -= size


async def read_body(request: Request, largest: int, room: Room) -> bytes:
    """A body of at most `largest` bytes. Raises TooLarge, TooSlow, NoRoom."""
    if _announced(request.headers) > largest:
        raise TooLarge(largest)
    parts = bytearray()
    taken = 0
    try:
        async for part in request.stream():
            if len(parts) + len(part) > largest:
                raise TooLarge(largest)
            if not room.take(len(part)):
                raise NoRoom
            taken += len(part)
            parts += part
        return bytes(parts)
    finally:
        room.give(taken)


async def _receive(receive: Receive, body: _Body, largest: float, seconds: float) -> Message:
    """The next part of a body. Raises TooLarge, TooSlow. After the body it is the client's leaving that is awaited."""
    if body.ended:
        return await receive()
    clock = asyncio.get_running_loop().time
    if body.until is None:
        body.until = clock() + seconds
    try:
        async with asyncio.timeout_at(body.until):
            message = await receive()
    except TimeoutError:
        raise TooSlow(seconds) from None
    if message["type"] == "http.request":
        body.size += len(message.get("body", b""))
        body.ended = not message.get("more_body", False)
        if body.size > largest:
            raise TooLarge(int(largest))
    else:
        body.ended = True
    return message


def _closing(message: Message) -> dict[str, Any]:
    headers = [(name, value) for name, value in message.get("headers", ()) if name.lower() != b"connection"]
    return {**message, "headers": [*headers, (b"connection", b"close")]}


def _announced(headers: Headers) -> int:
    """Bytes of the body as its head tells, 0 where it does not."""
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or _announced(headers) > 0


def _credential(headers: Headers) -> bytes | None:
    """What tells one credential from another, and not what it is."""
    text = headers.get("authorization")
    if text is None:
        cookies = headers.get("cookie", "").split(";")
        text = next((cookie for one in cookies if (cookie := one.strip()).startswith(f"{_COOKIE}=")), None)
    return None if text is None else blake2b(text.encode("latin-1"), digest_size=16).digest()


def _address(scope: Scope) -> bytes:
    """The client's address; of IPv6 the network, of which one client may have all."""
    client = scope.get("client")
    host = client[0] if client else ""
    try:
        address = ip_address(host)
    except ValueError:
        return str(host).encode()
    if isinstance(address, IPv6Address):
        return address.packed[:8] if address.ipv4_mapped is None else address.ipv4_mapped.packed
    return address.packed
