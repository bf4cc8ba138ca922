"""Alerts: stored once however they come, found under any filter as a plain search finds them, gone when old."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from triage_samples import SECOND, alert_row, alerts, case, episode_row, episodes, some_alerts

from andon.records.alert import ALERT
from andon.records.columns import plain_rows
from andon.store.casebook import AlertFilter, Casebook, CaseFilter, EpisodeFilter, alert_pages

COUNT = 600


@pytest.fixture
def full(book: Casebook) -> Casebook:
    assert book.alerts.add(some_alerts(COUNT)) == COUNT
    return book


def wanted_rows(wanted: AlertFilter, stored: Mapping[int, dict[str, Any]]) -> list[int]:
    """Ids of the alerts of a filter, newest first, by looking at every one."""

    def fits(row: dict[str, Any]) -> bool:
        named = {
            "host": wanted.host,
            "address": wanted.address,
            "product": wanted.product,
            "rule": wanted.rule,
            "src": wanted.source,
            "dst": wanted.destination,
            "user": wanted.user,
        }
        who = (row["host"], row["address"], row["src"], row["dst"], row["user"])
        return (
            all(not value or row[name] == value for name, value in named.items())
            and (wanted.site is None or row["site"] == wanted.site)
            and row["severity"] >= wanted.severity
            and (not wanted.entity or wanted.entity in who)
            and (wanted.since is None or row["ts"] >= wanted.since)
            and (wanted.until is None or row["ts"] < wanted.until)
        )

    hits = [id for id, row in stored.items() if fits(row)]
    return sorted(hits, key=lambda id: (stored[id]["ts"], id), reverse=True)


def paged(book: Casebook, wanted: AlertFilter, size: int) -> list[int]:
    found: list[int] = []
    before = None
    while (page := book.alerts.page(wanted, size, before)).num_rows:
        rows = plain_rows(page)
        found += [row["id"] for row in rows]
        before = (rows[-1]["ts"], rows[-1]["id"])
        assert len(found) <= 10_000
    return found


def test_an_alert_comes_back_column_by_column(book: Casebook) -> None:
    rows = [
        alert_row(
            1,
            name="http://x.example/\x00",
            path="C:\\防",
            command="sh -c 'id'",
            cve="CVE-2021-44228",
            uid="u1",
        ),
        alert_row(
            2, src="", dst="", user="", src_port=-1, dst_port=-1, severity=0, raw="", count=7, disposition=2
        ),
        alert_row(3, title="another title of the same rule", category="", source="cef", digest="ab" * 32),
        alert_row(3, title="once more", ts=9 * 10**18),
    ]
    assert book.alerts.add(alerts(rows)) == 4
    back = plain_rows(book.alerts.page(limit=10))
    assert book.alerts.page().schema.names == [*ALERT.names, "id"]
    rows[0]["name"] = "http://x.example/�"
    expected = sorted(rows, key=lambda row: row["ts"], reverse=True)
    assert [{name: row[name] for name in ALERT.names} for row in back] == expected


def test_what_is_delivered_again_is_not_stored_again(full: Casebook) -> None:
    assert full.alerts.add(some_alerts(COUNT)) == 0
    assert full.alerts.add(some_alerts(COUNT + 10, first=5)) == 15
    assert full.alerts.count() == COUNT + 15
    again = [alert_row(1, uid="5"), alert_row(1, uid="5", raw="otherwise written"), alert_row(1, uid="6")]
    assert full.alerts.add(alerts(again)) == 2
    twice = [alert_row(2, position=number) for number in (2, 7, 7, 8)]
    assert full.alerts.add(alerts(twice)) == 2  # one is there already, one is in the batch twice
    assert full.alerts.count() == COUNT + 19 == len(paged(full, AlertFilter(), 100))


def test_what_are_no_alerts_is_refused(book: Casebook) -> None:
    batch = some_alerts(3)
    with pytest.raises(ValueError, match="no column rule"):
        book.alerts.add(batch.drop_columns(["rule"]))
    empty = batch.set_column(batch.schema.get_field_index("raw"), "raw", pa.array(["a", None, "b"]))
    with pytest.raises(ValueError, match="empty raw"):
        book.alerts.add(empty)
    assert book.alerts.count() == 0
    assert book.alerts.add(batch.slice(0, 0)) == 0


FILTERS = (
    AlertFilter(),
    AlertFilter(host="host1"),
    AlertFilter(host="host1", rule="2013028"),
    AlertFilter(host="host1", rule="2013028", product="nobody's"),
    AlertFilter(product="wazuh", severity=3),
    AlertFilter(severity=4, since=100 * SECOND, until=300 * SECOND),
    AlertFilter(severity=6),
    AlertFilter(source="198.51.100.3"),
    AlertFilter(source="198.51.100.3", host="host2", severity=2),
    AlertFilter(source="198.51.100.3", destination="10.0.0.4"),
    AlertFilter(user="user1", until=400 * SECOND),
    AlertFilter(destination="10.0.0.2", user="user0", source="198.51.100.1"),
    AlertFilter(entity="10.0.0.3"),
    AlertFilter(entity="198.51.100.5", product="suricata"),
    AlertFilter(entity="user2"),
    AlertFilter(site="", address="10.0.0.5"),
    AlertFilter(site="north"),
    AlertFilter(since=250 * SECOND, until=251 * SECOND),
)


@pytest.mark.parametrize("many", [alert_pages.MANY, 0])
def test_each_filter_finds_what_a_plain_search_finds(
    full: Casebook, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        alert_pages, "MANY", many
    )  # 0: every filter counts as broad, and the newest are looked at
    if not many:
        monkeypatch.setattr(alert_pages, "_LOOKS", (20, 90))
        monkeypatch.setattr(alert_pages, "_FEW", 0)
    # Ties in time, across series, wider than a page.
    full.alerts.add(alerts([alert_row(number, ts=200 * SECOND) for number in range(700, 760)]))
    stored = {row["id"]: row for row in plain_rows(full.alerts.since(0)[0])}
    assert len(stored) == COUNT + 60
    for wanted in FILTERS:
        expected = wanted_rows(wanted, stored)
        assert paged(full, wanted, 37) == expected, wanted
        assert full.alerts.count(wanted) == len(expected), wanted
    assert sum(bool(wanted_rows(wanted, stored)) for wanted in FILTERS) >= 14


_ENTITY = st.sampled_from(["10.0.0.1", "host3", "user1", "198.51.100.2", "1.1.1.1"])
_TIME = st.one_of(st.none(), st.integers(0, 700 * SECOND))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    wanted=st.builds(
        AlertFilter,
        host=st.sampled_from(["", "", "host0", "host4"]),
        product=st.sampled_from(["", "", "suricata"]),
        rule=st.sampled_from(["", "", "2100498"]),
        severity=st.integers(0, 4),
        source=st.sampled_from(["", "", "198.51.100.2"]),
        user=st.sampled_from(["", "", "user1"]),
        entity=st.one_of(st.just(""), _ENTITY),
        since=_TIME,
        until=_TIME,
    ),
    size=st.integers(1, 60),
    many=st.sampled_from([0, 5, 300]),
)
def test_any_filter_and_page_size_agree_with_a_plain_search(
    full: Casebook, wanted: AlertFilter, size: int, many: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alert_pages, "MANY", many)
        patch.setattr(alert_pages, "_LOOKS", (20, 90))
        stored = {row["id"]: row for row in plain_rows(full.alerts.since(0)[0])}
        expected = wanted_rows(wanted, stored)
        page = plain_rows(full.alerts.page(wanted, size))
        assert [row["id"] for row in page] == expected[:size]
        if page:
            last = (page[-1]["ts"], page[-1]["id"])
            rest = [row["id"] for row in plain_rows(full.alerts.page(wanted, size, last))]
            assert rest == expected[size : 2 * size]
        assert full.alerts.count(wanted) == len(expected)


def test_the_alerts_of_an_episode_are_those_of_its_signature_between_its_times(book: Casebook) -> None:
    rows = [
        alert_row(number, host="web1", product="suricata", rule="1", severity=number % 3)
        for number in range(20)
    ]
    rows += [alert_row(number, host="web1", product="suricata", rule="2") for number in range(20)]
    book.alerts.add(alerts(rows))
    mine = episode_row(host="web1", product="suricata", rule="1", first=5 * SECOND, last=9 * SECOND, alerts=5)
    book.episodes.put(episodes(mine))
    found = plain_rows(book.alerts.of_episode(mine["id"]))
    assert [row["ts"] // SECOND for row in found] == [9, 8, 7, 6, 5]
    assert {row["rule"] for row in found} == {"1"}
    assert book.alerts.count(AlertFilter(episode=mine["id"], until=8 * SECOND)) == 3
    assert book.alerts.of_episode("0" * 24).num_rows == 0
    assert book.alerts.page(AlertFilter(episode=mine["id"], host="web2")).num_rows == 0


def test_a_follower_of_alerts_misses_none(full: Casebook) -> None:
    seen: list[int] = []
    at = 0
    while True:
        found, at = full.alerts.since(at, 250)
        if not found.num_rows:
            break
        seen += found["id"].to_pylist()
    assert len(seen) == COUNT and seen == sorted(set(seen))
    full.alerts.add(some_alerts(3, first=10_000))
    assert full.alerts.since(at)[0].num_rows == 3


def test_old_alerts_go_in_batches_and_what_is_held_stays(
    full: Casebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    from andon.store.casebook import retention

    monkeypatch.setattr(retention, "BATCH", 50)
    first = full.expire(alerts_before=400 * SECOND, batches=3)
    assert (first.alerts, first.whole) == (150, False)
    rest = full.expire(alerts_before=400 * SECOND)
    assert (rest.alerts, rest.whole) == (250, True)
    left = [row["ts"] for row in plain_rows(full.alerts.page(limit=1000))]
    assert min(left) == 400 * SECOND and len(left) == COUNT - 400 == full.alerts.count()
    assert full.alerts.count(AlertFilter(host="host1")) == len(paged(full, AlertFilter(host="host1"), 50))
    assert full.expire(alerts_before=10**9 * SECOND).alerts == COUNT - 400
    assert full.alerts.count() == 0 and full.alerts.page(AlertFilter(rule="2013028")).num_rows == 0
    assert [entry.action for entry in full.audit_log(1)] == ["forget-alerts"]
    assert full.alerts.add(some_alerts(5)) == 5


def test_old_cases_go_with_what_was_merged_into_them_and_free_their_episodes(book: Casebook) -> None:
    rows = [episode_row(number) for number in range(4)]
    book.episodes.put(episodes(*rows))
    with book.work("casework", 1) as work:
        for number in range(4):
            work.cases.create(case(number, items=(("episode", rows[number]["id"]),)))
        work.cases.merge(["case0000"], "case0001")
        work.cases.merge(["case0001"], "case0002")
        work.cases.close("case0002", "done")
    assert book.expire(episodes_before=10**6 * SECOND).episodes == 0  # all are in cases
    assert book.expire(cases_before=60 * SECOND).cases == 0
    gone = book.expire(cases_before=10**6 * SECOND, episodes_before=10**6 * SECOND)
    assert (gone.cases, gone.episodes) == (1, 3)
    assert [one.id for one in book.cases.page(CaseFilter(state=""))] == ["case0003"]
    assert book.episodes.count(EpisodeFilter()) == 1
