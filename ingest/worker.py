"""Settings -> a worker, the same one inside the web process and alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from db.engine import Engine
from ingest import dispatcher
from ingest.archive import HistorySettings
from ingest.broker_watch import BrokerWatch, watching
from ingest.command_sender import CommandSender
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

#: How long the thread of the commands, which has other work as well, waits for a broker that does not answer.
_SENDING_S: Final = 2.0


def make_service(
    settings: Settings,
    engine: Engine,
    address: MqttAddress,
    board: Board,
    vitals: Vitals,
    audit_key: bytes | None,
    devices: MqttAddress | None = None,
) -> Service:
    """The worker that these settings ask for, connecting to `address`. Not started.

    `audit_key`: of the audit log, None where it is not to be had. `devices`: where devices connect with MQTT 3.1.1, if
    that is another address. The embedded broker has a port for each version, and hands a message that came by MQTT 5 on
    to a device of 3.1.1 with properties that this one does not understand; so what devices are to get goes out there.
    """
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
        audit_key=audit_key,
    )
    subscriber = make_subscriber(telemetry, protocol)
    second = None if reports is None else make_subscriber(reports, protocol)
    commanding = sending(telemetry if devices is None else replace(telemetry, address=devices))
    sender = CommandSender(commanding, protocol if devices is None else "3.1.1")
    return Service(engine, subscriber, worker, board, vitals, reports=second, watch=watch, sender=sender)


def make_http_readings(
    settings: Settings, engine: Engine, board: Board, vitals: Vitals, reported: Callable[[], None] = lambda: None
) -> HttpReadings:
    """What takes readings from HTTP in a web process, whether its worker is in it or elsewhere. Not started.

    `reported` is called when a state is stored.
    """
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
        reported,
    )


def sending(telemetry: SubscriberSettings) -> SubscriberSettings:
    """How to connect for commands. Pure."""
    client_id = f"{telemetry.client_id}{dispatcher.SUFFIX}"
    return replace(
        telemetry, client_id=client_id, filters=(), former_filters=(), persistent=False, connect_timeout_s=_SENDING_S
    )


def connections(settings: Settings, address: MqttAddress) -> tuple[SubscriberSettings, SubscriberSettings | None]:
    """How to connect for telemetry, and for reports where these come apart from it. Pure."""
    root, group = settings.topic_root, settings.mqtt_share_group
    alone = SubscriberSettings(
        address,
        settings.mqtt_client_id,
        topics.filters(root),
        largest_payload=settings.max_message_bytes,
        ca_file=settings.mqtt_ca_file,
        cert_file=settings.mqtt_cert_file,
        key_file=settings.mqtt_key_file,
    )
    if group is None:
        return alone, None
    sharing = replace(alone, filters=(f"$share/{group}/{root}/#",), former_filters=topics.filters(root))
    keeping = replace(
        alone,
        client_id=f"{settings.mqtt_client_id}{SUFFIX}",
        filters=topics.report_filters(root),
        persistent=False,
    )
    return sharing, keeping
