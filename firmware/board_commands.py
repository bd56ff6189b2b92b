"""Commands for real boards: `config`, `build`, `flash` and `monitor` of `python -m firmware`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from firmware import build as building
from firmware import flashing
from firmware.lib.checks import ConfigError
from firmware.link import BrokerAddress
from firmware.monitor import watch

_BUILT = Path("data/boards")

Board = Annotated[str, typer.Argument(help="esp8266 or stm32")]
Broker = Annotated[
    str | None,
    typer.Option(
        help=r"mqtt://\[user:password@]host[:port]; else what a running server wrote into DATA_DIR.",
        envvar="MQTT_URL",
        show_envvar=True,
    ),
]
Root = Annotated[str, typer.Option(help="First levels of the topics.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="The board's settings; else config.<board>.json.")]


def config(  # noqa: PLR0913, PLR0917  # an option each
    board: Board,
    out: Annotated[Path | None, typer.Option(help="Where to write it; else config.<board>.json.")] = None,
    device: Annotated[str, typer.Option(help="What the device is called; asked for if not given.")] = "",
    wifi: Annotated[str, typer.Option(help="The WiFi's name; asked for if not given.")] = "",
    password: Annotated[str | None, typer.Option(help="The WiFi's password; asked for if not given.")] = None,
    broker: Annotated[str, typer.Option(help=r"mqtt://\[user:password@]host[:port]; asked for if not given.")] = "",
    time_server: Annotated[str, typer.Option(help="A time server in your network, as the router often is.")] = "",
    server: Annotated[
        str, typer.Option(help="http://host:port of a Smart Monitor: the board reports by HTTP, not by MQTT.")
    ] = "",
    admin: Annotated[str, typer.Option(help="With --server: an admin, who makes the device's token.")] = "admin",
    alone: Annotated[bool, typer.Option("--alone", help="The ESP8266 reads a DHT22 itself, without an STM32.")] = False,
    model: Annotated[str, typer.Option(help=f"Which STM32 board: {', '.join(flashing.STM32_BOARDS)}.")] = "",
) -> None:
    """Make the settings of a board, checked by the board's own code. They hold passwords: commit them nowhere."""
    kind = _kind(board)
    path = out or Path(f"config.{kind}.json")
    if kind == "stm32":
        settings = _stm32_settings(model)
    else:
        settings = {
            "device": device or typer.prompt("Device"),
            "wifi_name": wifi or typer.prompt("WiFi"),
            "wifi_password": typer.prompt("Its password", hide_input=True) if password is None else password,
        }
        if server:
            settings |= _server_settings(server, admin, settings["device"])
        else:
            settings |= _broker_settings(broker or typer.prompt("Broker", default="mqtt://192.168.1.10"))
        settings |= {"source": "dht22"} if alone else {}
        settings |= {"time_host": flashing.address_of(time_server)} if time_server else {}
    try:
        flashing.write_config(kind, path, settings)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"{path} is written, for you alone to read. Next: python -m firmware flash {kind} --port /dev/ttyUSB0")


def build(
    board: Board,
    out: Annotated[Path, typer.Option(help="Where the files go, a folder a board.")] = _BUILT,
) -> None:
    """Precompile the firmware of a board, and say how large it is."""
    kind = _kind(board)
    directory = out / kind
    try:
        building.lay_out(kind, directory)
        sizes = {name: len(data) for name, data in (building.modules(kind)).items()}
    except building.BuildError as error:
        raise typer.BadParameter(str(error)) from None
    for name, size in sizes.items():
        typer.echo(f"{size:7}  {name}")
    allowed = building.budget(kind).files_bytes
    typer.echo(f"{sum(sizes.values()):7}  bytes of {allowed} in its budget, in {directory}")


def flash(  # an option each
    board: Board,
    port: Annotated[str, typer.Option(help="The serial port, such as /dev/ttyUSB0 or COM3.")],
    config_file: ConfigFile = None,
    image: Annotated[
        Path | None, typer.Option(help="MicroPython itself, for a new ESP8266: the ROMFS variant. Erases all of it.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry", help="Only say what would be run.")] = False,
) -> None:
    """Write the firmware, the settings and, with --image, MicroPython itself onto a board."""
    kind = _kind(board)
    path = config_file or Path(f"config.{kind}.json")
    directory = _BUILT / kind
    try:
        flashing.check_config(kind, path)
        building.lay_out(kind, directory)
        tools = flashing.commands(kind, directory, port, image, path)
        if dry:
            typer.echo("\n".join(shlex.join(tool) for tool in tools))
            return
        flashing.execute(tools)
    except (ConfigError, building.BuildError, flashing.FlashError) as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo("The board starts. Watch it: python -m firmware monitor --broker mqtt://...")


def monitor(
    broker: Broker = None,
    device: Annotated[str, typer.Option(help="One device; else all.")] = "+",
    root: Root = "iot",
    count: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
) -> None:
    """Show what devices say to their broker, as it comes; until Ctrl-C."""
    try:
        address = BrokerAddress.parse(broker or server_broker())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--broker") from error
    try:
        watch(address, f"{root}/{device}/#", count, typer.echo)
    except OSError as error:
        typer.echo(f"{address} is not there: {error}", err=True)
        raise typer.Exit(1) from None


def server_broker() -> str:
    """The address that a server started without MQTT_URL wrote down."""
    file = Path(os.environ.get("DATA_DIR", "data")) / "mqtt_url"
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError:
        typer.echo(
            f"There is no {file}: no server with its own broker runs here. Start one (make run), or say --broker.",
            err=True,
        )
        raise typer.Exit(1) from None


def _kind(board: str) -> building.BoardKind:
    for kind in building.BOARDS:
        if board == kind:
            return kind
    raise typer.BadParameter(f"{board} is no board; {' and '.join(building.BOARDS)} are")


def _stm32_settings(model: str) -> dict[str, Any]:
    if not model:
        return {}
    if model not in flashing.STM32_BOARDS:
        raise typer.BadParameter(f"{model} is none of {', '.join(flashing.STM32_BOARDS)}", param_hint="--model")
    return flashing.STM32_BOARDS[model]


def _server_settings(url: str, admin: str, device: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise typer.BadParameter("a board speaks plain HTTP, to http://host:port", param_hint="--server")
    password = os.environ.get("ADMIN_PASSWORD") or typer.prompt(f"Password of {admin}", hide_input=True)
    try:
        return {
            "protocol": "http",
            "http_host": flashing.address_of(parts.hostname),
            "http_port": parts.port or 80,
            "token": flashing.device_token(url.rstrip("/"), admin, password, device),
        }
    except flashing.FlashError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None


def _broker_settings(url: str) -> dict[str, Any]:
    try:
        address = BrokerAddress.parse(url)
        host = flashing.address_of(address.host)
    except (ValueError, flashing.FlashError) as error:
        raise typer.BadParameter(str(error), param_hint="--broker") from None
    login = {"mqtt_user": address.username, "mqtt_password": address.password or ""} if address.username else {}
    return {"mqtt_host": host, "mqtt_port": address.port} | login
