"""Who may call a route, said once at each route by `who(...)`, and who calls it, found from what the request carries.

Credentials are `Authorization: Bearer …` (an access token, an API key or a device token) or the pages' session cookie.
No or bad credentials are 401, a caller who is known and not allowed is 403.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Request
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from api import signed
from api.current import TheRuntime
from api.origins import is_ours
from api.problems import CHALLENGE, ProblemError
from db.doors import ROLES, Actor, Doors, Origin, Role, User
from db.engine import DatabaseAway
from runtime import Runtime

Kind = Literal["session", "jwt", "key", "device", "nobody"]

COOKIE: Final = "sm_session"
_BAD_TOKEN: Final = {"WWW-Authenticate": 'Bearer realm="Smart Monitor", error="invalid_token"'}
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
#: What a proxy adds: behind one, everybody seems to come from this machine.
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-real-ip")
_LONGEST_ADDRESS: Final = 64
_LONGEST_AGENT: Final = 200


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a user by session, access token or key, a device by its token, or nobody we know."""

    kind: Kind
    name: str
    role: Role | None
    origin: Origin
    session_id: int | None = None
    device: str | None = None

    def actor(self) -> Actor:
        """The user, for rights and the audit log. Raises TypeError for a device and for nobody."""
        if self.role is None:
            raise TypeError(f"{self.kind} is no user: the route's statement must not let it in")
        return Actor(self.name, self.role, self.origin)


@dataclass(frozen=True, slots=True)
class Allowed:
    """Some who may call a route: callers of these kinds, users with at least this role. `text` is for the docs."""

    text: str
    kinds: frozenset[Kind]
    role: Role | None = None

    def lets_in(self, caller: Caller) -> bool:
        """Whether this caller is one of them."""
        if caller.kind not in self.kinds:
            return False
        return self.role is None or (caller.role is not None and ROLES.index(caller.role) >= ROLES.index(self.role))


_USERS: Final[frozenset[Kind]] = frozenset({"session", "jwt", "key"})
#: Everyone; credentials are not looked at.
OPEN: Final = Allowed("everyone", _USERS.union(("nobody", "device")))
#: Everyone while REQUIRE_LOGIN=control, else every user.
READER: Final = Allowed("every reader: everyone, or every user with REQUIRE_LOGIN=all", _USERS)
VIEWER: Final = Allowed("every user", _USERS, "viewer")
OPERATOR: Final = Allowed("operators and admins", _USERS, "operator")
ADMIN: Final = Allowed("admins", _USERS, "admin")
#: Every user, each for what is their own; an admin for everybody's. What is another's does not exist (404).
OWNER: Final = Allowed("its owner and admins; for others it does not exist", _USERS, "viewer")
#: A user who logged in, not a key: what leaks in a script must not make more of its kind.
LOGIN: Final = Allowed("users who logged in, not keys", frozenset({"session", "jwt"}), "viewer")
DEVICE: Final = Allowed("devices by their token", frozenset({"device"}))
#: Who controls, by the two kinds of credential that the two routes for orders are made for.
OPERATOR_KEY: Final = Allowed("operators' and admins' API keys", frozenset({"key"}), "operator")
OPERATOR_JWT: Final = Allowed("operators and admins by an access token", frozenset({"jwt"}), "operator")
#: Whoever asks on this machine, and not through a proxy.
HERE: Final = Allowed("whoever asks on the server's own machine", frozenset())


class Who:
    """One route's statement. `admit` is the dependency that keeps it."""

    def __init__(self, allowed: Sequence[Allowed]) -> None:
        self.allowed = tuple(allowed)

    @property
    def is_open(self) -> bool:
        """Whether everyone may call, whatever the settings."""
        return OPEN in self.allowed

    @property
    def may_be_open(self) -> bool:
        """Whether some call without credentials: readers, unless the settings close reading, and who asks from here."""
        return READER in self.allowed or HERE in self.allowed

    def admit(self, request: Request, runtime: TheRuntime) -> Caller:
        """The caller, if it may call. Raises ProblemError 401, 403, and DatabaseAway where that must be asked."""
        if self.is_open or (HERE in self.allowed and is_from_here(request)):
            return nobody(request)
        open_to_readers = READER in self.allowed and not closed(runtime)
        try:
            caller = identify(runtime.doors, request)
        except DatabaseAway:
            if not open_to_readers:
                raise
            return nobody(request)
        if open_to_readers:
            return caller
        if not any(one.lets_in(caller) for one in self.allowed):
            raise self._refusal(caller)
        if caller.kind == "session" and not (request.method in _SAFE and _may_ask_by_cookie(request)):
            require_same_origin(request)
        return caller

    def _refusal(self, caller: Caller) -> ProblemError:
        text = ", and ".join(one.text for one in self.allowed)
        if caller.kind == "nobody":
            return ProblemError(401, f"This needs a login: it is for {text}.", headers=CHALLENGE)
        return ProblemError(403, f"This is for {text}.")


def who(*allowed: Allowed) -> Any:
    """A route's one statement: annotates the parameter that takes the caller, or stands among its `dependencies`."""
    return Depends(Who(allowed).admit)


def statements(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, frozenset[str], Who | None]]:
    """Path, methods and statement of each route, None where there is none. Not of a mount of files."""
    for route in iter_route_contexts(routes):
        if route.path is not None and route.methods is not None:
            dependant = getattr(route, "dependant", None)
            owners = [getattr(one.call, "__self__", None) for one in dependant.dependencies] if dependant else []
            yield route.path, frozenset(route.methods), next((one for one in owners if isinstance(one, Who)), None)


def closed(runtime: Runtime) -> bool:
    """Whether reading needs a login too."""
    return runtime.settings.require_login == "all"


def nobody(request: Request) -> Caller:
    """The caller of a request whose credentials were not looked at, or that has none."""
    return Caller("nobody", "", None, origin_of(request))


def origin_of(request: Request) -> Origin:
    """Where a request comes from. Behind TRUSTED_PROXIES the address is the one that the proxy tells of."""
    address = request.client.host if request.client else ""
    return Origin(_plain(address, _LONGEST_ADDRESS), _plain(request.headers.get("user-agent", ""), _LONGEST_AGENT))


def _plain(text: str, longest: int) -> str:
    """Other people's words, cut, without what a terminal or a log would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:longest])


def identify(doors: Doors, request: Request) -> Caller:
    """Who the request's credentials say calls. Raises ProblemError 401 if they are bad, DatabaseAway.

    A cookie of a login that has ended is no error: the browser can't know.
    """
    origin = origin_of(request)
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        caller = _bearer(doors, token.strip(), origin) if scheme.lower() == "bearer" else None
        if caller is None:
            raise ProblemError(
                401, "The token is not valid, or not any more. Get another one, or log in again.", headers=_BAD_TOKEN
            )
        return caller
    cookie = request.cookies.get(COOKIE)
    session = doors.session(cookie) if cookie else None
    if session is None:
        return Caller("nobody", "", None, origin)
    return Caller("session", session.user.name, session.user.role, origin, session_id=session.id)


def _bearer(doors: Doors, token: str, origin: Origin) -> Caller | None:
    if token.startswith("sm_d_"):
        found = doors.device_token(token)
        return None if found is None else Caller("device", found.device, None, origin, device=found.device)
    if token.startswith("sm_k_"):
        key = doors.api_key(token)
        return None if key is None else _user("key", key.user, origin)
    claims = signed.read(doors.key("jwt"), "access", token)
    user = doors.user_of_family(claims.family) if claims is not None else None
    if user is None or claims is None or user.name != claims.name:
        return None
    return _user("jwt", user, origin)


def _user(kind: Kind, user: User, origin: Origin) -> Caller:
    return Caller(kind, user.name, user.role, origin)


def still_admitted(runtime: Runtime, request: Request) -> bool:
    """Whether a stream's credentials still let a reader in. True while the database can't say."""
    try:
        return READER.lets_in(identify(runtime.doors, request))
    except DatabaseAway:
        return True
    except ProblemError:
        return False


def require_same_origin(request: Request) -> None:
    """Raise ProblemError 403 unless the request comes from a page of ours."""
    site = request.headers.get("sec-fetch-site")
    if site is None:  # browsers leave it out where there is no TLS
        site = "same-origin" if is_ours(request.headers) else "cross-site"
    if site != "same-origin":
        raise ProblemError(403, "By cookie this is only possible from a page of this server.")


def _may_ask_by_cookie(request: Request) -> bool:
    """Whether no other site's page makes the browser ask. It could not read the answer, but make us do the work."""
    return request.headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def is_from_here(request: Request) -> bool:
    """Whether a request comes from this machine and through no proxy."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


#: A reader, for the routes that only show readings.
Reader = Annotated[Caller, who(READER)]
Admin = Annotated[Caller, who(ADMIN)]
Owner = Annotated[Caller, who(OWNER)]
