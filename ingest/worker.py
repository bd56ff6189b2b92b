"""Settings -> a worker, the same one inside the web process and alone."""

from __future__ import annotations

from db.engine import Engine
from ingest.broker_watch import BrokerWatch, watching
from ingest.negotiated_subscriber import make_subscriber
from ingest.service import Service, WorkerSettings
from ingest.snapshot import Board
from ingest.subscriber import SubscriberSettings
from ingest.upkeep import UpkeepSettings
from ingest.vitals import Vitals
from settings import MqttAddress, Settings


def make_service(settings: Settings, engine: Engine, address: MqttAddress, board: Board, vitals: Vitals) -> Service:
    """The worker that these settings ask for, connecting to `address`. Not started."""
    connection = SubscriberSettings(
        address,
        settings.mqtt_client_id,
        (f"{settings.topic_root}/#",),
        largest_payload=settings.max_message_bytes,
        ca_file=settings.mqtt_ca_file,
        cert_file=settings.mqtt_cert_file,
        key_file=settings.mqtt_key_file,
    )
    # The embedded broker is given by its port for MQTT 5, and has no $SYS.
    subscriber = make_subscriber(connection, "5" if vitals.broker.embedded else settings.mqtt_protocol)
    watch = None if vitals.broker.embedded else BrokerWatch(watching(connection, settings.mqtt_protocol), vitals)
    worker = WorkerSettings(
        settings.mqtt_client_id,
        settings.topic_root,
        settings.max_message_bytes,
        upkeep=UpkeepSettings(dead_letters_max=settings.dead_letters_max),
    )
    return Service(engine, subscriber, worker, board, vitals, watch)
