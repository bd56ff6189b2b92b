"""Mosquitto in the foreground, with what runs beside it."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from broker.certificates import Authority
from broker.configuration import BrokerSettings
from broker.creation import certified_hosts, write_configuration
from broker.creation import load as load_settings
from broker.directory import BrokerDirectory
from broker.locking import locked
from broker.mosquitto import StartFailed, accepts, begin, end, start

log = logging.getLogger(__name__)

_AGAIN_FIRST_S: Final = 1.0
_AGAIN_LONGEST_S: Final = 60.0
#: Devices know the authority, so that a new certificate of the broker surprises nobody.
_RENEW_S: Final = 30 * 86400.0
_WATCHED: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})


@dataclass(frozen=True, slots=True)
class Beside:
    """A program that runs as long as Mosquitto does, and is started again when it ends."""

    name: str
    command: tuple[str, ...]


@dataclass(slots=True)
class _Child:
    beside: Beside
    process: subprocess.Popen[bytes] | None = None
    again_at: float = 0.0
    pause_s: float = _AGAIN_FIRST_S


def run(
    directory: BrokerDirectory,
    prepare: Callable[[BrokerDirectory], Sequence[Beside]],
    begun: Callable[[BrokerDirectory], None] = lambda _: None,
) -> int:
    """Run Mosquitto until a signal ends it, or it ends; its exit status, 0 after SIGTERM or Ctrl-C.

    `prepare` writes what else belongs to the configuration and says what runs beside; `begun` is called once Mosquitto
    answers. SIGHUP has Mosquitto read its
    certificates anew. Call it in the main thread. Raises DirectoryError, NoMosquitto, StartFailed, CertificateError.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        return _run(directory, prepare, begun)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(
    directory: BrokerDirectory,
    prepare: Callable[[BrokerDirectory], Sequence[Beside]],
    begun: Callable[[BrokerDirectory], None],
) -> int:
    with locked(directory):
        write_configuration(directory)
        authority = Authority(directory.certificates)
        authority.write_revocations(authority.revoked())
        _renew(authority, load_settings(directory))
        children = [_Child(beside) for beside in prepare(directory)]
        settings = load_settings(directory)
        for port in (settings.port, settings.tls_port, settings.certificate_port):
            if accepts(port):
                raise StartFailed(f"Port {port} is taken. Is a broker running already? (ss -ltnp 'sport = :{port}')")
        for child in children:  # first, so that a bridge finds its way out at once
            child.process = start(child.beside.command)
        mosquitto = begin(directory.configuration, settings.port)
    log.info(
        "The broker runs: %s, TLS %d, by certificate %d.", settings.port, settings.tls_port, settings.certificate_port
    )
    try:
        begun(directory)
        return _watch(mosquitto, children)
    finally:
        for process in (mosquitto, *(child.process for child in children)):
            if process is not None:
                end(process)


def _renew(authority: Authority, settings: BrokerSettings) -> None:
    for found in authority.every():
        if found.use == "server" and found.not_after < (time.time() + _RENEW_S) * 1000:
            authority.make_server(certified_hosts(settings))
            log.info("The broker's certificate was about to expire; it has a new one.")


def _watch(mosquitto: subprocess.Popen[bytes], children: Sequence[_Child]) -> int:
    while True:
        status = mosquitto.poll()
        if status is not None:
            log.error("Mosquitto ended, status %d.", status)
            return status or 1
        wait_s = _revive(children)
        got = signal.sigtimedwait(_WATCHED, wait_s)
        if got is None or got.si_signo == signal.SIGCHLD:
            continue
        if got.si_signo == signal.SIGHUP:
            mosquitto.send_signal(signal.SIGHUP)
            continue
        return 0


def _revive(children: Sequence[_Child]) -> float:
    """Start again what ended, each after a pause that grows; seconds until the next has to be."""
    now, wait_s = time.monotonic(), _AGAIN_LONGEST_S
    for child in children:
        if child.process is not None and child.process.poll() is not None:
            log.error(
                "%s ended, status %d; it starts again in %g s.",
                child.beside.name,
                child.process.returncode,
                child.pause_s,
            )
            child.process, child.again_at = None, now + child.pause_s
            child.pause_s = min(child.pause_s * 2, _AGAIN_LONGEST_S)
        if child.process is None:
            if child.again_at <= now:
                child.process = start(child.beside.command)
            else:
                wait_s = min(wait_s, child.again_at - now)
    return wait_s
