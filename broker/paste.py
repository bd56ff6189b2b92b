"""What to type, or to paste into a device's settings, with new credentials. Pure."""

from __future__ import annotations

import io
import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import segno

from broker.provisioning import Credentials


@dataclass(frozen=True, slots=True)
class Reach:
    """How devices reach the broker. `ca_file`: what they know it by, None where it has no TLS, or one that is known."""

    host: str
    port: int
    tls: bool
    ca_file: Path | None = None
    root: str = "iot"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A text to copy, and what it is for. `is_plain`: for what speaks no TLS."""

    title: str
    text: str
    is_plain: bool = False


def snippets(reach: Reach, credentials: Credentials) -> tuple[Snippet, ...]:
    """For a terminal, our boards, ESPHome, and whatever takes an address. `credentials` have a password."""
    return (
        Snippet("Send a reading", publish_line(reach, credentials)),
        Snippet("config.json of an ESP8266 of ours", board_config(reach, credentials), is_plain=True),
        Snippet("ESPHome", esphome(reach, credentials)),
        Snippet("Address", address(reach, credentials)),
    )


def base_topic(reach: Reach, device: str) -> str:
    """The levels before a metric: `iot/kitchen`, or `site1/iot/kitchen` for `site1/kitchen` below `+/iot`."""
    if reach.root.startswith("+/"):
        site, _, name = device.partition("/")
        return f"{site}{reach.root[1:]}/{name}"
    return f"{reach.root}/{device}"


def publish_line(
    reach: Reach, credentials: Credentials, topic: str = "telemetry", message: str = '{"temperature": 21.5}'
) -> str:
    """A line for a terminal that sends one reading, or another message below the device's own topic."""
    words = ["mosquitto_pub", "-h", reach.host, "-p", str(reach.port), "-i", credentials.client_id]
    words += ["-u", credentials.username, "-P", credentials.password or ""]
    words += _trust(reach)
    words += ["-q", "1", "-t", f"{base_topic(reach, credentials.username)}/{topic}", "-m", message]
    return shlex.join(words)


def certificate_line(reach: Reach, credentials: Credentials, certificate: Path, key: Path) -> str:
    """The same for a device that has a certificate."""
    words = ["mosquitto_pub", "-h", reach.host, "-p", str(reach.port), *_trust(reach)]
    words += ["--cert", str(certificate), "--key", str(key), "-q", "1"]
    words += ["-t", f"{base_topic(reach, credentials.username)}/telemetry", "-m", '{"temperature": 21.5}']
    return shlex.join(words)


def board_config(reach: Reach, credentials: Credentials) -> str:
    """The settings of our ESP8266. It has no memory for TLS, and so needs a listener without (`init --plain`)."""
    settings = {
        "device": credentials.username.rsplit("/", 1)[-1],
        "root": base_topic(reach, credentials.username).rsplit("/", 1)[0],
        "wifi_name": "YOUR WIFI",
        "wifi_password": "ITS PASSWORD",
        "mqtt_host": reach.host,
        "mqtt_port": reach.port,
        "mqtt_user": credentials.username,
        "mqtt_password": credentials.password or "",
    }
    return json.dumps(settings, indent=2)


def esphome(reach: Reach, credentials: Credentials) -> str:
    """The part of an ESPHome file: who it is, its last will in our words, and a sensor whose topic is ours."""
    base = base_topic(reach, credentials.username)
    trust = "  certificate_authority: !secret broker_ca  # the text of ca.crt\n" if reach.tls and reach.ca_file else ""
    return f"""\
mqtt:
  broker: {json.dumps(reach.host)}
  port: {reach.port}
  client_id: {json.dumps(credentials.client_id)}
  username: {json.dumps(credentials.username)}
  password: {json.dumps(credentials.password)}
{trust}  discovery: false
  birth_message: {{topic: {base}/status, payload: online, qos: 1, retain: true}}
  will_message: {{topic: {base}/status, payload: offline, qos: 1, retain: true}}
  log_topic: null

sensor:
  - platform: dht
    pin: GPIO4
    model: DHT22
    temperature: {{name: Temperature, state_topic: {base}/temperature, retain: false, qos: 1}}
    humidity: {{name: Humidity, state_topic: {base}/humidity, retain: false, qos: 1}}
    update_interval: 10s"""


def address(reach: Reach, credentials: Credentials) -> str:
    """All in one line, as a QR code holds it."""
    scheme = "mqtts" if reach.tls else "mqtt"
    user, password = quote(credentials.username, safe=""), quote(credentials.password or "", safe="")
    client = quote(credentials.client_id, safe="")
    return f"{scheme}://{user}:{password}@{reach.host}:{reach.port}?client_id={client}"


def qr_svg(text: str) -> str:
    """The text as a QR code, black on white with its quiet zone, for a page: an image's address with SVG in it."""
    return segno.make(text, error="m", micro=False).svg_data_uri(scale=4, dark="#000", light="#fff")


def qr_terminal(text: str) -> str:
    """The text as a QR code of characters."""
    out = io.StringIO()
    segno.make(text, error="m", micro=False).terminal(out, border=2, compact=True)
    return out.getvalue()


def _trust(reach: Reach) -> list[str]:
    if not reach.tls:
        return []
    return ["--cafile", str(reach.ca_file)] if reach.ca_file else ["--tls-use-os-certs"]
