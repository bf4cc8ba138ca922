"""Readers of enrichment: each format, hostile input, counted skips."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.observe.enrichment import TableError, enrichment
from andon.observe.enrichment.values import Refused, address, digest, name, registrant

SHA = "0123456789abcdef" * 4


def read(tmp_path: Path, text: str, file: str = "feed.json") -> tuple[set[tuple[str, ...]], int]:
    (tmp_path / file).write_text(text)
    table, skipped = enrichment(tmp_path / file)
    rows = table.select(["source_kind", "source", "relation", "target_kind", "target"]).to_pylist()
    return {tuple(row.values()) for row in rows}, skipped.lines


def test_passive_dns_in_the_common_output_format(tmp_path: Path) -> None:
    lines = [
        {
            "rrname": "Evil.Example.",
            "rrtype": "A",
            "rdata": ["198.51.100.1", "198.51.100.2"],
            "time_first": 1_700_000_000,
        },
        {"rrname": "evil.example", "rrtype": "NS", "rdata": "ns1.evil.example.", "count": 3},
        {"rrname": "evil.example", "rrtype": "TXT", "rdata": "v=spf1"},
        {"rrname": "evil.example", "rrtype": "A", "rdata": "127.0.0.1"},
    ]
    rows, skipped = read(tmp_path, "\n".join(map(json.dumps, lines)))
    assert rows == {
        ("domain", "evil.example", "resolves-to", "address", "198.51.100.1"),
        ("domain", "evil.example", "resolves-to", "address", "198.51.100.2"),
        ("domain", "evil.example", "served-by", "name-server", "ns1.evil.example"),
    }
    assert skipped == 2


def test_whois_and_rdap_say_the_same(tmp_path: Path) -> None:
    flat = {
        "domain": "evil.example",
        "registrar": "R Inc",
        "registrant_email": "X@mail.test",
        "created": "2026-01-01",
        "registrant_name": "REDACTED FOR PRIVACY",
    }
    rdap = {
        "objectClassName": "domain",
        "ldhName": "evil.example",
        "events": [{"eventAction": "registration", "eventDate": "2026-01-01T00:00:00Z"}],
        "entities": [
            {"roles": ["registrar"], "vcardArray": ["vcard", [["fn", {}, "text", "R Inc"]]]},
            {"roles": ["registrant"], "vcardArray": ["vcard", [["email", {}, "text", "x@mail.test"]]]},
        ],
    }
    one, skipped = read(tmp_path, json.dumps(flat))
    two, _ = read(tmp_path, json.dumps(rdap))
    assert one == two
    assert ("domain", "evil.example", "registered-by", "registrant", "x@mail.test") in one
    assert skipped == 1


def test_certificates_of_crt_sh_and_of_zeek_meet(tmp_path: Path) -> None:
    crt = [
        {
            "fingerprint_sha256": SHA,
            "common_name": "evil.example",
            "name_value": "evil.example\n*.evil.example",
        }
    ]
    rows, _ = read(tmp_path, json.dumps(crt))
    assert rows == {("domain", "evil.example", "certified-by", "certificate", SHA)}
    ssl = (
        "#separator \\x09\n#fields\tts\tid.resp_h\tserver_name\tcert_chain_fps\n"
        + f"1700000000.0\t198.51.100.1\t-\t{SHA}\n"
    )
    rows, _ = read(tmp_path, ssl, "ssl.log")
    assert rows == {("address", "198.51.100.1", "presents", "certificate", SHA)}


def test_samples_with_configurations_and_contacts(tmp_path: Path) -> None:
    line = {
        "sha256": SHA,
        "md5": "0123456789abcdef" * 2,
        "family": "Gharial",
        "c2": ["evil.example:443", "198.51.100.9:80"],
        "contacted": ["search.example"],
    }
    rows, _ = read(tmp_path, json.dumps(line))
    assert ("file", SHA, "configured-with", "domain", "evil.example") in rows
    assert ("file", SHA, "configured-with", "address", "198.51.100.9") in rows
    assert ("file", SHA, "contacts", "domain", "search.example") in rows
    assert ("file", SHA, "same-as", "file", "0123456789abcdef" * 2) in rows
    assert ("file", SHA, "is-a", "malware", "gharial") in rows


def test_misp_attributes_objects_and_references(tmp_path: Path) -> None:
    event: dict[str, Any] = {
        "Event": {
            "info": "Case",
            "date": "2026-01-01",
            "Attribute": [
                {"type": "domain|ip", "value": "evil.example|198.51.100.1"},
                {"type": "comment", "value": "x"},
            ],
            "Object": [
                {
                    "uuid": "u1",
                    "Attribute": [{"type": "filename", "value": "a.exe"}, {"type": "sha256", "value": SHA}],
                }
            ],
        }
    }
    rows, _ = read(tmp_path, json.dumps(event))
    assert ("domain", "evil.example", "resolves-to", "address", "198.51.100.1") in rows
    assert ("file", SHA, "named", "file-name", "a.exe") in rows
    assert ("file", SHA, "seen-in", "case", "case") in rows


def test_stix_bundle(tmp_path: Path) -> None:
    bundle = {
        "type": "bundle",
        "objects": [
            {"type": "indicator", "id": "indicator--1", "pattern": "[domain-name:value = 'evil.example']"},
            {"type": "malware", "id": "malware--1", "name": "Gharial"},
            {"type": "ipv4-addr", "id": "ipv4-addr--1", "value": "198.51.100.1"},
            {
                "type": "domain-name",
                "id": "domain-name--1",
                "value": "evil.example",
                "resolves_to_refs": ["ipv4-addr--1"],
            },
            {"type": "report", "id": "report--1", "name": "R", "object_refs": ["indicator--1"]},
            {
                "type": "relationship",
                "relationship_type": "indicates",
                "source_ref": "indicator--1",
                "target_ref": "malware--1",
            },
        ],
    }
    rows, _ = read(tmp_path, json.dumps(bundle))
    assert ("domain", "evil.example", "resolves-to", "address", "198.51.100.1") in rows
    assert ("domain", "evil.example", "seen-in", "case", "r") in rows


def test_tables_of_indicators_and_graphs(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, f"SHA-256,Filename,Detection\n{SHA},a.exe,Win/X.A\n", "t.csv")
    assert ("file", SHA, "named", "file-name", "a.exe") in rows
    nodes = {
        "nodes": [{"id": "ip:198.51.100.1"}, {"id": "domain:evil.example"}],
        "edges": [["ip:198.51.100.1", "domain:evil.example"]],
    }
    rows, _ = read(tmp_path, json.dumps(nodes))
    assert rows == {("domain", "evil.example", "resolves-to", "address", "198.51.100.1")}


@pytest.mark.parametrize(
    "text", ["", "{", "[[[[", "[" * 100_000, '{"a": 1}', "\0\0\0", "prose without anything in it"]
)
def test_what_is_no_enrichment_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(TableError):
        enrichment(tmp_path / "x.json")


def test_a_cut_gzip_gives_what_could_be_read(tmp_path: Path) -> None:
    line = json.dumps({"rrname": "evil.example", "rrtype": "A", "rdata": "198.51.100.1"}) + "\n"
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress((line * 5000).encode())[:-9])
    table, skipped = enrichment(tmp_path / "x.jsonl.gz")
    assert table.num_rows > 0
    assert skipped.lines >= 1


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    [
        "rrname",
        "rdata",
        "rrtype",
        "time_first",
        "domain",
        "registrar",
        "created",
        "sha256",
        "c2",
        "contacted",
        "name_value",
        "not_before",
        "fingerprint_sha256",
        "entities",
        "ldhName",
        "events",
        "nodes",
        "edges",
        "Event",
        "Attribute",
        "type",
        "objects",
        "cert_chain_fps",
        "id.resp_h",
        "ip",
        "asn",
        "config",
        "count",
    ]
)


@given(st.lists(st.dictionaries(_KEYS, _JSON, max_size=6), min_size=1, max_size=4))
def test_strange_values_never_break_a_reader(
    tmp_path_factory: pytest.TempPathFactory, items: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "strange.jsonl"
    path.write_text("\n".join(map(json.dumps, items)))
    with contextlib.suppress(TableError):
        enrichment(path)


@pytest.mark.parametrize("make", [name, address, digest, registrant])
def test_values_that_are_none_are_refused(make: Any) -> None:
    with pytest.raises(Refused):
        make("")
