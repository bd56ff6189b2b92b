"""A stream of bytes, however it is cut into chunks, is the same packets."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import mqtt5
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ingest.packets import KEPT_BYTES, MalformedPacket, OversizedPublish, Packet, PacketReader

LARGEST = 300


def _publish(
    topic: str, payload: bytes, packet_id: int | None = None, *, retain: bool = False, duplicate: bool = False
) -> mqtt5.PublishPacket:
    qos = mqtt5.QoS.AT_LEAST_ONCE if packet_id else mqtt5.QoS.AT_MOST_ONCE
    return mqtt5.PublishPacket(topic, payload, qos=qos, packet_id=packet_id, retain=retain, duplicate=duplicate)


def _size(packet: mqtt5.Packet) -> int:
    return len(packet.write())


def _what(packet: Packet, largest: int = LARGEST) -> object:
    """A packet as the worker sees it: one that is too large may come cut or whole, if it was in one chunk."""
    if isinstance(packet, mqtt5.PublishPacket) and _size(packet) > largest:
        head = packet.payload[:KEPT_BYTES]
        return packet.topic, head, len(packet.payload), packet.packet_id, packet.retain, packet.duplicate
    if isinstance(packet, OversizedPublish):
        return packet.topic, packet.payload, packet.size, packet.packet_id, packet.retain, packet.duplicate
    return packet


def _fed(reader: PacketReader, stream: bytes, cuts: Iterable[int]) -> list[Packet]:
    found: list[Packet] = []
    places = [0, *sorted(set(cuts)), len(stream)]
    for start, end in pairwise(places):
        found += reader.feed(stream[start:end])
    return found


PUBLISHES = st.builds(
    _publish,
    st.text(st.characters(codec="utf-8", exclude_characters="\0#+"), min_size=1, max_size=12),
    st.binary(max_size=40)
    | st.integers(LARGEST - 60, LARGEST * 3).map(lambda size: bytes(i % 251 for i in range(size))),
    packet_id=st.none() | st.integers(1, 65_535),
    retain=st.booleans(),
)
OTHERS: st.SearchStrategy[mqtt5.Packet] = st.sampled_from(
    [
        mqtt5.PingRespPacket(),
        mqtt5.PubAckPacket(7),
        mqtt5.ConnAckPacket(session_present=True, server_keep_alive=30),
        mqtt5.SubAckPacket(1, [mqtt5.SubAckReasonCode(1)]),
        mqtt5.DisconnectPacket(),
    ]
)
STREAMS = st.lists(PUBLISHES | OTHERS, max_size=6)


@settings(max_examples=400, deadline=None)
@given(packets=STREAMS, data=st.data())
def test_any_split_gives_the_same_packets(packets: list[mqtt5.Packet], data: st.DataObject) -> None:
    stream = b"".join(packet.write() for packet in packets)
    cuts = data.draw(st.sets(st.integers(0, len(stream)), max_size=30))
    found = _fed(PacketReader(LARGEST), stream, cuts)
    assert [_what(packet) for packet in found] == [_what(packet) for packet in packets]


@settings(max_examples=50, deadline=None)
@given(packets=STREAMS)
def test_byte_by_byte(packets: list[mqtt5.Packet]) -> None:
    stream = b"".join(packet.write() for packet in packets)
    found = _fed(PacketReader(LARGEST), stream, range(len(stream)))
    assert [_what(packet) for packet in found] == [_what(packet) for packet in packets]
    assert all(
        isinstance(packet, OversizedPublish) == (_size(sent) > LARGEST)
        for packet, sent in zip(found, packets, strict=True)
    )


@pytest.mark.parametrize("beyond", [-2, -1, 0, 1, 2, 127, 128, 5_000])
@pytest.mark.parametrize("packet_id", [None, 513])
@pytest.mark.parametrize("chunk", [1, 7, 64, 1_000])
def test_sizes_around_the_limit(beyond: int, packet_id: int | None, chunk: int) -> None:
    overhead = _size(_publish("iot/kitchen/telemetry", b"x" * 200, packet_id)) - 200
    payload = (b"0123456789" * 1_000)[: LARGEST - overhead + beyond]
    big = _publish("iot/kitchen/telemetry", payload, packet_id, retain=True)
    after: list[mqtt5.Packet] = [_publish("iot/a/b", b"after"), mqtt5.PingRespPacket()]
    stream = big.write() + b"".join(packet.write() for packet in after)
    first, *rest = _fed(PacketReader(LARGEST), stream, range(0, len(stream), chunk))
    assert rest == after
    assert _what(first) == _what(big)
    if beyond <= 0:
        assert first == big
    elif chunk < LARGEST:
        assert isinstance(first, OversizedPublish)


def test_of_a_large_payload_the_beginning_is_kept() -> None:
    payload = bytes(i % 251 for i in range(KEPT_BYTES * 5))
    stream = _publish("iot/kitchen/telemetry", payload, 9, duplicate=True).write()
    (found,) = _fed(PacketReader(LARGEST), stream + b"", range(0, len(stream), 4_096))
    assert found == OversizedPublish("iot/kitchen/telemetry", payload[:KEPT_BYTES], len(payload), 9, False, True)


@pytest.mark.parametrize("count", [1, 3, 40])
def test_properties_of_any_size_stand_in_nobodys_way(count: int) -> None:
    """A device may send them, the broker passes them on, and a packet that can't be read would come again for ever."""
    packet = mqtt5.PublishPacket(
        "iot/kitchen/telemetry",
        b"payload" * 200,
        qos=mqtt5.QoS.AT_LEAST_ONCE,
        packet_id=9,
        user_properties=[("k", "v" * 10_000)] * count,
    )
    stream = packet.write()
    found, after = _fed(PacketReader(LARGEST), stream + mqtt5.PingRespPacket().write(), range(0, len(stream), 9_000))
    assert isinstance(found, OversizedPublish)
    assert (found.topic, found.packet_id, found.size) == ("iot/kitchen/telemetry", 9, 1_400)
    assert packet.payload.startswith(found.payload)
    assert after == mqtt5.PingRespPacket()


@pytest.mark.parametrize("chunk", [1, 50, 1_000, 262_144])
def test_what_is_held_is_bounded(chunk: int) -> None:
    packets = [_publish("iot/a/telemetry", b"x" * size, 1) for size in (10, LARGEST * 10, 250, 200_000, 20)]
    stream = b"".join(packet.write() for packet in packets)
    reader, count = PacketReader(LARGEST), 0
    for at in range(0, len(stream), chunk):
        count += len(reader.feed(stream[at : at + chunk]))
        assert len(reader._rest) <= LARGEST + chunk
        if reader._cut is not None:
            assert len(reader._cut._head) <= KEPT_BYTES + 2 * 65_536
    assert count == len(packets)


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"\x00\x00", "type 0"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 200, "type 4"),
        (b"\x30\xff\xff\xff\xff\x01", "more than four bytes"),
        (b"\x30\x03\x00\x09a", "type 3"),
        (b"\x20\xff\xff\x03" + b"\x00" * 400, "a control packet of"),
        (b"\x36\x05\x00\x01a\x00\x01", "type 3"),
        (b"\x30\x90\x4e\x00\x02\xff\xfe\x00" + b"x" * 9_995, "topic"),
        (b"\x30\x90\x4e\x00\x01a\xff\xff\xff\x7f" + b"x" * 9_993, "properties"),
        (b"\x30\x90\x4e\x00\x01a\xff\xff\xff\xff\x7f" + b"x" * 9_992, "more than four bytes"),
    ],
)
def test_what_cannot_be_mqtt_is_told(stream: bytes, why: str) -> None:
    with pytest.raises(MalformedPacket, match=why):
        _fed(PacketReader(LARGEST), stream + b"\x00" * 400, range(0, len(stream), 50))


@settings(max_examples=300, deadline=None)
@given(chunks=st.lists(st.binary(max_size=200), max_size=12))
def test_any_bytes_are_packets_or_malformed_and_nothing_is_hoarded(chunks: list[bytes]) -> None:
    reader = PacketReader(LARGEST)
    try:
        for chunk in chunks:
            reader.feed(chunk)
            assert len(reader._rest) <= LARGEST + len(chunk)
    except MalformedPacket:
        event("malformed")
