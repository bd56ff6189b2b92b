"""Callers of every kind: users of each role by cookie, token and key, a device, and nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from api import signed
from api.auth import COOKIE
from db.doors import ROLES, Actor, Doors, Origin, Role
from tests.parts.doors import PASSWORD

__all__ = ["CALLERS", "FROM_OUR_PAGE", "ORIGIN", "PASSWORD", "ROOT", "People", "bearer"]

ORIGIN: Final = Origin("10.1.2.3", "a test")
ROOT: Final = Actor("root", "admin", ORIGIN)
#: What a browser adds to a request from a page of the same server.
FROM_OUR_PAGE: Final = {"Sec-Fetch-Site": "same-origin"}
KINDS: Final = ("session", "jwt", "key")


@dataclass(slots=True)
class People:
    """A user of each role, named after it, made when it is first asked for."""

    doors: Doors
    _known: set[str] = field(default_factory=set)
    _kept: dict[str, dict[str, str]] = field(default_factory=dict)

    def name(self, role: Role) -> str:
        """The user of this role."""
        if role not in self._known:
            self.doors.create_user(ROOT, role, role, PASSWORD)
            self._known.add(role)
        return role

    def actor(self, role: Role) -> Actor:
        """The same, for what it does by itself."""
        return Actor(self.name(role), role, ORIGIN)

    def session(self, role: Role) -> tuple[str, int]:
        """A new page login's token and id."""
        user = self.doors.user(self.name(role))
        assert user is not None
        token, session = self.doors.open_session(user, ORIGIN)
        return token, session.id

    def cookie(self, role: Role) -> dict[str, str]:
        """Headers of a request from one of our pages, by a new page login."""
        return FROM_OUR_PAGE | {"Cookie": f"{COOKIE}={self.session(role)[0]}"}

    def family(self, role: Role) -> tuple[str, str]:
        """A new login by the API: its family, and the id of its refresh token."""
        user = self.doors.user(self.name(role))
        assert user is not None
        return self.doors.open_family(user, ORIGIN)

    def jwt(self, role: Role) -> dict[str, str]:
        """Headers with an access token."""
        family, _ = self.family(role)
        return bearer(signed.sign(self.doors.key("jwt"), "access", self.name(role), family))

    def key(self, role: Role) -> dict[str, str]:
        """Headers with an API key."""
        return bearer(self.doors.create_key(self.actor(role), "a test")[1])

    def device(self, name: str = "kitchen") -> dict[str, str]:
        """Headers with a device token."""
        return bearer(self.doors.create_device_token(ROOT, name)[1])

    def headers(self, caller: str) -> dict[str, str]:
        """Of `nobody`, `device`, or a kind and a role such as `jwt viewer`; of a session a new one each time."""
        if caller.startswith("session") or caller not in self._kept:
            self._kept[caller] = self._made(caller)
        return self._kept[caller]

    def _made(self, caller: str) -> dict[str, str]:
        if caller == "nobody":
            return {}
        if caller == "device":
            return self.device()
        kind, role = caller.split()
        make = {"session": self.cookie, "jwt": self.jwt, "key": self.key}[kind]
        return make(next(one for one in ROLES if one == role))


#: All callers there are, as `People.headers` takes them.
CALLERS: Final = ("nobody", "device", *(f"{kind} {role}" for role in ROLES for kind in KINDS))


def bearer(token: str) -> dict[str, str]:
    """The header a token travels in."""
    return {"Authorization": f"Bearer {token}"}
