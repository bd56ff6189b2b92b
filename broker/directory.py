"""Where a broker's directory keeps what: one place that names its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class BrokerDirectory:
    """The files under `path`, made by `python -m broker init`. Those with secrets are 0600, the directory is 0700."""

    path: Path

    def absolute(self) -> BrokerDirectory:
        """The same, whatever the working directory of who reads it."""
        return BrokerDirectory(self.path.absolute())

    @property
    def settings(self) -> Path:
        """What `init` was told: host name and ports, as JSON."""
        return self.path / "settings.json"

    @property
    def configuration(self) -> Path:
        """Mosquitto's configuration, written anew by `init` and at each start."""
        return self.path / "mosquitto.conf"

    @property
    def bridges(self) -> Path:
        """A file a bridge: what was asked for as `<name>.json`, for Mosquitto as `<name>.conf`."""
        return self.path / "bridges"

    @property
    def certificates(self) -> Path:
        """The authority, the server's certificate, those of devices, the revocation list."""
        return self.path / "certificates"

    @property
    def dynamic_security(self) -> Path:
        """Who may do what. Mosquitto's dynamic security plugin owns it while the broker runs."""
        return self.path / "dynamic-security.json"

    @property
    def store(self) -> Path:
        """Sessions, queues and retained messages."""
        return self.path / "store"

    @property
    def server_env(self) -> Path:
        """The lines of `.env` by which the server logs in."""
        return self.path / "server.env"

    @property
    def audit_log(self) -> Path:
        """What was done by the command line, a JSON object a line."""
        return self.path / "audit.log"

    @property
    def lock(self) -> Path:
        """Held while something in the directory changes."""
        return self.path / "lock"
