"""The pure parts of the Control page's script, run in the browser they are for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pages.parts import controls
from tests.pages.cases import ms

NOW = ms("2026-11-23T13:02:00Z")
SWITCH = {"state": "OFF", "since": NOW - 3_600_000, "unit": None}
FAN = {"state": "40", "since": NOW - 3_600_000, "unit": "%", "minimum": 0, "maximum": 100, "step": 5}


@pytest.fixture(scope="module")
def script(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    page.set_content('<base href="http://127.0.0.1/">')
    page.add_style_tag(content=controls.style())
    page.add_script_tag(content=controls.script().replace("export default", ""))
    yield page
    page.close()


def command(*steps: tuple[str, int, str], state: str = "ON", ago: int = 400, **changes: Any) -> dict[str, Any]:
    """A command made `ago` ms before NOW; steps are (status, ms before NOW, evidence)."""
    made = {"id": "c1", "device": "kitchen", "actuator": "led", "state": state, "by": "anna", "made_at": NOW - ago}
    path = [("queued", ago, "Asked for by anna."), *steps]
    told = [{"status": status, "at": NOW - before, "evidence": evidence} for status, before, evidence in path]
    return made | {"deadline_at": NOW - ago + 60_000, "status": path[-1][0], "steps": told} | changes


def progress(script: Page, actuator: dict[str, Any], **given: Any) -> dict[str, Any] | None:
    said: dict[str, Any] | None = script.evaluate(
        """({ actuator, command, press, now, kind }) => progressOf(
             { actuator, command: command ?? undefined, press: press ?? undefined, now, kind })""",
        {"actuator": actuator, "now": NOW, "kind": "online", "command": None, "press": None} | given,
    )
    return said


def test_nothing_asked_is_nothing_said(script: Page) -> None:
    assert progress(script, SWITCH) is None


@pytest.mark.parametrize(
    ("made", "kind", "text"),
    [
        (command(), "online", "Asked for on 0.4 s ago, not sent yet"),
        (command(("published", 300, "…")), "online", "Asked for on 0.4 s ago, waiting for the device"),
        (command(ago=12_000), "silent", "Asked for on 12 s ago, not sent: the device is offline. Expires in 48 s"),
        (
            command(("published", 0, "…"), state="55", ago=9_999),
            "late",
            "Asked for 55 9.9 s ago, waiting for the device",
        ),
    ],
    ids=["queued", "published", "offline", "a number"],
)
def test_what_is_waited_for_is_said_with_its_time(script: Page, made: dict[str, Any], kind: str, text: str) -> None:
    said = progress(script, SWITCH, command=made, kind=kind)

    assert said is not None
    assert (said["kind"], said["text"]) == ("waiting", text)
    assert 0 <= said["share"] <= 1


def test_a_confirmation_says_how_long_it_took_and_goes_after_a_minute(script: Page) -> None:
    reported = SWITCH | {"state": "ON", "since": NOW - 100}
    made = command(("published", 350, "…"), ("confirmed", 100, "It reported ON."), ago=500)

    said = progress(script, reported, command=made)

    assert said is not None
    assert (said["kind"], said["text"]) == ("done", "Confirmed after 0.4 s")
    assert progress(script, reported, command=made, now=NOW + 60_000) is None


@pytest.mark.parametrize("status", ["failed", "expired", "contradicted"])
def test_a_failure_says_why_and_offers_to_try_again(script: Page, status: str) -> None:
    said = progress(script, SWITCH, command=command((status, 100, "It never answered.")))

    assert said is not None
    assert (said["kind"], said["again"]) == ("trouble", "ON")
    assert said["text"] == f"Asked for on: {status}. It never answered."


def test_a_number_is_tried_again_as_a_number(script: Page) -> None:
    said = progress(script, FAN, command=command(("expired", 100, "Nothing came."), state="55"))

    assert said is not None
    assert said["again"] == 55
    assert said["text"].startswith("Asked for 55 %: expired.")


def test_a_failure_is_forgotten_once_the_device_reports_something_newer(script: Page) -> None:
    made = command(("expired", 10_000, "Nothing came."), ago=70_000)

    assert progress(script, SWITCH | {"since": NOW - 5_000}, command=made) is None
    assert progress(script, SWITCH, command=made) is not None


def test_a_press_is_said_until_the_server_has_answered_it(script: Page) -> None:
    press = {"order": "ON", "problem": None}

    said = progress(script, SWITCH, press=press, command=command(("confirmed", 5_000, "…"), state="OFF", ago=9_000))
    refused = progress(script, SWITCH, press=press | {"problem": "There is no such actuator."})

    assert said == {"kind": "waiting", "text": "Asked for on, telling the server"}
    assert refused == {"kind": "trouble", "text": "There is no such actuator.", "again": "ON"}


@pytest.mark.parametrize(
    ("state", "made", "press", "targets"),
    [
        ("OFF", None, None, ["ON"]),
        ("ON", None, None, ["OFF"]),
        (None, None, None, ["ON", "OFF"]),
        ("OFF", command(("published", 100, "…")), None, ["OFF"]),
        ("OFF", command(("expired", 100, "…")), None, ["ON"]),
        ("OFF", None, {"order": "ON", "problem": None}, ["OFF"]),
        ("OFF", None, {"order": "ON", "problem": "Refused."}, ["ON"]),
        ("OFF", command(("published", 100, "…")), {"order": "OFF", "problem": None}, ["ON"]),
    ],
    ids=["off", "on", "unknown", "asked on", "expired", "pressed on", "refused", "pressed the other way"],
)
def test_the_button_asks_for_the_other_of_what_is_wanted(
    script: Page, state: str | None, made: Any, press: Any, targets: list[str]
) -> None:
    found = script.evaluate(
        "([actuator, command, press]) => targetsOf(actuator, command ?? undefined, press ?? undefined)",
        [SWITCH | {"state": state}, made, press],
    )

    assert found == targets


@pytest.mark.parametrize(
    ("actuator", "kind"),
    [
        (SWITCH, "switch"),
        (SWITCH | {"state": None}, "switch"),
        (FAN, "number"),
        (FAN | {"state": None}, "number"),
        (SWITCH | {"state": "21.5"}, "number"),
        (SWITCH | {"state": None, "unit": "%"}, "number"),
    ],
)
def test_an_actuator_is_a_switch_or_has_a_number(script: Page, actuator: dict[str, Any], kind: str) -> None:
    assert script.evaluate("kindOf", actuator) == kind


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("40", {"order": 40}),
        (" 2.5 ", {"order": 2.5}),
        ("-1", {"problem": "The least is 0 %."}),
        ("101", {"problem": "The most is 100 %."}),
        ("", {"problem": "Type a number."}),
        ("warm", {"problem": "Type a number."}),
    ],
)
def test_a_number_out_of_range_is_not_asked_for(script: Page, text: str, found: dict[str, Any]) -> None:
    assert script.evaluate("([text, actuator]) => orderOf(text, actuator)", [text, FAN]) == found


def test_who_brought_it_there_is_named_only_if_their_command_did(script: Page) -> None:
    on = SWITCH | {"state": "ON", "since": NOW - 100}
    confirmed = command(("confirmed", 90, "…"), ago=500)
    name = "([actuator, commands]) => broughtBy(actuator, commands)"

    assert script.evaluate(name, [on, [confirmed]]) == "anna"
    assert script.evaluate(name, [on | {"since": NOW - 60_000}, [confirmed]]) is None
    assert script.evaluate(name, [SWITCH, [confirmed]]) is None


def test_a_group_says_how_it_stands_and_what_came_of_an_order(script: Page) -> None:
    stand = script.evaluate("standOf", [SWITCH, SWITCH | {"state": "ON"}, SWITCH, SWITCH | {"state": None}])
    runs = [
        {"device": "a", "command": command(("confirmed", 100, "It reported ON."))},
        {"device": "b", "command": command(("published", 100, "…"))},
        {"device": "c", "command": command(("expired", 100, "Nothing came."))},
        {"device": "d", "press": {"order": "ON", "problem": "There is no device d."}},
        {"device": "e", "press": {"order": "ON", "problem": None}},
    ]

    outcome = script.evaluate("runs => groupOutcome('ON', null, runs)", runs)

    assert stand == "1 on, 2 off, 1 unknown"
    assert outcome["text"] == "Asked 5 for on: 1 confirmed, 1 waiting, 1 expired, 1 not asked, 1 asked"
    assert outcome["bad"] == [["c", "expired. Nothing came."], ["d", "There is no device d."]]


def data(**changes: Any) -> dict[str, Any]:
    device = {"device": "kitchen", "online": True, "last_seen": NOW, "model": None, "firmware": None, "metrics": []}
    device |= {"title": None, "area": None, "readings_per_minute": None, "actuators": [SWITCH | {"actuator": "led"}]}
    return {"started_at": 1, "version": 5, "now": NOW, "devices": [device], "commands": []} | changes


def test_a_command_goes_forward_and_never_back(script: Page) -> None:
    known = script.evaluate(
        """([data, events]) => {
          const house = new House();
          house.takeData(data);
          for (const body of events) house.takeEvent("command", "1-6", body);
          house.takeData(data);
          return house.newestCommands().map(({ id, status, by }) => [id, status, by]);
        }""",
        [
            data(commands=[command()]),
            [
                command(("published", 300, "…"), by=None),
                command(("published", 300, "…"), ("confirmed", 100, "…"), by=None),
                command(id="c2", made_at=NOW),
            ],
        ],
    )

    assert known == [["c2", "queued", "anna"], ["c1", "confirmed", "anna"]]


def test_a_report_leaves_the_range_that_the_page_told(script: Page) -> None:
    actuator = script.evaluate(
        """([data, state]) => {
          const house = new House();
          house.takeData(data);
          house.takeEvent("state", "1-6", state);
          return house.devices.get("kitchen").actuators.get("fan");
        }""",
        [
            data(devices=[data()["devices"][0] | {"actuators": [FAN | {"actuator": "fan"}]}]),
            {"device": "kitchen", "actuator": "fan", "state": "55", "since": NOW, "unit": "%"},
        ],
    )

    assert actuator == FAN | {"state": "55", "since": NOW}


def mounted(script: Page, given: dict[str, Any]) -> None:
    """The whole component on an empty page; what it sends to the server is kept in `sent`."""
    script.evaluate(
        """(data) => {
          globalThis.shown?.close();
          globalThis.EventSource = class { addEventListener() {} close() {} };
          globalThis.sent = [];
          globalThis.data = data;
          globalThis.shown = new Controls(document.body);
          shown.take({ data, setTriggerValue: (name, value) => sent.push([name, value]) });
        }""",
        given,
    )


def shown(**changes: Any) -> dict[str, Any]:
    return data(
        **{"may": True, "zone": "Europe/Berlin", "hidden": [], "commands_shown": True, "answers": []} | changes,
    )


def test_a_press_is_sent_once_and_the_state_stays_what_was_reported(script: Page) -> None:
    mounted(script, shown())

    script.get_by_role("button", name="Turn on led of kitchen").click()

    (name, presses) = script.evaluate("sent.at(-1)")
    assert name == "presses"
    assert [{key: value for key, value in press.items() if key != "id"} for press in presses] == [
        {"device": "kitchen", "actuator": "led", "order": "ON"}
    ]
    assert script.locator(".state").inner_text() == "off"
    expect(script.locator(".progress-text")).to_have_text("Asked for on, telling the server")  # with the next frame
    expect(script.get_by_role("button", name="Turn off led of kitchen")).to_be_visible()


def test_the_second_half_of_a_double_click_asks_for_nothing(script: Page) -> None:
    mounted(script, shown())

    script.get_by_role("button", name="Turn on led of kitchen").dblclick()

    assert script.evaluate("sent.length") == 1


def test_an_answer_that_refuses_is_said_at_its_card(script: Page) -> None:
    mounted(script, shown())
    script.get_by_role("button", name="Turn on led of kitchen").click()

    script.evaluate(
        """(why) => {
          const [[, [press]]] = sent;
          const answers = [{ press: press.id, command: null, problem: why }];
          shown.take({ data: { ...data, now: data.now + 1, answers }, setTriggerValue: shown.send });
        }""",
        "There is no device kitchen.",
    )

    assert script.locator(".progress-text").inner_text() == "There is no device kitchen."
    assert script.get_by_role("button", name="Try again led of kitchen").is_visible()


def test_what_others_wrote_is_text(script: Page) -> None:
    worst = "<img src=x onerror=alert(1)>"
    made = command(("failed", 100, worst), by=worst)
    device = data()["devices"][0] | {"title": worst, "area": worst}
    mounted(script, shown(commands=[made], devices=[device]))

    assert script.locator("img").count() == 0
    assert script.get_by_text(worst).count() >= 3


def test_somebody_who_may_not_sees_no_button(script: Page) -> None:
    mounted(script, shown(may=False, commands_shown=False, commands=[command(("expired", 100, "Nothing came."))]))

    assert script.get_by_role("button").count() == 0
    assert script.get_by_text("Last commands").first.is_hidden()
    assert script.locator(".state").inner_text() == "off"


def test_a_hidden_device_is_not_shown(script: Page) -> None:
    mounted(script, shown(hidden=["kitchen"]))

    assert script.locator(".card").count() == 0


def lamps(count: int, **places: str) -> list[dict[str, Any]]:
    names = [f"room-{number}" for number in range(1, count + 1)]
    base = data()["devices"][0]
    return [base | {"device": name, "area": places.get(name.replace("-", "_"))} for name in names]


def test_switches_of_one_place_are_asked_together(script: Page) -> None:
    mounted(script, shown(devices=lamps(3, room_1="north", room_2="north")))
    place = script.locator(".area").filter(has_text="north")

    place.get_by_role("button", name="Turn on all led of north").click()

    presses = script.evaluate("sent.at(-1)[1]")
    assert [(press["device"], press["order"]) for press in presses] == [("room-1", "ON"), ("room-2", "ON")]
    expect(place.locator(".outcome")).to_have_text("Asked 2 for on: 2 asked")  # with the next frame
    assert script.locator(".area-title").all_inner_texts() == ["north", "Without a place"]


def test_many_are_searched_by_name_and_place(script: Page) -> None:
    mounted(script, shown(devices=lamps(20, room_7="attic")))
    cards = script.locator(".card")
    assert cards.count() == 20

    script.get_by_label("Search devices and places").fill("ATTIC")
    assert cards.count() == 1
    script.get_by_label("Search devices and places").fill("cellar")

    assert script.get_by_text("Nothing here is called \N{LEFT DOUBLE QUOTATION MARK}cellar").is_visible()
    assert cards.count() == 0
