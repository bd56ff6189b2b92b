"""`python -m broker`: makes and runs Mosquitto for production, its devices, certificates and bridges."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from dataclasses import asdict
from typing import Annotated, Final

import typer

from broker import (
    audit_log,
    bridge_commands,
    bridge_sessions,
    bridges,
    certificate_commands,
    console,
    creation,
    device_commands,
    doctor_commands,
    mosquitto,
    running,
)
from broker.certificates import Authority
from broker.configuration import BrokerSettings
from broker.directory import BrokerDirectory
from broker.running import Beside

app = typer.Typer(
    help="Mosquitto for production: made, run, its devices, its bridge, its doctor.",
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)
app.add_typer(device_commands.app, name="device")
app.add_typer(bridge_commands.app, name="bridge")
app.add_typer(certificate_commands.app, name="certificates")
app.command()(doctor_commands.doctor)

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})")
_ROOT: Final = re.compile(r"(?:\+/)?[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")
Port = Annotated[int | None, typer.Option(min=1, max=65535)]


@app.command()
def init(  # noqa: PLR0913, PLR0917  # an option each
    path: console.Dir = console.DEFAULT,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address by which devices reach this machine; more than once for more. [its name]"),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Without TLS, for this machine. [1883]")] = None,
    tls_port: Annotated[int | None, typer.Option(min=1, max=65535, help="With TLS, for devices. [8883]")] = None,
    certificate_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="For devices with a certificate. [TLS port + 1]")
    ] = None,
    plain: Annotated[
        str | None,
        typer.Option(help="An address of this machine where boards may come in without TLS, on the port without."),
    ] = None,
    root: Annotated[str | None, typer.Option(help="TOPIC_ROOT of the server. [iot]")] = None,
    queue_mb: Annotated[
        int | None, typer.Option(min=1, help="Memory for a client that is away. [a quarter, at most 1024]")
    ] = None,
    autosave_s: Annotated[int | None, typer.Option(min=1, help="How many seconds a power cut may take. [1]")] = None,
    as_json: console.Json = False,
) -> None:
    """Make a broker's directory: authority, certificate, accounts, configuration. Again, it changes what is asked."""
    directory = console.opened(path)
    _check(host, plain, root)
    with console.plain_errors():
        before = creation.load(directory) if directory.settings.exists() else creation.default_settings()
        if certificate_port is None and tls_port is not None:
            certificate_port = tls_port + 1
        wanted = creation.changed(
            before,
            hosts=tuple(host) if host else None,
            port=port,
            tls_port=tls_port,
            certificate_port=certificate_port,
            plain_address=plain,
            root=root,
            queue_mb=queue_mb,
            autosave_s=autosave_s,
        )
        _check_ports(wanted)
        new = creation.create(directory, wanted)
        audit_log.record(directory, "init", "new" if new else "again")
    typer.echo(json.dumps(_made(directory, wanted, new=new)) if as_json else _next_steps(directory, wanted, new=new))


@app.command()
def run(path: console.Dir = console.DEFAULT) -> None:
    """Run Mosquitto in the foreground with what `init` made, until Ctrl-C or SIGTERM."""
    logging.basicConfig(format="%(asctime)s %(levelname)-7s %(message)s", level="INFO")
    with console.plain_errors():
        status = running.run(console.opened(path), _bridged, bridge_sessions.forget_removed)
    raise typer.Exit(status)


def _bridged(directory: BrokerDirectory) -> tuple[Beside, ...]:
    return bridges.prepare(directory, mosquitto.version())


def _check(hosts: list[str] | None, plain: str | None, root: str | None) -> None:
    for host in hosts or ():
        if not _HOST.fullmatch(host) and not _address(host):
            raise typer.BadParameter(f"{host!r} is no host name or address", param_hint="--host")
    if plain is not None and not _address(plain):
        raise typer.BadParameter(f"{plain!r} is no address of this machine", param_hint="--plain")
    if root is not None and not _ROOT.fullmatch(root):
        raise typer.BadParameter(f"{root!r} is no topic root; allowed: iot, plant/iot, +/iot", param_hint="--root")


def _check_ports(settings: BrokerSettings) -> None:
    ports = (settings.port, settings.tls_port, settings.certificate_port)
    if len(set(ports)) < len(ports) or max(ports) > 65535:
        raise typer.BadParameter(
            f"--port {ports[0]}, --tls-port {ports[1]} and --certificate-port {ports[2]} must be three ports"
        )


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _made(directory: BrokerDirectory, settings: BrokerSettings, *, new: bool) -> dict[str, object]:
    authority = Authority(directory.certificates)
    return {
        "new": new,
        "directory": str(directory.path),
        "configuration": str(directory.configuration),
        "ca": str(authority.certificate),
        "server_env": str(directory.server_env),
        **asdict(settings),
    }


def _next_steps(directory: BrokerDirectory, settings: BrokerSettings, *, new: bool) -> str:
    made = "The broker is made" if new else "The broker was made before and stays"
    where = "" if directory.path == console.opened(console.DEFAULT).path else f" --dir {directory.path}"
    return f"""\
{made}: {directory.path}
  devices:   {settings.hosts[0]}:{settings.tls_port} with TLS, which they know by {directory.certificates / "ca.crt"}
  server:    its logins are in {directory.server_env}, for its .env
Next:
  python -m broker run{where}
  python -m broker device add kitchen{where}
  cat {directory.server_env} >> .env"""
