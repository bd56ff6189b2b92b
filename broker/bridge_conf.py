"""A bridge as lines of Mosquitto's configuration, each with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.bridge import Bridge

#: Where Debian, Ubuntu, Fedora and Alpine keep the authorities that the system trusts: as many files, and as one.
SYSTEM_CAS: Final = Path("/etc/ssl/certs")
SYSTEM_CA_FILE: Final = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True, slots=True)
class Files:
    """Absolute paths of a bridge's PEM files; None where it has none."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


def text(bridge: Bridge, files: Files, near: int | None) -> str:
    """The whole file. `near`: the port on loopback at which stunnel does the TLS, None where Mosquitto does it."""
    return "\n".join(
        [*_head(bridge), *_address(bridge, files, near), *_login(bridge), *_topics(bridge), *_life(bridge)]
    )


def _head(bridge: Bridge) -> Iterator[str]:
    yield f"# The bridge {bridge.name}: site {bridge.site} to {bridge.host}:{bridge.port}."
    yield "# Written anew at each start of `python -m broker run`; change it by `python -m broker bridge add`."
    yield f"connection {bridge.name}"


def _address(bridge: Bridge, files: Files, near: int | None) -> Iterator[str]:
    if near is not None:
        yield "# stunnel, beside it, does the TLS: before 2.0.22 a far end that accepts and never finishes TLS can"
        yield "# freeze the whole broker for good."
        yield f"address 127.0.0.1:{near}"
        return
    # What stands behind the last colon is the port, so an IPv6 address goes as it is.
    yield f"address {bridge.host}:{bridge.port}"
    if not bridge.tls:
        yield "# Without TLS, as asked: whoever stands between can read and change everything, the password too."
        return
    yield "# Who answers must prove to be that host, by an authority that is trusted here."
    yield f"bridge_cafile {files.ca}" if files.ca is not None else f"bridge_capath {SYSTEM_CAS}"
    yield "bridge_insecure false"
    if files.certificate is not None:
        yield "# What the far end knows this site by."
        yield f"bridge_certfile {files.certificate}"
        yield f"bridge_keyfile {files.key}"


def _login(bridge: Bridge) -> Iterator[str]:
    if bridge.user is not None:
        yield f"remote_username {bridge.user}"
        if bridge.password is not None:
            yield f"remote_password {bridge.password}"
    yield "# One id a site at the far end, and a fixed one here: both keep a session for it, and neither may follow"
    yield "# this machine's name, or what waits would be forgotten with it."
    yield f"remote_clientid {bridge.client_id}"
    yield f"local_clientid {local_client_id(bridge.name)}"


def local_client_id(name: str) -> str:
    """By which Mosquitto keeps what waits for a bridge."""
    return f"bridge-{name}"


def _topics(bridge: Bridge) -> Iterator[str]:
    yield "# Up goes what devices say, down come commands, each by a line of its own: nothing matches both, so nothing"
    yield "# comes back. Never `topic # both`: it loops, doubles, and brings deleted retained values back."
    yield f'topic {bridge.root}/+/+ out 1 "" {bridge.site}/'
    yield f'topic {bridge.root}/+/+/state out 1 "" {bridge.site}/'
    yield f'topic {bridge.root}/+/+/set in 1 "" {bridge.site}/'
    yield "# The doctor's probe goes up and comes back."
    yield f"topic + out 1 doctor/{bridge.name}/up/ {bridge.site}/doctor/"
    yield f"topic + in 1 doctor/{bridge.name}/down/ {bridge.site}/doctor/"
    yield "# Mosquitto lets a far end publish whatever it likes over a bridge, asks no role, and so would let it make"
    yield "# itself an administrator here. By this line such a message goes to a topic that nobody reads."
    yield 'topic $CONTROL/# in 0 refused/ ""'
    yield "# Whether it is connected, retained at the far end and here: while it is 0, the far end's server calls this"
    yield "# site's devices unknown. Strict brokers refuse Mosquitto's own topic for it, under $SYS."
    yield "notifications true"
    yield f"notification_topic {bridge.site}/bridge/state"


def _life(bridge: Bridge) -> Iterator[str]:
    yield "# MQTT 3.1.1, which every broker speaks."
    yield "bridge_protocol_version mqttv311"
    yield "# Not to say that it is a bridge: brokers that don't know of such a thing refuse the first connection, and"
    yield "# those that do would not send the doctor's probe back. Nothing else here depends on it."
    yield "try_private false"
    yield "# What is sent while the link is away waits, on both sides."
    yield "cleansession false"
    yield "# Brokers that refuse to unsubscribe from what was never subscribed would end the connection."
    yield "bridge_attempt_unsubscribe false"
    yield "# Each failed try queues all retained values again, so they are not many: a pause between these seconds."
    yield f"restart_timeout {bridge.pause_s} {bridge.longest_pause_s}"
    yield f"keepalive_interval {bridge.keepalive_s}"
    yield "start_type automatic"
    yield "# A far end ends the connection over a larger message than it takes, and so each time anew: nothing would"
    yield "# pass any more. What is larger stays here."
    yield f"bridge_max_packet_size {bridge.largest_packet}"
    yield ""
