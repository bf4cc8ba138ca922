"""Which items become one case."""

from __future__ import annotations

import random
from typing import Any

from andon.records.case import CASE_GAP, LONGEST_CASE
from andon.triage.cases import Grouping, HostNames, Item, OpenCase, item_of_episode, item_of_finding

MINUTE = 60 * 10**9
HOUR = 60 * MINUTE
T = 1_767_225_600 * 10**9


def episode(
    number: int, minutes: float, host: str = "web1", length: float = 1, tier: str = "inspect"
) -> Item:
    first = T + int(minutes * MINUTE)
    return Item(
        "episode", f"e{number:03}", ("device", host), HostNames().of(host), first, first + int(length * MINUTE),
        opens=tier != "screened", tier=tier,
    )  # fmt: skip


def members(grouping: Grouping) -> list[list[str]]:
    return sorted(sorted(name for _, name in case.items) for case in grouping.cases.values())


def test_a_pause_of_more_than_thirty_minutes_ends_a_case() -> None:
    grouping = Grouping()
    grouping.put([episode(1, 0), episode(2, 30), episode(3, 62), episode(4, 62, host="web2")])
    assert members(grouping) == [["e001", "e002"], ["e003"], ["e004"]]


def test_a_chatty_host_has_no_case_longer_than_four_hours() -> None:
    grouping = Grouping()
    grouping.put([episode(n, 10 * n) for n in range(144)])  # a day, without a pause
    for case in grouping.cases.values():
        assert case.alerts is not None
        begin, newest, _ = case.alerts
        assert newest - begin <= LONGEST_CASE
    assert len(grouping.cases) == 6


def test_cases_do_not_depend_on_how_items_come() -> None:
    items = [episode(n, 7 * n, host=f"h{n % 3}") for n in range(60)]
    whole = Grouping()
    whole.put(items)
    shuffled = items[:]
    random.Random(1).shuffle(shuffled)
    again = Grouping()
    again.put(shuffled)
    pieces = Grouping()
    for n in range(0, 60, 7):
        pieces.put(items[n : n + 7])
        pieces = Grouping(list(pieces.cases.values()))  # as after a restart
    assert members(whole) == members(again) == members(pieces)
    assert set(whole.cases) == set(pieces.cases)


def test_what_was_screened_out_joins_and_opens_nothing() -> None:
    grouping = Grouping()
    touched = grouping.put([episode(1, 0, tier="screened"), episode(2, 5), episode(3, 90, tier="screened")])
    assert members(grouping) == [["e001", "e002"]]
    assert [len(items) for items in touched.values()] == [2]


def test_an_episode_that_grew_stays_in_its_case() -> None:
    grouping = Grouping()
    grouping.put([episode(1, 0)])
    grouping.put([episode(1, 0, length=200)])
    assert members(grouping) == [["e001"]]


def test_sites_are_apart() -> None:
    grouping = Grouping()
    one, two = (
        Item("episode", name, ("device", "web1"), frozenset({"web1"}), T, T, site=name) for name in ("a", "b")
    )
    grouping.put([one, two])
    assert members(grouping) == [["a"], ["b"]]


def finding(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "f1", "series": "s1", "kind": kind, "severity": "high", "confidence": 0.9, "title": kind,
        "first_seen": "2026-01-01T00:00:00Z", "last_seen": "2026-01-01T23:59:59.5Z",
        "subject": {"type": "ipv4-addr", "value": "10.0.0.5"}, "entities": [], "attributes": {},
    } | more  # fmt: skip


def test_darknet_proxy_and_alert_evidence_of_one_host_is_one_case() -> None:
    names = HostNames()
    row = {
        "id": "e1", "host": "web1.corp.example", "address": "10.0.0.5", "first": T + 8 * HOUR,
        "last": T + 8 * HOUR + MINUTE,
        "site": "", "tier": "inspect", "probability": float("nan"), "severity": 3, "title": "scan",
    }  # fmt: skip
    documents = [
        finding("own-host-alert", id="f1", series="s1"),
        finding("infected-terminal", id="f2", series="s2"),
        finding(
            "beacon", id="f3", series="s3", severity="low", subject={"type": "domain-name", "value": "c2.example"},
            entities=[{"type": "domain-name", "value": "c2.example"}, {"type": "ipv4-addr", "value": "10.0.0.5"}],
            attributes={"terminals": ["10.0.0.5"]},
        ),
    ]  # fmt: skip
    items = [item_of_episode(row, names), *(item for d in documents for item in item_of_finding(d, names))]
    grouping = Grouping()
    grouping.put(items)
    assert members(grouping) == [["e1", "f1", "f2", "f3"]]
    (case,) = grouping.cases.values()
    assert {"10.0.0.5", "web1", "web1.corp.example"} <= case.names
    assert case.alerts == (T + 8 * HOUR, T + 8 * HOUR, T + 8 * HOUR + MINUTE)


def test_the_same_series_goes_on_in_its_case_and_a_low_one_opens_none() -> None:
    names = HostNames()
    grouping = Grouping()
    grouping.put(item_of_finding(finding("infected-terminal"), names))
    later = finding(
        "infected-terminal", id="f2", first_seen="2026-01-09T00:00:00Z", last_seen="2026-01-09T01:00:00Z"
    )
    grouping.put(item_of_finding(later, names))
    assert members(grouping) == [["f1", "f2"]]
    other = Grouping()
    other.put(item_of_finding(finding("user-at-risk", severity="low"), names))
    assert not other.cases


def test_findings_about_no_host_of_ours_are_no_items() -> None:
    for kind in ("census", "scanner-fingerprint", "suspected-destination", "port-set"):
        assert item_of_finding(finding(kind), HostNames()) == []
    assert (
        item_of_finding(finding("flow-anomaly", subject={"type": "peers", "value": "all"}), HostNames()) == []
    )


def test_an_open_case_takes_what_is_near() -> None:
    case = OpenCase("c", "", ("device", "web1"), frozenset({"web1"}), T, T + HOUR)
    assert case.fits(episode(1, 60 + CASE_GAP / MINUTE))
    assert not case.fits(episode(1, 61 + CASE_GAP / MINUTE))
