"""Whether a bridge's far end can be reached, proves who it is, and takes the login. In plain words, step by step."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from broker.bridge import Bridge, is_loopback
from broker.bridge_conf import Files
from broker.connection import Connection, Endpoint, NotIn

#: What follows in what nobody explains.
_WITHOUT_A_WORD: Final = "without a word; it may want a certificate (--certificate, --key), or another port"
#: By paho's words for the codes of MQTT 3.1.1, 3.2.2.3.
_REASONS: Final = {
    "Client identifier not valid": "it does not take this client id",
    "Server unavailable": "it says that it is not available now",
    "Bad user name or password": "user or password are wrong",
    "Not authorized": "it does not let this login in: user or password are wrong, or the account is tied to another "
    "client id, disabled, or its certificate is not known there",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One step, whether it went well, and what there is to say of it."""

    step: str
    ok: bool
    words: str


class _Failed(Exception):
    """The text is for the person who asked."""


def check(bridge: Bridge, files: Files, *, login: bool = True, timeout_s: float = 10.0) -> Iterator[Finding]:
    """Each step as it is taken; the first that fails is the last.

    `login`: as the bridge itself, with its client id and its session, which stays as it is: a bridge that is connected
    meanwhile is thrown off for a moment.
    """
    link: socket.socket | None = None
    step = "address"
    try:
        addresses = _resolve(bridge)
        yield Finding(step, True, f"{bridge.host} is {', '.join(addresses)}")
        step = "connection"
        link = _connect(bridge, timeout_s)
        yield Finding(step, True, f"{bridge.host}:{bridge.port} accepts a connection")
        step = "TLS"
        if bridge.tls:
            link = _encrypt(link, bridge, files)
            yield Finding(step, True, f"it proved to be {bridge.host}, by {link.version()}")
        elif not is_loopback(bridge.host):
            yield Finding(step, True, "none, as asked: whoever stands between can read and change everything")
        step = "login"
        if login:
            for found in _log_in(bridge, files, timeout_s):
                yield found
                step = "commands"
    except _Failed as failed:
        yield Finding(step, False, str(failed))
    except NotIn as error:
        yield Finding(step, False, _in_words(error, timeout_s))
    finally:
        if link is not None:
            link.close()


def far_end(bridge: Bridge, files: Files) -> Endpoint:
    """Where the bridge leads, with its login."""
    return Endpoint(
        bridge.host, bridge.port, bridge.user, bridge.password, bridge.tls, files.ca, files.certificate, files.key
    )


def _resolve(bridge: Bridge) -> list[str]:
    try:
        found = socket.getaddrinfo(bridge.host, bridge.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _Failed(
            f"{bridge.host} can't be found: {error.strerror}. Check the name, and DNS on this machine"
        ) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _connect(bridge: Bridge, timeout_s: float) -> socket.socket:
    where = f"{bridge.host}:{bridge.port}"
    try:
        return socket.create_connection((bridge.host, bridge.port), timeout_s)
    except ConnectionRefusedError:
        raise _Failed(f"nothing listens at {where}: is the broker there running, and is it this port?") from None
    except TimeoutError:
        raise _Failed(f"{where} does not answer within {timeout_s:g} s: a firewall, or a wrong address") from None
    except OSError as error:
        raise _Failed(f"{where} can't be reached: {error.strerror}") from None


def _encrypt(link: socket.socket, bridge: Bridge, files: Files) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=None if files.ca is None else str(files.ca))
    if files.certificate is not None:
        context.load_cert_chain(files.certificate, files.key)
    try:
        return context.wrap_socket(link, server_hostname=bridge.host)
    except ssl.SSLCertVerificationError as error:
        link.close()
        raise _Failed(_unproven(bridge, error.verify_message)) from None
    except TimeoutError:
        link.close()
        raise _Failed(
            "it accepts connections and never answers by TLS: a proxy before a broker that is down?"
        ) from None
    except (ssl.SSLError, OSError) as error:
        link.close()
        raise _Failed(f"TLS fails: {_reason(error)}. Is this its TLS port?") from None


def _unproven(bridge: Bridge, why: str) -> str:
    if "expired" in why:
        return f"its certificate has expired ({why}): it must be renewed there. Look at the clock here as well"
    if "mismatch" in why or "not valid for" in why:
        return f"its certificate is not for {bridge.host} ({why}): is --to the name that stands in it?"
    if "self" in why or "unable to get" in why:
        return f"no authority that is trusted here signed its certificate ({why}): give its authority by --ca"
    return f"its certificate can't be trusted: {why}"


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLEOFError | ConnectionError):
        return _WITHOUT_A_WORD
    return str(getattr(error, "reason", None) or error.strerror or error).lower().replace("_", " ")


def _log_in(bridge: Bridge, files: Files, timeout_s: float) -> Iterator[Finding]:
    """Without a clean session, or the bridge's own would be gone with all that waits in it. Raises NotIn, _Failed."""
    with Connection(far_end(bridge, files), timeout_s, bridge.client_id, session=True) as connection:
        yield Finding("login", True, f"it takes {bridge.login} with client id {bridge.client_id}")
        if not connection.subscribe(_commands(bridge)):
            raise _Failed(f"it does not let this login read {_commands(bridge)}: commands would never come down")
        yield Finding("commands", True, f"it lets the bridge read {_commands(bridge)}")


def _in_words(error: NotIn, timeout_s: float) -> str:
    if error.kind == "silent":
        return f"it says nothing for {timeout_s:g} s: is an MQTT broker at this port?"
    if error.kind == "ended":  # by TLS 1.3 a refused certificate shows at the first answer
        return f"it ends the connection, {_WITHOUT_A_WORD}"
    return _REASONS.get(error.reason, f"it refuses: {error.reason}")


def _commands(bridge: Bridge) -> str:
    return f"{bridge.site}/{bridge.root}/+/+/set"
