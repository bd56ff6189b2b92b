"""The Mosquitto that is installed here: its program, its version, its plugin; and starting it."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from broker.configuration import PLUGIN

#: Debian keeps servers out of a user's PATH.
_PATH: Final = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"))
_PLUGIN_PLACES: Final = (
    "/usr/lib/*/", "/usr/lib/", "/usr/lib64/", "/usr/local/lib/", "/usr/local/lib/*/", "/opt/homebrew/lib/"
)  # fmt: skip
_VERSION: Final = re.compile(rb"mosquitto version (\d+)\.(\d+)\.(\d+)")
_PR_SET_PDEATHSIG: Final = 1
_START_S: Final = 10.0
_STOP_S: Final = 10.0
_LOOK_S: Final = 0.05

log = logging.getLogger(__name__)

Version = tuple[int, int, int]


class NoMosquitto(Exception):
    """Mosquitto, or what belongs to it, is not installed. The text says what to type."""


class StartFailed(Exception):
    """Mosquitto could not be started. The text says why."""


def find_program(name: str, package: str) -> str:
    """Where a program is. Raises NoMosquitto naming the Debian package that brings it."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise NoMosquitto(f"{name} is not installed. Type: sudo apt-get install {package}")
    return found


def find_plugin() -> Path:
    """Where the dynamic security plugin is. Raises NoMosquitto."""
    for place in _PLUGIN_PLACES:
        for found in sorted(Path("/").glob(f"{place}{PLUGIN}".lstrip("/"))):
            return found
    raise NoMosquitto(f"{PLUGIN}, Mosquitto's dynamic security plugin, is not here. Type: apt-get install mosquitto")


def version() -> Version:
    """Of the Mosquitto that is installed. Raises NoMosquitto."""
    program = find_program("mosquitto", "mosquitto")
    said = subprocess.run([program, "-h"], capture_output=True, check=False, timeout=10)
    found = _VERSION.search(said.stdout + said.stderr)
    if found is None:
        raise NoMosquitto(f"{program} -h does not tell its version")
    return int(found[1]), int(found[2]), int(found[3])


def start(command: Sequence[str], *, quiet: bool = False) -> subprocess.Popen[bytes]:
    """Start a program that ends with this process, however that ends, and that Ctrl-C at the terminal does not reach.

    `quiet`: what it says is thrown away. Call it in the main thread alone: the child follows the thread that made it.
    """
    # Looked up here: between fork and exec little is safe.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))

    out = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        start_new_session=True,
        preexec_fn=prepare,  # noqa: PLW1509  # who calls this has one thread
    )


def begin(configuration: Path, port: int, *, quiet: bool = False) -> subprocess.Popen[bytes]:
    """Start Mosquitto and return once it accepts connections on `port`. Raises StartFailed, NoMosquitto."""
    process = start([find_program("mosquitto", "mosquitto"), "-c", str(configuration)], quiet=quiet)
    deadline = time.monotonic() + _START_S
    while not accepts(port):
        if process.poll() is not None:
            raise StartFailed(f"Mosquitto ended at once, status {process.returncode}. It says why above.")
        if time.monotonic() > deadline:
            end(process)
            raise StartFailed(f"Mosquitto does not listen on port {port} after {_START_S:g} s.")
        time.sleep(_LOOK_S)  # another program's port: nothing tells when it opens
    return process


def end(process: subprocess.Popen[bytes]) -> None:
    """Have a program end in order, else kill it. Harmless if it has ended."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        log.warning("Process %d did not end within %g s and was killed.", process.pid, _STOP_S)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def accepts(port: int) -> bool:
    """Whether something listens on this port of this machine."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0):
            return True
    except OSError:
        return False
