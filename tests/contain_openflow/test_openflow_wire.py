"""Octets of OpenFlow: what we write is what others read; whatever a switch sends ends in an answer or an error."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from andon.contain.enforcers.openflow import oxm, wire
from andon.contain.enforcers.openflow.oxm import Malformed
from andon.contain.enforcers.openflow.rule import NORMAL, Other, Output, Rule, SetField, digest
from andon.contain.enforcers.openflow.wire import Framer, Message

OFCTL = shutil.which("ovs-ofctl")
needs_ofctl = pytest.mark.skipif(OFCTL is None, reason="ovs-ofctl is not installed")

macs = st.integers(0, 2**48 - 1).map(lambda n: n.to_bytes(6, "big").hex(":"))
small = st.integers(0, 0xFFFF)
v4 = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)).map(
    lambda made: (
        f"{'.'.join(map(str, (made[0] >> 32 - made[1] << 32 - made[1]).to_bytes(4, 'big')))}/{made[1]}"
    )
)
v6 = st.tuples(st.integers(0, 2**128 - 1), st.integers(1, 128)).map(
    lambda made: f"{(made[0] >> 128 - made[1] << 128 - made[1]).to_bytes(16, 'big').hex(':', 2)}/{made[1]}"
)


@st.composite
def matches(draw: st.DrawFn) -> oxm.Match:
    fields: dict[str, int | str] = {}
    for name, values in (("in_port", st.integers(1, 0xFEFF)), ("eth_src", macs), ("eth_dst", macs)):
        if draw(st.booleans()):
            fields[name] = draw(values)
    family = draw(st.sampled_from((0, 4, 6)))
    if family:
        fields["eth_type"] = oxm.IPV4_TYPE if family == 4 else oxm.IPV6_TYPE
        for name in ("src", "dst"):
            if draw(st.booleans()):
                fields[f"ipv{family}_{name}"] = draw(v4 if family == 4 else v6)
        kind = draw(st.sampled_from(("", "tcp", "udp")))
        if kind:
            fields["ip_proto"] = oxm.TCP if kind == "tcp" else oxm.UDP
            for name in ("src", "dst"):
                if draw(st.booleans()):
                    fields[f"{kind}_{name}"] = draw(small)
    return oxm.match(**fields)


actions = st.lists(
    st.one_of(
        st.integers(1, 0xFEFF).map(Output),
        st.just(Output(NORMAL)),
        macs.map(lambda mac: SetField(oxm.set_field("eth_dst", mac))),
    ),
    max_size=4,
).map(tuple)
rules = st.builds(Rule, st.integers(0, 253), small, matches(), actions, st.one_of(st.just(-1), st.just(254)))


def stat(rule: Rule, cookie: int = 5, length: int | None = None) -> bytes:
    """One rule as a switch tells it in an answer."""
    body = oxm.encode_match(rule.match) + rule.instructions
    head = struct.pack("!HBxIIHHHHxxxxQQQ", 48 + len(body) if length is None else length, rule.table, 7, 0,
                       rule.priority, 0, 60, 1, cookie, 0, 0)  # fmt: skip
    return head + body


@given(st.lists(rules, max_size=4))
def test_a_switch_that_gives_back_what_we_sent_gives_back_the_same_rules(made: list[Rule]) -> None:
    body = b"".join(stat(rule) for rule in made)
    found = [one.rule for one in wire.flow_stats(body)]
    assert [rule.canonical for rule in found] == [rule.canonical for rule in made]
    assert digest(found) == digest(made)


@given(rules)
def test_the_order_of_fields_is_no_difference_and_a_field_is(made: Rule) -> None:
    terms = b"".join(oxm.term_octets(term) for term in reversed(made.match))
    length = 4 + len(terms)
    octets = b"\0\1" + length.to_bytes(2, "big") + terms + bytes(-length % 8)
    read, _ = oxm.read_match(octets, 0, len(octets))
    assert read == made.match
    other = Rule(made.table, made.priority ^ 1, made.match, made.actions, made.goto)
    assert digest([made]) != digest([other]) and digest([made, other]) == digest([other, made])


@needs_ofctl
def test_ovs_ofctl_reads_in_our_octets_what_it_reads_in_our_words(tmp_path: Path) -> None:
    """Two hundred rules: the messages by its decoder (ofp-parse), the texts of plans by its parser (parse-flows)."""
    made: list[Rule] = []

    @given(rules)
    @example(Rule(0, 1, (), (Output(3),), 1))
    def collect(rule: Rule) -> None:
        if rule.goto < 0 or rule.goto > rule.table:
            made.append(rule)

    collect()
    octets, words = tmp_path / "octets", tmp_path / "words"
    octets.write_bytes(
        b"".join(wire.flow_mod(2, rule, 1 << 63 | n, seconds=60) for n, rule in enumerate(made))
    )
    words.write_text(
        "".join(
            f"cookie={1 << 63 | n:#x},hard_timeout=60,send_flow_rem,{rule.text()}\n"
            for n, rule in enumerate(made)
        )
    )
    read = subprocess.run([str(OFCTL), "ofp-parse", str(octets)], check=True, capture_output=True, text=True)
    parsed = subprocess.run(
        [str(OFCTL), "-O", "OpenFlow13", "parse-flows", str(words)],
        check=True,
        capture_output=True,
        text=True,
    )
    ours = [line.partition("): ")[2] for line in read.stdout.splitlines() if "FLOW_MOD" in line]
    theirs = [line.partition("): ")[2] for line in parsed.stdout.splitlines() if "FLOW_MOD" in line]
    assert len(ours) == len(made) > 80
    assert ours == theirs


@needs_ofctl
@pytest.mark.parametrize(
    ("message", "said"),
    [
        (wire.hello(1), "version bitmap: 0x04"),
        (wire.set_config(1), "miss_send_len=128"),
        (wire.set_async(1), "FLOW_REMOVED: idle hard delete"),
        (wire.role_request(1, wire.MASTER, 9), "role=primary generation_id=9"),
        (wire.delete(1, 1 << 63, 1 << 63, 2), "DEL table:2 priority=0 cookie:0x8000000000000000/0x8000000000000000"),
        (wire.flow_mod(1, Rule(2, 3, ()), 4, command=wire.DELETE_STRICT), "DEL_STRICT table:2 priority=3 cookie:0x4/"),
        (wire.stats_request(1, wire.STATS_AGGREGATE, 5, 7, 2), "OFPST_AGGREGATE request (OF1.3) (xid=0x1): table=2"),
        (wire.stats_request(1, wire.STATS_PORTS), "OFPST_PORT_DESC request"),
        (wire.bundle_control(1, 3, wire.BUNDLE_COMMIT), "type=COMMIT_REQUEST flags=atomic ordered"),
        (wire.bundle_add(3, wire.flow_mod(9, Rule(2, 3, (), goto=9), 4)), "bundle_id=0x3 flags=atomic ordered"),
        (wire.encode(wire.BARRIER_REQUEST, 1), "OFPT_BARRIER_REQUEST (OF1.3) (xid=0x1)"),
    ],
)  # fmt: skip
def test_ovs_ofctl_reads_every_kind_of_message(message: bytes, said: str) -> None:
    read = subprocess.run(
        [str(OFCTL), "ofp-print", message.hex()], check=True, capture_output=True, text=True
    )
    assert said in read.stdout and not read.stderr, (read.stdout, read.stderr)


@given(st.lists(st.binary(max_size=40), max_size=6), st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_a_stream_is_cut_into_the_same_messages_however_it_arrives(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(wire.encode(wire.ECHO_REQUEST, n, body) for n, body in enumerate(bodies))
    framer, found, at = Framer(), [], 0
    while at < len(stream):
        step = cuts[at % len(cuts)]
        found += framer.feed(stream[at : at + step])
        at += step
    assert found == [Message(4, wire.ECHO_REQUEST, n, body) for n, body in enumerate(bodies)]


@pytest.mark.parametrize(
    "head", ["0413000700000001", "0413000000000001", "0113000800000001", "ff02000800000001"]
)
def test_a_length_below_a_header_or_another_version_ends_the_stream(head: str) -> None:
    with pytest.raises(Malformed):
        Framer().feed(bytes.fromhex(head))


READERS = (
    lambda body: list(wire.flow_stats(body)), wire.removed, wire.features, wire.aggregate, wire.ports, wire.description,
    wire.multipart, wire.role, wire.bundle_reply, wire.refusal, lambda body: wire.versions(Message(4, 0, 0, body)),
)  # fmt: skip


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(body: bytes) -> None:
    for reader in READERS:
        try:
            reader(body)
        except Malformed:
            continue


@given(
    rules,
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 400),
)
def test_a_damaged_answer_is_read_or_refused(rule: Rule, changes: list[tuple[int, int]], end: int) -> None:
    body = bytearray(stat(rule) + stat(rule))
    for at, value in changes:
        body[at % len(body)] = value
    try:
        assert len(list(wire.flow_stats(bytes(body[:end])))) <= 8
    except Malformed:
        return


@pytest.mark.parametrize("length", [0, 1, 47, 48, 55, 20, 9999])
def test_a_rule_that_lies_about_its_length_is_refused(length: int) -> None:
    with pytest.raises(Malformed):
        list(wire.flow_stats(stat(Rule(2, 3, oxm.match(in_port=1)), length=length)))


@pytest.mark.parametrize(
    "octets",
    [
        "0001000c00000000",  # longer than what there is
        "00010003 00000000",  # shorter than itself
        "00000008 00000000",  # not OXM
        "0001000880000000",  # a field without a value
        "0001000a 80000004 0001 000000000000",  # two octets of four
        "00010014 80000004 00000001 80000004 00000002 00000000",  # the same field twice
        "0001000b 80000103 000001 0000000000",  # a mask of another length than the value
    ],
)
def test_a_match_that_does_not_add_up_is_refused(octets: str) -> None:
    data = bytes.fromhex(octets)
    with pytest.raises(Malformed):
        oxm.read_match(data, 0, len(data))


def test_what_others_put_there_is_kept_and_makes_a_difference() -> None:
    plain = Rule(2, 3, oxm.match(in_port=1))
    metered = Rule(2, 3, oxm.match(in_port=1), more=(Other(bytes.fromhex("0006000800000001")),))
    [read] = wire.flow_stats(stat(metered))
    assert read.rule.more == metered.more and digest([plain]) != digest([read.rule])
    strange = oxm.Term(0x8000 << 7 | 38, b"\0" * 8)
    [read] = wire.flow_stats(stat(Rule(2, 3, (strange,))))
    assert read.rule.match == (strange,) and "field_" in read.rule.text()


def test_a_field_masked_nowhere_is_not_masked() -> None:
    masked = oxm.Term(oxm.match(in_port=1)[0].key, b"\0\0\0\1", b"\xff" * 4)
    octets = oxm.encode_match((masked,))
    assert oxm.read_match(octets, 0, len(octets))[0] == oxm.match(in_port=1)
