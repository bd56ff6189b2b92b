"""What is stored in a second while more than that is published on the same machine.

That is less than from a backlog, because the publisher needs the same cores. At half of a backlog's rate two cores are
overrun by publisher and broker alone, so shares of a full rate are taken of this one.
"""

from __future__ import annotations

import threading
from time import monotonic
from typing import Final

from benchmarks import progress, publisher, telemetry

_WARM_UP: Final = 1_000


def rate(url: str, port: int, messages: int, offered: float, devices: int) -> float:
    """Messages a second that a running worker on an empty database stores, of `offered` ones.

    Args:
        url: The database's.
        port: The broker's.
        messages: How many are published.
        offered: At this rate, or as fast as the publisher can.
        devices: Whose they are.
    """
    start = telemetry.just_now()
    publisher.publish_evenly(port, telemetry.messages(_WARM_UP, devices, start, boot="warm"), _WARM_UP)
    publishing = threading.Thread(
        target=publisher.publish_evenly, args=(port, telemetry.messages(messages, devices, start), offered)
    )
    with progress.counter(url, progress.ACCOUNT) as settled:
        publishing.start()
        seen = progress.watch(settled, _WARM_UP + messages, monotonic())
        publishing.join()
    return seen.rate
