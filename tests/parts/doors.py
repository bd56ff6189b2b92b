"""Doors at a cost that tests can pay, and people at them."""

from __future__ import annotations

from collections.abc import Callable

from db.doors import Actor, Doors, HashCost, Origin, Role, Throttle, User
from db.engine import Engine
from db.gate import now_ms

CHEAP = HashCost(time=1, memory_kib=64, lanes=1)
SECRET = b"a secret for tests, 32 bytes and more"
HERE = Origin("192.0.2.1", "a browser")
THERE = Origin("198.51.100.7", "another browser")
ROOT = Actor("root", "admin", Origin("local"))
PASSWORD = "seven green bottles"


class Clock:
    """UTC ms that a test moves on."""

    def __init__(self) -> None:
        self.now = now_ms()

    def __call__(self) -> int:
        return self.now

    def pass_s(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += round(seconds * 1000)


def make_doors(
    engine: Engine,
    *,
    clock: Callable[[], int] = now_ms,
    fresh_s: float = 0.0,
    throttle: Throttle | None = None,
    secret: bytes = SECRET,
) -> Doors:
    """Doors whose hashes cost next to nothing, and which ask the database each time."""
    return Doors(engine, secret, cost=CHEAP, clock=clock, fresh_s=fresh_s, throttle=throttle)


def add_user(doors: Doors, name: str = "anna", role: Role = "viewer") -> User:
    """A user with PASSWORD."""
    user, generated = doors.create_user(ROOT, name, role, PASSWORD)
    assert generated is None
    return user


def actor(user: User, origin: Origin = HERE) -> Actor:
    """A user who does something."""
    return Actor(user.name, user.role, origin)
