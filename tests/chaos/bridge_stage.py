"""A site, its bridge and a cloud on real parts, devices that publish before, during and after a fault, and a count."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from broker.bridge import Bridge
from db.engine import DatabaseError
from ingest.resend_plan import ResendSettings
from tests.chaos.flow import Flow
from tests.chaos.verdict import last_numbers, readings
from tests.ingest.worker import Worker
from tests.parts.bridge_tls import SigningAuthority
from tests.parts.bridged import BridgedSite, logged_mosquitto, published_by
from tests.parts.eventually import eventually
from tests.parts.fleet import METRICS, Fleet
from tests.parts.mosquitto import Mosquitto
from tests.parts.ports import accepts, free_port
from tests.parts.wire import Wire

SITE: Final = "site1"
CLOUD_ROOT: Final = "+/iot"


@dataclass(frozen=True, slots=True)
class BridgeScale:
    """How much. `hold_s`: how long a fault lasts. Pauses and keep-alive are the bridge's. `rate`: messages a second."""

    name: str
    messages: int
    devices: int
    rate: float
    hold_s: float
    pause_s: int
    longest_pause_s: int
    keepalive_s: int
    patience_s: float


SMALL_BRIDGE = BridgeScale("small", 300, 6, 1000, 0.0, 1, 1, 5, 20)
#: The bridge's own times, as `bridge add` sets them.
FULL_BRIDGE = BridgeScale("full", 10_000, 20, 500, 20.0, 10, 60, 30, 300)


@dataclass(frozen=True, slots=True)
class BridgeFault:
    """What to break and how to heal it.

    `forgetful`: a broker is killed, and may forget what it acknowledged since its last save. `ends_site`: the site's
    own broker ends meanwhile, so that it can't answer all the time.
    """

    name: str
    act: Callable[[BridgeStage], None]
    forgetful: bool = False
    ends_site: bool = False


@dataclass(frozen=True, slots=True)
class BridgeVerdict:
    """Messages, but for `doubled`: readings that are in the cloud's tables more often than they were sent.

    `repeated`: messages that the bridge sent again, and the cloud's worker knew. `echoed`: what came back to the site
    beside commands. `leaked`: what went up outside the site's own topics, or to somebody else.
    """

    sent: int
    acknowledged: int
    stored: int
    doubled: int
    repeated: int
    echoed: int
    leaked: int
    #: To a local publish.
    longest_answer_s: float | None

    @property
    def lost(self) -> int:
        """Acknowledged to a device by its site's broker, and not in the cloud."""
        return self.acknowledged - self.stored


class CloudBroker:
    """A far end of ours: without TLS for the worker and the test, and with TLS and certificates for sites."""

    def __init__(
        self, directory: Path, authority: SigningAuthority, *, host: str = "127.0.0.1", expired: bool = False
    ) -> None:
        directory.mkdir()
        self.tls_port = free_port()
        certificate, key = authority.issue(directory.name, host, expired=expired)
        self.broker = logged_mosquitto(
            directory,
            f"listener {self.tls_port} 127.0.0.1",
            f"certfile {certificate}",
            f"keyfile {key}",
            f"cafile {authority.ca}",
            f"crlfile {authority.crl}",
            "require_certificate true",
        )

    def start(self) -> None:
        """Until both of its ports listen."""
        self.broker.start()
        self.broker.process.wait_until(lambda: accepts(self.tls_port))

    def restart(self) -> None:
        self.broker.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.broker.process.running:
            self.broker.stop()


class LocalProbe:
    """Publishes at the site's broker again and again, and keeps how long an answer took at most. Context manager."""

    def __init__(self, port: int) -> None:
        self.longest_s = 0.0
        self._port = port
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="local-probe", daemon=True)

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        eventually(self._client.is_connected, what="a connection to the site's broker")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(10)
        self._client.disconnect()
        self._client.loop_stop()

    def _run(self) -> None:
        while not self._done.wait(0.02):
            begun = time.monotonic()
            sent = self._client.publish("probe/local", b"1", qos=1)
            while not sent.is_published() and not self._done.is_set():
                sent.wait_for_publish(0.1)
            self.longest_s = max(self.longest_s, time.monotonic() - begun)


@dataclass(slots=True)
class BridgeStage:
    """The parts of one run."""

    scale: BridgeScale
    directory: Path
    authority: SigningAuthority
    cloud: CloudBroker
    wire: Wire
    site: BridgedSite
    fleet: Fleet
    worker: Worker
    url: str
    #: What a fault starts and the run needs until its end.
    parts: ExitStack
    #: Brokers that posed as the cloud.
    impostors: list[Mosquitto] = field(default_factory=list)
    flow: Flow = field(init=False)

    def __post_init__(self) -> None:
        self.flow = Flow(self.fleet, self.scale.patience_s)

    def hold(self, seconds: float | None = None) -> None:
        """Leave it broken for so long, at small size not at all, and until some messages more wait at the site."""
        before = len(self.fleet.acknowledged)
        self.pause(seconds)
        if self.site.broker.process.running:
            much = self.scale.messages // 20
            eventually(lambda: len(self.fleet.acknowledged) > before + much, what="messages that wait at the site")

    def pause(self, seconds: float | None = None) -> None:
        """So long, or as long as a fault lasts; at small size not at all."""
        if self.scale.hold_s:
            time.sleep(self.scale.hold_s if seconds is None else seconds)

    def all_stored(self) -> bool:
        """Whether the last message of every device is in the cloud."""
        try:
            wanted = {f"{SITE}/{device}": number for device, number in self.fleet.last_numbers().items()}
            return last_numbers(self.url) == wanted
        except DatabaseError:
            return False


@contextmanager
def bridge_staged(directory: Path, scale: BridgeScale, resends: ResendSettings | None = None) -> Iterator[BridgeStage]:
    """Everything a run needs, connected; nothing published yet. `resends`: of the cloud's worker, None for its own."""
    authority = SigningAuthority(directory / "ca")
    certificate, key = authority.issue(SITE)
    url = f"sqlite:///{directory}/monitor.db"
    with ExitStack() as stack:
        cloud = stack.enter_context(CloudBroker(directory / "cloud", authority))
        wire = stack.enter_context(Wire(cloud.tls_port))
        site = BridgedSite(directory / "site")
        site.add(bridge_to(wire.port, scale), ca=authority.ca, certificate=certificate, key=key)
        stack.enter_context(site)
        worker = Worker(url, cloud.broker.url, CLOUD_ROOT, name="cloud-worker", commands=True, resends=resends)
        worker.start()
        stack.callback(worker.database.dispose)
        stack.callback(worker.stop)
        worker.connected()
        eventually(site.is_bridged, scale.patience_s, what="a bridge")
        fleet = stack.enter_context(Fleet(site.port, "iot", devices=scale.devices, rate=scale.rate))
        stage = BridgeStage(scale, directory, authority, cloud, wire, site, fleet, worker, url, stack)
        stack.callback(stage.flow.abandon)
        yield stage


def bridge_to(port: int, scale: BridgeScale, *, name: str = "cloud", site: str = SITE, client_id: str = "") -> Bridge:
    """To a far end on this machine that wants a certificate."""
    return Bridge(
        name=name,
        site=site,
        host="127.0.0.1",
        port=port,
        client_id=client_id or site,
        own_ca=True,
        certificate=True,
        pause_s=scale.pause_s,
        longest_pause_s=scale.longest_pause_s,
        keepalive_s=scale.keepalive_s,
    )


def play_bridge(stage: BridgeStage, fault: BridgeFault) -> BridgeVerdict:
    """Publish a quarter, half of it while the fault happens, and the rest; wait for the last; count."""
    scale, fleet = stage.scale, stage.fleet
    fleet.publish(scale.messages // 4)
    eventually(stage.all_stored, scale.patience_s, what="what came before the fault")
    stage.flow.begin(scale.messages // 2)
    with nullcontext() if fault.ends_site else LocalProbe(stage.site.port) as probe:
        fault.act(stage)
    stage.flow.end()
    fleet.publish(max(0, scale.messages - len(fleet.sent) - len(fleet.devices)))
    fleet.publish_last()
    eventually(stage.all_stored, scale.patience_s, what="the last message of every device")
    stage.worker.stop()
    return _judge(stage, None if probe is None else probe.longest_s)


def _judge(stage: BridgeStage, longest_s: float | None) -> BridgeVerdict:
    found = readings(stage.url)
    fleet = stage.fleet
    sent = Counter(
        (f"{SITE}/{m.device}", metric, n + part)
        for m in fleet.sent
        for n in m.numbers
        for metric, part in METRICS.items()
    )
    acknowledged = [fleet.sent[index] for index in fleet.acknowledged]
    stored = [
        m
        for m in acknowledged
        if all((f"{SITE}/{m.device}", metric, n + part) in found for n in m.numbers for metric, part in METRICS.items())
    ]
    went_up = published_by(stage.cloud.broker, SITE)
    came_down = stage.site.published_by("bridge-cloud")
    telemetry = sum(topic.endswith("/telemetry") for topic in went_up)
    strange = [topic for topic in went_up if not topic.startswith(f"{SITE}/") or topic.endswith("/set")]
    misled = [topic for impostor in stage.impostors for topic in published_by(impostor, SITE)]
    return BridgeVerdict(
        sent=len(fleet.sent),
        acknowledged=len(acknowledged),
        stored=len(stored),
        doubled=(found - sent).total(),
        repeated=max(0, telemetry - len(stored)),
        echoed=sum(not topic.endswith("/set") for topic in came_down),
        leaked=len(strange) + len(misled),
        longest_answer_s=longest_s,
    )
