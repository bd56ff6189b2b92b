"""Mosquitto's configuration: listeners, accounts, limits and persistence, each line with its reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from broker.certificates import Authority
from broker.directory import BrokerDirectory

#: Where distributions put the plugin.
PLUGIN: Final = "mosquitto_dynamic_security.so"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What `init` was told. `hosts`: names and addresses by which devices reach the broker, the first is told them.

    `certificate_port`: for devices that log in by certificate. `plain_address`: of this machine, where boards that have
    no TLS come in, on `port`. `queue_mb`: of memory, for each client that is away.
    `autosave_s`: how much a power cut may take.
    """

    hosts: tuple[str, ...]
    port: int = 1883
    tls_port: int = 8883
    certificate_port: int = 8884
    plain_address: str | None = None
    root: str = "iot"
    queue_mb: int = 1024
    autosave_s: int = 1


def mosquitto_conf(directory: BrokerDirectory, settings: BrokerSettings, plugin: Path, user: str) -> str:
    """The text of mosquitto.conf. `user`: whom Mosquitto becomes when root starts it."""
    authority = Authority(directory.certificates)
    return f"""\
# Written by `python -m broker`; each start writes it anew. To add lines of your own, put a file that ends in .conf
# into {directory.bridges}.

# --- Who may come in --------------------------------------------------------------------------------------------------
# Everybody needs a login, and may do only what the account's role says (python -m broker device list). The plugin reads
# and writes the file itself; changes hold at once, also for who is connected.
per_listener_settings false
allow_anonymous false
plugin {plugin}
plugin_opt_config_file {directory.dynamic_security}

# Where root starts it, it becomes this user, who owns this directory.
user {user}

# --- Where it listens -------------------------------------------------------------------------------------------------
# Without TLS for programs on this machine alone: the server, its workers, this command line.
listener {settings.port} 127.0.0.1
{_plain(settings)}
# Devices with a user and a password. The certificate is of our own authority, which devices must know:
# {authority.certificate}
listener {settings.tls_port}
certfile {authority.server_certificate}
keyfile {authority.server_key}
tls_version tlsv1.2

# Devices with a certificate of their own. A listener apart, because Mosquitto asks everybody on it for one. The
# certificate's name is both user and client id, so that no device can throw out another.
listener {settings.certificate_port}
certfile {authority.server_certificate}
keyfile {authority.server_key}
cafile {authority.certificate}
crlfile {authority.revocation_list}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
use_username_as_clientid true

# --- Nothing acknowledged is dropped ----------------------------------------------------------------------------------
# The default keeps 1,000 messages for a client that is away and drops the rest, though it acknowledged them. No limit
# by number; by size, for each client, so that one which never comes back can't take all memory.
max_queued_messages 0
max_queued_bytes {settings.queue_mb << 20}
# How many may be under way unacknowledged. The default of 20 makes the worker wait for the network: a seventh of the
# rate.
max_inflight_messages 2000
# Far above the server's own MAX_MESSAGE_BYTES: what is too large must still arrive, to be counted and looked at. Who
# sends more is disconnected, and not dropped in silence.
max_packet_size {8 << 20}
# Who has not come back for two months is gone; until then its messages are kept.
persistent_client_expiration 2m

# --- What a restart and a power cut leave -----------------------------------------------------------------------------
# Sessions, queues and retained messages are on disk: always at an orderly end, else every so many seconds. What came in
# between is lost when the power fails, though it was acknowledged: the server asks devices for it again.
persistence true
persistence_location {directory.store}/
autosave_interval {settings.autosave_s}
autosave_on_changes false

# --- The rest ---------------------------------------------------------------------------------------------------------
# Small messages go out at once.
set_tcp_nodelay true
# The server reads the broker's own count of what waits.
sys_interval 10
# Not to stdout, which is held back where no terminal is.
log_dest stderr
# To $SYS/broker/log as well: by that the doctor notices a client id that two use.
log_dest topic
log_type error
log_type warning
log_type notice
log_timestamp_format %Y-%m-%dT%H:%M:%S

# Bridges, a file each (python -m broker bridge).
include_dir {directory.bridges}
"""


def _plain(settings: BrokerSettings) -> str:
    if settings.plain_address is None:
        return ""
    return f"""
# Without TLS for boards that can't afford it (--plain). Whoever can listen on that network reads passwords and values.
listener {settings.port} {settings.plain_address}
"""
