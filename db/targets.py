"""What a command can be for: an actuator, and what it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import Connection, select

from db.devices import THERE
from db.rights import storable
from db.schema import actuators, devices

_LARGEST_NUMBER: Final = 1e15


class UnknownTarget(ValueError):
    """There is no such device or actuator; `field` names which of the two. The text is a sentence."""

    def __init__(self, field: Literal["device", "actuator"], sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class BadState(ValueError):
    """The actuator takes no such state. The text is a sentence that names what it takes."""

    field: Final = "state"


@dataclass(frozen=True, slots=True)
class Target:
    """An actuator that a command is for."""

    name: str
    minimum: float | None
    maximum: float | None
    step: float | None
    unit: str | None
    state: str | None

    @property
    def numeric(self) -> bool:
        """Whether it takes a number, and not ON and OFF: it has a range, or says numbers itself."""
        if any(given is not None for given in (self.minimum, self.maximum, self.step, self.unit)):
            return True
        return self.state not in (None, "ON", "OFF")

    @property
    def takes(self) -> str:
        """What it takes, in words."""
        if not self.numeric:
            return "ON, OFF or TOGGLE"
        unit = f" {self.unit}" if self.unit else ""
        match self.minimum, self.maximum:
            case None, None:
                return f"a number of{unit}" if unit else "a number"
            case None, high:
                return f"a number up to {high:g}{unit}"
            case low, None:
                return f"a number from {low:g}{unit} on"
            case low, high:
                return f"a number from {low:g} to {high:g}{unit}"

    def resolved(self, order: str | float, asked: str | None) -> str:
        """What the device is to be told. `asked`: what an open command asks for. Raises BadState."""
        word = order.strip().upper() if isinstance(order, str) else ""
        if not self.numeric:
            if word == "TOGGLE":
                return self._opposite(asked)
            if word in ("ON", "OFF"):
                return word
        else:
            number = _number(order)
            low = -_LARGEST_NUMBER if self.minimum is None else self.minimum
            high = _LARGEST_NUMBER if self.maximum is None else self.maximum
            if low <= number <= high:
                return number_text(number)
        raise BadState(f"state: {self.name} takes {self.takes}.")

    def _opposite(self, asked: str | None) -> str:
        now = asked if asked is not None else self.state
        if now not in ("ON", "OFF"):
            raise BadState(f"state: {self.name} has never said whether it is ON or OFF, so ask for one of the two.")
        return "OFF" if now == "ON" else "ON"


def locked(connection: Connection, device: str, actuator: str) -> Target:
    """The actuator, locked: nobody makes a command for it, nor stores what it reports, until the transaction ends.

    Raises:
        UnknownTarget: If there is no such device or actuator.
    """
    its_device = select(devices.c.id).where(devices.c.name == device, THERE)
    columns = actuators.c
    query = (
        select(columns.name, columns.minimum, columns.maximum, columns.step, columns.unit, columns.state)
        .where(columns.device_id == its_device.scalar_subquery(), columns.name == actuator)
        .with_for_update()
    )
    row = connection.execute(query).one_or_none()
    if row is not None:
        return Target(*row)
    if connection.scalar(its_device) is None:
        raise UnknownTarget("device", f"There is no device {storable(device, 191)}.")
    raise UnknownTarget("actuator", f"{device} has no actuator {storable(actuator, 64)}.")


def number_text(number: float) -> str:
    """A number as text, as short as it can be and exact; as reports have it."""
    return repr(number + 0.0).removesuffix(".0")


def _number(order: str | float) -> float:
    """NaN for what is none."""
    try:
        return math.nan if isinstance(order, bool) else float(order)
    except (ValueError, OverflowError):
        return math.nan
