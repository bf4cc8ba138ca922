"""Past cases that are alike: the rare things count, and the answer does not depend on order."""

from __future__ import annotations

import random

from andon.records.case import Observation
from andon.triage.similar import Past, PastCase, similar, tokens_of

PAST = [
    PastCase(
        f"c{at}",
        frozenset({"rule suricata 1", f"host h{at % 7}", f"technique T1{at:03d}"}),
        "false-positive",
        at,
    )
    for at in range(100)
]


def test_rare_tokens_join_cases_and_daily_ones_do_not() -> None:
    found = similar({"rule suricata 1", "technique T1042"}, PAST)
    assert found[0].id == "c42" and found[0].likeness > 0.5 and "T1042" in found[0].why
    assert similar({"rule suricata 1"}, PAST) == ()
    assert similar({"something else"}, PAST) == () and similar((), PAST) == () and similar({"x"}, []) == ()


def test_equal_ones_come_newest_first_in_any_order() -> None:
    first = similar({"host h3"}, PAST)
    assert [case.id for case in first] == ["c94", "c87", "c80", "c73", "c66"]
    mixed = list(PAST)
    random.Random(1).shuffle(mixed)
    assert similar({"host h3"}, mixed) == first == Past(mixed).nearest({"host h3"})


def test_the_same_case_is_fully_alike() -> None:
    assert abs(similar(PAST[5].tokens, PAST)[0].likeness - 1.0) < 1e-9


def test_verdicts_come_along() -> None:
    assert {case.label for case in similar({"host h1"}, PAST)} == {"false-positive"}


def test_tokens_are_of_techniques_rules_hosts_and_artefacts() -> None:
    episode = {
        "product": "wazuh",
        "rule": "5710",
        "host": "web1",
        "sources": ["192.0.2.9"],
        "targets": [],
        "users": ["root"],
        "cves": None,
    }
    seen = [
        Observation("technique", "T1110"),
        Observation("command", "WHOAMI"),
        Observation("software", "Cobalt Strike"),
    ]
    found = tokens_of(
        seen, [episode], [{"kind": "beacon", "entities": [{"type": "domain-name", "value": "x.example"}]}]
    )
    assert {
        "technique T1110",
        "technique T1033",
        "rule wazuh 5710",
        "host web1",
        "source 192.0.2.9",
        "user root",
        "command whoami",
        "software cobaltstrike",
        "finding beacon",
        "domain-name x.example",
    } <= found
    many = [Observation("command", f"c{at}") for at in range(5000)]
    crowded = tokens_of([*many, Observation("technique", "T1110")], [])
    assert len(crowded) == 500 and "technique T1110" in crowded
