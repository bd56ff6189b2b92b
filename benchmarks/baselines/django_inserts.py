"""The original's way: paho's on_message makes one Django model object a message. Runs in a venv of its own.

`django_inserts.py PORT HOST DBPORT USER PASSWORD DATABASE`. DEBUG off, a persistent connection, autocommit.
"""

# mypy: ignore-errors

from __future__ import annotations

import json
import sys

import paho.mqtt.client as paho
import pymysql
from paho.mqtt.enums import CallbackAPIVersion

pymysql.version_info = (2, 2, 1, "final", 0)  # Django asks for mysqlclient, which needs a compiler
pymysql.install_as_MySQLdb()

import django  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection, models  # noqa: E402


def main(port: int, database: dict[str, str]) -> None:
    """Make the table, then store whatever comes."""
    settings.configure(
        DEBUG=False,
        DATABASES={"default": {"ENGINE": "django.db.backends.mysql", "CONN_MAX_AGE": None, **database}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        USE_TZ=True,
    )
    django.setup()

    class Reading(models.Model):
        device = models.CharField(max_length=64)
        temperature = models.FloatField()
        humidity = models.FloatField()
        time = models.DateTimeField(auto_now_add=True)

        class Meta:
            app_label = "bench"
            db_table = "peer_readings"

    if "peer_readings" not in connection.introspection.table_names():
        with connection.schema_editor() as editor:
            editor.create_model(Reading)

    def on_message(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        values = json.loads(message.payload)
        Reading.objects.create(
            device=message.topic.split("/")[1], temperature=values["temperature"], humidity=values["humidity"]
        )

    client = paho.Client(CallbackAPIVersion.VERSION2, "bench", clean_session=False, protocol=paho.MQTTv311)
    client.on_message = on_message
    client.on_subscribe = lambda *_: print("subscribed", flush=True)
    client.connect("127.0.0.1", port)
    client.subscribe("iot/#", qos=1)
    client.loop_forever()


if __name__ == "__main__":
    names = ("HOST", "PORT", "USER", "PASSWORD", "NAME")
    main(int(sys.argv[1]), dict(zip(names, sys.argv[2:], strict=True)))
