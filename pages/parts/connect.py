"""How to connect a device or a script: lines that work as they stand."""

from __future__ import annotations

from shlex import quote
from typing import Final
from urllib.parse import urljoin

import streamlit as st

from broker import paste
from broker.paste import Reach
from broker.provisioning import Credentials
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


def login_line(reach: Reach, topic: str = "telemetry", message: str = _READING) -> str:
    """The same at a broker where each device has a login of its own, for one called kitchen."""
    name = f"{_EXAMPLE_SITE}/kitchen" if reach.root.startswith("+/") else "kitchen"
    return paste.publish_line(reach, Credentials(name, "PASSWORD", name), topic, message)


def show_how_to_connect(runtime: Runtime) -> None:
    """The line to copy, and what a device has to send."""
    _show_line(runtime, "telemetry", _READING)
    st.markdown(
        "`mosquitto_pub` comes with Debian's package `mosquitto-clients`. "
        "A device publishes the same to a topic with its own name: every number in the JSON becomes a metric."
    )


def _show_line(runtime: Runtime, topic: str, message: str) -> None:
    """What the device kitchen sends below its own topic, and where its password comes from."""
    if runtime.logins is not None:
        st.code(login_line(runtime.logins.reach, topic, message), language=None, wrap_lines=True)
        st.markdown(
            "This broker asks each device for a login of its own. An admin makes it on *Devices*, where all of it is "
            "shown once; put it in place of `kitchen` and `PASSWORD`."
        )
        return
    address = runtime.device_address
    line = publish_line(address, runtime.settings.topic_root, f"kitchen/{topic}", message)
    st.code(line, language=None, wrap_lines=True)
    if address.username is not None:
        st.markdown("Put the password into `MQTT_PASSWORD` first.")


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
    show_how_to_connect(runtime)


def show_how_to_report(runtime: Runtime) -> None:
    """The line with which a device first tells of an actuator, and how it hears what is asked of it."""
    _show_line(runtime, "led/state", "OFF")
    root = runtime.settings.topic_root.replace("+", _EXAMPLE_SITE)
    st.markdown(
        f"A device hears what is asked of it on `{root}/kitchen/led/set`, and reports on `{root}/kitchen/led/state` "
        "what it does then. That report is what is shown here."
    )
