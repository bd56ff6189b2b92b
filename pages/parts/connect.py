"""How to connect a device or a script: lines that work as they stand."""

from __future__ import annotations

from shlex import quote
from typing import Final
from urllib.parse import urljoin

import streamlit as st

from runtime import Runtime
from settings import MqttAddress

_READING: Final = '{"temperature": 21.5, "humidity": 48}'
_EXAMPLE_SITE: Final = "site1"


def publish_line(
    address: MqttAddress, topic_root: str, topic: str = "kitchen/telemetry", message: str = _READING
) -> str:
    """A `mosquitto_pub` line that sends one reading. A user's password is left for the shell to fill in."""
    root = "/".join(_EXAMPLE_SITE if level == "+" else level for level in topic_root.split("/"))
    parts = ["mosquitto_pub", "-h", quote(address.host), "-p", str(address.port)]
    if address.tls:
        parts.append("--tls-use-os-certs")
    if address.username is not None:
        parts += ["-u", quote(address.username), "-P", '"$MQTT_PASSWORD"']
    parts += ["-q", "1", "-t", quote(f"{root}/{topic}"), "-m", quote(message)]
    return " ".join(parts)


def curl_line(address: str, token: str) -> str:
    """A line that shows that a key works: it asks the server at `address`, any of its pages, for its devices."""
    return f"curl -H {quote(f'Authorization: Bearer {token}')} {quote(urljoin(address, 'api/devices/'))}"


def show_how_to_connect(address: MqttAddress, topic_root: str) -> None:
    """The line to copy, and what a device has to send."""
    st.code(publish_line(address, topic_root), language=None, wrap_lines=True)
    password = " Put the password into `MQTT_PASSWORD` first." if address.username is not None else ""
    st.markdown(
        f"`mosquitto_pub` comes with Debian's package `mosquitto-clients`.{password} "
        "A device publishes the same to a topic with its own name: every number in the JSON becomes a metric."
    )


def wait_for_first_device(runtime: Runtime, away: str, first: str) -> None:
    """What will be here, and what to type; once a device reports, the page runs again. For a fragment that repeats.

    `away`: what is said while the database can't be asked. `first`: what a first device brings, above the line to copy.
    """
    if runtime.board.current.devices:
        st.rerun()
    if runtime.health().database.state != "connected":
        st.markdown(away)
        return
    st.subheader("No device has reported yet", anchor=False)
    st.markdown(first)
    show_how_to_connect(runtime.device_address, runtime.settings.topic_root)


def show_how_to_report(address: MqttAddress, topic_root: str) -> None:
    """The line with which a device first tells of an actuator, and how it hears what is asked of it."""
    line = publish_line(address, topic_root, "kitchen/led/state", "OFF")
    st.code(line, language=None, wrap_lines=True)
    root = topic_root.replace("+", _EXAMPLE_SITE)
    st.markdown(
        f"A device hears what is asked of it on `{root}/kitchen/led/set`, and reports on `{root}/kitchen/led/state` "
        "what it does then. That report is what is shown here."
    )
