"""What a device says and hears over MQTT: topics and JSON of the contract, to and from typed records. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

TELEMETRY = "telemetry"
STATUS = "status"
ABOUT = "about"
LED_SET = "led/set"
LED_STATE = "led/state"
RESEND_SET = "resend/set"

ONLINE = b"online"
OFFLINE = b"offline"

LedState = Literal["ON", "OFF"]
ROOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._-]{0,63})*")


class Sample(msgspec.Struct, frozen=True):
    """One telemetry message: `ts` in UTC ms, `seq` from 0 within a `boot`, degrees Celsius, percent."""

    ts: int
    seq: int
    boot: str
    temperature: float
    humidity: float


@dataclass(frozen=True, slots=True)
class LedCommand:
    """A wish for the LED. `expires` in UTC ms; a bare ON or OFF has neither id nor end."""

    state: LedState
    id: str | None = None
    expires: int | None = None


class ResendRequest(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Sequence numbers `first` to `last`, both included, of a boot, that never arrived."""

    boot: str | int
    first: int
    last: int


def valid_root(root: str) -> bool:
    """Whether `root` can stand before the device in a topic a device publishes to: no wildcards, no empty levels."""
    return ROOT.fullmatch(root) is not None


def encode_sample(sample: Sample) -> bytes:
    """A sample as telemetry."""
    return msgspec.json.encode(sample)


def encode_backlog(samples: Sequence[Sample]) -> bytes:
    """Several samples as one telemetry message."""
    return msgspec.json.encode(samples)


def encode_gone(boot: str | int, first: int, last: int) -> bytes:
    """The answer to a resend request for what the device has no longer, `first` to `last`."""
    return msgspec.json.encode({"boot": boot, "gone": [first, last]})


def encode_about(firmware: str) -> bytes:
    """What the simulated device says about itself."""
    return msgspec.json.encode(
        {
            "model": "simulated-dht22",
            "firmware": firmware,
            "actuators": ["led"],
            "units": {"temperature": "°C", "humidity": "%RH"},
        }
    )


def encode_led_state(state: LedState, command_id: str | None) -> bytes:
    """The LED's state, with the id of the command that caused it, if any."""
    return msgspec.json.encode({"state": state} if command_id is None else {"id": command_id, "state": state})


def decode_led_command(payload: bytes) -> LedCommand:
    """Parse what came on `led/set`: the JSON form, or a bare ON or OFF. Raises ValueError on anything else."""
    if payload == b"ON":
        return LedCommand("ON")
    if payload == b"OFF":
        return LedCommand("OFF")
    return msgspec.json.decode(payload, type=LedCommand)


def decode_resend_request(payload: bytes) -> ResendRequest:
    """Parse what came on `resend/set`. Raises ValueError on anything that is no range of sequence numbers."""
    request = msgspec.json.decode(payload, type=ResendRequest)
    if not 0 <= request.first <= request.last:
        raise ValueError(f"no range of sequence numbers: {request.first} to {request.last}")
    return request
