"""All tables in one place.

Times are UTC milliseconds in a BIGINT, values are float64. Names are compared by case and by every character, which on
MySQL and MariaDB takes a binary collation that does not pad with spaces.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Rows live in their primary key's order, so that a range of one series is one read.
_CLUSTERED: dict[str, Any] = {"sqlite_with_rowid": False, "mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}
_TABLE: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}

#: A row id that counts up. SQLite does so for INTEGER alone.
RowId = BigInteger().with_variant(Integer, "sqlite")
#: Greater ones are nobody's, and no database takes them.
LARGEST_ID = 2**63


class Name(String):
    """Text that is equal only if every character is, case and trailing spaces too."""

    cache_ok = True


@compiles(Name, "mysql", "mariadb")
def _name_on_mysql(type_: Name, compiler: Any, **_: Any) -> str:
    collation = "utf8mb4_nopad_bin" if compiler.dialect.is_mariadb else "utf8mb4_0900_bin"
    return f"VARCHAR({type_.length}) CHARACTER SET utf8mb4 COLLATE {collation}"


def _payload() -> TypeEngine[bytes]:
    return LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")


devices = Table(
    "devices",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", Name(191), nullable=False, unique=True),
    Column("model", String(128)),
    Column("firmware", String(128)),
    Column("online", SmallInteger, comment="its last status: 1 online, 0 offline, null never told"),
    Column("status_at", BigInteger, comment="UTC ms of that status"),
    Column("last_seen", BigInteger, nullable=False, comment="UTC ms of its last message of any kind"),
    Column("created_at", BigInteger, nullable=False),
    Column("boot", Name(64), comment="label of its present start, given by us because it sends none"),
    Column("boot_seq", BigInteger, comment="last sequence number under that label"),
    Column("label", String(128), comment="how people call it, null: by its name"),
    Column("site", String(64)),
    Column("area", String(64)),
    Column("notes", String(1000)),
    Column("hidden", SmallInteger, nullable=False, server_default="0", comment="1: pages leave it out"),
    Column("removed_at", BigInteger, comment="UTC ms when it was deleted; heard of after that, it is there again"),
    **_TABLE,
)

series = Table(
    "series",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device_id", Integer, ForeignKey("devices.id"), nullable=False),
    Column("metric", Name(128), nullable=False),
    Column("unit", String(32)),
    Column("name", String(128)),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("device_id", "metric"),
    **_TABLE,
)

readings = Table(
    "readings",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, primary_key=True, autoincrement=False),
    Column("value", Double, nullable=False),
    **_CLUSTERED,
)

chunks = Table(
    "chunks",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("start", BigInteger, primary_key=True, autoincrement=False, comment="UTC ms from which on it holds all"),
    Column("until", BigInteger, nullable=False, comment="UTC ms before which it does"),
    Column("first", BigInteger, nullable=False, comment="UTC ms of its first reading"),
    Column("last", BigInteger, nullable=False),
    Column("last_value", Double, nullable=False),
    Column("n", BigInteger, nullable=False, comment="readings in it"),
    Column("lo", Double, nullable=False),
    Column("hi", Double, nullable=False),
    Column("total", Double, nullable=False),
    Column("interval_ms", BigInteger, comment="median of its last 100 distances, null for one reading"),
    Column("minutes", _payload(), comment="its minutes packed, null where its readings are as quick"),
    Column("minutes_crc", BigInteger, comment="CRC-32 of them"),
    Column("raw", _payload(), comment="its readings as a Parquet file, null once they were past their time"),
    Column("raw_crc", BigInteger),
    Index(None, "until"),
    **_TABLE,
)

hours = Table(
    "hours",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, primary_key=True, autoincrement=False, comment="UTC ms of the hour's begin"),
    Column("n", BigInteger, nullable=False),
    Column("lo", Double, nullable=False),
    Column("hi", Double, nullable=False),
    Column("total", Double, nullable=False, comment="sum of its readings"),
    **_CLUSTERED,
)

minutes = Table(
    "minutes",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, primary_key=True, autoincrement=False, comment="UTC ms of the hour's begin"),
    Column("packed", _payload(), nullable=False, comment="minutes of an hour that is over and not sealed yet"),
    Column("crc", BigInteger, nullable=False, comment="CRC-32 of them"),
    **_TABLE,
)

late = Table(
    "late",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("start", BigInteger, nullable=False, comment="UTC ms of the first hour that is named, of any series"),
    Column("until", BigInteger, nullable=False, comment="UTC ms of the end of the last"),
    Column("named", _payload(), nullable=False, comment="msgpack: [[series_id, start, until], ...], whole hours"),
    **_TABLE,
)

latest = Table(
    "latest",
    metadata,
    Column("series_id", Integer, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, nullable=False),
    Column("value", Double, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Index(None, "received_at"),
    **_CLUSTERED,
)

receipts = Table(
    "receipts",
    metadata,
    Column("device_id", Integer, primary_key=True, autoincrement=False),
    Column("boot", Name(64), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("received_at", BigInteger, nullable=False),
    Column("digest", BigInteger, nullable=False, comment="of the payload, tells a repetition from a restart"),
    Index(None, "received_at"),
    **_CLUSTERED,
)

actuators = Table(
    "actuators",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("device_id", Integer, ForeignKey("devices.id"), nullable=False),
    Column("name", Name(64), nullable=False),
    Column("minimum", Double),
    Column("maximum", Double),
    Column("step", Double),
    Column("unit", String(32)),
    Column("state", String(64), comment="as the device reported it last: ON, OFF or a number"),
    Column("state_at", BigInteger, comment="UTC ms when that report arrived"),
    Column("command_id", String(36), comment="the command that the report names"),
    UniqueConstraint("device_id", "name"),
    **_TABLE,
)

states = Table(
    "states",
    metadata,
    Column("actuator_id", Integer, primary_key=True, autoincrement=False),
    Column("ts", BigInteger, primary_key=True, autoincrement=False, comment="UTC ms from when on it was so"),
    Column("state", String(64), nullable=False, comment="ON, OFF or a number"),
    Index(None, "ts"),
    **_CLUSTERED,
)

commands = Table(
    "commands",
    metadata,
    Column("number", RowId, primary_key=True, autoincrement=True),
    Column("id", Name(36), nullable=False, unique=True, comment="as it goes over the wire"),
    Column("device", Name(191), nullable=False, comment="by name: it outlives the device"),
    Column("actuator", Name(64), nullable=False),
    Column("state", String(64), nullable=False, comment="ON, OFF or a number"),
    Column("status", String(16), nullable=False),
    Column("made_by", String(191), nullable=False, comment="who asked"),
    Column("address", String(64), nullable=False, comment="from where"),
    Column("made_at", BigInteger, nullable=False),
    Column("deadline_at", BigInteger, nullable=False),
    Column("sent_at", BigInteger, comment="UTC ms from when on it may have gone out, noted before it does"),
    Column("report", String(64), comment="what the device said last that neither confirms nor ends it"),
    Column("report_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("settled", SmallInteger, nullable=False, comment="1: it has ended, and its end is in the audit log"),
    Index(None, "settled", "deadline_at"),
    Index(None, "device", "settled"),
    Index(None, "settled", "ended_at"),
    sqlite_autoincrement=True,
    **_TABLE,
)

command_steps = Table(
    "command_steps",
    metadata,
    Column("number", RowId, primary_key=True, autoincrement=True),
    Column("command", BigInteger, nullable=False, comment="its number"),
    Column("status", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("evidence", String(500), nullable=False),
    Index(None, "command"),
    sqlite_autoincrement=True,
    **_TABLE,
)

device_polls = Table(
    "device_polls",
    metadata,
    Column("device_id", Integer, ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    Column("polled_at", BigInteger, nullable=False, comment="UTC ms when it asked for commands last"),
    Column("until", BigInteger, nullable=False, comment="UTC ms until which that request is answered"),
    Column("interval_ms", BigInteger, comment="between the end of a request and the next, null for the first"),
    **_TABLE,
)

removals = Table(
    "removals",
    metadata,
    Column("device_id", Integer, ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("made_by", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("readings", BigInteger, nullable=False, comment="removed so far"),
    **_TABLE,
)

bridges = Table(
    "bridges",
    metadata,
    Column("site", Name(64), primary_key=True),
    Column("up", SmallInteger, nullable=False, comment="1: it is connected"),
    Column("since", BigInteger, nullable=False, comment="UTC ms from when on it has been so"),
    **_TABLE,
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("received_at", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", _payload(), nullable=False, comment="its first 64 KiB"),
    Column("size", BigInteger, nullable=False, comment="bytes of the whole payload"),
    Column("reason", String(1000), nullable=False),
    Column("retained", SmallInteger, nullable=False, comment="1: the broker had it in store when we subscribed"),
    Column("stored", BigInteger, nullable=False, comment="readings of the message that were stored all the same"),
    Column("duplicate", BigInteger, nullable=False, comment="readings of the message that were known"),
    sqlite_autoincrement=True,  # an id that someone noted never comes to mean another letter
    **_TABLE,
)

workers = Table(
    "workers",
    metadata,
    Column("name", Name(128), primary_key=True),
    Column("token", String(32), nullable=False, comment="of its present start"),
    Column("started_at", BigInteger, nullable=False),
    Column("heartbeat_at", BigInteger, nullable=False),
    Column("stopped_at", BigInteger),
    Column("waiting", BigInteger, nullable=False),
    Column("waiting_readings", BigInteger, nullable=False),
    Column("lag_ms", BigInteger, comment="how far behind the newest message was when it was stored, null if unknown"),
    Column("broker_state", String(16), nullable=False),
    **_TABLE,
)

leases = Table(
    "leases",
    metadata,
    Column("name", Name(32), primary_key=True),
    Column("worker", Name(128), nullable=False),
    Column("token", String(32), nullable=False, comment="of the holder's start: the fence of what it writes"),
    Column("renewed_at", BigInteger, nullable=False, comment="UTC ms by the database's clock"),
    **_TABLE,
)

_COUNTS = ("stored", "duplicate", "rejected", "readings_stored", "readings_duplicate", "readings_rejected")

batches = Table(
    "batches",
    metadata,
    Column("worker", Name(128), primary_key=True),
    Column("token", String(32), primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("committed_at", BigInteger, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in _COUNTS),
    Column("seen", _payload(), nullable=False, comment="msgpack: [[device_id, boot, first, last], ...]"),
    **_TABLE,
)

account = Table(
    "account",
    metadata,
    Column("worker", Name(128), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False, comment="UTC days since 1970-01-01"),
    *(Column(name, BigInteger, nullable=False) for name in _COUNTS),
    Column("letters_removed", BigInteger, nullable=False, comment="dead letters that had to leave for newer ones"),
    Column("readings_imported", BigInteger, nullable=False, server_default="0"),
    Column("readings_removed", BigInteger, nullable=False, server_default="0", comment="past their time, or deleted"),
    **_TABLE,
)

seen = Table(
    "seen",
    metadata,
    Column("device_id", Integer, primary_key=True, autoincrement=False),
    Column("boot", Name(64), primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False, comment="UTC ms of the oldest batch in it"),
    Column("last_at", BigInteger, nullable=False, comment="UTC ms of the batch that brought its last number"),
    Index(None, "seen_at"),
    **_CLUSTERED,
)

resends = Table(
    "resends",
    metadata,
    Column("device_id", Integer, primary_key=True, autoincrement=False),
    Column("boot", Name(64), primary_key=True),
    Column("first", BigInteger, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    Column("noticed_at", BigInteger, nullable=False, comment="UTC ms of the batch that brought the number after it"),
    Column("tries", Integer, nullable=False, comment="how often it was asked for"),
    Column("asked_at", BigInteger, comment="UTC ms when it was last"),
    Column(
        "next_at", BigInteger, comment="UTC ms from when on to ask for it; null: another one is in turn, or it ended"
    ),
    Column("outcome", String(16), comment="repaired, gone or unanswered; null: it is waited for"),
    Column("ended_at", BigInteger),
    Index(None, "next_at"),
    **_CLUSTERED,
)

resend_gone = Table(
    "resend_gone",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("device_id", Integer, nullable=False),
    Column("boot", Name(64), nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False, comment="UTC ms when the device said that it has these no longer"),
    **_TABLE,
)

users = Table(
    "users",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("name", String(64), nullable=False, comment="as it was written"),
    Column("name_key", Name(64), nullable=False, unique=True, comment="in lower case, as it is compared"),
    Column("role", String(16), nullable=False),
    Column("password", String(255), nullable=False, comment="argon2id"),
    Column("password_at", BigInteger, nullable=False),
    Column("must_change", SmallInteger, nullable=False, comment="1: it was given, and is to be replaced"),
    Column("disabled", SmallInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_login_at", BigInteger),
    **_TABLE,
)


def _digest() -> Column[Any]:
    return Column("digest", Name(64), nullable=False, unique=True, comment="SHA-256 of the token, in hex")


sessions = Table(
    "sessions",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    _digest(),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("address", String(64), nullable=False),
    Column("agent", String(255), nullable=False),
    Index(None, "expires_at"),
    sqlite_autoincrement=True,  # an id that someone noted never comes to mean another login
    **_TABLE,
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    _digest(),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False),
    Column("name", String(64), nullable=False),
    Column("hint", String(16), nullable=False, comment="its first characters"),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    sqlite_autoincrement=True,
    **_TABLE,
)

device_tokens = Table(
    "device_tokens",
    metadata,
    Column("device_id", Integer, ForeignKey("devices.id"), primary_key=True, autoincrement=False),
    _digest(),
    Column("hint", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("used_at", BigInteger),
    Column("created_by", String(64), nullable=False),
    **_TABLE,
)

token_families = Table(
    "token_families",
    metadata,
    Column("id", Name(43), primary_key=True),
    Column("user_id", Integer, ForeignKey("users.id"), nullable=False),
    Column("jti", Name(43), nullable=False, comment="of the refresh token that is valid now"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("address", String(64), nullable=False),
    Index(None, "expires_at"),
    **_TABLE,
)

login_tries = Table(
    "login_tries",
    metadata,
    Column("subject", Name(64), primary_key=True, comment="HMAC of a name, an address, or both"),
    Column("wrong", Integer, nullable=False),
    Column("last_at", BigInteger, nullable=False),
    Column("wait_until", BigInteger, nullable=False, comment="UTC ms before which no further try is let in"),
    Index(None, "last_at"),
    **_TABLE,
)

login_places = Table(
    "login_places",
    metadata,
    Column("user_id", Integer, ForeignKey("users.id"), primary_key=True, autoincrement=False),
    Column("address", Name(64), primary_key=True),
    Column("last_at", BigInteger, nullable=False, comment="UTC ms of the last right login from there"),
    **_TABLE,
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(32), nullable=False),
    Column("subject", String(191), nullable=False),
    Column("result", String(8), nullable=False),
    Column("detail", String(1000), nullable=False),
    Column("mac", Name(64), nullable=False, comment="HMAC over this row and the mac before, in hex"),
    **_TABLE,
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False, comment="of the last entry"),
    Column("mac", Name(64), nullable=False, comment="of the last entry"),
    Column("key_mark", Name(64), nullable=False, comment="tells whether a key is the chain's, empty before the first"),
    **_TABLE,
)
