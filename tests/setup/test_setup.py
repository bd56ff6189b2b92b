"""`.ci/setup` in a folder of its own: each thing that can be wrong gives one line that says what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.process import Process, is_gone

ROOT = Path(__file__).parents[2]
NOBODY = "65534"
UNREACHABLE = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture
def checkout() -> Iterator[Path]:
    """What set-up needs of a checkout, in a folder that any user may reach."""
    path = Path(tempfile.mkdtemp(prefix="sm-setup-"))
    path.chmod(0o755)
    shutil.copytree(ROOT / ".ci", path / ".ci")
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, path)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def run(command: list[str], checkout: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        command,
        cwd=checkout,
        env=keep | environment,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=55,  # a venv takes seconds to make, and more on a busy machine
    )


def only_line(result: subprocess.CompletedProcess[str]) -> str:
    """The one line that was said, on stderr, by a command that failed."""
    assert result.returncode != 0
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def finish_venv(checkout: Path) -> None:
    """A .venv as after set-up, with a pip that always succeeds: a real one takes seconds to make."""
    venv = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = next(venv.glob("lib/python3*/site-packages")) / "pip"
    pip.mkdir()
    (pip / "__init__.py").touch()
    (pip / "__main__.py").touch()
    assert run([".ci/setup"], checkout).returncode == 0


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_named_with_a_way_out_before_anything_is_installed(checkout: Path, taken_port: int) -> None:
    result = run([".ci/setup", "--port"], checkout, PORT=str(taken_port))
    line = only_line(result)
    assert f"127.0.0.1:{taken_port} is in use" in line
    assert "make run PORT=" in line
    assert str(taken_port) != line.rsplit("PORT=", 1)[1]
    assert not (checkout / ".venv").exists()


def test_make_run_adds_only_its_own_error_line(checkout: Path, taken_port: int) -> None:
    result = run(["make", "run", f"PORT={taken_port}"], checkout)
    assert result.returncode != 0
    assert result.stdout == ""
    said, by_make = result.stderr.splitlines()
    assert f"127.0.0.1:{taken_port} is in use" in said
    assert by_make.startswith("make: ***")


@pytest.mark.parametrize("line", ["PORT=9000", "export HOST = 127.0.0.1"])
def test_a_port_in_the_env_file_is_left_to_the_server(checkout: Path, taken_port: int, line: str) -> None:
    finish_venv(checkout)
    assert "in use" in run([".ci/setup", "--port"], checkout, PORT=str(taken_port)).stderr
    (checkout / ".env").write_text(f"# settings\n{line}\n")
    result = run([".ci/setup", "--port"], checkout, PORT=str(taken_port))
    assert (result.returncode, result.stderr) == (0, "")


def test_an_address_of_another_machine_is_named(checkout: Path) -> None:
    line = only_line(run([".ci/setup", "--port"], checkout, HOST="192.0.2.1"))
    assert "192.0.2.1:8501" in line
    assert "make run HOST=127.0.0.1" in line


def test_too_old_a_python_is_named_with_what_to_install(checkout: Path) -> None:
    tools = checkout / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "env"):
        (tools / name).symlink_to(shutil.which(name) or name)
    # It answers what set-up asks: its version, and whether that is too old.
    old = tools / "python3"
    old.write_text('#!/bin/bash\ncase "$*" in *"%d.%d"*) echo 3.9 ;; *) exit 1 ;; esac\n')
    old.chmod(0o755)
    line = only_line(run([".ci/setup"], checkout, PATH=str(tools)))
    assert "Python 3.11 or newer is needed and python3 here is 3.9" in line
    assert "apt-get install python3" in line
    old.unlink()
    assert "no python3 is on the PATH" in only_line(run([".ci/setup"], checkout, PATH=str(tools)))


def test_a_folder_that_cannot_be_written_is_named(checkout: Path) -> None:
    checkout.chmod(0o555)
    as_user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"] if os.geteuid() == 0 else []
    line = only_line(run([*as_user, ".ci/setup"], checkout, PATH="/usr/bin:/bin"))
    assert f"cannot write in {checkout}" in line
    assert "Make the folder writable" in line


def test_a_failed_download_says_so_and_leaves_a_venv_to_go_on_with(checkout: Path, tmp_path: Path) -> None:
    (checkout / "requirements.txt").write_text("no-such-package==1\n")
    result = run([".ci/setup"], checkout, PIP_CACHE_DIR=str(tmp_path), **UNREACHABLE)
    assert result.returncode != 0
    *progress, said = result.stderr.splitlines()
    assert "could not be downloaded. Check the network" in said
    assert all(line.endswith(" ...") for line in progress)
    assert "Traceback" not in result.stderr
    again = run([".ci/setup"], checkout, PIP_CACHE_DIR=str(tmp_path), **UNREACHABLE)
    assert "Making .venv" not in again.stderr
    assert "could not be downloaded" in again.stderr


def test_a_finished_venv_is_left_alone(checkout: Path) -> None:
    finish_venv(checkout)
    again = run([".ci/setup", "--port"], checkout, PORT="0")
    assert (again.returncode, again.stderr, again.stdout) == (0, "", "")


def test_changed_requirements_are_installed_into_the_venv_that_is_there(checkout: Path) -> None:
    finish_venv(checkout)
    (checkout / "requirements.txt").write_text("# something else\n")
    result = run([".ci/setup"], checkout)
    assert result.returncode == 0
    assert result.stderr.startswith("Installing the packages of requirements.txt")
    assert run([".ci/setup"], checkout).stderr == ""


@pytest.mark.parametrize("damage", ["its Python has gone", "it was being filled"])
def test_a_half_made_venv_is_made_anew(checkout: Path, damage: str) -> None:
    finish_venv(checkout)
    (checkout / "requirements.txt").write_text("# nothing\n")
    if damage == "it was being filled":
        (checkout / ".venv" / ".filling").touch()
    else:
        (checkout / ".venv" / "bin" / "python").unlink()
        (checkout / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.11")
    result = run([".ci/setup"], checkout)
    assert result.returncode == 0, result.stderr
    assert result.stderr.startswith("Making .venv")
    assert run([".ci/setup"], checkout).stderr == ""


def test_ended_in_the_middle_it_leaves_no_process_and_a_venv_it_does_not_trust(checkout: Path) -> None:
    finish_venv(checkout)
    (checkout / "requirements.txt").write_text("# something else\n")
    pids = checkout / "pids"
    # As the real one does, this pip lets another process do the work.
    next(checkout.glob(".venv/lib/python3*/site-packages/pip/__main__.py")).write_text(
        "import os, subprocess\n"
        "work = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{work.pid}}.')\n"
        "work.wait()\n"
    )
    setup = Process([".ci/setup"], log=checkout / "log", directory=checkout)
    setup.start()
    setup.wait_until(lambda: pids.exists() and pids.read_text().endswith("."))
    assert setup.stop() != 0
    assert all(is_gone(int(pid)) for pid in pids.read_text()[:-1].split())
    assert (checkout / ".venv" / ".filling").exists()
    assert "Terminated" not in setup.output()


@pytest.mark.parametrize(("target", "line"), [("bench", "no benchmarks yet"), ("chaos", "no fault tests yet")])
def test_commands_without_anything_to_run_say_so(checkout: Path, target: str, line: str) -> None:
    for name in ("setup", "parts"):
        (checkout / ".ci" / name).write_text("#!/bin/sh\n")
    result = run(["make", target], checkout)
    assert result.returncode != 0
    assert line in result.stderr


def test_make_alone_lists_the_commands_of_the_contract(checkout: Path) -> None:
    listed = run(["make"], checkout).stdout
    for target in ("run", "test", "setup", "lint", "fmt", "audit", "bench", "chaos", "boards", "help"):
        assert f"make {target} " in listed
