"""Reports: the schema and the reader agree, and what is not in it does not get in."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.records.finding import Finding
from andon.share.hub import protocol as p
from andon.share.hub.members import Register, member
from andon.share.hub.store import rounded, rules_from

NOW = 1_767_268_800_000_000_000  # 2026-01-01 12:00 UTC
SCHEMA = json.loads((files("andon.share.hub") / "report.schema.json").read_text())
GOOD = {"source": "198.51.100.7", "kind": "scan", "hour": "2026-01-01T11:00:00Z", "packets": 3}


def body(**changes: Any) -> dict[str, Any]:
    return {"schema": p.REPORT, "id": "0" * 32, "sightings": [{**GOOD, **changes}]}


def valid(document: Any) -> bool:
    checker = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    return bool(checker.is_valid(document))


_PORT = st.tuples(st.sampled_from(["tcp", "udp", "icmp"]), st.integers(0, 65535), st.integers(1, 10**9))
_SIGHTING = st.builds(
    p.Sighting,
    st.sampled_from(["198.51.100.7", "2001:db8::7", "8.8.8.8"]),
    st.sampled_from(p.KINDS),
    st.integers(0, 160).map(lambda hours: NOW - hours * p.HOUR),
    st.integers(1, 10**12),
    st.lists(_PORT, max_size=20).map(tuple),
    st.sampled_from(["", "mirai", "ZMap 2.1"]),
)


@given(st.lists(_SIGHTING, min_size=1, max_size=5))
def test_a_report_is_read_as_it_was_written_and_fits_the_schema(sightings: list[p.Sighting]) -> None:
    report = p.report_of(sightings)
    document = json.loads(report.to_json())
    assert valid(document)
    assert p.read_report(document, NOW) == report


@pytest.mark.parametrize(
    "changes",
    [
        {"destination": "203.0.113.200"}, {"darknet": {"addresses": 5}}, {"source": "198.51.100.0/24"}, {"source": 5},
        {"source": "fe80::1%eth0"}, {"source": "\u0661.2.3.4"}, {"kind": "attack"}, {"hour": "2026-01-01T11:30:00Z"},
        {"hour": 5}, {"packets": 0}, {"packets": 1.5}, {"packets": True}, {"packets": 1 << 60},
        {"ports": [["tcp", 70000, 1]]}, {"ports": [["tcp", 1]]}, {"ports": [["sctp", 1, 1]]}, {"ports": "tcp"},
        {"ports": [["tcp", 1, 1]] * 21}, {"tool": "x" * 65}, {"tool": "<script>"}, {"tool": 5},
        {"ports": [["tcp", True, 1]]},
    ],
)  # fmt: skip
def test_what_the_schema_does_not_know_is_refused(changes: dict[str, Any]) -> None:
    document = body(**changes)
    with pytest.raises(p.BadReport):
        p.read_report(document, NOW)
    if changes not in ({"packets": 1.0},):
        assert not valid(document)


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "10.0.0.1"}, {"source": "127.0.0.1"}, {"source": "224.0.0.1"}, {"source": "::1"},
        {"hour": "2025-12-20T00:00:00Z"}, {"hour": "2026-01-01T13:00:00Z"}, {"hour": "0000-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_addresses_of_no_internet_and_hours_long_gone_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(p.BadReport):
        p.read_report(body(**changes), NOW)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from([*GOOD, "id", "x"]), inner, max_size=4)
        ),
        max_leaves=8,
    )
)
def test_nothing_but_bad_report_comes_of_what_is_no_report(document: Any) -> None:
    for tried in (document, {**body(), "sightings": document}, {**body(), "sightings": [document]}):
        try:
            p.read_report(tried, NOW)
        except p.BadReport:
            continue
        raise AssertionError(tried)


def test_the_most_specific_prefix_wins_and_none_is_registered_twice() -> None:
    provider = member("provider", ["198.51.0.0/16", "2001:db8::/32"])
    city = member("city", ["198.51.100.0/24", "2001:db8:5::/48"])
    register = Register([provider, city])
    owners = [
        register.owner(a) for a in ("198.51.100.1", "198.51.101.1", "8.8.8.8", "2001:db8:5::1", "2001:db8::1")
    ]
    assert owners == ["city", "provider", "", "city", "provider"]
    with pytest.raises(ValueError, match="registered already") as caught:
        Register([provider, member("thief", ["198.51.0.0/16"])])
    assert "provider" not in str(caught.value)


@pytest.mark.parametrize(
    "prefix", ["0.0.0.0/0", "198.51.100.1/24", "10.0.0.0/7", "::/0", "2001:db8::/65", "x", ""]
)
def test_prefixes_that_cannot_be_are_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        member("city", [prefix])


@given(st.integers(1, 1 << 60))
def test_rounding_keeps_two_digits(count: int) -> None:
    made = rounded(count)
    assert (abs(made - count) <= count * 0.05 and len(str(made).rstrip("0")) <= 2) or made == count < 100


def test_alerts_and_findings_become_sightings() -> None:
    finding = Finding(
        "darknet.backscatter", 1, "backscatter-victim", "t", "s", 0.9, "c", (NOW, NOW + 1),
        ("ipv4-addr", "198.51.100.9"), NOW, NOW + 5 * 10**9, 77,
        attributes={"dst_ports": [["tcp", 80, 70], ["tcp", "x", 1]]},
    )  # fmt: skip
    made = p.sighting_of(finding.to_dict())
    assert made == p.Sighting("198.51.100.9", "backscatter", NOW // p.HOUR * p.HOUR, 77, (("tcp", 80, 70),))
    assert p.read_report(json.loads(p.report_of([made]).to_json()), NOW).sightings == (made,)
    others: list[dict[str, Any]] = [{}, {"subject": "x"}, {"subject": {"type": "identity", "value": "x"}}]
    for other in [*others, {**finding.to_dict(), "kind": "census"}]:
        assert p.sighting_of(other) is None


@pytest.mark.parametrize(
    "given", [{"reports": 0}, {"reports": True}, {"colour": 5}, {"cover_v4": 24}, {"keep_days": "x"}]
)
def test_a_mistake_in_the_rules_is_named(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(given))):
        rules_from(given)
