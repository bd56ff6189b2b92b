"""Every setting, once: read at start into one frozen object, all mistakes reported together.

Sources, the first that names a setting wins: the environment, `.env`, `.streamlit/secrets.toml`, the default below.
A key in `.env` or `secrets.toml` that is no setting is a mistake as well; the environment may hold anything.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

#: What the embedded broker has no use for: it asks nobody for a login, and devices are on this machine.
_OF_A_BROKER_ELSEWHERE = (
    "MQTT_ADMIN_USER",
    "MQTT_ADMIN_PASSWORD",
    "MQTT_DEVICE_URL",
    "MQTT_DEVICE_PLAIN_URL",
    "MQTT_DEVICE_CA_FILE",
)

LOG_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"

#: Characters of SECRET_KEY and of ADMIN_PASSWORD at least.
_KEY_LENGTH = 32
_PASSWORD_LENGTH = 10
_SECRETS = ("MQTT_ADMIN_PASSWORD", "SECRET_KEY", "ADMIN_PASSWORD")
#: Where a password may stand in an address, however spoilt: from the first ':' after the scheme to the last '@'.
_PASSWORD = re.compile(r"^((?:[a-z+]+:/{1,3})?+[^:@]*:).*@", re.IGNORECASE | re.DOTALL)
_DATABASE_SCHEMES = ("sqlite", "mysql+pymysql", "mariadb+pymysql")
_HELP = {
    "DATABASE_URL": "allowed: sqlite:///data/monitor.db or mysql+pymysql://user:password@host/database",
    "MQTT_URL": "allowed: mqtt://[user:password@]host[:1883] or mqtts://[user:password@]host[:8883]",
    "MQTT_DEVICE_URL": "allowed: mqtt://host[:1883] or mqtts://host[:8883]",
    "MQTT_DEVICE_PLAIN_URL": "allowed: mqtt://host[:1883]",
    "MQTT_SHARE_GROUP": "allowed: 1 to 64 characters without '/', '+' and '#', such as workers",
    "TOPIC_ROOT": "allowed: one or more levels without '#', such as iot or +/iot",
    "DISPLAY_TIMEZONE": "allowed: a name such as Europe/Berlin or UTC",
    "TRUSTED_PROXIES": "allowed: addresses or networks with commas between, such as 10.0.0.1,192.168.0.0/16",
    "SECRET_KEY": f"allowed: {_KEY_LENGTH} or more characters, drawn at random; unset makes one",
    "ADMIN_PASSWORD": f"allowed: {_PASSWORD_LENGTH} or more characters; unset makes one",
    "BASE_PATH": "allowed: empty, or a path such as /monitor",
}


class OneLine(logging.Formatter):
    """One record, one line: topics and names are other people's words, and a terminal would obey some of them."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        """The line, with whatever can't be printed written as its code."""
        if not record.message.isprintable():
            record.message = "".join(one if one.isprintable() else f"\\x{ord(one):02x}" for one in record.message)
        return super().formatMessage(record)


def begin_logging(level: str) -> None:
    """Log to stderr from this level on."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(LOG_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])


class SettingsError(Exception):
    """One or more settings are wrong. The text has a line for each, without secrets."""


@dataclass(frozen=True, slots=True)
class MqttAddress:
    """Where a broker listens and who we are there. `str()` leaves the password out."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: SecretStr | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"


def parse_mqtt_url(url: str) -> MqttAddress:
    """Parse `mqtt://[user:password@]host[:port]`. Raises ValueError without repeating the password."""
    parts = urlsplit(url)
    bare = parts.path in ("", "/") and not parts.query and not parts.fragment
    if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or not bare:
        raise ValueError("is no MQTT address")
    tls = parts.scheme == "mqtts"
    port = _port(parts) or (8883 if tls else 1883)
    username = unquote(parts.username) if parts.username else None
    password = SecretStr(unquote(parts.password)) if parts.password else None
    return MqttAddress(parts.hostname, port, tls, username, password)


def mask_password(url: str) -> str:
    """The URL, which may be spoilt, with `***` in place of its password."""
    return _PASSWORD.sub(r"\1***@", url)


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has a port that is no number from 1 to 65535; in a password write %2F for /, %23 for #")
    return port


def _check_database_url(secret: SecretStr | None) -> SecretStr | None:
    if secret is None:
        return None
    url = secret.get_secret_value()
    parts = urlsplit(url)
    if parts.scheme not in _DATABASE_SCHEMES:
        raise ValueError("is no database address that is supported")
    if parts.scheme == "sqlite" and (parts.netloc or len(parts.path) < 2):
        raise ValueError("names no file")
    if parts.scheme != "sqlite":
        _port(parts)
        if not parts.hostname or len(parts.path) < 2:
            raise ValueError("needs a host and a database")
    return secret


def _check_mqtt_url(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None:
        parse_mqtt_url(secret.get_secret_value())
    return secret


def _check_device_url(url: str | None) -> str | None:
    if url is not None and (parse_mqtt_url(url).username or parse_mqtt_url(url).password):
        raise ValueError("must hold no login: each device has its own")
    return url


def _check_plain_url(url: str | None) -> str | None:
    if url is not None and parse_mqtt_url(url).tls:
        raise ValueError("is for boards that speak no TLS")
    return _check_device_url(url)


def _check_topic_root(root: str) -> str:
    levels = root.split("/")
    if not all(levels) or "#" in root or any("+" in level and level != "+" for level in levels) or levels[-1] == "+":
        raise ValueError("is no topic root")
    if "+" in levels[1:]:
        raise ValueError("may have '+' as its first level only")
    return root


def _check_share_group(group: str | None) -> str | None:
    if group is not None and (not 1 <= len(group) <= 64 or set(group) & set("/+#") or not group.isprintable()):
        raise ValueError("is no name of a group")
    return group


def _check_timezone(name: str | None) -> str | None:
    if name is not None:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("is no time zone this machine knows") from error
    return name


def _check_secret_key(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and len(secret.get_secret_value()) < _KEY_LENGTH:
        raise ValueError("is too short")
    return secret


def _check_admin_password(secret: SecretStr | None) -> SecretStr | None:
    if secret is not None and len(secret.get_secret_value()) < _PASSWORD_LENGTH:
        raise ValueError("is too short")
    return secret


def _check_base_path(path: str) -> str:
    if path and (not path.startswith("/") or path.endswith("/")):
        raise ValueError("must begin with '/' and not end with one")
    return path


def _split_networks(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        ip_network(network, strict=False)
    return networks


def _is_missing(path: Path) -> bool:
    """Whether there is no such file. One in a folder that is closed to us may be there: who needs it says that."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return False
    except OSError:
        return True


def _empty_is_unset(value: object) -> object:
    return None if value == "" else value


Networks = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_networks), AfterValidator(_check_networks)]
OptionalText = Annotated[str | None, BeforeValidator(_empty_is_unset)]
OptionalPath = Annotated[Path | None, BeforeValidator(_empty_is_unset)]
OptionalDays = Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_empty_is_unset)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_empty_is_unset)]


class Settings(BaseSettings):
    """All settings of CONTRACT, validated. Field names are the settings' names in lower case."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        toml_file=".streamlit/secrets.toml",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Path("data")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    database_url: Annotated[OptionalSecret, AfterValidator(_check_database_url)] = None

    mqtt_url: Annotated[OptionalSecret, AfterValidator(_check_mqtt_url)] = None
    mqtt_ca_file: OptionalPath = None
    mqtt_cert_file: OptionalPath = None
    mqtt_key_file: OptionalPath = None
    mqtt_client_id: str = Field(
        default_factory=lambda: f"smart-monitor-{socket.gethostname()}", min_length=1, max_length=100
    )
    mqtt_protocol: Literal["auto", "5", "3.1.1"] = "auto"
    mqtt_share_group: Annotated[OptionalText, AfterValidator(_check_share_group)] = None
    mqtt_admin_user: OptionalText = None
    mqtt_admin_password: OptionalSecret = None
    mqtt_device_url: Annotated[OptionalText, AfterValidator(_check_device_url)] = None
    mqtt_device_plain_url: Annotated[OptionalText, AfterValidator(_check_plain_url)] = None
    mqtt_device_ca_file: OptionalPath = None
    topic_root: Annotated[str, AfterValidator(_check_topic_root)] = "iot"

    ingest: Literal["thread", "off"] = "thread"
    max_message_bytes: int = Field(default=1_000_000, ge=1_000, le=268_435_455)
    dead_letters_max: int = Field(default=100_000, ge=1)
    command_deadline_s: int = Field(default=60, ge=1)
    demo_devices: Annotated[Annotated[int, Field(ge=0, le=100)] | None, BeforeValidator(_empty_is_unset)] = None

    require_login: Literal["control", "all"] = "control"
    session_days: int = Field(default=30, ge=1)
    secret_key: Annotated[OptionalSecret, AfterValidator(_check_secret_key)] = None
    admin_password: Annotated[OptionalSecret, AfterValidator(_check_admin_password)] = None

    seal_after_days: int = Field(default=2, ge=0)
    retention_raw_days: OptionalDays = None
    retention_hour_days: OptionalDays = None
    display_timezone: Annotated[OptionalText, AfterValidator(_check_timezone)] = None

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8501, ge=1, le=65535)
    base_path: Annotated[str, AfterValidator(_check_base_path)] = ""
    trusted_proxies: Networks = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library passes it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment, `.env`, `.streamlit/secrets.toml`, in this order."""
        return init_settings, env_settings, dotenv_settings, _Secrets(settings_cls)

    @model_validator(mode="after")
    def _check_pairs(self) -> Self:
        problems = list(self._problems_between())
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _problems_between(self) -> Iterator[str]:
        """What is wrong with settings that are right each by itself, a line each."""
        if bool(self.mqtt_cert_file) != bool(self.mqtt_key_file):
            yield "MQTT_CERT_FILE and MQTT_KEY_FILE: set both or neither"
        if (self.mqtt_admin_user is None) != (self.mqtt_admin_password is None):
            yield "MQTT_ADMIN_USER and MQTT_ADMIN_PASSWORD: set both or neither"
        for name in ("mqtt_ca_file", "mqtt_cert_file", "mqtt_key_file", "mqtt_device_ca_file"):
            path: Path | None = getattr(self, name)
            if path is not None and _is_missing(path):
                yield f"{name.upper()}: there is no file {path}"
        if self.ingest == "off" and self.mqtt_url is None:
            yield "INGEST=off needs MQTT_URL: the workers that run elsewhere need a broker to share"
        if self.mqtt_share_group is not None and self.mqtt_url is None:
            yield "MQTT_SHARE_GROUP: needs MQTT_URL; the embedded broker has one worker, with nobody to share with"

    @property
    def database(self) -> str:
        """The database's URL with its password, `DATA_DIR`/monitor.db where none is set."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir / 'monitor.db'}"
        return self.database_url.get_secret_value()

    @property
    def broker(self) -> MqttAddress | None:
        """The broker to connect to, None for the embedded one."""
        return parse_mqtt_url(self.mqtt_url.get_secret_value()) if self.mqtt_url else None

    @property
    def device_broker(self) -> MqttAddress | None:
        """Where devices reach the broker, without a login; None for the embedded one."""
        here = self.broker
        if here is None or self.mqtt_device_url is None:
            return here and MqttAddress(here.host, here.port, here.tls)
        return parse_mqtt_url(self.mqtt_device_url)

    @property
    def plain_broker(self) -> MqttAddress | None:
        """Where boards that speak no TLS reach it, None where they do as all devices, or not at all."""
        return None if self.mqtt_device_plain_url is None else parse_mqtt_url(self.mqtt_device_plain_url)

    @property
    def device_ca_file(self) -> Path | None:
        """What devices know the broker by, None where they need no file: without TLS, or where everybody knows it."""
        address = self.device_broker
        if address is None or not address.tls:
            return None
        return self.mqtt_device_ca_file or (self.mqtt_ca_file if self.mqtt_device_url is None else None)

    @property
    def demo_device_count(self) -> int:
        """Simulated devices to start: 3 beside the embedded broker, none beside a real one, unless it is set."""
        if self.demo_devices is not None:
            return self.demo_devices
        return 3 if self.mqtt_url is None else 0

    def without_effect(self) -> list[str]:
        """A sentence for each setting that somebody set in vain, sorted."""
        if self.mqtt_url is not None:
            return []
        given = [name for name in _OF_A_BROKER_ELSEWHERE if getattr(self, name.lower()) is not None]
        why = "has no effect with the embedded broker, which asks nobody for a login. See docs/broker.md."
        return [f"{name} is set and {why}" for name in sorted(given)]


class _Secrets(TomlConfigSettingsSource):
    """`.streamlit/secrets.toml`, its keys in any case, as everywhere else."""

    def __call__(self) -> dict[str, Any]:
        return {key.lower(): value for key, value in super().__call__().items()}


def load() -> Settings:
    """Read and check all settings.

    Raises:
        SettingsError: With a line for each mistake: the setting, the value (never a secret) and what is allowed.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [_explain(dict(detail)) for detail in error.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from None
    except ValueError as error:  # a .env or secrets.toml that can't be parsed
        raise SettingsError(f".env or .streamlit/secrets.toml can't be read: {error}") from None


def secret_key(settings: Settings) -> bytes:
    """SECRET_KEY, else what `DATA_DIR`/secret_key holds, which is made when it is first asked for.

    Raises:
        SettingsError: If that file can't be read or made, or is spoilt.
    """
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value().encode()
    file = settings.data_dir / "secret_key"
    try:
        if not file.exists():
            _make_key(file)
        key = file.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"SECRET_KEY: {file} can't be read or made: {error.strerror}") from error
    if len(key) < _KEY_LENGTH:
        raise SettingsError(f"SECRET_KEY: {file} is spoilt; take it from a backup, or see docs/users.md for a new one")
    return key


def _make_key(file: Path) -> None:
    """Whole or not at all, and of several that make one at once the first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(f"{secrets.token_urlsafe(48)}\n")
        out.flush()
        os.fsync(out.fileno())
    try:
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(new)
    finally:
        new.unlink()


def _explain(detail: dict[str, Any]) -> str:
    location = detail["loc"]
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not location:
        return message
    name = str(location[0]).upper()
    if detail["type"] == "extra_forbidden":
        return f"{name}: no such setting; see the settings table in README.md, or remove it"
    message = f"{message[0].lower()}{message[1:]}"
    shown = _shown(name, detail["input"])
    hint = f"; {_HELP[name]}" if name in _HELP else ""
    return f"{name}: {shown} {message}{hint}"


def _shown(name: str, value: object) -> str:
    """What was given, fit for a terminal and a log: a secret masked whole, a URL without its password."""
    if name in _SECRETS:
        return "***"
    if name.endswith("_URL"):
        return repr(mask_password(value)) if isinstance(value, str) else "***"
    return repr(value)
