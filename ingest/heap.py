"""Python's garbage collector, set for a process that makes records by the thousand and drops them at once.

They die by their reference counts, so all that the collector finds in them is work: with its own settings it took a
fifth of a message's time.
"""

from __future__ import annotations

import gc
from typing import Final

#: Objects made, less objects gone, before the youngest are looked through: a batch of 2,000 messages makes some 20,000.
_YOUNGEST: Final = 100_000


def settle() -> None:
    """Leave what is loaded out of every collection, and collect less often. Called once a process, at its start."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, 10, 10)
