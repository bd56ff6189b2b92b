"""The broker killed, frozen, restarted with and without its file, refusing us, moved away, and cut off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.chaos.stage import STAGED, Fault, Stage
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.tap import Tap

_AWAY: Final = "The broker at"
_SILENT: Final = "it does not answer any more"


@contextmanager
def _much_in_its_hands(stage: Stage) -> Iterator[None]:
    """Inside, the broker holds messages that it acknowledged and could not pass on."""
    with locked(stage.url):
        before = len(stage.fleet.acknowledged)
        much = stage.scale.messages // 12
        eventually(lambda: len(stage.fleet.acknowledged) > before + much, what="messages that the broker holds")
        yield


def _killed(stage: Stage) -> None:
    with _much_in_its_hands(stage):
        stage.broker.kill()
    stage.hold(5)
    stage.broker.start()


def _frozen(stage: Stage) -> None:
    stage.broker.process.freeze()
    stage.hold(120)
    stage.broker.process.thaw()


def _restarted(stage: Stage) -> None:
    with _much_in_its_hands(stage):
        stage.broker.stop()
    stage.hold(5)
    stage.broker.start()


def _restarted_without_its_file(stage: Stage) -> None:
    with _much_in_its_hands(stage):
        stage.broker.stop()
    stage.broker.forget()
    stage.hold(5)
    stage.broker.start()


def _refusing(stage: Stage) -> None:
    stage.broker.stop()
    stage.broker.change_password("worker", "another")
    stage.broker.start()
    stage.hold(10)
    stage.broker.stop()
    stage.broker.change_password("worker", "worker-password")
    stage.broker.start()


def _moved(stage: Stage) -> None:
    """Its name leads elsewhere, and nobody is at home at the old address."""
    stage.process.pull(address="127.0.0.3")
    stage.wire.close()
    stage.hold(5)
    stage.parts.enter_context(Tap(stage.broker.port, host="127.0.0.3", port=stage.wire.port))


def _cut_off(stage: Stage) -> None:
    stage.wire.cut()
    stage.hold(120)
    stage.wire.mend()


BROKER_FAULTS: Final = (
    Fault("broker killed", _killed, _AWAY, forgetful=True),
    Fault("broker frozen", _frozen, _SILENT),
    Fault("broker restarted", _restarted, _AWAY),
    Fault("broker restarted without its file", _restarted_without_its_file, _AWAY, forgetful=True),
    Fault("broker refuses the login", _refusing, "it refuses us"),
    Fault("broker at another address", _moved, _AWAY, program=STAGED, named=True),
    Fault("network cut without a FIN", _cut_off, _SILENT),
)
