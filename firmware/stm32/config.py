"""What can be set on the STM32 board, in its config.json."""

from firmware.lib.checks import ConfigError, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = """
sensors ["PA8"] 1 4
period_ms 2000 20 86400000
sensor_rest_ms 2000 0 10000
uart 2 1 6
baud 115200 1200 921600
led_pin "" 0 8
led_on 1 0 1
safe_pin "" 0 8
watchdog_ms 8000 1000 30000
loop_ms 20 1 500
"""


class Config:
    """The settings: `sensors` the pin of each DHT22, times in ms, `led_pin` and `safe_pin` empty for none."""

    sensors: "list[str]"
    period_ms: int
    sensor_rest_ms: int
    uart: int
    baud: int
    led_pin: str
    led_on: int
    safe_pin: str
    watchdog_ms: int
    loop_ms: int


def read(path: str) -> Config:
    """The settings in a file. Raises ConfigError, which names the field."""
    config = Config()
    load(path, _FIELDS, config)
    if config.period_ms < config.sensor_rest_ms:
        raise ConfigError(
            f"period_ms must be at least sensor_rest_ms, {config.sensor_rest_ms}: a DHT22 wants 2 s of rest"
        )
    _pins(config.sensors)
    return config


def _pins(names: "Iterable[object]") -> None:
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"sensors must be names of pins like PA8, not {name}")
