"""A child program of the tests: started, watched until it is ready, stopped by its own process id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Where Debian keeps servers, which is not in every user's PATH.
_PLACES = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
READY_WITHIN_S = 20.0


class PartMissingError(Exception):
    """A program that the tests start is not installed. A failure, never a reason to skip."""


class PartFailedError(Exception):
    """A part ended by itself, did not get ready, or did not stop. The text ends with its last words."""


def find_program(*names: str, package: str) -> str:
    """The path of the first of these programs that is installed. Raises PartMissingError with what to install."""
    for name in names:
        if path := shutil.which(name, path=_PLACES):
            return path
    raise PartMissingError(f"{' or '.join(names)} is not installed. Type: apt-get install {package} (or: make test)")


def is_alive(pid: int) -> bool:
    """Whether a process, be it our child or not, runs; one that has ended and was not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_gone(pid: int, *, within_s: float = 5) -> bool:
    """Whether a process that is to end does so in time."""
    end = time.monotonic() + within_s
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not is_alive(pid)


class Process:
    """A program with all it prints in `log`, which grows over restarts. It is killed if the tests are.

    `environment` None passes ours on.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        directory: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = log
        self._command = list(command)
        self._directory = directory
        self._environment = environment
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return Path(self._command[0]).name

    @property
    def pid(self) -> int:
        """Its process id. Raises PartFailedError before the first start."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        """Start it. It is not yet ready: see wait_until."""
        if self.running:
            raise PartFailedError(f"{self.name} runs already, as process {self.pid}")
        # By setpriv, because Python code between fork and exec can hang when threads run.
        setpriv = find_program("setpriv", package="util-linux")
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                [setpriv, "--pdeathsig", "KILL", "--", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._directory,
                env=self._environment,
                # Ctrl-C at a terminal is for the tests, which then stop their parts.
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = READY_WITHIN_S) -> None:
        """Ask `ready` until it says yes. A foreign process sends no event to wait for, hence the short sleeps.

        Raises PartFailedError if the program ends first or the seconds pass; then the program is killed.
        """
        end = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise PartFailedError(self._obituary("ended before it was ready"))
            if time.monotonic() > end:
                self.kill()
                raise PartFailedError(self._obituary(f"was not ready within {seconds:g} s"))
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM, *, seconds: float = 15) -> int:
        """Signal it and wait for its end; its exit status (negative: the signal that ended it).

        Raises PartFailedError if it has not ended in time; then it is killed.
        """
        child = self._started()
        if self.running:
            # One that is frozen would not notice.
            child.send_signal(signal.SIGCONT)
            child.send_signal(how)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise PartFailedError(self._obituary(f"did not end within {seconds:g} s of {how.name}")) from error

    def kill(self) -> None:
        """End it as a power cut would, and wait until it is gone. Nothing happens if it has ended."""
        child = self._started()
        child.kill()
        child.wait()

    def freeze(self) -> None:
        """Stop it where it is: connections stay open, nothing answers."""
        self._started().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._started().send_signal(signal.SIGCONT)

    def output(self) -> str:
        """All it has printed so far, over all its starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            raise PartFailedError(f"{self.name} was never started")
        return self._child

    def _obituary(self, what: str) -> str:
        return (
            f"{self.name} {what} (exit status {self._started().returncode}). Its last words:\n{self.output()[-2000:]}"
        )
