"""Packets that lie, and senders that never stop: nothing raises, nothing grows."""

from __future__ import annotations

import random
import struct
import tracemalloc

import pytest
from exports import T, decoded, fields_of, flowset, ipfix, record5, rows, template, v5, v9
from recorded import packet

from andon.observe.netflow import templates
from andon.observe.netflow.decoder import Decoder
from andon.observe.netflow.templates import parse

FOUR = [(8, 4), (12, 4), (2, 4)]
DATA = bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, 0, 0, 9])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no export packet of version 5, 9 or 10"),
        (b"\0", "no export packet of version 5, 9 or 10"),
        (b"\0\7" + bytes(40), "no export packet of version 5, 9 or 10"),
        (b"\0\5\0\1", "export packet cut short"),
        (v5([record5()], count=9), "export packet cut short"),
        (v9()[:12], "export packet cut short"),
        (ipfix()[:-2], "export packet cut short"),
        (ipfix(template(256, FOUR), struct.pack(">HH", 256, 3)), "set with a wrong length"),
        (ipfix(struct.pack(">HH", 256, 400) + b"x"), "set with a wrong length"),
        (ipfix(template(256, [(8, 0), (12, 0)])), "template that makes no sense"),
        (ipfix(flowset(2, struct.pack(">HHHH", 256, 40, 8, 4))), "template that makes no sense"),
        (ipfix(template(256, [(1, 4)] * 501)), "template that makes no sense"),
        (
            ipfix(flowset(3, struct.pack(">HHH", 256, 1, 5) + fields_of([(1, 4)]))),
            "template that makes no sense",
        ),
        (
            ipfix(template(256, [(8, 4), (82, 65535)]), flowset(256, b"\1\2\3\4\xff\xff\xff")),
            "set that ends inside a record",
        ),
    ],
)
def test_what_is_wrong_is_said_and_counted(data: bytes, reason: str) -> None:
    decoder = Decoder()
    assert decoded([data], decoder) == [] or reason == "export packet cut short"
    assert decoder.skipped.reasons == {reason: 1}


def test_the_records_that_are_there_are_read() -> None:
    decoder = Decoder()
    assert len(decoded([v5([record5()] * 2, count=30)], decoder)) == 2
    assert decoder.skipped.reasons == {"export packet cut short": 1}


@pytest.mark.parametrize("seed", range(6))
def test_damaged_packets_of_a_real_exporter_never_raise(seed: int) -> None:
    rng = random.Random(seed)
    names = ["tcp_v5", "udp6_v9", "udp6_ipfix", "udp6_ipfix_biflow", "udp6_ipfix_nano", "tcp_ipfix_biflow"]
    variable = ipfix(
        template(256, [(82, 65535), *FOUR]), flowset(256, b"\3eth" + DATA + b"\xff\0\2xx" + DATA)
    )
    decoder = Decoder(60.0)
    for number in range(1500):
        data = bytearray(packet(names[number % 6]) if number % 7 else variable)
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(len(data))
            action = rng.randrange(4)
            if action == 0:
                data[at] = rng.choice((0, 1, 2, 3, 4, 255, rng.randrange(256)))
            elif action == 1:
                del data[at:]
            elif action == 2:
                data[at:at] = rng.randbytes(rng.randrange(9))
            elif at + 2 <= len(data):
                data[at : at + 2] = rng.choice((b"\xff\xff", b"\0\0", b"\1\0", b"\0\2"))
            if not data:
                break
        decoder.add(bytes(data), f"e{number % 5}")
        if number % 100 == 0:
            rows(decoder.take())
    rows(decoder.finish())
    assert decoder.records > 100 and decoder.skipped.reasons


def test_noise_never_raises() -> None:
    rng = random.Random(1)
    decoder = Decoder()
    for _ in range(3000):
        version = rng.choice((b"\0\5", b"\0\x09", b"\0\x0a", b""))
        decoder.add(version + rng.randbytes(rng.randrange(200)), "x")
    rows(decoder.finish())


def test_nothing_grows_however_many_exporters_and_templates_are_made_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(templates, "MOST_EXPORTERS", 1024)
    decoder = Decoder()
    rng = random.Random(2)
    flood = [
        ipfix(template(256 + n, [*FOUR, (5 + n % 40, 1)]), flowset(2000 + n, bytes(600)), domain=n)
        for n in range(300)
    ]

    def round_of(number: int) -> None:
        for n, one in enumerate(flood):
            decoder.add(one, f"10.{number}.{n % 250}.{rng.randrange(250)}")
        decoder.take()

    for number in range(10):
        round_of(number)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(10, 30):
        round_of(number)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 3_000_000, f"{grown:,} bytes more after 6,000 exporters"
    assert decoder.skipped.reasons["exporter forgotten, more than are kept"] > 5000


def test_data_that_waits_for_a_template_is_bounded() -> None:
    decoder = Decoder()
    for n in range(2000):
        decoder.add(ipfix(flowset(256 + n % 900, bytes(1200)), sequence=n), "e")
    domain = decoder._domains.of("e", 10, 0)
    assert domain.waiting_bytes <= 1 << 20
    assert decoder.skipped.reasons["data of templates that did not come"] > 1000
    decoder.finish()
    assert decoder.skipped.reasons["data of templates that did not come"] == 2000


def test_templates_of_one_exporter_are_bounded() -> None:
    decoder = Decoder()
    for n in range(1200):
        decoder.add(ipfix(template(256 + n, FOUR), sequence=0, time=T), "e")
    assert len(decoder._domains.of("e", 10, 0).templates) == 1000
    assert sum(decoder.skipped.reasons.values()) == 200


def test_options_that_go_on_and_on_are_bounded() -> None:
    sets = flowset(3, struct.pack(">HHH", 400, 2, 1) + fields_of([(302, 4), (34, 4)]))
    decoder = Decoder()
    decoder.add(ipfix(sets), "e")
    for n in range(30):
        body = b"".join(struct.pack(">II", 100 * n + k, 5) for k in range(100))
        decoder.add(ipfix(flowset(400, body), sequence=100 * n), "e")
    assert len(decoder._domains.of("e", 10, 0).rates) == 1000


def test_a_template_set_is_read_to_its_padding() -> None:
    body = struct.pack(">HH", 256, 1) + fields_of([(8, 4)]) + b"\0\0"
    found, bad = parse(body, 9, False)
    assert [number for number, _ in found] == [256] and not bad
