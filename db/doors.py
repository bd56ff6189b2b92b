"""The doors: what pages and API ask when somebody wants in. One object a process.

Here are API keys, device tokens and the API's logins; passwords and the pages' logins are in `db.logins`, users and the
audit log in `db.membership`.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from db import device_tokens, devices, keys, token_families, tokens, users
from db.device_tokens import DeviceToken
from db.engine import Connection
from db.keys import ApiKey
from db.membership import Membership
from db.passwords import HashCost
from db.rights import (
    ROLES,
    Actor,
    BadField,
    Conflict,
    DoorsError,
    NotAllowed,
    Origin,
    Role,
    SlowDown,
    Unknown,
    WrongLogin,
    storable,
)
from db.sessions import Session
from db.throttle import Throttle
from db.token_families import Family
from db.users import User

__all__ = [
    "ROLES",
    "Actor",
    "ApiKey",
    "BadField",
    "Conflict",
    "DeviceToken",
    "Doors",
    "DoorsError",
    "HashCost",
    "NotAllowed",
    "Origin",
    "Role",
    "Session",
    "SlowDown",
    "Throttle",
    "Unknown",
    "User",
    "WrongLogin",
]

#: How long an API login lasts without a refresh.
FAMILY_MS: Final = 7 * 86_400_000
_KEYS_A_USER: Final = 100
_NAME_LENGTH: Final = 64
_ADDRESS_LENGTH: Final = 64
_FAMILY: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_LEVEL: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
#: A device, or a site and its device.
_DEVICE: Final = re.compile(f"{_LEVEL}(/{_LEVEL})?", re.ASCII)


class Doors(Membership):
    """All of them. Methods raise DatabaseAway where the database is not to be had."""

    # API keys

    def create_key(self, actor: Actor, name: str) -> tuple[ApiKey, str]:
        """A new key of the actor's own, and its token, shown this once. Raises BadField, Unknown."""
        if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable() or not name.strip():
            raise BadField("name", f"A key's name has 1 to {_NAME_LENGTH} characters that can be seen.")
        user = self._whose(actor, None)
        token = tokens.draw(tokens.API_KEY)
        key = ApiKey(0, user, name, tokens.hint(token), self._clock(), None)

        def create(connection: Connection) -> int:
            if len(keys.of_user(connection, user.id)) >= _KEYS_A_USER:
                raise Conflict(f"A user has {_KEYS_A_USER} keys at most. Revoke one first.")
            return keys.add(connection, key, tokens.digest(token, tokens.API_KEY) or "")

        key_id = self._change(actor, "key.create", name, create, detail=key.hint)
        return ApiKey(key_id, user, name, key.hint, key.created_at, None), token

    def keys(self, actor: Actor, of: str | None = None) -> list[ApiKey]:
        """One's own keys, or as an admin those `of` another, oldest first. Raises NotAllowed, Unknown."""
        user = self._whose(actor, of)
        return self._read(lambda connection: keys.of_user(connection, user.id))

    def revoke_key(self, actor: Actor, key_id: int) -> None:
        """Revoke a key of one's own, or as an admin anybody's. Raises Unknown if there is none that is theirs."""
        key = self._read(lambda connection: keys.by_id(connection, key_id))
        if key is None or not (key.user.name.lower() == actor.name.lower() or actor.may("admin")):
            raise Unknown("There is no such key; it may have been revoked already.")
        detail = f"{key.hint} of {key.user.name}"
        self._change(actor, "key.revoke", key.name, lambda c: keys.remove(c, key_id), detail=detail)

    def api_key(self, token: str | None) -> ApiKey | None:
        """The key of a token, None if it was revoked or its user is disabled."""
        digest = tokens.digest(token, tokens.API_KEY)
        if digest is None:
            return None
        key: ApiKey | None = self._look_up(f"key {digest}", lambda c: keys.by_digest(c, digest))
        if key is None or key.user.disabled:
            return None
        found = key
        self._note_use(f"key {digest}", found.used_at, lambda c, now: keys.touch(c, found.id, now))
        return found

    # Device tokens

    def create_device_token(self, actor: Actor, device: str) -> tuple[DeviceToken, str]:
        """A device's token, shown this once; one that it had is worth nothing from then on.

        The device is made if it is new. Raises BadField, NotAllowed.
        """
        if not _DEVICE.fullmatch(device):
            raise BadField(
                "device",
                "A device's name has letters, digits, '.', '_' and '-', the first a letter or digit, at most 64; "
                "its site may stand before it: site1/kitchen.",
            )
        token = tokens.draw(tokens.DEVICE)
        made = DeviceToken(device, tokens.hint(token), self._clock(), None, actor.name)

        def create(connection: Connection) -> None:
            device_id = devices.ensure(connection, [device], made.created_at, heard=False)[device]
            devices.bring_back(connection, [device_id])
            device_tokens.replace(connection, device_id, made, tokens.digest(token, tokens.DEVICE) or "")

        self._change(actor, "device_token.create", device, create, needs="admin", detail=made.hint)
        return made, token

    def revoke_device_token(self, actor: Actor, device: str) -> None:
        """Take a device's token back. Raises Unknown if it has none, NotAllowed."""

        def revoke(connection: Connection) -> None:
            known = devices.ids(connection, [device]) if _DEVICE.fullmatch(device) else {}
            if device not in known or not device_tokens.remove(connection, known[device]):
                raise Unknown(f"The device {storable(device, 191)} has no token.")

        self._change(actor, "device_token.revoke", device, revoke, needs="admin")

    def device_token(self, token: str | None) -> DeviceToken | None:
        """Whose token this is, None if nobody's."""
        digest = tokens.digest(token, tokens.DEVICE)
        if digest is None:
            return None
        found: DeviceToken | None = self._look_up(f"device {digest}", lambda c: device_tokens.by_digest(c, digest))
        if found is not None:
            self._note_use(f"device {digest}", found.used_at, lambda c, now: device_tokens.touch(c, digest, now))
        return found

    def device_tokens(self) -> list[DeviceToken]:
        """All of them, by device."""
        return self._read(device_tokens.every)

    # Logins at the API

    def open_family(self, user: User, origin: Origin) -> tuple[str, str]:
        """A login at the API for a user whose password was right a moment ago: its id, and the refresh token's id.

        Raises:
            WrongLogin: If meanwhile the user was disabled or got another password.
        """
        now = self._clock()
        address = storable(origin.address, _ADDRESS_LENGTH)
        family = Family(_drawn(), user, _drawn(), now, now + FAMILY_MS, address)

        def add(connection: Connection) -> None:
            if not users.unchanged(connection, user):
                raise WrongLogin
            token_families.add(connection, family)
            self._record(connection, self._entry(user.name, origin, "token.issue", user.name, "ok"))

        self._write(add)
        self._write(lambda connection: token_families.prune(connection, now))
        return family.id, family.jti

    def rotate(self, family: str, jti: str, origin: Origin) -> tuple[User, str] | None:
        """Exchange a refresh token for the next: the user, and the new one's id. None: this login is dead.

        A refresh token that was exchanged before is in two hands: that ends the login, and is recorded.
        """
        if not _FAMILY.fullmatch(family):
            return None
        now = self._clock()

        def exchange(connection: Connection) -> tuple[User, str] | None:
            token_families.lock(connection, family)
            found = token_families.find(connection, family)
            if found is None or found.expires_at <= now or found.user.disabled:
                return None
            if not secrets.compare_digest(found.jti.encode(), jti.encode(errors="replace")):
                token_families.remove(connection, family)
                name = found.user.name
                detail = "a refresh token was used twice; the login is ended"
                self._record(connection, self._entry(name, origin, "token.reuse", name, "refused", detail))
                return None
            fresh = _drawn()
            token_families.renew(connection, family, fresh, now + FAMILY_MS)
            return found.user, fresh

        result = self._write(exchange)
        if result is None:
            self._fresh.clear()
        return result

    def end_family(self, family: str, origin: Origin) -> None:
        """End a login at the API; harmless if it ended before."""
        if not _FAMILY.fullmatch(family):
            return

        def end(connection: Connection) -> None:
            token_families.lock(connection, family)
            found = token_families.find(connection, family)
            if found is not None and token_families.remove(connection, family):
                self._record(connection, self._entry(found.user.name, origin, "logout", found.user.name, "ok"))

        self._write(end)
        self._fresh.clear()

    def user_of_family(self, family: str) -> User | None:
        """Whose login at the API this is, None once it ended, expired, or the user is disabled."""
        if not _FAMILY.fullmatch(family):
            return None
        found: Family | None = self._look_up(f"family {family}", lambda c: token_families.find(c, family))
        if found is None or found.user.disabled or found.expires_at <= self._clock():
            return None
        return found.user


def _drawn() -> str:
    return secrets.token_urlsafe(32)
