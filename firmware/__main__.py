"""Command line of the devices: `python -m firmware`."""

from __future__ import annotations

import json
import logging
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from firmware import board_commands, boards, build
from firmware.board_commands import Broker, Root
from firmware.climate import NAMED_PLACES
from firmware.link import BrokerAddress
from firmware.messages import valid_root
from firmware.simulator import (
    DEFAULT_PERIOD_S,
    MAX_DEVICES,
    FleetSettings,
    OpenFilesError,
    StdinError,
    allow_connections,
)
from firmware.simulator import simulate as run_simulation

#: How long reading a DHT22 holds a board up.
DHT_MS = 270

app = typer.Typer(
    help="The devices' side: boards and their stand-in.", add_completion=False, pretty_exceptions_enable=False
)


@app.command()
def simulate(  # noqa: PLR0913, PLR0917  # an option each
    broker: Annotated[
        str, typer.Option(help=r"mqtt://\[user:password@]host[:port]", envvar="MQTT_URL", show_envvar=True)
    ] = "mqtt://127.0.0.1:1883",
    count: Annotated[int, typer.Option(min=1, max=MAX_DEVICES, help="How many devices.")] = len(NAMED_PLACES),
    rate: Annotated[
        float | None, typer.Option(help="Messages a second of all devices together, instead of a period.")
    ] = None,
    period: Annotated[float, typer.Option(help="Seconds between two messages of a device.")] = DEFAULT_PERIOD_S,
    root: Root = "iot",
    messages: Annotated[
        int | None, typer.Option(min=1, help="End once so many telemetry messages are acknowledged.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same places and noise.")] = None,
    led_delay: Annotated[
        tuple[float, float], typer.Option(help="How long the LED takes to obey: from, to, in seconds.")
    ] = (0.3, 1.2),
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="End when stdin, a pipe, is closed.")
    ] = False,
) -> None:
    """Simulate devices that speak the MQTT contract, until Ctrl-C, SIGTERM or as asked."""
    settings = FleetSettings(
        address=_address(broker),
        root=_root(root),
        count=count,
        period_s=_above_zero("period", period) if rate is None else count / _above_zero("rate", rate),
        messages=messages,
        seed=seed,
        led_delay_s=_span(led_delay),
    )
    try:
        allow_connections(count)
    except OpenFilesError as error:
        raise typer.BadParameter(str(error), param_hint="--count") from error
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _run(settings, until_stdin_closes=until_stdin_closes)


@app.command("boards")
def run_boards(
    broker: Broker = None,
    device: Annotated[str, typer.Option(help="What the pair is called.")] = "breadboard",
    root: Root = "iot",
    directory: Annotated[
        Path | None, typer.Option(help="Where the boards' flash is kept; else a directory that goes at the end.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of a board: esp8266.health_ms=5000; repeatable.")
    ] = None,
    weather: Annotated[
        bool, typer.Option("--weather/--no-weather", help="Let the sensor measure a simulated climate.")
    ] = True,
) -> None:
    """Run the boards' firmware on this PC: both boards, the wire between them and a simulated sensor."""
    changes = _changes(change or [])
    with ExitStack() as stack:
        place = directory or Path(stack.enter_context(TemporaryDirectory(prefix="boards-")))
        settings = boards.PairSettings(
            address=_address(broker or board_commands.server_broker()),
            directory=place.resolve(),
            device=device,
            root=_root(root),
            weather=weather,
            dht_ms=changes["pc"].get("dht_ms", DHT_MS),
            stm32=changes["stm32"],
            esp8266=changes["esp8266"],
        )
        typer.echo(
            f"The boards {device} in {settings.directory}, to {settings.address} under {root}/. Ctrl-C ends them."
        )
        try:
            boards.run(settings)
        except (build.BuildError, OSError) as error:
            typer.echo(f"The boards cannot run: {error}", err=True)
            raise typer.Exit(1) from None


def _changes(given: list[str]) -> dict[str, dict[str, Any]]:
    """`board.name=value` for each board, values as JSON or else as text."""
    found: dict[str, dict[str, Any]] = {"stm32": {}, "esp8266": {}, "pc": {}}
    for one in given:
        place, equals, value = one.partition("=")
        board, _, name = place.partition(".")
        if not equals or board not in found or not name:
            raise typer.BadParameter(f"{one} is not like esp8266.health_ms=5000", param_hint="--set")
        try:
            found[board][name] = json.loads(value)
        except ValueError:
            found[board][name] = value
    return found


def _run(settings: FleetSettings, *, until_stdin_closes: bool) -> None:
    """Say what begins, run it, say how it ended."""
    typer.echo(f"{settings.count} devices, {settings.rate:g} messages/s, to {settings.address} under {settings.root}/")
    try:
        tally = run_simulation(settings, until_stdin_closes=until_stdin_closes)
    except StdinError as error:
        raise typer.BadParameter(str(error), param_hint="--until-stdin-closes") from error
    lost = f", lost {tally.lost} that nobody took in time" if tally.lost else ""
    typer.echo(f"sent {tally.sent}, acknowledged {tally.acknowledged}{lost}")


def _address(url: str) -> BrokerAddress:
    try:
        return BrokerAddress.parse(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--broker") from error


def _root(root: str) -> str:
    if not valid_root(root):
        raise typer.BadParameter(
            "levels of letters, digits, dot, dash and underscore, no wildcards", param_hint="--root"
        )
    return root


def _above_zero(name: str, value: float) -> float:
    if not value > 0:
        raise typer.BadParameter(f"{value:g} is not above 0", param_hint=f"--{name}")
    return value


def _span(span: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= span[0] <= span[1]:
        raise typer.BadParameter("needs two times, the shorter one first", param_hint="--led-delay")
    return span


for _command in (board_commands.config, board_commands.build, board_commands.flash, board_commands.monitor):
    app.command()(_command)


if __name__ == "__main__":
    app(prog_name="python -m firmware")
