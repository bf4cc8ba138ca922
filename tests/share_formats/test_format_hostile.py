"""Documents of any shape, through every format and every policy: an object, or a refusal that says why."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from typing import Any

import pytest
import stix2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from told_records import DOCUMENTS

from andon.share.formats.export import FORMATS, LINES, Told
from andon.share.policy import RED, Gate, Ground, Policy, Withheld

NAMES = sorted(
    {name for document in DOCUMENTS for name in document} | {"type", "value", "addresses", "port", "check"}
)
WORDS = (
    "203.0.113.9", "10.0.0.1", "8.8.8.8", "(masked)", "ipv4-addr", "url", "http://[", "domain-name", "user-account",
    "host", "T1595.001", "fingerprint", "2026-13-99T99:99:99Z", "andon.case/1", "andon.intent/1", "high", "closed",
    "known-tool", "infected-terminal", "own-host-alert",
)  # fmt: skip
ODD = st.sampled_from([*WORDS, "", "\x00", "\u202e", "\ud800", "a\nb", "x" * 3000, "tcp.seq == ip.dst"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | ODD | st.text(max_size=8)
KEYS = st.sampled_from(NAMES) | ODD
TREE = st.recursive(
    LEAF, lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=4), max_leaves=12
)
GATES = [
    Gate(Policy("x"), Ground()),
    Gate(Policy("x", RED, "hide", "pseudonym"), Ground((IPv4Network("203.0.112.0/22"),), (), bytes(64))),
]


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(DOCUMENTS), st.dictionaries(st.sampled_from(NAMES), TREE, max_size=6), st.integers(0, 1)
)
def test_a_document_of_any_shape_does_no_harm(
    format: str, whole: dict[str, Any], odd: dict[str, Any], gate: int
) -> None:
    told = Told(format, GATES[gate])
    made = told.all([{**whole, **odd}])
    text = made.text + "".join(made.files.values())
    text.encode("utf-8", "replace")
    if format in LINES and made.text:
        assert made.text.count("\n") == 1 and "\x00" not in made.text
    if gate:
        assert "203.0.113.9" not in text


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(DOCUMENTS), st.dictionaries(st.sampled_from(NAMES), TREE, max_size=6))
def test_stix_of_it_is_stix_all_the_same(whole: dict[str, Any], odd: dict[str, Any]) -> None:
    try:
        text = Told("stix", GATES[1]).one({**whole, **odd})
    except (Withheld, ValueError):
        return
    if json.loads(text)["objects"]:
        stix2.parse(text.encode("utf-8", "replace").decode(), allow_custom=False)
