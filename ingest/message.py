"""A message as it arrived, whichever way."""

from __future__ import annotations

import msgspec


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message. `received_at` is UTC ms by our clock.

    `size` is the length of the whole payload in bytes; where it is more than `payload` holds, the message was too large
    and only its beginning was kept. `redelivered` is MQTT's DUP flag; `retained` says that the broker had it in store
    when we subscribed. `packet_id` is what is acknowledged, None with QoS 0.

    A Struct, as all records that are made for each message: it costs a tenth of a frozen dataclass.
    """

    topic: str
    payload: bytes
    size: int
    received_at: int
    retained: bool = False
    redelivered: bool = False
    packet_id: int | None = None
