"""The engine: what it says of families, of addresses with several, and what it remembers."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from engine_traffic import DAY, addresses, batches, conclude, engine, keyed, mirai, syn

from andon.detect.darknet.fingerprint.carry import FORGET, MOST, Families
from andon.detect.darknet.fingerprint.engine import FingerprintEngine
from andon.detect.darknet.fingerprint.names import Names
from andon.detect.darknet.fingerprint.sample import Family
from andon.detect.darknet.fingerprint.stacks import is_default, stack_of
from andon.observe import read
from andon.records.contract import Site
from andon.records.expression import NotExpressible, parse, to_bpf
from andon.run.contract import check_engine
from andon.sketch.state import StateError

SCHEMA = json.loads(files("andon.records").joinpath("finding.schema.json").read_text())
MIRAI, KEYED = "tcp.seq == ip.dst", "tcp.seq == ip.dst ^ key32"
TOOLS = pa.schema(
    [("src", pa.uint32()), ("tool", pa.string()), ("packets", pa.int64()), ("confidence", pa.float64())]
)


def a_day(seed: int = 1, bots: int = 60, noise: int = 300) -> list[pa.RecordBatch]:
    rng = np.random.default_rng(seed)
    return batches(
        mirai(syn(rng, addresses(1 << 24, bots), 12)),
        keyed(syn(rng, addresses(50 << 24, 30), 10), rng),
        syn(rng, addresses(100 << 24, noise), 5),
    )


def test_the_engine_keeps_the_contract_with_a_stand_in_search() -> None:
    outcome = check_engine(engine(MIRAI, KEYED), a_day())
    assert [f.kind for f in outcome.findings] == ["scanner-fingerprint"] * 2


@pytest.mark.parametrize(
    "name", ["zmap_syn80_10k.pcap", "synflood_spoofed.pcap", "masscan_tcp_0_1000_vlan.pcap"]
)
def test_the_engine_keeps_the_contract_on_real_captures(andon_data: Path, name: str) -> None:
    made = engine("tcp.seq & 0xffff == 0", "ip.id == 54321")
    check_engine(made, list(read(andon_data / "darknet-data" / "captures" / name, columns=made.columns)))


def test_a_family_is_reported_with_its_figures_and_checks_and_follows_the_schema() -> None:
    outcome = conclude(engine(MIRAI, KEYED), a_day())
    mine, session = outcome.findings
    for finding in outcome.findings:
        jsonschema.validate(json.loads(finding.to_json()), SCHEMA)
    assert mine.subject == ("fingerprint", MIRAI)
    assert len(mine.entities) == mine.attributes["sources"] == 60
    assert mine.count == 720
    assert mine.attributes["proven_bits"]["ip.dst"] == {
        "varied": "0xffff",
        "never_varied": "0xffff0000",
        "bits": 16,
    }
    assert "16 of 32 bits varied" in mine.statement
    assert mine.attributes["precision"]["estimate"] == 1.0
    assert mine.attributes["exact"] == {"relation": "tcp.flags & 0x3f == 2 and (tcp.seq == ip.dst)"}
    (check,) = [item.check for item in mine.evidence if item.check]
    assert to_bpf(parse(check.relation))
    assert check.by_chance < 1e-3
    assert session.attributes["scope"] == "session"
    concrete = [item.check for item in session.evidence if item.check and item.check.tool == "tcpdump"]
    assert len(concrete) == 5
    for check in concrete:
        assert "key" not in check.relation
        to_bpf(parse(check.relation))
    (query,) = [item.check for item in session.evidence if item.check and item.check.tool == "duckdb"]
    assert query.expression.startswith("WITH chosen AS (SELECT * FROM packets WHERE src IN (")
    with pytest.raises(NotExpressible):
        to_bpf(parse(query.relation))


def test_twenty_sources_make_a_family_and_nineteen_do_not() -> None:
    for bots, found in ((19, 0), (20, 1)):
        assert len(conclude(engine(MIRAI), a_day(bots=bots)).findings) == found


def test_ports_and_packets_are_scaled_up_to_the_whole_day() -> None:
    rng = np.random.default_rng(3)
    loud = mirai(syn(rng, addresses(1 << 24, 25), 2000))
    loud["dst_port"] = np.where(rng.random(len(loud["ts"])) < 0.9, 23, 2323).astype(np.uint16)
    (finding,) = conclude(engine(MIRAI), batches(loud, rows=10_000)).findings
    assert finding.count == 50_000
    shares = {p["port"]: p["share"] for p in finding.attributes["ports"]}
    assert abs(shares[23] - 0.9) < 0.03


def test_a_family_of_yesterday_is_known_today_by_fewer_sources_and_without_search() -> None:
    first = conclude(engine(MIRAI), a_day(1))
    blind = engine()  # its search finds nothing
    later = conclude(blind, a_day(2, bots=5), Families.from_bytes(first.carry.to_bytes()), day=3)
    (finding,) = later.findings
    assert finding.series == first.findings[0].series
    assert finding.id != first.findings[0].id
    assert len(finding.entities) == 5
    families = later.tables["families"]
    assert (families["layer"].to_pylist(), families["spans"].to_pylist()) == (["carried"], [2])
    assert families["born"].cast(pa.int64()).to_pylist() == [0]
    assert not conclude(blind, a_day(2, bots=5)).findings


def test_one_source_that_satisfies_a_carried_relation_by_chance_is_no_family() -> None:
    carry = conclude(engine(MIRAI), a_day(1)).carry
    assert not conclude(engine(), a_day(2, bots=1), carry, day=1).findings


def test_conclude_leaves_the_carry_of_yesterday_alone() -> None:
    carry = conclude(engine(MIRAI), a_day(1)).carry
    before = carry.to_bytes()
    conclude(engine(MIRAI), a_day(2), carry, day=1)
    assert carry.to_bytes() == before


def test_what_is_not_seen_for_long_is_forgotten_and_the_carry_is_bounded() -> None:
    carry = Families()
    for n in range(MOST + 50):
        carry.see(f"ip.id == {n}", "global", "scanner-fingerprint", n, 20, 20)
    assert carry.forget(MOST + 50) == 50
    assert len(carry) == MOST
    assert carry.forget(FORGET + 100) == 50  # those last seen in the first 100 ns
    with pytest.raises(StateError):
        Families.from_bytes(b"nonsense")


def test_two_programs_on_one_address_are_several_infections_and_two_marks_of_one_program_are_not() -> None:
    rng = np.random.default_rng(7)
    both = addresses(1 << 24, 10)
    zmap = syn(rng, np.r_[both, addresses(9 << 24, 30)], 10)
    zmap["ip_id"][:] = 54321
    apart = batches(mirai(syn(rng, np.r_[both, addresses(5 << 24, 30)], 10)), zmap)
    found = [
        f for f in conclude(engine(MIRAI, "ip.id == 54321"), apart).findings if f.kind == "multiple-infection"
    ]
    assert len(found) == 1
    assert {int(np.uint32(a)) for a in both} == {_number(e.value) for e in found[0].entities}
    jsonschema.validate(json.loads(found[0].to_json()), SCHEMA)
    one = mirai(syn(rng, addresses(5 << 24, 30), 10))
    one["ip_id"][:] = 54321
    kinds = {f.kind for f in conclude(engine(MIRAI, "ip.id == 54321"), batches(one)).findings}
    assert kinds == {"scanner-fingerprint"}


def test_a_family_that_is_a_known_tool_says_so_and_is_not_counted_as_several() -> None:
    sources = addresses(1 << 24, 60)
    tools = pa.table([sources, ["mirai"] * 60, np.full(60, 12), np.full(60, 0.99)], schema=TOOLS)
    finding, *others = conclude(engine(MIRAI), a_day(), tools=tools).findings
    assert finding.attributes["known_as"] == "mirai"
    assert finding.severity == "low"
    assert not others


def test_a_trace_of_a_known_tool_is_not_a_second_infection() -> None:
    rng = np.random.default_rng(4)
    bots, zmap = mirai(syn(rng, addresses(1 << 24, 40), 12)), syn(rng, addresses(9 << 24, 40), 12)
    zmap["ip_id"][:120] = 54321
    for named, several in ((addresses(1 << 24, 28), 0), (addresses(1 << 24, 4), 1)):
        tools = pa.table(
            [named, ["other"] * len(named), np.full(len(named), 4), np.ones(len(named))], schema=TOOLS
        )
        half = {name: array.copy() for name, array in bots.items()}
        half["tcp_seq"][::2] ^= np.uint32(0x01000000)
        found = conclude(engine(MIRAI), batches(half, zmap), tools=tools).findings
        assert sum(f.kind == "multiple-infection" for f in found) == several


def test_coverage_adds_up() -> None:
    sources = addresses(100 << 24, 40)  # noise that the tools engine names
    tools = pa.table([sources, ["hajime"] * 40, np.full(40, 2), np.full(40, 0.6)], schema=TOOLS)
    (row,) = conclude(engine(MIRAI, KEYED), a_day(), tools=tools).tables["coverage"].to_pylist()
    assert (row["sources"], row["with_fingerprint_sources"], row["with_tool_only_sources"]) == (390, 90, 40)
    assert row["without_sources"] == 260
    assert row["with_fingerprint_packets"] == 720 + 300
    assert row["with_tool_only_packets"] == 80
    assert row["packets"] == 720 + 300 + 1500
    assert row["without_packets"] == 1500 - 80


@pytest.mark.parametrize(
    ("relation", "systems"),
    [
        ("tcp.window == 5840", "Linux 2.4 and 2.6 (4 segments of 1460)"),
        ("tcp.window == 8192", "Windows 7 and 8"),
        ("tcp.window == 14600", "Linux 3.1 to 3.10 (10 segments of 1460)"),
        ("tcp.window == 16384", "Windows XP, OpenBSD"),
        ("tcp.window == 29200", "Linux 3.11 to 4.19 (20 segments of 1460)"),
        ("tcp.window == 64240", "Linux since 4.20, Android, Windows 10 (44 segments of 1460)"),
        ("tcp.window == 65535", "macOS, iOS, FreeBSD, Windows XP; ZMap sends it too"),
        ("tcp.window == 65160", "Linux since 4.20 (45 segments of 1448)"),
        ("tcp.window == 1024", "no common system; Nmap and Masscan send it"),
        ("tcp.window == 6703", ""),
        ("ip.ttl == 64", "Linux, macOS, BSD"),
        ("ip.ttl == 128", "Windows"),
        ("ip.ttl == 255", "Solaris, routers; Masscan and ZMap send it too"),
        ("ip.id == 0", "Linux and others while DF is set"),
    ],
)
def test_constants_that_systems_set_by_default_are_no_fingerprint(relation: str, systems: str) -> None:
    rng = np.random.default_rng(2)
    hosts = syn(rng, addresses(1 << 24, 40), 6)
    field, _, value = relation.partition(" == ")
    hosts[{"tcp.window": "tcp_window", "ip.ttl": "ttl", "ip.id": "ip_id"}[field]][:] = int(value)
    made = engine()
    made.search = lambda sample, least, prefixes, turn: _constant(sample, relation)  # type: ignore[assignment]
    (finding,) = conclude(made, batches(hosts)).findings
    assert finding.kind == "stack-default"
    assert finding.severity == "informational"
    assert finding.attributes["stack"] == systems
    assert ("default of operating systems" in finding.title) == is_default(relation)
    assert is_default(relation) == (systems not in ("", "no common system; Nmap and Masscan send it"))


def test_a_constant_that_no_system_sets_is_a_fingerprint() -> None:
    """54321 is what ZMap before 4.1 writes into the IP identification."""
    rng = np.random.default_rng(2)
    zmap = syn(rng, addresses(1 << 24, 40), 6)
    zmap["ip_id"][:] = 54321
    (finding,) = conclude(engine("ip.id == 54321"), batches(zmap)).findings
    assert finding.kind == "scanner-fingerprint"
    assert stack_of(finding.subject[1]) == ""


def test_made_up_senders_are_called_so() -> None:
    rng = np.random.default_rng(6)
    flood = syn(rng, rng.integers(1, 1 << 32, 3000), 1)
    flood["tcp_seq"] &= np.uint32(0xFFFF0000)
    flood["tcp_window"][:] = 512
    flood["dst"][:] = 0x0A000001
    made = engine()
    relation = "tcp.seq & 0xffff == 0"
    made.search = lambda sample, least, prefixes, turn: _constant(sample, relation)  # type: ignore[assignment]
    outcome = conclude(made, batches(flood))
    (finding,) = outcome.findings
    assert finding.attributes["spoofed"]
    assert finding.severity == "informational"
    assert "made up" in finding.title
    assert outcome.tables["coverage"]["made_up_sources"].to_pylist() == [finding.attributes["sources"]]
    assert outcome.tables["coverage"]["sources"].to_pylist() == [0]
    assert [(e.value, e.packets) for e in finding.entities] == [("10.0.0.1", 3000)]
    assert finding.attributes["entities_are"] == "targets"
    assert finding.attributes["constants"] == [{"field": "tcp.window", "value": 512, "share": 1.0}]
    assert "All of them have tcp.window == 0x200." in finding.statement
    relations = [item.check.relation for item in finding.evidence if item.check]
    assert relations[1].endswith("(tcp.seq & 0xffff == 0) and (tcp.window == 0x200)")


def test_scanners_with_addresses_drawn_anywhere_are_not_called_made_up_when_they_send_many_packets() -> None:
    rng = np.random.default_rng(6)
    bots = mirai(syn(rng, np.unique(rng.integers(1, 1 << 32, 200)), 12))
    (finding,) = conclude(engine(MIRAI), batches(bots)).findings
    assert not finding.attributes["spoofed"]
    assert finding.attributes["entities_are"] == "sources"
    assert len(finding.entities) == finding.attributes["sources"] == 200


def test_scanners_with_private_addresses_in_a_laboratory_are_not_called_made_up() -> None:
    rng = np.random.default_rng(8)
    (finding,) = conclude(engine(MIRAI), batches(mirai(syn(rng, np.arange(40) + 0x0A000100, 5)))).findings
    assert not finding.attributes["spoofed"]


def test_a_flood_of_which_few_sources_are_proven_is_counted_whole() -> None:
    """46 of 37,000 made-up sources sent two packets in the real capture; only these have 24 bits of evidence."""
    rng = np.random.default_rng(6)
    once, twice = (
        syn(rng, addresses(first << 24, count), each) for first, count, each in ((1, 2000, 1), (9, 30, 2))
    )
    for part in (once, twice):
        part["tcp_seq"] &= np.uint32(0xFFFF0000)
        part["dst"][:] = 0x0A000001
    outcome = conclude(engine("tcp.seq & 0xffff == 0"), batches(once, twice))
    (finding,) = outcome.findings
    details = finding.attributes
    assert (details["sources"], details["sources_by_number"], details["sources_unproven"]) == (2030, 2000, 0)
    assert details["sources_with_one_packet"] == 2000
    assert details["packets"] == finding.count == 2060
    assert details["precision"]["estimate"] == 1.0
    assert details["spoofed"]
    assert "2,030 sources" in finding.title
    assert "Chance would give" not in finding.statement  # there are no other packets
    assert outcome.tables["coverage"]["made_up_sources"].to_pylist() == [2030]


def test_sources_of_one_packet_are_members_only_where_chance_gives_one_in_a_hundred_of_them() -> None:
    rng = np.random.default_rng(6)
    relation = "ip.id == 54321"
    for slow, members in ((60, 90), (5, 30)):
        parts = [
            syn(rng, addresses(first << 24, count), each) for first, count, each in ((1, slow, 1), (9, 30, 4))
        ]
        for part in parts:
            part["ip_id"][:] = 54321
        noise = syn(rng, addresses(100 << 24, 20_000), 1)
        (finding,) = conclude(engine(relation), batches(*parts, noise, rows=30_000)).findings
        assert finding.attributes["sources"] == len(finding.entities)
        assert members <= finding.attributes["sources"] <= members + 2


def test_a_session_relation_does_not_take_the_sources_of_a_global_one() -> None:
    """Whatever satisfies tcp.seq == ip.dst also has one key for tcp.seq == ip.dst ^ key32."""
    outcome = conclude(engine(KEYED, MIRAI), a_day())
    counts = {f.subject[1]: len(f.entities) for f in outcome.findings}
    assert counts == {MIRAI: 60, KEYED: 30}


def test_bots_with_one_port_are_not_named_by_a_session_relation_that_has_more_terms() -> None:
    """A one-port Mirai satisfies Unicornscan's relation: its ports are a constant, so they look like a key."""
    rng = np.random.default_rng(9)
    bots = mirai(syn(rng, addresses(1 << 24, 15), 12))  # too few to be a family themselves
    _, source = np.unique(bots["src"], return_inverse=True)
    bots["src_port"], bots["dst_port"] = (source * 997 + 1024).astype(np.uint16), np.full(180, 23, np.uint16)
    unicorn = keyed(syn(rng, addresses(5 << 24, 30), 12), rng)
    unicorn["tcp_seq"] ^= unicorn["src_port"].astype(np.uint32) ^ (
        unicorn["dst_port"].astype(np.uint32) << 16
    )
    day = batches(bots, unicorn)
    relation = "tcp.seq == ip.dst ^ tcp.srcport ^ (tcp.dstport << 0x10) ^ key32"
    first = conclude(engine(relation), day)
    second = conclude(engine(), day, first.carry, day=1)
    for outcome in (first, second):
        (finding,) = outcome.findings
        assert {_number(e.value) for e in finding.entities} == {int(a) for a in addresses(5 << 24, 30)}


def test_a_known_family_keeps_its_name_when_the_search_writes_it_otherwise() -> None:
    names = Names(["tcp.seq == ip.dst ^ 7"], ("10.0.0.0/16",))
    none = np.empty(0, np.int64)
    otherwise = Family("ip.dst == tcp.seq ^ 7", "global", none, 32.0, "L1", {})
    another = Family("tcp.seq == ip.dst ^ 8", "global", none, 32.0, "L1", {})
    session = Family("tcp.seq == ip.dst ^ key32", "session", none, 32.0, "L1", {})
    assert names.of(otherwise) == "tcp.seq == ip.dst ^ 7"
    assert names.of(another) == another.relation
    assert names.of(session) == session.relation


def test_overlap_is_told_for_more_than_sixty_four_families() -> None:
    rng = np.random.default_rng(5)
    relations = [f"ip.id == {1000 + n}" for n in range(70)]
    parts = []
    shared = addresses(7 << 24, 5)
    for n in range(70):
        own = np.r_[addresses((20 + n) << 24, 20), shared if n >= 68 else shared[:0]]
        part = syn(rng, own, 4)
        part["ip_id"][:] = 1000 + n
        parts.append(part)
    findings = conclude(engine(*relations), batches(*parts)).findings
    (pair,) = [f for f in findings if f.kind == "multiple-infection"]
    assert pair.attributes["fingerprints"] == ["ip.id == 1068", "ip.id == 1069"]
    assert len(pair.entities) == 5
    both = {
        f.subject[1]: f.attributes["overlap_families"] for f in findings if f.kind == "scanner-fingerprint"
    }
    assert both["ip.id == 1068"] == [{"relation": "ip.id == 1069", "sources": 5, "share": 0.2}]


def test_what_was_left_out_and_what_has_no_fingerprint_is_in_every_finding() -> None:
    made = engine(MIRAI)
    inner = made.search
    made.search = lambda sample, least, prefixes, turn: replace(
        inner(sample, least, prefixes, turn), left_out=("a layer",), chance_families=0.003
    )
    finding = conclude(made, a_day()).findings[0]
    assert "Left out: a layer." in finding.statement
    assert finding.attributes["span"]["left_out"] == ["a layer"]
    assert finding.attributes["span"]["without_fingerprint_sources_share"] == round(330 / 390, 4)
    assert finding.attributes["expected_chance_families"] == 0.003
    assert finding.attributes["networks_24"] == len({a >> 8 for a in addresses(1 << 24, 60).tolist()})


def test_a_small_budget_searches_fewer_packets_and_says_so() -> None:
    seen = []
    made = engine(MIRAI, cpu_seconds=0.02)
    inner = made.search

    def counting(sample, least, prefixes, turn):  # type: ignore[no-untyped-def]
        seen.append(sample.rows)
        return inner(sample, least, prefixes, turn)

    made.search = counting
    outcome = conclude(made, a_day())
    assert seen[0] <= 640
    assert "only the earliest" in outcome.tables["coverage"]["left_out"].to_pylist()[0]


@pytest.mark.parametrize("settings", [{"cpu_seconds": 0}, {"min_sources": 1}, {"cpu_seconds": -5}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"darknet\.fingerprint"):
        engine(**settings)


def test_an_empty_day_has_no_findings_and_whole_tables() -> None:
    made = FingerprintEngine(Site())
    outcome = conclude(made, [])
    assert not outcome.findings
    assert {name: table.schema for name, table in outcome.tables.items()} == dict(made.publishes)
    assert DAY > 0


def _constant(sample, relation):  # type: ignore[no-untyped-def]
    from andon.detect.darknet.fingerprint.engine import Found
    from andon.detect.darknet.fingerprint.sample import Family
    from andon.records.expression import chance_rate

    bits = -np.log2(chance_rate(parse(relation)))
    return Found((Family(relation, "global", np.arange(len(sample.src)), float(bits), "L0", {}),))


def _number(dotted: str) -> int:
    a, b, c, d = map(int, dotted.split("."))
    return a << 24 | b << 16 | c << 8 | d
