"""From built files to a board: its config.json checked, and the commands that write it all into the flash."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from firmware import build
from firmware.esp8266 import config as esp8266
from firmware.lib.checks import ConfigError
from firmware.stm32 import config as stm32

#: What is different on the two common STM32 boards; the rest are the firmware's own defaults.
STM32_BOARDS: Final[dict[str, dict[str, Any]]] = {
    "nucleo-f411re": {"uart": 6, "led_pin": "PA5", "led_on": 1, "safe_pin": "PC13"},
    "blackpill-f411": {"uart": 2, "led_pin": "PC13", "led_on": 0, "safe_pin": "PA0"},
}


class FlashError(Exception):
    """A tool is missing or failed; the text says which, and what to do."""


def address_of(host: str) -> str:
    """The IPv4 address of a host: boards take no names. Raises FlashError."""
    try:
        return socket.gethostbyname(host)
    except OSError:
        raise FlashError(f"{host} is no known host here; give its address") from None


def device_token(server: str, user: str, password: str, device: str) -> str:
    """A new token for a device, from a server, by an admin's login; the one before ends. Raises FlashError."""
    access = _post(f"{server}/api/token/", {"username": user, "password": password}, None)["access"]
    token: str = _post(f"{server}/api/devices/{device}/token/", {}, access)["token"]
    return token


def _post(url: str, body: Mapping[str, str], access: str | None) -> dict[str, str]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {access}"} if access else {})
    request = Request(url, json.dumps(body).encode(), headers)  # noqa: S310  # where the user's own server is
    try:
        with urlopen(request, timeout=10) as answer:  # noqa: S310  # the same
            found: dict[str, str] = json.load(answer)
            return found
    except HTTPError as error:
        detail = json.loads(error.read() or b"{}").get("detail", error.reason)
        raise FlashError(f"the server refuses: {detail}") from None
    except (URLError, ValueError) as error:
        raise FlashError(f"{url} does not answer as a Smart Monitor does: {error}") from None


def write_config(board: build.BoardKind, path: Path, settings: Mapping[str, Any]) -> None:
    """Write config.json for a board, readable by its owner alone, if the board would take it. Raises ConfigError."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(dict(settings), file, indent=2)
        file.write("\n")
    try:
        check_config(board, path)
    except ConfigError:
        path.unlink()
        raise


def check_config(board: build.BoardKind, path: Path) -> None:
    """Read a config.json with the board's own code. Raises ConfigError, which names the field."""
    if board == "esp8266":
        esp8266.read(str(path))
    else:
        stm32.read(str(path))


def commands(board: build.BoardKind, directory: Path, port: str, image: Path | None, config: Path) -> list[list[str]]:
    """What has to run, in order, to get built files, config.json and, if given, MicroPython itself onto a board."""
    tools: list[list[str]] = []
    if image is not None:
        if board != "esp8266":
            raise FlashError("MicroPython for an STM32 goes onto it by st-flash or by copying: see docs/boards.md")
        esptool = [sys.executable, "-m", "esptool", "--port", port]
        tools += [[*esptool, "erase-flash"], [*esptool, "write-flash", "--flash-size=detect", "0", str(image)]]
    mpremote = [sys.executable, "-m", "mpremote", "connect", port]
    copied = sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix != ".romfs")
    folders = sorted({str(parent) for path in copied for parent in path.relative_to(directory).parents} - {"."})
    for folder in folders:
        # A folder that is there already is no failure.
        make = f"import os\ntry: os.mkdir({folder!r})\nexcept OSError: pass"
        tools.append([*mpremote, "exec", make])
    tools += [[*mpremote, "fs", "cp", str(path), f":{path.relative_to(directory)}"] for path in copied]
    tools += [[*mpremote, "romfs", "deploy", str(path)] for path in sorted(directory.glob("*.romfs"))]
    tools += [[*mpremote, "fs", "cp", str(config), ":config.json"], [*mpremote, "reset"]]
    return tools


def execute(tools: Sequence[Sequence[str]]) -> None:
    """Run the commands in turn, each with its own words on the terminal. Raises FlashError where one fails."""
    for tool in tools:
        if subprocess.run(tool, check=False).returncode:
            name = tool[2]
            raise FlashError(
                f"{name} failed; what it said stands above. Is the board there, and nothing else using the port? "
                f"If {name} is not installed: pip install {name}"
            )
