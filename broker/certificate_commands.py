"""`python -m broker certificates`: when they expire, renewed, revoked."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from broker import audit_log, console, creation
from broker.certificates import Authority, Certificate, CertificateError
from broker.locking import locked

app = typer.Typer(help="The authority's certificates: expiry, renewal, revocation.")

_DAY_MS: Final = 86_400_000
_SOON_DAYS: Final = 30


@app.callback(invoke_without_command=True)
def certificates(context: typer.Context, path: console.Dir = console.DEFAULT, as_json: console.Json = False) -> None:
    """Alone: list them."""
    if context.invoked_subcommand is None:
        list_certificates(path, as_json)


@app.command("list")
def list_certificates(path: console.Dir = console.DEFAULT, as_json: console.Json = False) -> None:
    """All certificates and when they expire. Exit status 1 if one that is in use has expired or soon will."""
    directory = console.opened(path)
    with console.plain_errors():
        creation.load(directory)
        found = list(Authority(directory.certificates).every())
    now = time.time_ns() // 1_000_000
    if as_json:
        typer.echo(json.dumps([_document(one, now) for one in found]))
    else:
        for one in found:
            typer.echo(f"{one.use:<10} {one.subject:<40} {_standing(one, now)}")
    soon = any(not one.revoked and one.not_after < now + _SOON_DAYS * _DAY_MS for one in found)
    raise typer.Exit(1 if soon else 0)


@app.command()
def renew(
    name: Annotated[str, typer.Argument(help="A device; left out: the broker's own.")] = "",
    path: console.Dir = console.DEFAULT,
) -> None:
    """Make a new certificate and key in place of the old ones. Those of a device must be carried to it."""
    directory = console.opened(path)
    with console.plain_errors(), locked(directory):
        authority = Authority(directory.certificates)
        if not name:
            authority.make_server(creation.certified_hosts(creation.load(directory)))
            text = "The broker has a new certificate. A running one takes it on SIGHUP, or at its next start."
        elif not authority.has_client(name):
            raise CertificateError(f"There is no certificate for {name}. See: python -m broker certificates list")
        else:
            certificate, key = authority.make_client(name)
            text = f"{name} has a new certificate; carry it over: {certificate} and {key}. The old one stays good."
        audit_log.record(directory, "certificate renewed", name or "the broker")
    typer.echo(text)


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="A device that has a certificate.")],
    path: console.Dir = console.DEFAULT,
) -> None:
    """Put a device's certificate on the revocation list, which Mosquitto reads at its start.

    To throw the device out at once: python -m broker device revoke.
    """
    directory = console.opened(path)
    with console.plain_errors(), locked(directory):
        authority = Authority(directory.certificates)
        if not authority.has_client(name):
            raise CertificateError(f"There is no certificate for {name}. See: python -m broker certificates list")
        authority.revoke_client(name)
        audit_log.record(directory, "certificate revoked", name)
    typer.echo(
        f"The certificate of {name} is refused from the broker's next start on. At once: python -m broker device "
        f"revoke {name}"
    )


def _document(one: Certificate, now: int) -> dict[str, object]:
    days = (one.not_after - now) // _DAY_MS
    return {**asdict(one), "file": str(one.file), "serial": f"{one.serial:x}", "days_left": days}


def _standing(one: Certificate, now: int) -> str:
    until = f"{datetime.fromtimestamp(one.not_after / 1000, UTC):%Y-%m-%d}"
    if one.revoked:
        return f"revoked, until {until}"
    if one.not_after < now:
        return f"EXPIRED on {until}"
    return f"until {until}, {(one.not_after - now) // _DAY_MS:,} days"
