"""Settings -> a worker, the same one inside the web process and alone."""

from __future__ import annotations

from dataclasses import replace

from db.engine import Engine
from ingest.dialects import topics
from ingest.keeper import SUFFIX
from ingest.service import Service, WorkerSettings
from ingest.snapshot import Board
from ingest.subscriber import Mqtt5Subscriber, SubscriberSettings
from ingest.upkeep import UpkeepSettings
from ingest.vitals import Vitals
from settings import MqttAddress, Settings


def make_service(settings: Settings, engine: Engine, address: MqttAddress, board: Board, vitals: Vitals) -> Service:
    """The worker that these settings ask for, connecting to `address`. Not started."""
    worker = WorkerSettings(
        settings.mqtt_client_id,
        settings.topic_root,
        settings.max_message_bytes,
        upkeep=UpkeepSettings(dead_letters_max=settings.dead_letters_max),
    )
    telemetry, reports = connections(settings, address)
    second = None if reports is None else Mqtt5Subscriber(reports)
    return Service(engine, Mqtt5Subscriber(telemetry), worker, board, vitals, second)


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
        keep_session=False,
    )
    return sharing, keeping
