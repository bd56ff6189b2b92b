"""`python -m broker device`: who may come in, made, listed, given another password, revoked."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from broker import audit_log, console, creation, paste, provisioning
from broker.administration import administered
from broker.certificates import Authority
from broker.directory import BrokerDirectory
from broker.paste import Reach, Snippet
from broker.provisioning import Credentials

app = typer.Typer(help="Who may come in.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the device calls itself in its topics; a site's name with --site.")]


@app.command()
def add(
    name: Name,
    path: console.Dir = console.DEFAULT,
    certificate: Annotated[
        bool, typer.Option("--certificate", help="It logs in by a certificate instead of a password.")
    ] = False,
    site: Annotated[
        bool, typer.Option("--site", help="An account for the bridge of a site, at the broker in the cloud.")
    ] = False,
    as_json: console.Json = False,
) -> None:
    """Let a device in, and show once what to put into its settings. A revoked one is let in again."""
    directory = console.opened(path)
    with console.plain_errors():
        settings = creation.load(directory)
        root = settings.root.removeprefix("+/") if site else settings.root
        kind = "site" if site else "device"
        with administered(directory) as administrator:
            made = provisioning.add(administrator, name, root, kind, certificate=certificate)  # type: ignore[arg-type]
        files = _certified(directory, name) if certificate else None
        audit_log.record(directory, f"{kind} added", name)
    typer.echo(_shown(directory, made, files, site=site, as_json=as_json))


@app.command("list")
def list_devices(path: console.Dir = console.DEFAULT, as_json: console.Json = False) -> None:
    """Who may come in, and who was revoked."""
    directory = console.opened(path)
    with console.plain_errors():
        with administered(directory) as administrator:
            found = provisioning.accounts(administrator)
        authority = Authority(directory.certificates)
        certified = {one.name for one in found if authority.has_client(one.name)}
    if as_json:
        typer.echo(json.dumps([{**asdict(one), "certificate": one.name in certified} for one in found]))
    elif not found:
        typer.echo("Nobody yet. Let a device in: python -m broker device add kitchen")
    else:
        for one in found:
            how = "certificate" if one.name in certified else "password"
            typer.echo(f"{one.name:<32} {one.kind:<7} {how:<12} {'revoked' if one.revoked else 'may come in'}")


@app.command()
def rotate(name: Name, path: console.Dir = console.DEFAULT, as_json: console.Json = False) -> None:
    """Give a device another password, or another certificate if it has one. It is disconnected."""
    directory = console.opened(path)
    with console.plain_errors():
        authority = Authority(directory.certificates)
        certified = authority.has_client(name)
        with administered(directory) as administrator:
            made = provisioning.rotate(administrator, name)
        if certified:
            authority.revoke_client(name)
            made = Credentials(made.username, None, made.client_id)
        files = _certified(directory, name) if certified else None
        audit_log.record(directory, "rotated", name)
    typer.echo(_shown(directory, made, files, site=False, as_json=as_json))
    if certified:
        typer.echo("The old certificate is refused from the broker's next start on.", err=True)


@app.command()
def revoke(name: Name, path: console.Dir = console.DEFAULT, as_json: console.Json = False) -> None:
    """Throw a device out, and let it in no more, with password or certificate. Holds at once."""
    directory = console.opened(path)
    with console.plain_errors():
        with administered(directory) as administrator:
            provisioning.revoke(administrator, name)
        Authority(directory.certificates).revoke_client(name)
        audit_log.record(directory, "revoked", name)
    if as_json:
        typer.echo(json.dumps({"name": name, "revoked": True}))
    else:
        typer.echo(f"{name} is out. Let it in again: python -m broker device add {name}")


def _certified(directory: BrokerDirectory, name: str) -> tuple[Path, Path]:
    return Authority(directory.certificates).make_client(name)


def _shown(
    directory: BrokerDirectory, made: Credentials, files: tuple[Path, Path] | None, *, site: bool, as_json: bool
) -> str:
    authority = Authority(directory.certificates)
    if as_json:
        more = {} if files is None else {"certificate": str(files[0]), "key": str(files[1])}
        ca = {"ca": str(authority.certificate)} if files else {}
        return json.dumps({**asdict(made), **more, **ca})
    settings = creation.load(directory)
    port = settings.certificate_port if files else settings.tls_port
    reach = Reach(settings.hosts[0], port, tls=True, ca_file=authority.certificate, root=settings.root)
    if site:
        return _text(made, [Snippet("At the site", _bridge_line(reach, made))])
    if files is not None:
        shown = [Snippet("Send a reading", paste.certificate_line(reach, made, *files))]
        shown.append(Snippet("Files", f"{files[0]}\n{files[1]}\n{authority.certificate}"))
        return _text(made, shown)
    plain = Reach(settings.plain_address or settings.hosts[0], settings.port, tls=False, root=settings.root)
    shown = [
        Snippet("Send a reading", paste.publish_line(reach, made)),
        Snippet("ESPHome", paste.esphome(reach, made)),
        Snippet("QR code", f"{paste.qr_terminal(paste.address(reach, made))}{paste.address(reach, made)}"),
    ]
    if settings.plain_address:
        shown.insert(1, Snippet("config.json of an ESP8266 of ours", paste.board_config(plain, made)))
    return _text(made, shown)


def _bridge_line(reach: Reach, made: Credentials) -> str:
    return (
        f"python -m broker bridge add cloud --to {reach.host} --port {reach.port} --site {made.username} "
        f"--user {made.username} --ca {reach.ca_file}"
    )


def _text(made: Credentials, snippets: list[Snippet]) -> str:
    password = "its certificate" if made.password is None else made.password
    head = f"user       {made.username}\npassword   {password}\nclient id  {made.client_id}"
    shown = "".join(f"\n\n# {one.title}\n{one.text}" for one in snippets)
    return f"{head}\n\nThe password is shown this once.{shown}" if made.password else f"{head}{shown}"
