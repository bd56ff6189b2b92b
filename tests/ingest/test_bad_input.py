"""Everything that a device should not send, between messages that are right: nothing stops, nothing else is lost."""

from __future__ import annotations

import json

from ingest.vitals import now_ms
from tests.ingest.conftest import MakeWorker
from tests.parts.mosquitto import Mosquitto
from tests.parts.publisher import Publication, Publisher

TS = 1_764_000_000_000
#: Topic below the root, payload, readings that are stored of it all the same, words of the dead letter's reason.
BAD: list[tuple[str, str | bytes, int, str]] = [
    ("bad/telemetry", "{not json", 0, "not JSON"),
    ("bad/telemetry", "42", 0, "expected an object"),
    ("bad/telemetry", '"text"', 0, "expected an object"),
    ("bad/telemetry", "[1, null]", 0, "expected an object"),
    ("bad/telemetry", "null", 0, "null"),
    ("bad/telemetry", "{}", 0, "holds no reading"),
    ("bad/telemetry", "[]", 0, "holds no reading"),
    ("bad/telemetry", "", 0, "is empty"),
    ("bad/telemetry", b" \r\n", 0, "is empty"),
    ("bad/telemetry", b'{"x": "' + b"y" * 1_000_000 + b'"}', 0, "bytes; allowed are 1000000"),
    ("bad/telemetry", b'{"x\xff": 1}', 0, "not UTF-8"),
    ("bad/telemetry", b"\xff\xfe\x00", 0, "not UTF-8"),
    ("bad/telemetry", b'{"\x00": 1}', 0, "not JSON"),
    ("bad/telemetry", '{"\\u0000": 1, "good": 1}', 1, "printable"),
    ("bad/telemetry", '{"\\ud800": 1, "good": 1}', 1, "printable"),
    ("bad/telemetry", '{"nan": NaN, "good": 2}', 1, "nan: nan is no finite number"),
    ("bad/telemetry", '{"inf": -Infinity, "good": 3}', 1, "inf: -inf is no finite number"),
    ("bad/telemetry", '{"big": 1e400, "good": 4}', 1, "big: inf is no finite number"),
    ("bad/telemetry", '{"big": 1' + "0" * 400 + ', "good": 4}', 1, "big"),
    ("bad/telemetry", '{"text": "21.5", "good": 5}', 1, "text: a text ('21.5')"),
    ("bad/telemetry", '{"list": [1, 2], "good": 6}', 1, "list: an array"),
    ("bad/telemetry", json.dumps({"k" * 10_000: 1, "good": 7}), 1, "1 to 128 characters, this one 10000"),
    ("bad/telemetry", json.dumps({"ts": now_ms() + 2 * 86_400_000, "v": 1}), 0, "more than 24 h in the future"),
    ("bad/telemetry", '{"ts": -1, "v": 1}', 0, "ts: -1 is out of range"),
    ("bad/telemetry", '{"ts": "soon", "v": 1}', 0, "ts: a text"),
    ("bad/telemetry", '{"ts": 1e300, "v": 1}', 0, "ts"),
    ("bad/telemetry", "[" * 100_000, 0, "nested too deep"),
    ("bad/telemetry", '{"a":' * 2_000 + "1" + "}" * 2_000, 0, "nested"),
    ("bad/temperature", "warm", 0, "temperature"),
    ("bad/temperature", "", 0, "temperature"),
    ("bad/status", "asleep", 0, "expected online or offline"),
    ("bad/about", '{"model": 7}', 0, "about"),
    ("bad/led/state", "maybe", 0, "state"),
    ("bad/resend/state", "ON", 0, "resend"),
    ("a/b/c/d", "1", 0, "unknown topic"),
    ("bad/led/unknown", "1", 0, "unknown topic"),
    ("alone", "1", 0, "unknown topic"),
    ("_bad/telemetry", '{"v": 1}', 0, "device name '_bad'"),
    ("b" * 65 + "/telemetry", '{"v": 1}', 0, "device name"),
    ("bäd/telemetry", '{"v": 1}', 0, "device name"),
    ("/telemetry", '{"v": 1}', 0, "device name ''"),
]
#: Unusual and right: what they store.
ODD: list[tuple[str, str, int]] = [
    ("odd/telemetry", json.dumps({f"m{n}": n for n in range(500)}), 500),
    ("odd/telemetry", '{"yes": true, "no": false, "nothing": null}', 2),
    ("odd/telemetry", '{"ts": 1764000000, "seconds": 1}', 1),
    ("odd/telemetry", '{"ts": 1764000000.25, "seconds": 2}', 1),
    ("odd/telemetry", '{"ts": 1764000000123.6, "ms": 3}', 1),
    ("odd/telemetry", '{"ts": null, "missing": 4}', 1),
    ("odd/telemetry", '{"deep": {"er": {"est": -0.0}}}', 1),
    ("odd/telemetry", '{"née/température °C": 1e-320}', 1),
    ("odd/telemetry", '[{"ts": 1764000000001, "b": 1}, {"ts": 1764000000002, "b": 2}]', 2),
]


def test_nothing_stops_and_the_account_adds_up(
    database_url: str, mosquitto: Mosquitto, topic_root: str, make_worker: MakeWorker
) -> None:
    worker = make_worker(database_url, mosquitto.url, topic_root)
    worker.start()
    worker.connected()
    stream: list[Publication] = []
    unusual: list[tuple[str, str | bytes]] = [(topic, payload) for topic, payload, *_ in BAD]
    unusual += [(topic, payload) for topic, payload, _ in ODD]
    for number, (topic, payload) in enumerate(unusual):
        stream.append((f"{topic_root}/good/telemetry", json.dumps({"ts": TS + number, "v": number})))
        stream.append((f"{topic_root}/{topic}", payload))
    with Publisher(mosquitto.port) as device:
        device.publish(stream)
    worker.wait_for(len(stream))
    tally = worker.check_account()
    held = worker.held()
    assert held.values("good") == [float(n) for n in range(len(BAD) + len(ODD))]
    assert [letter.topic for letter in held.letters] == [f"{topic_root}/{bad[0]}" for bad in BAD]
    for letter, (_, payload, _, words) in zip(held.letters, BAD, strict=True):
        whole = payload.encode() if isinstance(payload, str) else payload
        assert words in letter.reason, whole[:60]
        assert (letter.payload, letter.size) == (whole[:65_536], len(whole))
    half_good = sum(1 for bad in BAD if bad[2])
    assert tally.stored == len(BAD) + 2 * len(ODD) + half_good
    assert tally.rejected == len(BAD) - half_good
    assert tally.duplicate == 0
    assert tally.readings_stored == len(BAD) + len(ODD) + half_good + sum(odd[2] for odd in ODD)
    assert worker.health.threads[0].restarts == 0
    stored = {(metric, ts): value for device, metric, ts, value in held.rows if device == "odd"}
    assert stored["seconds", 1_764_000_000_000] == 1.0
    assert stored["seconds", 1_764_000_000_250] == 2.0
    assert stored["ms", 1_764_000_000_124] == 3.0
    assert {metric: value for (metric, _), value in stored.items() if metric in ("yes", "no")} == {"yes": 1, "no": 0}
    assert ("deep.er.est", 0.0) in {(metric, value) for (metric, _), value in stored.items()}
    assert ("née/température °C", 1e-320) in {(metric, value) for (metric, _), value in stored.items()}
