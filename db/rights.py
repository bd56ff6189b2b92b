"""Who does what from where, the roles, and what is said when a door stays shut. Every sentence is fit for a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["viewer", "operator", "admin"]
#: Rising: each may do what those before it may.
ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "admin")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where somebody is: an IP address, or `local` for the command line; and what the browser says it is."""

    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: for the audit log, and for what they may do."""

    name: str
    role: Role
    origin: Origin

    def may(self, role: Role) -> bool:
        """Whether they have this role or a higher one."""
        return ROLES.index(self.role) >= ROLES.index(role)


def storable(text: str, length: int) -> str:
    """Text from outside as every database takes it: no half characters, no NUL, no more than `length` characters."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")[:length]


class DoorsError(Exception):
    """Something was not done. The text is a sentence for a person. The tree: all that follow."""


class WrongLogin(DoorsError):
    """Name and password do not go together, or the user is disabled: never told apart."""

    def __init__(self) -> None:
        super().__init__("Wrong name or password.")


class SlowDown(DoorsError):
    """Too many wrong tries. `seconds` (at least 1): how long to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"Too many wrong tries. Try again in {seconds} second{'' if seconds == 1 else 's'}.")
        self.seconds = seconds


class NotAllowed(DoorsError):
    """They are known and may not do this."""


class Unknown(DoorsError):
    """There is no such user, key or login, or it is not theirs to see."""


class Conflict(DoorsError):
    """It is there already."""


class BadField(DoorsError):
    """A value can't be used; `field` names it."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field
