"""What users copy from docs/deploy/, docs/deploy.md and the container files names nothing that isn't there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from broker.command_line import app as broker_app
from db.__main__ import app as db_app
from ingest.command_line import app as ingest_app
from settings import Settings
from tests.chaos.page import PAGE, blocks, exposures
from tests.parts.eventually import eventually
from tests.parts.production_broker import ProductionBroker
from tests.parts.server import Server
from tests.parts.worker import WorkerProcess

ROOT: Final = Path(__file__).parents[2]
FILES: Final = ROOT / "docs" / "deploy"
SERVICES: Final = sorted(FILES.glob("*.service"))
SETTINGS: Final = {name.upper() for name in Settings.model_fields}
#: What docs/deploy/container.sh makes settings of.
CONTAINER: Final = {"SECRET_KEY_FILE", "ADMIN_PASSWORD_FILE", "DATABASE_PASSWORD_FILE", "MQTT_URL_FILE", "BROKER"}
PROGRAMS: Final = {"db": db_app, "ingest": ingest_app, "broker": broker_app}


def unit(file: Path) -> dict[str, dict[str, list[str]]]:
    """Section, name, values: systemd allows a name more than once."""
    sections: dict[str, dict[str, list[str]]] = {}
    names: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            names = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, value = line.split("=", 1)
            names.setdefault(name, []).append(value)
    return sections


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.name)
def test_a_unit_sets_settings_and_starts_what_is_there(file: Path) -> None:
    service = unit(file)["Service"]
    names = {pair.split("=")[0] for line in service["Environment"] for pair in line.split()}
    assert names <= SETTINGS | {"PYTHONDONTWRITEBYTECODE"}
    assert service["WorkingDirectory"] == ["/opt/smart-monitor"]
    started = " ".join(service["ExecStart"])
    for module in re.findall(r"python -m (\w+)", started):
        assert (ROOT / module / "__main__.py").exists()
    for script in re.findall(r"python (\w+\.py)", started):
        assert (ROOT / script).exists()
    assert ".venv/bin/python" in started


def test_all_services_stay_in_the_same_sandbox() -> None:
    files = {file.name: file.read_text(encoding="utf-8").split("# What it may do")[1] for file in SERVICES}
    sandboxes = {name: text.split("\n\n")[0].strip() for name, text in files.items()}
    assert len(set(sandboxes.values())) == 1, "who changes one changes all"
    assert set(exposures(PAGE.read_text(encoding="utf-8"))) == {name.replace("@", "@1") for name in files}


def test_systemd_watches_those_that_speak_to_it() -> None:
    watched = {file.name: unit(file)["Service"].get("WatchdogSec") for file in SERVICES}
    spoken = {file.name: unit(file)["Service"].get("Type") for file in SERVICES}
    assert {name for name, seconds in watched.items() if seconds} == {
        name for name, kind in spoken.items() if kind == ["notify"]
    }


def test_the_proxys_path_is_the_servers() -> None:
    path = re.search(r"^BASE_PATH=(\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert path is not None
    assert f"location {path[1]}/ {{" in (FILES / "nginx.conf").read_text(encoding="utf-8")


def test_the_page_sets_settings_alone() -> None:
    settings = next(
        block.script for block in blocks(PAGE.read_text(encoding="utf-8")) if block.chapter.startswith("6.")
    )
    given = re.findall(r"^([A-Z_]+)=", settings, re.MULTILINE)
    assert len(given) == 7
    assert set(given) <= SETTINGS


def commands() -> list[list[str]]:
    """What the page and the wrapper's own help type, from the program's name to the first option or argument of one."""
    texts = [
        *(block.script for block in blocks(PAGE.read_text(encoding="utf-8"))),
        (FILES / "smart-monitor").read_text(),
    ]
    lines = [line for text in texts for line in text.splitlines()]
    found = [re.search(r"(?:smart-monitor|python -m|web -m) ((?:db|ingest|broker) [^|)]*)", line) for line in lines]
    return [shlex.split(one[1].replace('"', ""), comments=True) for one in found if one is not None]


def test_every_command_on_the_page_is_one() -> None:
    typed = commands()
    assert len(typed) > 8
    for program, *words in typed:
        command: Any = get_command(PROGRAMS[program])
        while getattr(command, "commands", None):
            command = command.commands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, (program, words)


# Containers


def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return read


OURS: Final = {name: service for name, service in compose()["services"].items() if service.get("build") == "."}


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_container_of_ours_gets_settings_and_runs_what_is_there(name: str) -> None:
    service = OURS[name]
    assert set(service.get("environment", {})) <= SETTINGS | CONTAINER
    command = service.get("command", ["app.py"])
    if command[0] == "-m":
        program, *words = command[1:]
        told = CliRunner().invoke(PROGRAMS[program], [*[word for word in words if word.isidentifier()][:1], "--help"])
        assert told.exit_code == 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_containers_name_one_another_their_secrets_and_volumes() -> None:
    whole = compose()
    services = whole["services"]
    ids = [service["environment"]["MQTT_CLIENT_ID"] for service in OURS.values() if "environment" in service]
    assert len(set(ids)) == len(ids) == 3
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in services[other]["healthcheck"], f"{name} waits for a health that nobody looks at"
            else:
                assert services[other]["restart"] == "no"
        assert set(service.get("secrets", [])) <= set(whole["secrets"])
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(whole["volumes"])


def copied() -> list[str]:
    """What the Dockerfile takes from the checkout."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    sources: list[str] = []
    for line in lines:
        if line.startswith("COPY ") and not line.startswith("COPY --from"):
            sources += line.split()[1:-1]
    return sources


def test_what_the_image_copies_is_there_and_not_ignored() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert set(copied()) == let_in
    assert all((ROOT / source).exists() for source in copied())


def test_the_server_starts_from_what_the_image_copies_alone(part_directory: Path) -> None:
    checkout = part_directory / "image"
    for source in copied():
        (checkout / source).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, checkout / source, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, checkout / source)
    with Server(part_directory, {"DEMO_DEVICES": "1"}, checkout=checkout) as server:
        eventually(lambda: server.get("/api/health/").status_code == 200)
        assert server.get("/").status_code == 200


def in_container(environment: dict[str, str]) -> dict[str, str]:
    """The environment that container.sh hands on."""
    path = f"{ROOT}/.venv/bin:{os.environ['PATH']}"
    ask = "import os; print('\\n'.join(f'{name}={value}' for name, value in os.environ.items()))"
    done = subprocess.run(
        [FILES / "container.sh", "-c", ask],
        env={"PATH": path} | environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=20,
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


def test_a_container_reads_its_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a$b`c\n")
    (tmp_path / "key").write_text("k" * 40 + "\n")
    found = in_container(
        {
            "DATABASE_URL": "mysql+pymysql://monitor:PASSWORD@database/monitor",
            "DATABASE_PASSWORD_FILE": str(tmp_path / "password"),
            "SECRET_KEY_FILE": str(tmp_path / "key"),
        }
    )
    assert found["DATABASE_URL"] == "mysql+pymysql://monitor:a$b`c@database/monitor"
    assert found["SECRET_KEY"] == "k" * 40
    assert "DATABASE_PASSWORD" not in found


def test_a_container_reaches_the_broker_beside_it_by_tls(part_directory: Path) -> None:
    with ProductionBroker(part_directory) as broker:
        found = in_container(
            {"BROKER": "127.0.0.1", "BROKER_PORT": str(broker.tls_port), "BROKER_DIR": str(broker.directory.path)}
        )
        assert found["MQTT_URL"].startswith("mqtts://")
        assert found["MQTT_DEVICE_CA_FILE"] == str(broker.ca)
        settings = {name: value for name, value in found.items() if name in SETTINGS}
        settings["DATABASE_URL"] = f"sqlite:///{part_directory}/monitor.db"
        with WorkerProcess(part_directory, settings) as worker:
            assert worker.stop() == 0
