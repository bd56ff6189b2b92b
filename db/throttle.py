"""Wrong logins slow down the next tries, for a name and from an address, wherever they come in.

Each try is counted as a wrong one before the password is looked at, and forgiven if it was right: so a thousand at once
are no more than ten. What is kept of a subject is its HMAC: some type their password where the name belongs.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from db.rights import storable
from db.schema import login_places, login_tries
from db.statements import upsert

#: An address from which a user logged in rightly is known for so long.
KNOWN_MS: Final = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Throttle:
    """After `free` wrong tries the next must wait: `first_wait_s`, twice as long each time, `longest_wait_s` at most.

    A subject that nobody tried for `forget_s` begins anew.
    """

    free: int = 10
    first_wait_s: float = 2.0
    longest_wait_s: float = 60.0
    forget_s: float = 900.0

    def wait_ms(self, wrong: int) -> int:
        """How long to wait after so many wrong tries, in ms."""
        if wrong < self.free:
            return 0
        doublings = min(wrong - self.free, 32)
        return round(min(self.longest_wait_s, self.first_wait_s * 2.0**doublings) * 1000)


@dataclass(frozen=True, slots=True)
class Subjects:
    """Who tries: by the name, by the address, and by both together."""

    name: str
    address: str
    both: str

    @classmethod
    def of(cls, key: bytes, name: str, place: str) -> Subjects:
        """Those of a login as `name` from `place`."""
        parts = (("name", name), ("address", place), ("both", f"{place} {name}"))
        return cls(
            *(
                hmac.new(key, f"{kind} {text}".encode(errors="replace"), hashlib.sha256).hexdigest()
                for kind, text in parts
            )
        )

    def every(self) -> tuple[str, str, str]:
        """All three, in the order in which rows are locked."""
        first, second, third = sorted((self.name, self.address, self.both))
        return first, second, third


@dataclass(frozen=True, slots=True)
class _Tries:
    wrong: int = 0
    wait_until: int = 0


def place_of(address: str) -> str:
    """What counts as one address: of IPv6 the network, in which anybody has as many as they like."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return storable(address, 64)
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip_network((ip, 64), strict=False))


def wait_ms(connection: Connection, throttle: Throttle, who: Subjects, now_ms: int, *, known_place: bool) -> int:
    """How long they must wait before a try, in ms; 0: not at all. Changes nothing."""
    return _wait(_tries(connection, throttle, who, now_ms), throttle, who, now_ms, known_place=known_place)


def count(connection: Connection, throttle: Throttle, who: Subjects, now_ms: int, *, known_place: bool) -> int:
    """Count a try as a wrong one and return 0; or, if they must wait, count nothing and return how long, in ms.

    Raises RefusedRows if another was the first to try as they are, or from there, at the same moment: do it again.
    """
    rows = _rows(connection, who, lock=True)
    tries = _remembered(rows, throttle, now_ms)
    wait = _wait(tries, throttle, who, now_ms, known_place=known_place)
    if wait:
        return wait
    # By the same look: a row that came after it is another's count, which is not to be written over.
    there = {row.subject for row in rows}
    for subject in who.every():
        wrong = tries.get(subject, _Tries()).wrong + 1
        row = {"wrong": wrong, "last_at": now_ms, "wait_until": now_ms + throttle.wait_ms(wrong)}
        if subject in there:
            connection.execute(update(login_tries).where(login_tries.c.subject == subject).values(row))
        else:
            connection.execute(insert(login_tries).values({"subject": subject, **row}))
    return 0


def forgive(connection: Connection, throttle: Throttle, who: Subjects, now_ms: int) -> None:
    """Take back what was counted for this name from this address: it was they. What others did stays counted."""
    tries = _tries(connection, throttle, who, now_ms, lock=True)
    theirs = tries.get(who.both, _Tries()).wrong
    connection.execute(delete(login_tries).where(login_tries.c.subject == who.both))
    for subject in sorted((who.name, who.address)):
        of = tries.get(subject, _Tries())
        wrong = max(0, of.wrong - theirs)
        wait = throttle.wait_ms(wrong)
        row = {"wrong": wrong, "wait_until": min(of.wait_until, now_ms + wait) if wait else 0}
        connection.execute(update(login_tries).where(login_tries.c.subject == subject).values(row))


def prune(connection: Connection, throttle: Throttle, now_ms: int) -> None:
    """Delete what is forgotten."""
    connection.execute(delete(login_tries).where(login_tries.c.last_at < now_ms - round(throttle.forget_s * 1000)))


def note_place(connection: Connection, user_id: int, place: str, now_ms: int) -> None:
    """Remember that a user logged in rightly from there, and forget where they have not been for 30 days."""
    upsert(connection, login_places, [{"user_id": user_id, "address": place, "last_at": now_ms}], ["last_at"])
    old = (login_places.c.user_id == user_id, login_places.c.last_at < now_ms - KNOWN_MS)
    connection.execute(delete(login_places).where(*old))


def _tries(
    connection: Connection, throttle: Throttle, who: Subjects, now_ms: int, *, lock: bool = False
) -> dict[str, _Tries]:
    return _remembered(_rows(connection, who, lock=lock), throttle, now_ms)


def _rows(connection: Connection, who: Subjects, *, lock: bool) -> Sequence[Any]:
    query: Any = select(login_tries).where(login_tries.c.subject.in_(who.every())).order_by(login_tries.c.subject)
    return connection.execute(query.with_for_update() if lock else query).all()


def _remembered(rows: Sequence[Any], throttle: Throttle, now_ms: int) -> dict[str, _Tries]:
    forget_ms = round(throttle.forget_s * 1000)
    return {row.subject: _Tries(row.wrong, row.wait_until) for row in rows if abs(now_ms - row.last_at) <= forget_ms}


def _wait(tries: dict[str, _Tries], throttle: Throttle, who: Subjects, now_ms: int, *, known_place: bool) -> int:
    held = [who.address] if known_place else [who.address, who.name]
    waits = [tries[subject].wait_until - now_ms for subject in held if subject in tries]
    # No wait is longer than the longest: this machine's clock was set back.
    return max([0, *(wait for wait in waits if wait <= throttle.longest_wait_s * 1000)])
