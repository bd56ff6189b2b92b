"""Settings -> a worker, the same one inside the web process and alone."""

from __future__ import annotations

from dataclasses import replace

from db.engine import Engine
from ingest.archive import HistorySettings
from ingest.broker_watch import BrokerWatch, watching
from ingest.dialects import topics
from ingest.http_readings import HttpReadings, HttpSettings
from ingest.keeper import SUFFIX
from ingest.negotiated_subscriber import make_subscriber
from ingest.service import Service, WorkerSettings
from ingest.snapshot import Board
from ingest.subscriber import SubscriberSettings
from ingest.upkeep import UpkeepSettings
from ingest.vitals import Vitals
from settings import MqttAddress, Settings


def make_service(settings: Settings, engine: Engine, address: MqttAddress, board: Board, vitals: Vitals) -> Service:
    """The worker that these settings ask for, connecting to `address`. Not started."""
    telemetry, reports = connections(settings, address)
    # The embedded broker is given by its port for MQTT 5, and has no $SYS.
    protocol = "5" if vitals.broker.embedded else settings.mqtt_protocol
    watch = None if vitals.broker.embedded else BrokerWatch(watching(telemetry, protocol), vitals)
    worker = WorkerSettings(
        settings.mqtt_client_id,
        settings.topic_root,
        settings.max_message_bytes,
        upkeep=UpkeepSettings(
            dead_letters_max=settings.dead_letters_max,
            history=HistorySettings(
                settings.seal_after_days,
                settings.retention_raw_days,
                settings.retention_hour_days,
                settings.topic_root,
            ),
        ),
    )
    subscriber = make_subscriber(telemetry, protocol)
    second = None if reports is None else make_subscriber(reports, protocol)
    return Service(engine, subscriber, worker, board, vitals, reports=second, watch=watch)


def make_http_readings(settings: Settings, engine: Engine, board: Board, vitals: Vitals) -> HttpReadings:
    """What takes readings from HTTP in a web process, whether its worker is in it or elsewhere. Not started."""
    return HttpReadings(
        engine,
        HttpSettings(
            settings.mqtt_client_id,
            settings.topic_root,
            settings.max_message_bytes,
            every_reading=settings.ingest == "thread",
            raw_days=settings.retention_raw_days,
        ),
        board,
        vitals,
    )


def connections(settings: Settings, address: MqttAddress) -> tuple[SubscriberSettings, SubscriberSettings | None]:
    """How to connect for telemetry, and for reports where these come apart from it. Pure."""
    root, group = settings.topic_root, settings.mqtt_share_group
    everything = f"{root}/#"
    alone = SubscriberSettings(
        address,
        settings.mqtt_client_id,
        (everything,),
        largest_payload=settings.max_message_bytes,
        ca_file=settings.mqtt_ca_file,
        cert_file=settings.mqtt_cert_file,
        key_file=settings.mqtt_key_file,
    )
    if group is None:
        return alone, None
    sharing = replace(alone, filters=(f"$share/{group}/{everything}",), former_filters=(everything,))
    keeping = replace(
        alone,
        client_id=f"{settings.mqtt_client_id}{SUFFIX}",
        filters=topics.report_filters(root),
        persistent=False,
    )
    return sharing, keeping
