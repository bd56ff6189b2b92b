"""Reads a board's config.json and holds it against what the board knows of, field by field."""

import json


class ConfigError(Exception):
    """config.json is not there, no JSON, or has a wrong field; the text names it and says what is right."""


def load(path: str, fields: str, config: object) -> None:
    """Set each of `fields` on `config` to what the file says, else to its default. Raises ConfigError.

    A line of `fields` is one field: name, default as JSON (null: it must be given), smallest and largest; of a text or
    list, shortest and longest. As text they stay in the board's flash, as tuples they would fill its heap.
    """
    try:
        with open(path) as file:
            given = json.load(file)
    except OSError:
        raise ConfigError(f"{path} is not on this board; python -m firmware config makes it") from None
    except ValueError:
        raise ConfigError(f"{path} is no JSON; python -m firmware config makes it anew") from None
    if not isinstance(given, dict):
        raise ConfigError(f"{path} must be an object of fields")
    for line in fields.strip().split("\n"):
        name, standard, low, high = line.split()
        default = json.loads(standard)
        setattr(config, name, _checked(name, given.pop(name, default), default, int(low), int(high)))
    for name in given:
        raise ConfigError(f"{name} is no field of this board; is it misspelt?")


def _checked(name: str, value: object, default: object, low: int, high: int) -> object:
    if value is None:
        raise ConfigError(f"{name} is missing")
    if isinstance(default, int):
        if type(value) is not int or not low <= value <= high:
            raise ConfigError(f"{name} must be a whole number from {low} to {high}, not {value}")
    elif isinstance(default, list):
        if not isinstance(value, list) or not low <= len(value) <= high:
            raise ConfigError(f"{name} must be a list of {low} to {high} things, not {value}")
    elif not isinstance(value, str) or not low <= len(value) <= high:
        raise ConfigError(f"{name} must be a text of {low} to {high} characters")
    return value


def topic_level(name: str, value: str) -> None:
    """Raise ConfigError unless `value` can be a level of a topic as the server takes it."""
    for place, letter in enumerate(value):
        plain = "a" <= letter <= "z" or "A" <= letter <= "Z" or "0" <= letter <= "9"
        if not plain and (place == 0 or letter not in "._-"):
            raise ConfigError(
                f"{name} holds letters, digits, dot, dash and underscore, and begins with a letter or digit"
            )
    if not value:
        raise ConfigError(f"{name} must not be empty")


def address(name: str, value: str) -> None:
    """Raise ConfigError unless `value` is an IPv4 address: looking up a name holds the board up for seconds."""
    parts = value.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise ConfigError(
            f"{name} must be an address like 192.168.1.10, not {value}: looking up names blocks the board"
        )
