"""The embedded broker's own process: `python -m broker.embedded_child CONFIG`, started by broker.embedded.

Says one line on stdout: `ready`, `taken REASON` (a port is in use) or `failed REASON`. Ends when stdin closes.
After `ready` it is silent, but for messages it had to forget.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

from iotcore.iotcore import IotCoreBroker

LISTENERS = 2
SAY_LOSS_EVERY_S = 60.0

_said = threading.Lock()


def say_once(line: str) -> None:
    """Write the one line that the parent waits for; later calls say nothing."""
    if _said.acquire(blocking=False):
        os.write(sys.stdout.fileno(), line.replace("\n", " ").encode() + b"\n")


class ListenerWatch(logging.Handler):
    """Hears from rumqttd's log that its listeners are bound, or that one is not.

    Only the broker itself knows: that a port accepts connections may be another process's doing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._bound = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Look for the lines that rumqttd writes once a listener."""
        text = record.getMessage()
        if text.startswith("Server error"):
            say_once(f"taken {text}")
            os._exit(1)
        if not text.startswith("Listening for remote connections"):
            return
        self._bound += 1
        if self._bound == LISTENERS:
            logging.getLogger(record.name).setLevel(logging.CRITICAL)
            say_once("ready")


class LossWatch(logging.Handler):
    """Says on stderr, at most once a minute, that messages were forgotten before a reader took them."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, unless it was said a moment ago."""
        now = time.monotonic()
        if now < self._quiet_until:
            return
        self._quiet_until = now + SAY_LOSS_EVERY_S
        sys.stderr.write(
            "WARNING embedded broker: memory for waiting messages is full, the oldest were forgotten before they were"
            f" read ({record.getMessage()}). Use Mosquitto for more than trying out.\n"
        )
        sys.stderr.flush()


def main() -> None:
    """Run the broker of the config file named as first argument until stdin closes."""
    threading.Thread(target=_exit_with_parent, name="parent-watch", daemon=True).start()
    _listen_to_rumqttd()
    try:
        IotCoreBroker(config_path=sys.argv[1]).run_forever()
    except OSError as error:
        say_once(f"taken {error}")
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent shall hear of it in one line
        say_once(f"failed {error}")
    os._exit(1)


def _exit_with_parent() -> None:
    sys.stdin.buffer.read()
    # rumqttd has no shutdown of its own, and nothing here needs one.
    os._exit(0)


def _listen_to_rumqttd() -> None:
    # rumqttd logs every packet as an ERROR (the spans around it), so everything is closed but two doors.
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger().setLevel(logging.CRITICAL)
    server = logging.getLogger("rumqttd.server.broker")
    server.addHandler(ListenerWatch())
    server.setLevel(logging.INFO)
    segments = logging.getLogger("rumqttd.segments")
    segments.addHandler(LossWatch())
    segments.setLevel(logging.WARNING)


if __name__ == "__main__":
    main()
