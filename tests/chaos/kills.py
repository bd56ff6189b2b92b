"""`kill -9` of the server while messages are under way, and the count of what that lost or doubled."""

from __future__ import annotations

import json
import threading
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import text

from db import engine
from tests.parts.eventually import eventually
from tests.parts.locked import locked
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publication, Publisher
from tests.parts.server import Server


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of messages that the broker had acknowledged: how many, and what became of them."""

    sent: int
    kills: int
    stored: int
    lost: int
    doubled: int
    #: What the account says: stored, and received again and recognised.
    account_stored: int
    account_duplicate: int


def messages(root: str, numbers: range) -> list[Publication]:
    """The hardest kind: no time of their own, so only a receipt tells a repetition."""
    return [(f"{root}/d/telemetry", json.dumps({"seq": n, "boot": "a", "v": n})) for n in numbers]


def kill_while_messages_flow(
    server: Server, broker: Mosquitto, root: str, database_url: str, *, size: int, kills: int
) -> Outcome:
    """Publish `size` messages around each of `kills` kills; the first kill hits a worker with a batch in its hands.

    The server runs and is well at the start and at the end.
    """
    with Publisher(broker.port) as device:
        with locked(database_url):
            device.publish(messages(root, range(size)))
            eventually(lambda: ingest(server, "waiting") > 0, what="a batch in hand")
            server.kill()
        server.start()
        for number in range(1, kills):
            chunk = messages(root, range(number * size, (number + 1) * size))
            before = ingest(server, "stored")
            flow = threading.Thread(target=device.publish, args=(chunk,), name="device")
            flow.start()
            eventually(lambda: ingest(server, "stored") > before, what="a message of this round")  # noqa: B023
            server.kill()
            flow.join()
            server.start()
    return _outcome(server, database_url, size * kills, kills)


def ingest(server: Server, count: str) -> int:
    """A count of the account, as /api/health/ shows it."""
    return int(server.get("/api/health/").json()["ingest"][count])


def _outcome(server: Server, database_url: str, sent: int, kills: int) -> Outcome:
    eventually(lambda: ingest(server, "stored") >= sent and ingest(server, "waiting") == 0, what="all messages")
    database = engine.create(database_url)
    with engine.reading(database) as connection:
        found = Counter(int(value) for value in connection.scalars(text("SELECT value FROM readings")))
    database.dispose()
    return Outcome(
        sent,
        kills,
        found.total(),
        lost=sum(1 for n in range(sent) if n not in found),
        doubled=found.total() - len(found),
        account_stored=ingest(server, "stored"),
        account_duplicate=ingest(server, "duplicate"),
    )
