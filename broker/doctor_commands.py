"""`python -m broker doctor`: looks at a broker and says what is wrong, a line a finding."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Final

import typer

from broker import access, bridges, console, creation
from broker.bridge import Bridge
from broker.bridge_check import far_end
from broker.certificates import Authority
from broker.connection import Endpoint
from broker.directory import BrokerDirectory
from broker.doctor.bridge_checks import BridgeEnds, check_bridge
from broker.doctor.broker_checks import check_broker
from broker.doctor.configuration_checks import check_configuration, read_configuration
from broker.doctor.finding import Finding, Severity, to_be_done
from broker.doctor.machine_checks import check_clock, check_directory
from broker.doctor.tls_checks import check_tls

_MARKS: Final[dict[Severity, str]] = {
    "fine": "ok",
    "note": "note",
    "warning": "WARNING",
    "problem": "PROBLEM",
    "unknown": "?",
}


def doctor(
    path: console.Dir = console.DEFAULT,
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="How long to listen.")] = 5.0,
    as_json: console.Json = False,
) -> None:
    """Examine the broker: version, limits, persistence, logins, TLS, clocks, bridges, client ids used twice.

    Exit status 0: nothing to do; 1: something is to be done; 2: it could not be examined.
    """
    directory = console.opened(path)
    with console.plain_errors():
        findings = examine(directory, seconds)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in findings]))
    else:
        for one in findings:
            typer.echo(f"{_MARKS[one.severity]:<8} {one.line}")
    raise typer.Exit(1 if to_be_done(findings) else 0)


def examine(directory: BrokerDirectory, seconds: float) -> tuple[Finding, ...]:
    """All that can be found out about the broker of a directory. Raises DirectoryError, OSError."""
    settings = creation.load(directory)
    password, _ = creation.passwords(directory)
    local = Endpoint("127.0.0.1", settings.port, access.SERVER, password)
    authority = Authority(directory.certificates)
    return (
        *check_directory(directory.path, creation.owner(directory.path)),
        *check_configuration(read_configuration(directory.configuration)),
        check_clock(),
        *(check_tls(host, settings.tls_port, authority.certificate, to="127.0.0.1") for host in settings.hosts),
        *check_broker(local, settings.root, seconds),
        *(
            found
            for bridge in bridges.every(directory)
            for found in check_bridge(bridge_ends(directory, bridge, local))
        ),
    )


def bridge_ends(directory: BrokerDirectory, bridge: Bridge, near: Endpoint) -> BridgeEnds:
    """The two ends of a bridge: `near` is this broker with the server's login, the far one has the bridge's own."""
    far = far_end(bridge, bridges.files(directory, bridge))
    return BridgeEnds(bridge.name, bridge.site, bridge.root, near, far)
