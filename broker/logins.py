"""Logins of devices as the server's pages and API make and end them, each step told to whoever keeps the audit log.

The broker is not in the database, so no transaction holds both. What shall be done is noted before it is done: where
that can't be noted, nothing is done; where nothing follows the note, nobody knows whether it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeVar

from broker import access, paste, provisioning
from broker.dynamic_security import AdministrationAway, AdministrationError, Administrator
from broker.paste import Reach, Snippet
from broker.provisioning import Account, AccountExists, Credentials, NoSuchAccount

T = TypeVar("T")
Result = Literal["asked", "ok", "failed"]

#: Under which name a device finds the authority that it knows the broker by: whoever sets it up saves it so.
CA_NAME: Final = "ca.crt"


class Note(Protocol):
    """Keeps what was asked of the broker, and what came of it. Raises whatever it likes, for what was `asked` alone."""

    def __call__(self, action: str, device: str, result: Result, detail: str = "") -> None:
        """Keep it."""


class LoginError(Exception):
    """A login was not made, changed or ended. The text is a sentence for a person."""


class BrokerRefuses(LoginError):
    """The broker is away, or did not do it."""


class LoginExists(LoginError):
    """There is one already."""


class NoLogin(LoginError):
    """There is none."""


class BadName(LoginError):
    """No login can have this name."""


@dataclass(frozen=True, slots=True)
class DeviceLogins:
    """Who changes logins at the broker, and how devices reach it.

    `ca_file`: what they know it by, on this machine. `plain`: how boards that speak no TLS reach it, None where they do
    as all devices, or not at all.
    """

    administrator: Administrator
    reach: Reach
    ca_file: Path | None = None
    plain: Reach | None = None

    def find(self, device: str) -> Account | None:
        """The device's login as it is now. Raises BrokerRefuses."""
        with _in_words(changes=False):
            return _of_a_device(provisioning.find(self.administrator, device))

    def add(self, device: str, note: Note) -> Credentials:
        """Make a login. Raises LoginExists, BadName, BrokerRefuses, and what `note` raises."""
        self._check(device)
        return _noted(note, "device_login.create", device, lambda: self._add(device))

    def give(self, device: str, note: Note) -> Credentials:
        """Make a login, or give the one there is another password. Raises as `add`."""
        self._check(device)
        known = _looked(note, "device_login.replace", device, lambda: provisioning.find(self.administrator, device))
        if known is None or known.revoked or known.kind != "device":
            return _noted(note, "device_login.create", device, lambda: self._add(device))
        return _noted(note, "device_login.replace", device, lambda: provisioning.rotate(self.administrator, device))

    def revoke(self, device: str, note: Note) -> None:
        """Let it in no more, and end its connection. Raises NoLogin, also if it was revoked, BrokerRefuses."""
        _noted(note, "device_login.revoke", device, lambda: self._revoke(device))

    def forget(self, device: str, note: Note) -> bool:
        """End the connection of a device that shall be deleted, and take its login away; whether it had one.

        Raises BrokerRefuses.
        """
        action = "device_login.delete"
        try:
            account = _looked(note, action, device, lambda: provisioning.find(self.administrator, device))
            if _of_a_device(account) is None:
                return False
            _noted(note, action, device, lambda: provisioning.forget(self.administrator, device))
        except BrokerRefuses as error:
            raise BrokerRefuses(f"{error} So {device} is not deleted.") from error
        return True

    @contextmanager
    def adding(self, device: str, note: Note) -> Iterator[Credentials]:
        """A new login for what is made within: where that fails, the login goes again. Raises as `add`."""
        made = self.add(device, note)
        try:
            yield made
        except BaseException:
            self._take_back(device, note)
            raise

    def certificate(self) -> str | None:
        """The text of what devices know the broker by; None where they need none, or it can't be read here."""
        if self.ca_file is None:
            return None
        try:
            return self.ca_file.read_text(encoding="ascii")
        except (OSError, ValueError):
            return None

    def snippets(self, made: Credentials) -> tuple[Snippet, ...]:
        """What to paste into a device. Without a way for what speaks no TLS, that is left out."""
        plain = self.plain or self.reach
        for_tls = (one for one in paste.snippets(self.reach, made) if not one.is_plain)
        for_plain = () if plain.tls else (one for one in paste.snippets(plain, made) if one.is_plain)
        return (*for_tls, *for_plain)

    def _check(self, device: str) -> None:
        if device == self.administrator.username:
            raise BadName(f"{device}: that login is the server's own. Choose another name.")
        try:
            access.of_device(device, self.reach.root)
        except access.NameRefused as refused:
            raise BadName(f"{refused}.") from refused

    def _add(self, device: str) -> Credentials:
        account = provisioning.find(self.administrator, device)
        if account is not None and account.kind != "device":
            raise LoginExists(f"The login {device} is that of a site's bridge. Choose another name.")
        return provisioning.add(self.administrator, device, self.reach.root)

    def _revoke(self, device: str) -> None:
        known = _of_a_device(provisioning.find(self.administrator, device))
        if known is None or known.revoked:
            raise NoLogin(f"{device[:191]} has no login at the broker that lets it in.")
        provisioning.revoke(self.administrator, device)

    def _take_back(self, device: str, note: Note) -> None:
        """Nobody has seen its password: where it stays, that harms nobody, and it can be given another."""
        try:
            _noted(note, "device_login.delete", device, lambda: provisioning.forget(self.administrator, device))
        except Exception:  # noqa: BLE001  # what failed before is what is told
            return


def _noted(note: Note, action: str, device: str, do: Callable[[], T]) -> T:
    note(action, device, "asked")
    try:
        with _in_words():
            done = do()
    except LoginError as error:
        note(action, device, "failed", str(error))
        raise
    note(action, device, "ok")
    return done


def _looked(note: Note, action: str, device: str, look: Callable[[], T]) -> T:
    """What has to be known before it can be said what is asked for; only a failure is noted."""
    try:
        with _in_words():
            return look()
    except LoginError as error:
        note(action, device, "failed", str(error))
        raise


def _of_a_device(account: Account | None) -> Account | None:
    return account if account is not None and account.kind == "device" else None


@contextmanager
def _in_words(*, changes: bool = True) -> Iterator[None]:
    try:
        yield
    except AccountExists as error:
        raise LoginExists(str(error)) from error
    except NoSuchAccount as error:
        raise NoLogin(str(error)) from error
    except AdministrationAway as error:
        end = " Whether it did that is not known." if error.begun else " Nothing was changed there."
        raise BrokerRefuses(
            f"The broker's logins are out of reach: {_sentence(error)}{end if changes else ''}"
        ) from error
    except AdministrationError as error:
        raise BrokerRefuses(f"The broker's logins can't be changed: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    text = str(error)
    return text if text.endswith((".", "?")) else f"{text}."
