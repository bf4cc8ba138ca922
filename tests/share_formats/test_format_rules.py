"""Rule bundles: only what the language can say, valid by a strict checker (and libpcap), sids that stay."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from told_records import (
    BARE_URL,
    CASE_DOCUMENT,
    DESTINATION,
    FINDINGS,
    FINGERPRINT,
    INFECTED,
    INTENTS,
    TOOL,
    URL,
    ZMAP,
    finding,
)

from andon.records.finding import Check, Entity, Evidence
from andon.share.formats.rule_check import bpf_problem, suricata_problem, zeek_intel_problem, zeek_problem
from andon.share.formats.rules import FIRST_SID, LANGUAGES, SIDS, Rules, bundle
from andon.share.formats.view import view
from andon.share.policy import Gate, Ground, Policy

NASTY = st.text(st.characters() | st.sampled_from("\n\t;:|\\\"')(#"), min_size=1, max_size=40)


def rules(language: str, *findings: Any, known: Any = None) -> Rules:
    views = [view(one if isinstance(one, dict) else one.to_dict()) for one in findings]
    return bundle(views, language, known=known)


def lines(made: Rules, name: str) -> list[str]:
    return [line for line in made.files.get(name, "").splitlines() if line and not line.startswith("#")]


def manifest(made: Rules) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.files["manifest.json"])
    return found


def test_a_relation_is_told_where_the_language_can_say_it_and_listed_where_it_cannot() -> None:
    assert len(lines(rules("suricata", ZMAP), "andon.rules")) == 1
    sequence = rules("suricata", FINGERPRINT)
    assert "andon.rules" not in sequence.files
    assert "compares a header field with a constant" in manifest(sequence)["not_expressible"][0]["why"]
    assert "andon.zeek" in rules("zeek", FINGERPRINT).files and lines(rules("bpf", FINGERPRINT), "andon.bpf")


def test_every_line_of_every_bundle_passes_the_checker_of_its_language() -> None:
    documents = [*(one.to_dict() for one in FINDINGS), CASE_DOCUMENT, *INTENTS]
    for line in lines(rules("suricata", *documents), "andon.rules"):
        assert suricata_problem(line) == ""
    for line in lines(rules("bpf", *documents), "andon.bpf"):
        assert bpf_problem(line) == ""
    for line in lines(rules("zeek", *documents), "andon.intel"):
        assert zeek_intel_problem(line) == ""
    made = rules("zeek", FINGERPRINT)
    assert zeek_problem(made.files["andon.zeek"]) == ""


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_libpcap_compiles_every_filter() -> None:
    made = lines(rules("bpf", *FINDINGS, *INTENTS), "andon.bpf")
    assert len(made) >= 4
    for text in made:
        done = subprocess.run(
            ["tcpdump", "-y", "EN10MB", "-d", text], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


@given(NASTY, st.sampled_from(["url", "domain-name", "ipv4-addr"]))
def test_no_value_breaks_out_of_a_rule(value: str, kind: str) -> None:
    subject = f"http://evil.example.org/{value}" if kind == "url" else f"{value}.example.org"
    told = finding("suspected-destination", (kind, subject), title=value, entities=(Entity(kind, subject),))
    for language in LANGUAGES:
        made = rules(language, told)
        for line in lines(made, "andon.rules"):
            assert suricata_problem(line) == "" and line.count("sid:") == 1
        for line in made.files.get("andon.intel", "").splitlines()[1:]:
            assert zeek_intel_problem(line) == ""


def test_a_url_is_looked_for_by_its_host_and_path_a_name_with_those_below_it() -> None:
    url = lines(rules("suricata", URL), "andon.rules")[0]
    assert 'http.host; content:"bad.example.org"; bsize:15;' in url
    assert 'http.uri; content:"/a|3b|b|7c|c?x=1"; startswith;' in url
    assert 'content:"/wp/x.php"' in lines(rules("suricata", BARE_URL), "andon.rules")[0]
    name = lines(rules("suricata", DESTINATION), "andon.rules")[0]
    assert 'dns.query; dotprefix; content:".bad.example.org"; endswith; nocase;' in name
    secure = finding("suspected-url", ("url", "https://bad.example.org/x"))
    assert "not on the wire" in manifest(rules("suricata", secure))["not_expressible"][0]["why"]
    assert (
        rules("zeek", secure).files["andon.intel"].splitlines()[1].startswith("bad.example.org/x\tIntel::URL")
    )


def test_an_address_of_either_family_is_looked_for() -> None:
    six = finding(
        "known-tool",
        ("tool", "x"),
        severity="medium",
        entities=(Entity("ipv6-addr", "2600::7"), Entity("ipv4-addr", "51.1.0.0/16")),
    )
    made = lines(rules("suricata", six), "andon.rules")
    assert made[0].startswith("alert ip [2600::7] any <> any any") and "51.1.0.0/16" in made[1]
    assert lines(rules("bpf", six), "andon.bpf") == ["ip6 and host 2600::7", "ip and net 51.1.0.0/16"]
    assert "51.1.0.0/16\tIntel::SUBNET" in rules("zeek", six).files["andon.intel"]


def test_a_sid_stays_and_rev_counts_the_changes() -> None:
    first = rules("suricata", TOOL, INFECTED)
    sids = {one["key"]: one["sid"] for one in manifest(first)["rules"]}
    assert all(FIRST_SID <= sid < FIRST_SID + SIDS for sid in sids.values()) and len(
        set(sids.values())
    ) == len(sids)
    again = rules("suricata", INFECTED, TOOL, DESTINATION, known=manifest(first))
    found = {one["key"]: (one["sid"], one["rev"]) for one in manifest(again)["rules"]}
    assert all(found[key] == (sid, 1) for key, sid in sids.items())
    # Another finding names the same address: the text of the rule changes, and its number does not.
    other = finding(
        "known-tool", ("tool", "zmap"), severity="high", entities=(Entity("ipv4-addr", "198.50.100.7"),)
    )
    changed = rules("suricata", other, known=manifest(again))
    assert manifest(changed)["rules"][0]["sid"] == sids["ipv4-addr 198.50.100.7"]
    assert manifest(changed)["rules"][0]["rev"] == 2 and "rev:2;)" in changed.files["andon.rules"]
    assert manifest(rules("suricata", other, known=manifest(changed)))["rules"][0]["rev"] == 2


def test_two_things_never_share_a_sid() -> None:
    many = [finding("known-tool", ("tool", f"t{n}"), severity="medium", entities=tuple(
        Entity("ipv4-addr", f"51.{n}.{a}.{b}") for a in range(10) for b in range(10))) for n in range(30)]  # fmt: skip
    sids = [one["sid"] for one in manifest(rules("suricata", *many))["rules"]]
    assert len(sids) == len(set(sids)) == 3000


def test_what_is_no_rule_is_said_with_its_reason() -> None:
    left = manifest(rules("bpf", DESTINATION, CASE_DOCUMENT))["not_expressible"]
    assert [one["why"] for one in left] == [
        "a packet filter sees no name", "it names no header relation and nothing that is hostile",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rule",
    [
        'alert ip any any -> any any (msg:"x"; sid:1; rev:1;) \nalert',
        'drop ip any any -> any any (msg:"x"; sid:1; rev:1;)',
        'alert ip any any -> any any (msg:"x"; lua:a.lua; sid:1; rev:1;)',
        'alert ip any any -> any any (msg:"x"; sid:1; sid:2; rev:1;)',
        'alert ip any any -> any any (msg:"x"; content:"a;b"; sid:1; rev:1;)',
        'alert ip 1.2.3.4.5 any -> any any (msg:"x"; sid:1; rev:1;)',
        'alert ip any any -> any any (msg:"x"; rev:1;)',
    ],
)
def test_the_checker_refuses_what_we_do_not_write(rule: str) -> None:
    assert suricata_problem(rule)


def test_the_other_checkers_refuse_too() -> None:
    assert bpf_problem("host 1.2.3.4 && `id`") and bpf_problem("(ip") and bpf_problem("x" * 70_000)
    assert (
        zeek_intel_problem("a\tIntel::ADDR\tb\tc")
        and zeek_intel_problem("a\tb")
        and zeek_intel_problem("1\tX\tb\tc")
    )
    assert zeek_problem('function f(): bool { return system("id"); }\nevent raw_packet(p: x) { }')
    with pytest.raises(ValueError, match="unknown language"):
        rules("snort")


def test_a_default_of_stacks_is_no_rule_unless_it_is_asked_for() -> None:
    stack = finding("stack-default", ("fingerprint", "ip.id == 54321"), severity="informational")
    made = rules("bpf", stack)
    assert "andon.bpf" not in made.files and "bystanders" in manifest(made)["not_expressible"][0]["why"]
    assert "andon.bpf" in bundle([view(stack.to_dict())], "bpf", asked=["stack-default"]).files
    assert manifest(rules("bpf", ZMAP))["rules"][0]["by_chance"] == 2**-16


def test_a_relation_that_a_thousandth_of_all_packets_has_is_no_rule() -> None:
    weak = finding("scanner-fingerprint", ("fingerprint", "tcp.window == 0x2000"))
    for language in LANGUAGES:
        made = rules(language, weak)
        assert set(made.files) == {"manifest.json"}
        assert manifest(made)["not_expressible"][0]["why"].startswith("one random packet in 1 has it")


def test_a_tool_is_looked_for_by_its_own_relation_and_never_by_that_of_one_session() -> None:
    session = (Evidence("one source", Check("ip.src == 45.9.9.9 and (tcp.seq == 0x6cacac4b)", 0.0)),)
    for relation, expected in (("ip.id == 54321", True), ("tcp.seq ^ ip.dst == key32", False)):
        told = finding("known-tool", ("tool", "x"), evidence=session, attributes={"relations": [relation]})
        made = rules("bpf", told)
        assert ("andon.bpf" in made.files) is expected
        assert "45.9.9.9" not in json.dumps(manifest(made)) and "0x6cacac4b" not in "".join(
            made.files.values()
        )
    hidden = Gate(Policy("x", "green", "hide"), Ground(())).admit(
        finding(
            "known-tool", ("tool", "zmap"), evidence=session, attributes={"relations": ["ip.id == 54321"]}
        ).to_dict()
    )[0]
    assert (
        len(lines(rules("bpf", dict(hidden)), "andon.bpf")) == 1
    )  # a public relation is told where checks are hidden
