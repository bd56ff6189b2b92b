"""`python -m broker bridge`: the way from this broker to one elsewhere, made, listed, tried, taken away."""

from __future__ import annotations

import json
import os
import ssl
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from broker import audit_log, bridge_check, bridges, console, creation, stunnel
from broker.bridge import LARGEST_PACKET, BadBridge, Bridge, FarEnd, is_loopback
from broker.bridges import Part
from broker.directory import BrokerDirectory
from broker.locking import locked
from broker.mosquitto import NoMosquitto, accepts, version

#: Where the password may stand instead of a file.
PASSWORD_VARIABLE: Final = "BRIDGE_PASSWORD"  # noqa: S105  # its name

app = typer.Typer(help="The way to a broker elsewhere, as in the cloud.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the bridge is called here, as: cloud.")]
_OPTIONS: Final = {
    "name": "NAME",
    "site": "--site",
    "client_id": "--client-id",
    "host": "--to",
    "port": "--port",
    "user": "--user",
    "password": "--password-file",
    "tls": "--no-tls",
    "root": "--root",
    "pause_s": "--pause",
    "keepalive_s": "--keepalive",
    "largest_packet": "--largest-packet",
}
_FILE_OPTIONS: Final[dict[Part, str]] = {"ca": "--ca", "certificate": "--certificate", "key": "--key"}


@app.command()
def add(  # noqa: PLR0913, PLR0917  # an option each
    name: Name,
    to: Annotated[str, typer.Option("--to", metavar="HOST", help="The broker there.")],
    site: Annotated[str | None, typer.Option(help="First level of all topics there. [NAME]")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="[8883; 1883 with --no-tls]")] = None,
    user: Annotated[str | None, typer.Option(help="Its login there.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=f"Its first line is the password; - is stdin. [{PASSWORD_VARIABLE}, or asked]"
        ),
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The authority that proves who is there. [the system's]")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="By which it is known there; with --key.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="The certificate's, without a password.")] = None,
    no_tls: Annotated[
        bool, typer.Option("--no-tls", help="In the clear: on this machine, or with --insecure.")
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="With --no-tls: let everybody on the way read and change all of it.")
    ] = False,
    far_end: Annotated[
        FarEnd, typer.Option(help="What kind of broker is there; it decides what is said of its settings.")
    ] = "other",
    client_id: Annotated[str | None, typer.Option(help="Its client id there. [the site]")] = None,
    root: Annotated[str | None, typer.Option(help="First levels of the topics here. [as init was told]")] = None,
    pause: Annotated[int, typer.Option(min=1, help="Seconds between two tries, at least.")] = 10,
    longest_pause: Annotated[int, typer.Option(min=1, help="And at most.")] = 60,
    keepalive: Annotated[int, typer.Option(min=5, help="Seconds of silence after which it asks.")] = 30,
    largest_packet: Annotated[
        int, typer.Option(metavar="BYTES", help="What the far end takes; larger messages do not go up.")
    ] = LARGEST_PACKET,
    path: console.Dir = console.DEFAULT,
    as_json: console.Json = False,
) -> None:
    """Make a bridge, or change the one of that name. It begins with the broker's next start."""
    if no_tls and not insecure and not is_loopback(to):
        raise typer.BadParameter(
            f"{to} is not this machine: everybody on the way could read and change what is sent, the password too. "
            "Leave --no-tls out, or add --insecure where the way is safe by itself, as in a VPN",
            param_hint="--no-tls",
        )
    if (certificate is None) != (key is None):
        raise typer.BadParameter("a certificate and its key belong together", param_hint="--certificate, --key")
    directory = console.opened(path)
    with console.plain_errors():
        settings = creation.load(directory)
        parts = _parts(ca, certificate, key)
        try:
            wanted = Bridge(
                name=name,
                site=site or name,
                host=to,
                port=port or (1883 if no_tls else 8883),
                client_id=client_id or site or name,
                tls=not no_tls,
                own_ca="ca" in parts,
                certificate="certificate" in parts,
                user=user,
                password=_password(user, password_file),
                far_end=far_end,
                root=root or settings.root,
                pause_s=pause,
                longest_pause_s=max(longest_pause, pause),
                keepalive_s=keepalive,
                largest_packet=largest_packet,
            )
        except BadBridge as error:
            raise typer.BadParameter(str(error), param_hint=_OPTIONS[error.field]) from error
        with locked(directory):
            known = bridges.find(directory, name) is not None
            bridges.save(directory, wanted, parts)
            audit_log.record(directory, "bridge changed" if known else "bridge added", name)
        runs = accepts(settings.port)
    what = {**_document(wanted), "changed": known, "restart_needed": runs}
    typer.echo(json.dumps(what) if as_json else _added(wanted, path, changed=known, runs=runs))


@app.command("list")
def list_bridges(path: console.Dir = console.DEFAULT, as_json: console.Json = False) -> None:
    """All bridges of this broker."""
    directory = console.opened(path)
    with console.plain_errors():
        creation.load(directory)
        found = bridges.every(directory)
    if as_json:
        typer.echo(json.dumps([_document(one) for one in found]))
    elif not found:
        typer.echo("None. Make one: python -m broker bridge add cloud --to HOST --site SITE --user SITE")
    else:
        for one in found:
            where = f"{one.host}:{one.port}"
            typer.echo(
                f"{one.name:<16} site {one.site:<16} {where:<32} {'TLS' if one.tls else 'no TLS':<7} {one.login}"
            )


@app.command()
def remove(name: Name, path: console.Dir = console.DEFAULT, as_json: console.Json = False) -> None:
    """Take a bridge away, its password and certificate with it. It ends with the broker's next start."""
    directory = console.opened(path)
    with console.plain_errors():
        settings = creation.load(directory)
        with locked(directory):
            if not bridges.remove(directory, name):
                _refuse_unknown(directory, name)
            audit_log.record(directory, "bridge removed", name)
        runs = accepts(settings.port)
    if as_json:
        typer.echo(json.dumps({"name": name, "removed": True, "restart_needed": runs}))
    else:
        typer.echo(f"{name} is removed.{_next_start(path, runs=runs)}")


@app.command()
def check(
    name: Name,
    path: console.Dir = console.DEFAULT,
    login: Annotated[
        bool,
        typer.Option(
            "--login", help="Try the login while the broker runs, too: it throws the bridge off for a moment."
        ),
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="S", help="Seconds to wait for each answer.")] = 10.0,
    as_json: console.Json = False,
) -> None:
    """Try whether the far end can be reached, proves who it is, and takes the login.

    Exit status 0: all is well; 1: something is not; 2: it could not be tried.
    """
    directory = console.opened(path)
    with console.plain_errors():
        settings = creation.load(directory)
        bridge = bridges.find(directory, name)
        if bridge is None:
            _refuse_unknown(directory, name)
        runs = accepts(settings.port)
    found = [*_here(bridge), *_there(directory, bridge, login=login or not runs, timeout_s=timeout)]
    ok = all(one.ok for one in found)
    if as_json:
        typer.echo(json.dumps({"name": name, "ok": ok, "steps": [asdict(one) for one in found]}))
    else:
        for one in found:
            typer.echo(f"{'ok  ' if one.ok else 'BAD '} {one.step:<11} {one.words}")
        if ok and runs and not login:
            typer.echo(
                "Whether it takes the login was not tried, because the broker runs and has the bridge: "
                f"python -m broker bridge check {name} --login{_where(path)}"
            )
    raise typer.Exit(0 if ok else 1)


def _there(directory: BrokerDirectory, bridge: Bridge, *, login: bool, timeout_s: float) -> list[bridge_check.Finding]:
    return list(bridge_check.check(bridge, bridges.files(directory, bridge), login=login, timeout_s=timeout_s))


def _here(bridge: Bridge) -> list[bridge_check.Finding]:
    """Whether what the bridge needs on this machine is there."""
    try:
        if bridge.tls and version() < bridges.SAFE_TLS:
            stunnel.program()
    except NoMosquitto as error:
        return [bridge_check.Finding("here", False, str(error))]
    return []


def _parts(ca: Path | None, certificate: Path | None, key: Path | None) -> dict[Part, bytes]:
    """What is in the PEM files that were given, once it was seen that they are of use."""
    given: dict[Part, Path] = {}
    if ca is not None:
        given["ca"] = ca
        _try("ca", ca, lambda context: context.load_verify_locations(ca))
    if certificate is not None and key is not None:
        given["certificate"], given["key"] = certificate, key
        _try("certificate", certificate, lambda context: context.load_cert_chain(certificate, key, _no_password))
    return {part: file.read_bytes() for part, file in given.items()}


def _try(part: Part, file: Path, load: Any) -> None:
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except ssl.SSLError as error:
        more = ", or its key is another's" if part == "certificate" else ""
        problem = f"{file} holds no certificate in PEM{more}: {error.reason or error}"
        raise typer.BadParameter(problem, param_hint=_FILE_OPTIONS[part]) from error
    except OSError as error:
        problem = f"{error.filename or file} can't be read: {error.strerror}"
        raise typer.BadParameter(problem, param_hint=_FILE_OPTIONS[part]) from error


def _no_password() -> NoReturn:
    raise typer.BadParameter(
        "the key is locked by a password, and nobody is there to type it when the broker starts: "
        "openssl pkey -in KEY -out NEWKEY",
        param_hint="--key",
    )


def _password(user: str | None, file: Path | None) -> str | None:
    if user is None:
        if file is not None:
            raise typer.BadParameter("a password needs a --user", param_hint="--password-file")
        return None
    if file is not None:
        try:
            text = sys.stdin.readline() if file == Path("-") else file.read_text(encoding="utf-8").partition("\n")[0]
        except (OSError, UnicodeDecodeError) as error:
            raise typer.BadParameter(f"{file} can't be read: {error}", param_hint="--password-file") from error
        return text.rstrip("\r\n")
    if PASSWORD_VARIABLE in os.environ:
        return os.environ[PASSWORD_VARIABLE]
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"user {user} needs a password: from a file, from stdin by -, or in {PASSWORD_VARIABLE}",
            param_hint="--password-file",
        )
    return str(typer.prompt(f"Password of {user} there", hide_input=True))


def _refuse_unknown(directory: BrokerDirectory, name: str) -> NoReturn:
    names = ", ".join(one.name for one in bridges.every(directory)) or "none yet"
    console.refuse(f"There is no bridge {name[:80]}. There are: {names}")


def _document(bridge: Bridge) -> dict[str, Any]:
    """All but the password."""
    shown = asdict(replace(bridge, password=None))
    del shown["password"]
    return shown


def _added(bridge: Bridge, path: Path, *, changed: bool, runs: bool) -> str:
    lines = [
        f"{bridge.name} {'is changed' if changed else 'is made'}: site {bridge.site} to {bridge.host}:{bridge.port}, "
        f"{'by TLS' if bridge.tls else 'without TLS'}, known by {bridge.login}.",
        f"  there: {bridge.site}/{bridge.root}/…, and whether it is connected on {bridge.site}/bridge/state",
        *(f"  {line}" for line in _FAR_ENDS.get(bridge.far_end, ())),
        f"Try it: python -m broker bridge check {bridge.name}{_where(path)}",
    ]
    return "\n".join(lines) + _next_start(path, runs=runs)


#: What has to be set at the far end, where its own defaults lose or double something. docs/bridge.md has all.
_FAR_ENDS: Final[dict[FarEnd, tuple[str, ...]]] = {
    "emqx": (
        "EMQX: raise mqtt.session_expiry_interval (2h) and mqtt.max_mqueue_len (1000), or commands that wait are lost.",
    ),
    "hivemq": ("HiveMQ: give the account these topics alone; see docs/bridge.md for its session expiry.",),
    "mosquitto": ("Mosquitto: max_queued_messages 0 there as well, or it drops what it acknowledged.",),
    "nats": (
        "NATS: needs JetStream and a server name. Before 2.10 one device name with a dot stops the whole bridge.",
    ),
}


def _where(path: Path) -> str:
    return "" if path == console.DEFAULT else f" --dir {path}"


def _next_start(path: Path, *, runs: bool) -> str:
    if not runs:
        return f"\nIt counts from the broker's start on: python -m broker run{_where(path)}"
    return (
        "\nThe broker runs, and reads bridges only when it starts. Nothing is lost by a restart: end it (Ctrl-C, or "
        f"sudo systemctl restart smart-monitor-broker) and start it again: python -m broker run{_where(path)}"
    )
