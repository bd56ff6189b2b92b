"""The Dockerfile, carried out in Debian trees in place of an engine: what it makes runs, and writes `/data` alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.image import Image, build, stages
from tests.parts.debian import Debian
from tests.parts.eventually import eventually

ROOT: Final = Path(__file__).parents[2]


def container(image: Image, *command: str, wait: bool = False) -> str:
    """A command line that runs what a container would be started with, confined as compose.yaml confines it."""
    confined = ["User=" + image.user, "WorkingDirectory=" + image.directory, "ReadWritePaths=" + image.volume]
    confined += ["ProtectSystem=strict", "PrivateTmp=yes", "NoNewPrivileges=yes", "CapabilityBoundingSet="]
    options = [f"--property={one}" for one in confined]
    options += [f"--setenv={name}={value}" for name, value in image.environment.items()]
    options += ["--wait", "--pipe"] if wait else ["--unit=container"]
    entry = [f"{image.directory}/{image.entry[0]}", *image.entry[1:]]
    return shlex.join(["systemd-run", "--quiet", *options, *entry, *command])


@pytest.mark.timeout(1800)
def test_what_it_makes_runs(part_directory: Path) -> None:
    first, last = stages((ROOT / "Dockerfile").read_text(encoding="utf-8"))
    for name in ("first", "last"):
        (part_directory / name).mkdir()
    with (
        Debian(part_directory / "first", name="first.example.org") as packages,
        Debian(part_directory / "last", name="last.example.org") as debian,
    ):
        build(first, packages, ROOT, {})
        image = build(last, debian, ROOT, {first.name: packages.tree})

        def say(script: str) -> str:
            done = debian.run(script, environment=image.environment)
            assert done.returncode == 0, f"{script}\n{done.stdout[-3000:]}"
            return done.stdout.strip()

        say("systemctl stop mosquitto")  # a tree has a systemd that starts what is installed, an image has none
        assert debian.run(f"{image.directory}/.venv/bin/python -m pip --version").returncode != 0, "no pip is left"
        assert debian.run("command -v gcc make git").returncode != 0, "nor a compiler"

        say(container(image, *image.command))
        healthy = f"cd {image.directory} && {shlex.join(image.health)}"
        eventually(lambda: debian.run(healthy, environment=image.environment).returncode == 0)
        written = say("find / -xdev -newer /proc/1 -user smart-monitor -type f -not -path '/proc/*'").split()
        assert written
        assert all(file.startswith("/data/") for file in written)
        say("systemctl stop container.service")
        assert "Traceback" not in say("journalctl --no-pager --output=cat --unit=container.service")

        broker = ["-m", "broker", "init", "--dir", "/data/broker", "--host", "broker"]
        say(container(image, *broker, wait=True))
        say(container(image, "-m", "broker", "run", "--dir", "/data/broker"))
        eventually(lambda: debian.run("ss -ltn | grep -q :8883").returncode == 0, what="the broker in its container")
        login = say(container(image, "-m", "broker", "device", "add", "kitchen", "--dir", "/data/broker", wait=True))
        assert "kitchen" in login


@pytest.mark.timeout(900)
def test_compose_reads_its_file(part_directory: Path) -> None:
    """By Debian's docker-compose, which needs no engine to read."""
    with Debian(part_directory, name="compose.example.org") as debian:
        install = "apt-get -qq update && apt-get -qq install -y --no-install-recommends docker-compose"
        installed = debian.run(install, internet=True, seconds=600)
        assert installed.returncode == 0, installed.stdout[-2000:]
        (debian.tree / "root/compose.yaml").write_text((ROOT / "compose.yaml").read_text(encoding="utf-8"))
        for profiles in ("", "workers,emqx"):
            chosen = {"NAME": "monitor.example.org", "COMPOSE_PROFILES": profiles}
            read = debian.run("docker-compose --file compose.yaml config --quiet", environment=chosen)
            assert (read.returncode, read.stdout) == (0, "")
        nameless = debian.run("docker-compose --file compose.yaml config --quiet")
        assert "is the name by which devices reach this machine" in nameless.stdout
