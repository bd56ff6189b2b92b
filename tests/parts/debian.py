"""A Debian 12 with a systemd of its own, in a tree on this machine: a server as it stands after its installation."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

from tests.parts.eventually import eventually
from tests.parts.process import PartFailedError, PartMissingError, Process, find_program

#: Where a base tree is kept from one run to the next. Unset: each run makes its own, which takes a minute or two.
CACHE: Final = "DEBIAN_CACHE"
_MIRROR: Final = "http://deb.debian.org/debian"
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: What the installer leaves of a machine without any task, and debootstrap does not bring by itself.
_PACKAGES: Final = "systemd-sysv,dbus,ca-certificates"
#: How this machine reaches packages, if it is a Debian 12 itself.
_OURS: Final = (
    "/etc/apt/sources.list.d/debian.sources",
    "/etc/apt/apt.conf.d/99*",
    "/etc/pip.conf",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/resolv.conf",
)
#: Processes, mounts, host name, network and control groups of its own; `/dev` and `/sys` through which it can't reach
#: ours. The first `unshare` is told by Python.
_BOOT: Final = r"""
set -eu
tree=$1 group=$2 name=$3
hostname "$name"
ip link set lo up
mount --bind "$tree" "$tree"
mount -t proc proc "$tree/proc"
mount --bind "$tree/proc/sys" "$tree/proc/sys"
mount -o remount,ro,bind "$tree/proc/sys"
mount -t tmpfs -o mode=755 tmpfs "$tree/run"
mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
mkdir "$tree/dev/pts" "$tree/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$tree/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$tree/dev/shm"
for device in null zero full random urandom tty; do
  touch "$tree/dev/$device"
  mount --bind "/dev/$device" "$tree/dev/$device"
done
touch "$tree/dev/console"
ln -s pts/ptmx "$tree/dev/ptmx"
ln -s /proc/self/fd "$tree/dev/fd"
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${stream%:*}" "$tree/dev/${stream#*:}"; done
mount -t sysfs sysfs "$tree/sys"
mount -t cgroup2 cgroup2 "$tree/sys/fs/cgroup"
mkdir "$tree/sys/fs/cgroup/$group"
echo $$ >"$tree/sys/fs/cgroup/$group/cgroup.procs"
umount "$tree/sys/fs/cgroup"
exec unshare --cgroup bash -euc '
  mount -t cgroup2 cgroup2 "$1/sys/fs/cgroup"
  mount -o remount,ro,bind "$1/sys"
  cd "$1"
  pivot_root . mnt
  umount -l /mnt
  exec env -i container=smart-monitor-test PATH="$2" /lib/systemd/systemd --system --show-status=0
' bash "$tree" "$4"
"""


class Debian:
    """Its files lie in `directory`, usable as a context manager. Root alone can make one.

    It has a network of its own with nothing but loopback, so its ports are its own; `run(..., internet=True)` works in
    it with the network of this machine, to install. `name` is its host name.
    """

    def __init__(self, directory: Path, *, name: str) -> None:
        if os.geteuid() != 0:
            raise PartMissingError("A Debian tree can be made by root alone. Type: sudo make chaos")
        self.tree = directory / "debian"
        self._name = name
        self._group = f"smart-monitor-{os.getpid()}-{directory.name}"
        subprocess.run(["cp", "-a", "--reflink=auto", _base(), self.tree], check=True)
        (self.tree / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost\n")
        (self.tree / "etc/hostname").write_text(f"{name}\n")
        private = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        command = [find_program("unshare", package="util-linux"), *private, "bash", "-c", _BOOT, "boot"]
        self.process = Process(
            [*command, str(self.tree), self._group, name.split(".", maxsplit=1)[0], _PATH], log=directory / "debian.log"
        )
        #: Its first process, as we see it.
        self.first = 0

    def start(self) -> None:
        """Boot. Raises PartFailedError."""
        self.process.start()
        self.process.wait_until(self._booted, seconds=60)

    def stop(self) -> None:
        """End all of it at once."""
        self.process.kill()
        eventually(self._cleared, what="the end of its processes")

    def run(
        self, script: str, *, internet: bool = False, environment: Mapping[str, str] | None = None, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run this by bash as root in it, ending at the first command that fails; what it said and its exit status."""
        set_up = {"PATH": _PATH, "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
        variables = [f"{name}={value}" for name, value in (set_up | dict(environment or {})).items()]
        inside = ["nsenter", f"--target={self.first}", "--mount", "--uts", "--ipc", "--pid", "--cgroup"]
        inside += [] if internet else ["--net"]
        return subprocess.run(
            [*inside, "env", "-i", "-C", "/root", *variables, "bash", "-euo", "pipefail", "-c", script],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd="/",
            text=True,
            timeout=seconds,
        )

    def _cleared(self) -> bool:
        """Whether its control groups are gone: they can be removed once the last process has ended."""
        for group in (mounted / self._group for mounted in _cgroup_mounts()):
            try:
                for inner in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
                    inner.rmdir()
                if group.is_dir():
                    group.rmdir()
            except OSError:
                return False
        return True

    def _booted(self) -> bool:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        if not children:
            return False
        self.first = int(children[0])
        if Path(f"/proc/{self.first}/comm").read_text().strip() != "systemd":
            return False
        return self.run("systemctl is-system-running").stdout.strip() in ("running", "degraded")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.tree)


def _cgroup_mounts() -> list[Path]:
    rows = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return [Path(row[1]) for row in rows if row[2] == "cgroup2"]


@cache
def _for_this_run() -> TemporaryDirectory[str]:
    """Where the base tree lies as long as this process lives."""
    return TemporaryDirectory(prefix="sm-debian-")


def _base() -> Path:
    """A tree to copy, made by debootstrap unless the cache has one. Raises PartMissingError, PartFailedError."""
    base = Path(os.environ.get(CACHE) or _for_this_run().name) / "bookworm"
    if (base / "etc/debian_version").exists():
        return base
    debootstrap = find_program("debootstrap", package="debootstrap")
    half_made = base.with_suffix(".part")
    shutil.rmtree(half_made, ignore_errors=True)
    half_made.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(
        [debootstrap, f"--include={_PACKAGES}", "bookworm", half_made, _mirror()],
        check=False,
        capture_output=True,
        text=True,
        timeout=900,
    )
    if made.returncode != 0:
        raise PartFailedError(f"debootstrap could not make a Debian 12: {(made.stdout + made.stderr)[-1000:]}")
    if _is_bookworm():
        (half_made / "etc/apt/sources.list").unlink(missing_ok=True)
        for pattern in _OURS:
            for file in Path("/").glob(pattern.lstrip("/")):
                shutil.copy(file, half_made / file.relative_to("/"))
    half_made.rename(base)
    return base


def _is_bookworm() -> bool:
    """Whether this machine is a Debian 12, so that what it gets its packages by is right for another."""
    return Path(_OURS[0]).exists() and "bookworm" in Path(_OURS[0]).read_text()


def _mirror() -> str:
    """Where this machine gets its packages, if it is a Debian 12."""
    lines = Path(_OURS[0]).read_text().splitlines() if _is_bookworm() else []
    return next((line.split()[1] for line in lines if line.startswith("URIs:")), _MIRROR)
