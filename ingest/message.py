"""A message as it arrived, whichever way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `received_at` is UTC ms by our clock.

    `size` is the length of the whole payload in bytes; where it is more than `payload` holds, the message was too large
    and only its beginning was kept. `redelivered` is MQTT's DUP flag; `retained` says that the broker had it in store
    when we subscribed. `packet_id` is what is acknowledged, None with QoS 0.
    """

    topic: str
    payload: bytes
    size: int
    received_at: int
    retained: bool = False
    redelivered: bool = False
    packet_id: int | None = None
