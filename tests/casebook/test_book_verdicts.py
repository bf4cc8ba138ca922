"""Verdicts are only added, suppressions end and are counted, a model is promoted and rolled back on somebody's word."""

from __future__ import annotations

from dataclasses import replace

import pytest
from casebook_samples import finding
from sqlalchemy import text
from triage_samples import DAY, SECOND, case, episode_row, episodes

from andon.records.case import BENIGN, FALSE, TRUE, UNSURE, Suppression, Verdict
from andon.store.casebook import Casebook, CasebookError, Missing, NotAllowed
from andon.store.casebook.connect import locate, open_engine, transaction

NOW = 1000 * DAY


def test_a_verdict_is_stored_told_and_found(book: Casebook) -> None:
    book.cases.create(case(1), actor="casework")
    book.record((finding(1),))
    book.episodes.put(episodes(episode_row(1)))
    kept = book.verdicts.add(
        Verdict(("case", "case0001"), TRUE, "mori", "real", "top", "seen", model="m"), now=7
    )
    assert (kept.id, kept.time) == (1, 7)
    rows = [
        Verdict(("finding", finding(1).id), FALSE, "sato"),
        Verdict(("episode", episode_row(1)["id"]), BENIGN, "sato"),
    ]
    assert [one.id for one in book.verdicts.add_all(rows, now=8)] == [2, 3]
    assert book.verdicts.of(("case", "case0001")) == [kept]
    assert [one.id for one in book.verdicts.since(1)] == [2, 3]
    assert [one.label for one in book.verdicts.all(page=1)] == [TRUE, FALSE, BENIGN]
    event = book.cases.timeline("case0001")[-1]
    assert (event.action, event.actor, event.detail["label"], event.version) == ("verdict", "mori", TRUE, 2)
    assert [entry.action for entry in book.audit_log(2)] == ["verdict", "verdict"]


def test_a_verdict_on_nothing_stores_nothing_of_the_whole_lot(book: Casebook) -> None:
    book.cases.create(case(1), actor="casework")
    lot = [Verdict(("case", "case0001"), TRUE, "mori"), Verdict(("episode", "none"), TRUE, "mori")]
    with pytest.raises(Missing, match="no episode 'none'"):
        book.verdicts.add_all(lot)
    with pytest.raises(ValueError, match="actor"):
        book.verdicts.add(replace(lot[0], analyst=""))
    with pytest.raises(ValueError, match="not on 'host'"):
        book.verdicts.add(replace(lot[0], subject=("host", "web1")))
    assert book.verdicts.count() == 0 and len(book.cases.timeline("case0001")) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE verdicts SET label = 'false-positive'",
        "DELETE FROM verdicts",
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "UPDATE case_events SET actor = 'nobody'",
        "DELETE FROM model_events",
    ],
)
def test_the_database_itself_keeps_what_is_only_added_to(book: Casebook, place: str, statement: str) -> None:
    book.cases.create(case(1), actor="casework")
    book.verdicts.add(Verdict(("case", "case0001"), TRUE, "mori"))
    book.models.add("screening", "d", {}, actor="learn")
    engine = open_engine(locate(place))
    with (
        pytest.raises(CasebookError, match="only added to"),
        transaction(engine, "it", write=True) as connection,
    ):
        connection.execute(text(statement))
    engine.dispose()


def test_conflicts_are_the_newest_words_of_analysts_who_differ(book: Casebook) -> None:
    with book.work("casework") as work:
        for number in range(4):
            work.cases.create(case(number))

    def say(number: int, analyst: str, label: str) -> None:
        book.verdicts.add(Verdict(("case", f"case{number:04d}"), label, analyst))

    say(0, "mori", TRUE)
    say(0, "sato", FALSE)
    say(1, "mori", TRUE)
    say(1, "sato", FALSE)
    say(1, "sato", TRUE)  # changed her mind
    say(2, "mori", TRUE)
    say(2, "sato", UNSURE)
    say(3, "mori", FALSE)
    say(3, "sato", BENIGN)
    found = book.verdicts.conflicts()
    assert [[(one.analyst, one.label) for one in said] for said in found] == [
        [("mori", FALSE), ("sato", BENIGN)],
        [("mori", TRUE), ("sato", FALSE)],
    ]
    assert len(book.verdicts.of(("case", "case0001"))) == 3
    assert list(book.verdicts.of_many("case", ["case0001", "none"])) == ["case0001"]


def test_a_suppression_has_a_scope_a_reason_an_owner_and_an_end(book: Casebook) -> None:
    fine = Suppression("mori", "the scanner of the audit", NOW + 90 * DAY, source="192.0.2.7/24")
    for wrong, words in (
        ({"owner": " "}, "owner"),
        ({"reason": ""}, "reason"),
        ({"source": ""}, "at least one"),
        ({"source": "the scanner"}, "neither an address"),
        ({"expires": NOW}, "future"),
        ({"expires": NOW + 366 * DAY}, "365"),
    ):
        with pytest.raises(ValueError, match=words):
            book.suppressions.add(replace(fine, **wrong), now=NOW)
    kept = book.suppressions.add(fine, now=NOW)
    assert (kept.id, kept.source, kept.created) == (1, "192.0.2.0/24", NOW)
    assert book.suppressions.active(NOW) == [kept]
    assert book.suppressions.active(NOW + 90 * DAY) == [] == book.suppressions.active(NOW - 1)
    assert book.suppressions.revoke(1, "sato", "over", now=NOW + DAY).revoked == NOW + DAY
    assert book.suppressions.active(NOW + DAY) == [] and len(book.suppressions.active(NOW)) == 1
    with pytest.raises(NotAllowed, match="over already"):
        book.suppressions.revoke(1, "sato", now=NOW + 2 * DAY)
    with pytest.raises(Missing):
        book.suppressions.revoke(9, "sato")
    assert [entry.action for entry in book.audit_log()] == ["unsuppress", "suppress"]


def test_only_what_is_wholly_meant_is_hidden(book: Casebook) -> None:
    rows = [
        episode_row(0, sources=["192.0.2.1"]),
        episode_row(1, sources=["192.0.2.1", "192.0.2.9"]),
        episode_row(2, sources=["192.0.2.1", "203.0.113.5"]),  # somebody else too
        episode_row(3, sources=[]),
        episode_row(
            4, sources=[f"192.0.2.{number}" for number in range(16)]
        ),  # there may be more than are listed
        episode_row(5, sources=["not an address"]),
        episode_row(6, sources=["192.0.2.1"], rule="other"),
    ]
    table = episodes(*rows)
    book.suppressions.add(
        Suppression("mori", "scanner", NOW + DAY, product="suricata", source="192.0.2.0/24", site=""), now=NOW
    )
    book.suppressions.add(Suppression("mori", "noise", NOW + DAY, rule="other"), now=NOW)
    assert book.suppressions.match(table, NOW) == [1, 1, 0, 0, 0, 0, 1]
    assert book.suppressions.match(table, NOW + DAY) == [0] * 7
    assert book.suppressions.match(table.slice(0, 0), NOW) == []


def test_hits_count_an_episode_once_and_the_mark_stays(book: Casebook) -> None:
    one = book.suppressions.add(Suppression("mori", "noise", NOW + DAY, host="host1"), now=NOW)
    rows = [episode_row(1), episode_row(2)]
    for alerts in (4, 6, 8):
        table = episodes(*({**row, "alerts": alerts} for row in rows))
        book.episodes.put(table, suppressed=book.suppressions.match(table, NOW))
    assert book.suppressions.get(one.id).hits == 1
    assert book.episodes.get([rows[0]["id"]])["suppressed"].to_pylist() == [one.id]
    book.episodes.put(episodes({**rows[0], "alerts": 9}))
    assert book.episodes.get([rows[0]["id"]])["suppressed"].to_pylist() == [one.id]
    from andon.store.casebook import EpisodeFilter

    assert book.episodes.page(EpisodeFilter(suppressed=True))["host"].to_pylist() == ["host1"]
    assert book.episodes.count(EpisodeFilter(suppressed=False)) == 1


def test_a_preview_says_what_would_have_been_hidden_and_what_of_it_mattered(book: Casebook) -> None:
    rows = [episode_row(number, alerts=10) for number in range(20)]
    book.episodes.put(episodes(*rows))
    items = (("episode", rows[1]["id"]), ("episode", rows[5]["id"]), ("episode", rows[2]["id"]))
    book.cases.create(case(1, items=items), actor="casework")
    book.verdicts.add(Verdict(("episode", rows[5]["id"]), TRUE, "mori"))
    book.verdicts.add(Verdict(("case", "case0001"), BENIGN, "mori"))
    shown = book.suppressions.preview(Suppression("", "", 0, host="host1"))
    assert (shown.episodes, shown.alerts, shown.inspected, dict(shown.verdicts)) == (
        5,
        50,
        2,
        {TRUE: 1, BENIGN: 1},
    )
    assert (shown.first, shown.last) == (60 * SECOND, (17 * 60 + 30) * SECOND)
    part = book.suppressions.preview(Suppression("", "", 0, host="host1"), since=600 * SECOND)
    assert part.episodes == 2
    none = book.suppressions.preview(Suppression("", "", 0, source="203.0.113.0/24"))
    assert (none.episodes, none.first) == (0, None)
    assert book.suppressions.all() == []


def test_one_model_of_a_kind_is_in_use_and_there_is_a_way_back(book: Casebook) -> None:
    models = book.models
    for digest in ("a", "b", "c"):
        models.add("screening", digest, {"version": digest}, actor="learn", now=1)
    models.add("screening", "a", {"version": "changed"}, actor="learn", now=2)
    assert models.get("screening", "a").card == {"version": "a"}
    assert models.promoted("screening") is None
    with pytest.raises(NotAllowed, match="nothing to roll back"):
        models.roll_back("screening", "why", actor="mori")
    models.promote("screening", "a", actor="mori", comparison={"ap": 0.9}, now=3)
    models.promote("screening", "b", actor="sato", now=4)
    models.refuse("screening", "c", "worse", actor="mori", comparison={"ap": 0.1}, now=5)
    assert {row.digest: row.state for row in models.rows("screening")} == {
        "a": "retired", "b": "promoted", "c": "refused"
    }  # fmt: skip
    with pytest.raises(NotAllowed, match="in use"):
        models.refuse("screening", "b", "no", actor="mori")
    with pytest.raises(NotAllowed, match="was refused"):
        models.promote("screening", "c", actor="mori")
    back = models.roll_back("screening", "misses", actor="mori", now=6)
    assert back is not None and (back.digest, back.promoted_at, back.comparison) == ("a", 3, {"ap": 0.9})
    assert models.get("screening", "b").state == "refused"
    assert models.roll_back("screening", "still", actor="mori", now=7) is None
    assert models.promoted("screening") is None
    told = [(event.action, event.digest) for event in reversed(models.history("screening"))]
    assert told[3:] == [
        ("promote", "a"), ("retire", "a"), ("promote", "b"), ("refuse", "c"),
        ("roll-back", "b"), ("promote", "a"), ("roll-back", "a"),
    ]  # fmt: skip
    with pytest.raises(Missing):
        models.get("attacker", "a")
