from __future__ import annotations

from db.devices import Series
from pages.parts.chosen_series import COLOURS, MOST, choose
from pages.parts.history_export import FORMATS, buttons, curl_line, export_path
from pages.parts.periods import Period
from pages.parts.places import Named
from pages.parts.view import View
from tests.pages.cases import ms

UNITS = {"temperature": "°C", "humidity": "%"}
HOUR = Period(ms("2026-11-23T10:00:00Z"), ms("2026-11-23T11:00:00Z"))


def stored(**metrics: str) -> list[Series]:
    """Devices with their metrics, as the database lists them."""
    pairs = [(device, metric) for device in sorted(metrics) for metric in sorted(metrics[device].split())]
    return [Series(number, *pair, UNITS.get(pair[1]), None) for number, pair in enumerate(pairs, 1)]


TWO = stored(attic="humidity temperature", kitchen="humidity light temperature")


def test_without_a_choice_the_first_device_is_shown_with_all_it_has() -> None:
    choice = choose(TWO, View())

    assert choice.devices == ("attic",)
    assert [(one.label, one.panel) for one in choice.shown] == [("humidity", "%"), ("temperature", "°C")]


def test_how_a_board_is_doing_is_shown_to_who_asks_or_where_there_is_nothing_else() -> None:
    board = stored(attic="humidity vitals.frames", cellar="vitals.frames")

    assert [one.label for one in choose(board, View()).shown] == ["humidity"]
    assert [one.label for one in choose(board, View(metrics=("vitals.frames",))).shown] == ["vitals.frames"]
    assert [one.label for one in choose(board, View(devices=("cellar",))).shown] == ["vitals.frames"]
    assert choose(board, View()).metrics == ("humidity", "vitals.frames")


def test_what_is_chosen_is_shown_as_far_as_there_is_such_a_thing() -> None:
    choice = choose(TWO, View(devices=("kitchen", "cellar"), metrics=("light", "noise")))

    assert [(one.series.device, one.label, one.panel) for one in choice.shown] == [("kitchen", "light", "light")]
    assert choice.problems == ("There is no device cellar.", "None of these devices has noise.")


def test_labels_say_what_tells_series_apart() -> None:
    both = View(devices=("attic", "kitchen"))

    assert [one.label for one in choose(TWO, View(devices=both.devices, metrics=("humidity",))).shown] == [
        "attic",
        "kitchen",
    ]
    assert choose(TWO, both).shown[0].label == "attic · humidity"


def test_devices_are_called_as_people_call_them_and_no_two_alike() -> None:
    names = {"attic": Named("Under the roof"), "kitchen": Named("cellar"), "cellar": Named()}
    both = View(devices=("attic", "kitchen"), metrics=("humidity",))

    assert [one.label for one in choose(TWO, both, names).shown] == ["Under the roof", "cellar"]
    assert list(choose(TWO, both, names).titles) == ["attic", "kitchen"]
    alike = choose(TWO, both, names, acting=["cellar"])
    assert alike.titles == {"attic": "Under the roof", "cellar": "cellar", "kitchen": "cellar (kitchen)"}
    same = {"attic": Named("House"), "kitchen": Named("House")}
    labels = [one.label for one in choose(TWO, View(devices=("attic", "kitchen")), same).shown]
    assert labels[0] == "House (attic) · humidity"
    assert len(set(labels)) == len(labels)


def test_a_device_that_only_acts_can_be_chosen_and_is_never_the_first() -> None:
    assert choose(TWO, View(), acting=["aaa", "attic"]).devices == ("attic",)
    choice = choose(TWO, View(devices=("aaa", "attic"), metrics=("humidity",)), acting=["aaa", "attic"])
    assert choice.devices == ("aaa", "attic")
    assert [one.label for one in choice.shown] == ["humidity"]
    assert choose([], View(), acting=["relay"]).devices == ("relay",)


def test_a_series_has_the_colour_that_it_has_on_live() -> None:
    kitchen = choose(TWO, View(devices=("kitchen",), metrics=("temperature",)))
    both = choose(TWO, View(devices=("attic", "kitchen")))

    assert [one.stroke for one in kitchen.shown] == [2]
    assert [one.stroke for one in both.shown] == [0, 1, 3, 4, 2]


def test_twenty_series_are_told_apart_and_more_are_not_shown() -> None:
    metrics = " ".join(f"m{number:02d}" for number in range(25))

    choice = choose(stored(plant=metrics), View())

    assert len({one.stroke for one in choice.shown}) == MOST
    assert [one.stroke for one in choice.shown[:COLOURS]] == list(range(COLOURS))
    assert choice.problems == ("25 series are chosen; the first 20 are shown.",)


def test_an_export_asks_for_what_is_shown_and_nothing_in_a_name_gets_loose() -> None:
    odd = stored(**{"it's": "a&b"})
    choice, view = choose(odd, View()), View(resolution="hours", form="wide")

    path = export_path("csv", choice, view, HOUR, "Europe/Berlin")

    assert path == (
        "api/export.csv?device=it%27s&metric=a%26b&from=2026-11-23T10%3A00%3A00Z&to=2026-11-23T11%3A00%3A00Z"
        "&tz=Europe%2FBerlin&resolution=hours&form=wide"
    )
    assert buttons({"csv": path}, "<b>").count("&amp;") == 6
    assert "<b>" not in buttons({"csv": path}, "<b>")
    assert list(FORMATS) == ["csv", "parquet", "xlsx"]


def test_the_line_for_a_terminal_leads_from_any_page_to_the_api() -> None:
    line = curl_line("https://iot.example/monitor/history?range=24h", "api/export.csv?a=1&b=2", key_needed=True)

    assert line == (
        "curl -fOJ -H \"Authorization: Bearer $API_KEY\" 'https://iot.example/monitor/api/export.csv?a=1&b=2'"
    )
