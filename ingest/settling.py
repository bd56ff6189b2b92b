"""Writes to the audit log how commands ended, wherever the log's key is known."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from db import audit, ended_commands
from db.engine import Connection

log = logging.getLogger(__name__)

#: Ends in one transaction, for which logins wait.
_AT_ONCE: Final = 50


class Settler:
    """`key`: of the audit log, None where it is not to be had. Several may settle at once: each end is written once."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._fits: bool | None = None
        #: Whether there may be something to write.
        self.due = True

    def settle(self, transaction: Callable[[], AbstractContextManager[Connection]], now: int) -> None:
        """Write some ends, in one short transaction. `now` is UTC ms. Raises DatabaseAway, and what that raises."""
        if not self.due or self._key is None or self._fits is False:
            return
        with transaction() as connection:
            if self._fits is None:
                self._fits = audit.is_key(connection, self._key)
                if not self._fits:
                    log.warning(
                        "SECRET_KEY is not the one that the audit log was begun with, so this process does not write "
                        "there how commands end. Give all servers and workers the same."
                    )
            count = ended_commands.settle(connection, self._key, now, _AT_ONCE) if self._fits else 0
        self.due = count == _AT_ONCE
