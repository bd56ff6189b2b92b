"""What Mosquitto keeps for a bridge that was removed: it would go on queueing for it, until memory ends."""

from __future__ import annotations

import logging

from broker.bridge_conf import local_client_id
from broker.connection import Connection, NotIn
from broker.creation import DirectoryError, administrator
from broker.directory import BrokerDirectory

log = logging.getLogger(__name__)

_ENDING = ".removed"


def note_removed(directory: BrokerDirectory, name: str) -> None:
    """Have its session thrown away at the next start: until then the bridge runs. Raises OSError."""
    (directory.bridges / f"{name}{_ENDING}").touch(mode=0o600)


def note_kept(directory: BrokerDirectory, name: str) -> None:
    """A bridge of that name is there again, and takes what waits for it. Raises OSError."""
    (directory.bridges / f"{name}{_ENDING}").unlink(missing_ok=True)


def forget_removed(directory: BrokerDirectory) -> None:
    """Throw away, at the broker that runs, what it keeps for removed bridges; what fails is tried at the next start."""
    for file in sorted(directory.bridges.glob(f"*{_ENDING}")):
        name = file.name.removesuffix(_ENDING)
        try:
            _forget(directory, local_client_id(name))
            file.unlink()
        except (OSError, NotIn, DirectoryError) as error:
            log.warning("What waits for the removed bridge %s could not be thrown away: %r. Next start.", name, error)
        else:
            log.info("What waited for the removed bridge %s was thrown away.", name)


def _forget(directory: BrokerDirectory, client_id: str) -> None:
    """A clean session in its name, for a moment. Raises NotIn, DirectoryError."""
    with Connection(administrator(directory).endpoint, client_id=client_id):
        pass
