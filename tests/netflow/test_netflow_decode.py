"""NetFlow 5 and 9 and IPFIX: what a real exporter sent, and what the RFCs allow beyond that."""

from __future__ import annotations

import struct

import pytest
from exports import T, decoded, flowset, ipfix, options, record5, rows, template, v5, v9
from recorded import packet

from andon.observe.netflow.decoder import Decoder

NS = 1_000_000_000
FOUR = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (2, 4), (1, 4)]
A, B = bytes([10, 0, 0, 1]), bytes([192, 0, 2, 7])


def four(packets: int = 3, size: int = 180, src: bytes = A, dst: bytes = B) -> bytes:
    return src + dst + struct.pack(">HHBBII", 40_000, 443, 6, 0x1B, packets, size)


# A real exporter


def test_version_5_of_softflowd() -> None:
    found = decoded([packet("tcp_v5")])
    assert [
        (r["src"], r["dst"], r["src_port"], r["dst_port"], r["bytes_out"], r["packets_out"]) for r in found
    ] == [
        ("66.220.156.68", "192.168.43.18", 443, 52066, 4260, 10),
        ("192.168.43.18", "66.220.156.68", 52066, 443, 1219, 9),
        ("31.13.86.36", "192.168.43.18", 443, 44614, 21794, 22),
        ("192.168.43.18", "31.13.86.36", 44614, 443, 2398, 19),
    ]
    assert {(r["state"], r["answered"], r["bytes_in"], r["source"]) for r in found} == {
        ("SAP", None, -1, "netflow5")
    }
    assert [r["duration"] for r in found] == [1_299_000_000] * 2 + [678_000_000] * 2
    # The capture's own times: 1472393122.365661 and 1472393123.550766.
    assert abs(found[0]["ts"] - 1_472_393_122_365_661_000) < 2_000_000


SIX = [
    ("2001:b07:a3d:c112:91b7:b97e:6e2:fad8", "2606:4700:7::a29f:9804", 37542, 443, 550, 6),
    ("2606:4700:7::a29f:9804", "2001:b07:a3d:c112:91b7:b97e:6e2:fad8", 443, 37542, 12863, 15),
    ("2001:b07:a3d:c112:91b7:b97e:6e2:fad8", "2a00:1450:4002:411::200e", 33144, 443, 608, 7),
    ("2a00:1450:4002:411::200e", "2001:b07:a3d:c112:91b7:b97e:6e2:fad8", 443, 33144, 3834, 3),
    ("13.226.175.53", "192.168.1.245", 443, 40408, 4440, 3),
    ("192.168.1.245", "13.226.175.53", 40408, 443, 284, 4),
]


@pytest.mark.parametrize(
    ("name", "within"),
    [("udp6_v9", NS), ("udp6_ipfix", 2_000_000), ("udp6_ipfix_milli", 1_000_000), ("udp6_ipfix_nano", 2_000)],
)
def test_templates_of_softflowd_with_both_kinds_of_address(name: str, within: int) -> None:
    found = decoded([packet(name)])
    assert [
        (r["src"], r["dst"], r["src_port"], r["dst_port"], r["bytes_out"], r["packets_out"]) for r in found
    ] == SIX
    assert {r["protocol"] for r in found} == {"udp"}
    assert abs(found[0]["ts"] - 1_723_407_275_497_186_000) <= within
    assert abs(found[0]["duration"] - 107_986_000) <= 1_000_000


def test_both_sides_of_a_biflow_are_one_flow() -> None:
    found = decoded([packet("udp6_ipfix_biflow")])
    assert [(r["src"], r["bytes_out"], r["bytes_in"], r["packets_in"]) for r in found] == [
        (SIX[n][0], SIX[n][4], SIX[n + 1][4], SIX[n + 1][5]) for n in (0, 2, 4)
    ]
    assert [r["answered"] for r in found] == [True] * 3


@pytest.mark.parametrize("name", ["tcp_v5_sampled", "udp6_ipfix_sampled"])
def test_counters_of_sampled_packets_are_multiplied(name: str) -> None:
    decoder = Decoder()
    found = decoded([packet(name)], decoder)
    assert found and all(r["packets_out"] % 4 == 0 for r in found)
    assert decoder.sampled == len(found)


# Times


@pytest.mark.parametrize(
    ("uptime", "first", "last", "since", "lasted"),
    [
        (1_000_000, 990_000, 995_000, 10_000, 5_000),
        (5_000, 2**32 - 5_000, 1_000, 10_000, 6_000),  # it began before the uptime wrapped
        (2**32 - 1, 2**32 - 1001, 2**32 - 1, 1000, 1000),
        (1000, 1200, 1300, -200, 100),  # a clock that is a little ahead
        (1_000_000, 995_000, 990_000, 5_000, None),
    ],
)
@pytest.mark.parametrize("version", [5, 9])
def test_times_of_uptime(
    version: int, uptime: int, first: int, last: int, since: int, lasted: int | None
) -> None:
    if version == 5:
        (row,) = decoded([v5([record5(first, last)], uptime=uptime)])
        export = T * NS + 500_000_000
    else:
        sets = (
            template(256, [*FOUR, (22, 4), (21, 4)], 9),
            flowset(256, four() + struct.pack(">II", first, last)),
        )
        (row,) = decoded([v9(*sets, uptime=uptime)])
        export = T * NS
    assert row["ts"] == export - since * 1_000_000
    assert row["duration"] == (-1 if lasted is None else lasted * 1_000_000)


@pytest.mark.parametrize(
    ("fields", "values", "begin", "lasted"),
    [
        ([(152, 8), (153, 8)], struct.pack(">QQ", T * 1000, T * 1000 + 5), T * NS, 5_000_000),
        ([(150, 4), (151, 4)], struct.pack(">II", T, T + 7), T * NS, 7 * NS),
        (
            [(154, 8), (155, 8)],
            struct.pack(">IIII", T + 2_208_988_800, 1 << 31, T + 2_208_988_801, 0),
            T * NS + NS // 2,
            NS // 2,
        ),
        ([(158, 4), (159, 4)], struct.pack(">II", 3_000_000, 1_000_000), (T - 3) * NS, 2 * NS),
        ([(153, 8), (161, 4)], struct.pack(">QI", T * 1000, 2500), T * NS - 2_500_000_000, 2_500_000_000),
        ([(323, 8)], struct.pack(">Q", T * 1000 - 9), T * NS - 9_000_000, 0),
        ([], b"", T * NS, 0),
        (
            [(160, 8), (22, 4), (21, 4)],
            struct.pack(">QII", (T - 100) * 1000, 1000, 3000),
            (T - 99) * NS,
            2 * NS,
        ),
        # Up for 60 days: the count of milliseconds has wrapped once.
        (
            [(160, 8), (22, 4)],
            struct.pack(">QI", (T - 60 * 86_400) * 1000, 60 * 86_400_000 - 5000 - 2**32),
            (T - 5) * NS,
            -1,
        ),
        ([(152, 8)], b"\xff" * 8, T * NS, 0),
    ],
)
def test_times_of_ipfix(fields: list[tuple[int, int]], values: bytes, begin: int, lasted: int) -> None:
    (row,) = decoded([ipfix(template(300, FOUR + fields), flowset(300, four() + values))])
    assert (row["ts"], row["duration"]) == (begin, lasted)


# Templates


def test_fields_of_variable_length_and_of_enterprises_are_stepped_over() -> None:
    fields = [(82, 65535), *FOUR, (99, 3, 9), (100, 65535, 35632), (98, 0)]
    one = b"\x03eth" + four(1) + b"abc" + b"\x00"
    two = b"\x00" + four(2) + b"abc" + b"\xff" + struct.pack(">H", 300) + b"z" * 300
    decoder = Decoder()
    found = decoded(
        [
            ipfix(template(256, fields), flowset(256, one + two + one, pad=3)),
            ipfix(flowset(256, two), sequence=3),
        ],
        decoder,
    )
    assert [r["packets_out"] for r in found] == [1, 2, 1, 2]
    assert not decoder.skipped.reasons and not decoder.lost


def test_counters_may_be_short_or_long() -> None:
    fields = [*FOUR[:6], (2, 8), (1, 3), (1, 2, 29305), (2, 8, 29305)]
    body = four()[:14] + struct.pack(">Q", 2**40) + b"\x01\x00\x00" + struct.pack(">HQ", 9, 2**63 + 5)
    (row,) = decoded([ipfix(template(256, fields), flowset(256, body))])
    assert (row["packets_out"], row["bytes_out"], row["bytes_in"]) == (2**40, 65_536, 9)
    assert row["packets_in"] == 2**63 - 1 and row["answered"] is True


def test_data_before_its_template_waits_for_it() -> None:
    decoder = Decoder()
    decoder.add(v9(flowset(256, four(7)), sequence=1), "e")
    assert decoder.take() == []
    decoder.add(v9(flowset(256, four(8)), sequence=2), "other")
    decoder.add(v9(template(256, FOUR, 9), sequence=2), "e")
    assert [r["packets_out"] for r in rows(decoder.take())] == [7]
    assert decoder.finish() == []
    assert decoder.skipped.reasons == {"data of templates that did not come": 1}


def test_a_template_may_change_and_be_withdrawn() -> None:
    decoder = Decoder()
    other = [(12, 4), (8, 4), *FOUR[2:]]
    found = decoded(
        [
            ipfix(template(256, FOUR), flowset(256, four())),
            ipfix(template(256, other), flowset(256, four()), sequence=1),
            ipfix(flowset(2, struct.pack(">HH", 256, 0)), sequence=2),
            ipfix(flowset(256, four()), sequence=2),
        ],
        decoder,
    )
    assert [(r["src"], r["dst"]) for r in found] == [("10.0.0.1", "192.0.2.7"), ("192.0.2.7", "10.0.0.1")]
    assert decoder.skipped.reasons == {"data of templates that did not come": 1}


def test_templates_belong_to_an_exporter_and_a_domain() -> None:
    decoder = Decoder()
    decoder.add(ipfix(template(256, FOUR), domain=1), "a")
    for exporter, domain in (("a", 1), ("a", 2), ("b", 1)):
        decoder.add(ipfix(flowset(256, four()), domain=domain), exporter)
    assert len(rows(decoder.finish())) == 1
    assert decoder.skipped.reasons["data of templates that did not come"] == 2


def test_a_template_that_is_not_repeated_is_forgotten() -> None:
    for lifetime, there in ((3600.0, 1), (None, 2)):
        decoder = Decoder(lifetime)
        decoder.add(ipfix(template(256, FOUR), flowset(256, four())))
        decoder.add(ipfix(flowset(256, four()), sequence=1, time=T + 4000))
        assert len(rows(decoder.finish())) == there


def test_records_with_room_for_both_kinds_of_address() -> None:
    fields = [*FOUR, (27, 16), (28, 16)]
    six = bytes(range(32))
    found = decoded(
        [
            ipfix(
                template(256, fields),
                flowset(256, four() + bytes(32) + four(src=bytes(4), dst=bytes(4)) + six),
            )
        ]
    )
    assert [r["src"] for r in found] == ["10.0.0.1", "1:203:405:607:809:a0b:c0d:e0f"]


# Sampling


@pytest.mark.parametrize(
    ("fields", "values", "rate"),
    [
        ([(34, 4)], struct.pack(">I", 100), 100),
        ([(305, 4), (306, 4)], struct.pack(">II", 1, 99), 100),
        ([(309, 4), (310, 4)], struct.pack(">II", 2, 400), 200),
        ([(50, 4)], struct.pack(">I", 7), 7),
    ],
)
@pytest.mark.parametrize("version", [9, 10])
def test_options_say_how_packets_were_sampled(
    fields: list[tuple[int, int]], values: bytes, rate: int, version: int
) -> None:
    make = v9 if version == 9 else ipfix
    sets = (
        options(400, [(1, 4)], fields, version),
        flowset(400, b"\0\0\0\1" + values),
        template(256, FOUR, version),
    )
    found = decoded([make(*sets), make(flowset(256, four(3, 180)), sequence=1)])
    assert [(r["packets_out"], r["bytes_out"]) for r in found] == [(3 * rate, 180 * rate)]


def test_records_that_name_their_sampler_get_its_interval() -> None:
    fields = [*FOUR, (48, 1)]
    sets = (
        options(400, [(1, 4)], [(48, 1), (34, 4)], 9),
        flowset(400, struct.pack(">IBIIBI", 1, 1, 10, 1, 2, 1000)),
        template(256, fields, 9),
        flowset(256, b"".join(four(1) + bytes([n]) for n in (1, 2, 0, 9))),
    )
    assert [r["packets_out"] for r in decoded([v9(*sets)])] == [10, 1000, 1, 1]


def test_what_would_not_fit_after_multiplying_is_cut() -> None:
    fields = [*FOUR[:6], (2, 8), (1, 8), (34, 4)]
    body = four()[:14] + struct.pack(">QQI", 2**62, 5, 1000)
    (row,) = decoded([ipfix(template(256, fields), flowset(256, body))])
    assert row["packets_out"] == 2**63 - 1 and row["bytes_out"] == 5000


# Loss


def test_what_sequence_numbers_skip_was_lost() -> None:
    decoder = Decoder()
    decoded([v5([record5()] * 2, 100), v5([record5()], 102), v5([record5()], 113)], decoder, "a")
    decoded([v9(sequence=1), v9(sequence=2), v9(sequence=5)], decoder, "b")
    messages = [
        ipfix(template(256, FOUR), flowset(256, four() * 3), sequence=9),
        ipfix(sequence=12),
        ipfix(sequence=20),
    ]
    decoded(messages, decoder, "c")
    assert decoder.lost == {"a": 10, "b": 2, "c": 8}


def test_late_and_wrapped_and_restarted_numbers_are_no_loss() -> None:
    decoder = Decoder()
    decoded([v5([record5()], 2**32 - 1), v5([record5()], 0), v5([record5()], 1)], decoder, "wrap")
    decoded(
        [v5([record5()], 10), v5([record5()], 12), v5([record5()], 11), v5([record5()], 13)], decoder, "late"
    )
    decoded(
        [v5([record5()], 500_000, uptime=10**9), v5([record5()], 900_000, uptime=5000)], decoder, "restart"
    )
    assert sum(decoder.lost.values()) == 0 and decoder.restarts == 1


def test_the_number_after_records_that_cannot_be_counted_is_taken_as_it_is() -> None:
    decoder = Decoder()
    decoded([ipfix(flowset(256, four() * 3), sequence=0), ipfix(sequence=3), ipfix(sequence=4)], decoder, "a")
    assert decoder.lost == {"a": 1}


# Other records


def test_records_of_devices_that_report_events() -> None:
    fields = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (233, 1), (231, 4), (232, 4), (323, 8)]

    def one(event: int) -> bytes:
        return A + B + struct.pack(">HHBBIIQ", 40_000, 443, 6, event, 500, 900, T * 1000)

    decoder = Decoder()
    found = decoded([v9(template(256, fields, 9), flowset(256, one(1) + one(2) + one(3)))], decoder)
    assert [(r["bytes_out"], r["bytes_in"], r["state"], r["answered"]) for r in found] == [
        (500, 900, "", True),
        (500, 900, "denied", False),
    ]
    assert decoder.skipped.passed == {"records of flows that are reported again at their end": 1}


def test_the_other_direction_of_a_biflow_is_turned() -> None:
    fields = [*FOUR, (239, 1), (1, 4, 29305), (2, 4, 29305)]
    body = four(3, 180) + b"\x02" + struct.pack(">II", 900, 5)
    (row,) = decoded([ipfix(template(256, fields), flowset(256, body))])
    assert (row["src"], row["src_port"], row["bytes_out"], row["bytes_in"]) == ("192.0.2.7", 443, 900, 180)
    assert (row["packets_out"], row["packets_in"], row["answered"]) == (5, 3, True)


def test_icmp_has_no_ports_and_other_protocols_their_number() -> None:
    fields = [(8, 4), (12, 4), (7, 2), (11, 2), (4, 1)]
    body = b"".join(A + B + struct.pack(">HHB", 0, 2048, proto) for proto in (1, 58, 47, 17))
    found = decoded([ipfix(template(256, fields), flowset(256, body))])
    assert [(r["protocol"], r["dst_port"]) for r in found] == [
        ("icmp", -1),
        ("ipv6-icmp", -1),
        ("47", 2048),
        ("udp", 2048),
    ]
    assert {r["bytes_out"] for r in found} == {-1}


def test_records_without_addresses_are_counted() -> None:
    decoder = Decoder()
    assert decoded([ipfix(template(256, [(1, 4)]), flowset(256, bytes(8)))], decoder) == []
    assert decoder.skipped.passed == {"records that have no addresses": 2}
