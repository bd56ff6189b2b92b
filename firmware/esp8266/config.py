"""What can be set on the ESP8266 board, in its config.json."""

from firmware.lib.checks import ConfigError, address, load, topic_level

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = """
device null 1 64
root "iot" 1 64
wifi_name null 1 32
wifi_password "" 0 63
protocol "mqtt" 0 16
mqtt_host "" 0 64
mqtt_port 1883 1 65535
mqtt_user "" 0 64
mqtt_password "" 0 64
http_host "" 0 64
http_port 8501 1 65535
token "" 0 128
poll_wait_s 2 0 25
time_host "" 0 64
time_port 123 1 65535
source "uart" 0 16
sensor_names [""] 1 4
sensor_pins [4] 1 4
period_ms 2000 20 86400000
sensor_rest_ms 2000 0 10000
uart_rx 13 0 16
baud 115200 1200 921600
led_pin 5 0 16
led_on 1 0 1
led_after_reset "off" 0 16
button_pin 0 0 16
status_pin 2 0 16
status_on 0 0 1
safe_pin 14 0 16
readings_kept 256 16 512
keep_alive_s 30 2 600
patience_ms 10000 100 60000
retry_first_ms 1000 10 60000
retry_longest_ms 30000 10 600000
health_ms 60000 100 3600000
time_every_ms 3600000 1000 86400000
stuck_ms 20000 500 120000
silent_ms 10000 100 86400000
wifi_anew_ms 30000 100 600000
"""
#: Longer ones would not fit into a message with all sensors in it.
_LONGEST_NAME = 16


class Config:
    """The settings. Times as their names say, `*_pin` numbers of GPIOs, `*_on` the level that means on."""

    device: str
    root: str
    wifi_name: str
    wifi_password: str
    protocol: str
    mqtt_host: str
    mqtt_port: int
    mqtt_user: str
    mqtt_password: str
    http_host: str
    http_port: int
    token: str
    poll_wait_s: int
    time_host: str
    time_port: int
    source: str
    sensor_names: "list[str]"
    sensor_pins: "list[int]"
    period_ms: int
    sensor_rest_ms: int
    uart_rx: int
    baud: int
    led_pin: int
    led_on: int
    led_after_reset: str
    button_pin: int
    status_pin: int
    status_on: int
    safe_pin: int
    readings_kept: int
    keep_alive_s: int
    patience_ms: int
    retry_first_ms: int
    retry_longest_ms: int
    health_ms: int
    time_every_ms: int
    stuck_ms: int
    silent_ms: int
    wifi_anew_ms: int


def read(path: str) -> Config:
    """The settings in a file. Raises ConfigError, which names the field."""
    config = Config()
    load(path, _FIELDS, config)
    if config.period_ms < config.sensor_rest_ms:
        raise ConfigError(
            f"period_ms must be at least sensor_rest_ms, {config.sensor_rest_ms}: a DHT22 wants 2 s of rest"
        )
    topic_level("device", config.device)
    for level in config.root.split("/"):
        topic_level("root", level)
    _one_of("protocol", config.protocol, ("mqtt", "http"))
    if config.protocol == "mqtt":
        address("mqtt_host", config.mqtt_host)
    else:
        address("http_host", config.http_host)
        if not config.token:
            raise ConfigError("token is missing: an admin makes one for this device on the page Devices")
    if config.time_host:
        address("time_host", config.time_host)
    _one_of("source", config.source, ("uart", "dht22"))
    _one_of("led_after_reset", config.led_after_reset, ("off", "last"))
    _one_of("uart_rx", config.uart_rx, (3, 13))
    _names(config.sensor_names)
    for pin in config.sensor_pins:
        _one_of("sensor_pins", pin, (4, 5, 12, 13, 14))
    return config


def _names(given: "Iterable[object]") -> None:
    for name in given:
        if not isinstance(name, str) or len(name) > _LONGEST_NAME:
            raise ConfigError(f"sensor_names must be texts of at most {_LONGEST_NAME} characters, not {name}")
        if name:
            topic_level("sensor_names", name)


def _one_of(name: str, value: object, allowed: "tuple[object, ...]") -> None:
    if value not in allowed:
        raise ConfigError(f"{name} must be one of {', '.join([str(one) for one in allowed])}, not {value}")
