"""What happens to bridges: cut, silent, frozen, led astray, shut out, restarted and killed at either end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.chaos.bridge_stage import SITE, BridgeFault, BridgeStage, CloudBroker
from tests.parts.bridge_tls import SigningAuthority
from tests.parts.bridged import published_by
from tests.parts.eventually import eventually


def _cut(stage: BridgeStage) -> None:
    stage.wire.cut()
    stage.hold()
    stage.wire.mend()


def _silent(stage: BridgeStage) -> None:
    """Long enough for both ends to take the connection for dead, and to try in vain."""
    stage.wire.silence()
    stage.hold(90)
    stage.wire.mend()


def _frozen(stage: BridgeStage) -> None:
    stage.cloud.broker.process.freeze()
    stage.hold(60)
    stage.cloud.broker.process.thaw()


@contextmanager
def _tries_in_vain(stage: BridgeStage) -> Iterator[None]:
    """Inside, the bridge is down already; at its end it has tried, and nothing went up."""
    tries = stage.wire.opened
    yield
    eventually(lambda: stage.wire.opened > tries, stage.scale.patience_s, what="a try in vain")
    # By now the cloud has read what was on its way when the link was cut.
    went = len(published_by(stage.cloud.broker, SITE))
    stage.hold()
    assert len(published_by(stage.cloud.broker, SITE)) == went


def _never_finishes_tls(stage: BridgeStage) -> None:
    stage.wire.silence()
    with _tries_in_vain(stage):
        stage.wire.sever()
    stage.wire.mend()


def _misled(stage: BridgeStage, impostor: CloudBroker) -> None:
    """Somebody else answers in the cloud's place."""
    stage.parts.enter_context(impostor)
    stage.impostors.append(impostor.broker)
    stage.wire.cut()
    with _tries_in_vain(stage):
        stage.wire.lead_to(impostor.tls_port)
        stage.wire.mend()
    stage.wire.lead_to(stage.cloud.tls_port)


def _wrong_certificate(stage: BridgeStage) -> None:
    another = SigningAuthority(stage.directory / "another-ca", "Another authority")
    _misled(stage, CloudBroker(stage.directory / "wrong", another))


def _expired(stage: BridgeStage) -> None:
    _misled(stage, CloudBroker(stage.directory / "expired", stage.authority, expired=True))


def _wrong_host(stage: BridgeStage) -> None:
    _misled(stage, CloudBroker(stage.directory / "other", stage.authority, host="other.example"))


def _revoked(stage: BridgeStage) -> None:
    """The site's own certificate is taken back, and given back."""
    stage.authority.revoke(SITE)
    stage.wire.cut()
    stage.cloud.restart()
    with _tries_in_vain(stage):
        stage.wire.mend()
    stage.authority.revoke()
    stage.cloud.restart()


def _cloud_restarted(stage: BridgeStage) -> None:
    stage.cloud.broker.stop()
    stage.hold()
    stage.cloud.start()


def _cloud_killed(stage: BridgeStage) -> None:
    stage.cloud.broker.kill()
    stage.hold()
    stage.cloud.start()


def _site_restarted(stage: BridgeStage) -> None:
    stage.wire.cut()
    stage.hold()
    stage.site.stop()
    stage.site.start()
    stage.wire.mend()


def _site_killed(stage: BridgeStage) -> None:
    stage.wire.cut()
    stage.hold()
    stage.site.kill()
    stage.site.start()
    stage.wire.mend()


def _both_restarted(stage: BridgeStage) -> None:
    stage.cloud.broker.stop()
    stage.hold()
    stage.site.stop()
    stage.site.start()
    stage.cloud.start()


def _both_killed(stage: BridgeStage) -> None:
    stage.cloud.broker.kill()
    stage.site.kill()
    stage.hold()
    stage.site.start()
    stage.cloud.start()


BRIDGE_FAULTS: Final = (
    BridgeFault("link cut", _cut),
    BridgeFault("link silent, as of a cable that was pulled", _silent),
    BridgeFault("far end frozen", _frozen),
    BridgeFault("far end accepts and never finishes TLS", _never_finishes_tls),
    BridgeFault("far end with another authority's certificate", _wrong_certificate),
    BridgeFault("far end with an expired certificate", _expired),
    BridgeFault("far end with another host's certificate", _wrong_host),
    BridgeFault("site's certificate revoked, and given back", _revoked),
    BridgeFault("cloud's broker restarted", _cloud_restarted),
    BridgeFault("cloud's broker killed", _cloud_killed, forgetful=True),
    BridgeFault("site's broker restarted during a cut", _site_restarted, ends_site=True),
    BridgeFault("site's broker killed during a cut", _site_killed, forgetful=True, ends_site=True),
    BridgeFault("both restarted", _both_restarted, ends_site=True),
    BridgeFault("both killed", _both_killed, forgetful=True, ends_site=True),
)
