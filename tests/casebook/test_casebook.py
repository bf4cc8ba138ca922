"""The casebook on SQLite and PostgreSQL: together or not at all, once or not at all."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import jsonschema
import pytest
from casebook_samples import DAY, SECOND, conclusion, finding, message

from andon.records.finding import Entity
from andon.store.casebook import (
    AuditEntry,
    Casebook,
    CasebookError,
    Checkpoint,
    Filter,
)
from andon.store.errors import StoreError


def ids(book: Casebook) -> list[str]:
    return [found.id for found in book.findings()]


def test_a_conclusion_is_there_with_all_that_belongs_to_it(book: Casebook) -> None:
    assert book.conclude(conclusion(0, wake_at=5 * DAY))
    assert book.concluded("darknet.tools", "1d") == DAY
    carry = book.carries()[("darknet.tools", "1d")]
    assert (carry.digest, carry.segment, carry.wake_at) == (f"{0:064x}", 100, 5 * DAY)
    table = book.table("darknet.tools:sources", "1d", 0)
    assert table is not None and (table.path, table.rows, table.end) == ("tables/0.parquet", 7, DAY)
    assert ids(book) == [finding(0).id]
    assert [queued.dedup_key for queued in book.due(10 * DAY)] == ["alert-0"]


def test_replaying_a_conclusion_changes_nothing(book: Casebook) -> None:
    assert book.conclude(conclusion(0))
    seq = book.last_seq()
    other = conclusion(0, findings=(finding(0, revision=9), finding(5)), messages=(message(7),))
    assert not book.conclude(other)
    assert book.last_seq() == seq
    assert ids(book) == [finding(0).id]
    assert [queued.dedup_key for queued in book.due(10 * DAY)] == ["alert-0"]


def test_a_conclusion_that_fails_half_way_leaves_nothing_behind(book: Casebook) -> None:
    twice = (("sources", "a", "d" * 64, 1), ("sources", "b", "d" * 64, 1))
    with pytest.raises(StoreError):
        book.conclude(conclusion(0, tables=twice))
    assert book.concluded("darknet.tools", "1d") is None
    assert ids(book) == []
    assert book.conclude(conclusion(0))


def test_one_conclusion_that_fails_takes_all_of_its_transaction_along(book: Casebook) -> None:
    twice = (("sources", "a", "d" * 64, 1), ("sources", "b", "d" * 64, 1))
    with pytest.raises(StoreError):
        book.conclude_all([conclusion(0), conclusion(1, tables=twice)])
    assert book.carries() == {}
    assert book.conclude_all([conclusion(0), conclusion(1), conclusion(0)]) == 2


def test_conclusions_are_drawn_in_time_order(book: Casebook) -> None:
    book.conclude(conclusion(3))
    with pytest.raises(ValueError, match="too late"):
        book.conclude(conclusion(2))


def test_a_table_of_an_earlier_span_is_the_newest_that_ended_by_then(book: Casebook) -> None:
    for day in (0, 1, 4):
        book.conclude(conclusion(day))
    found = book.table_before("darknet.tools:sources", 4 * DAY)
    assert found is not None and found.path == "tables/1.parquet"
    assert book.table_before("darknet.tools:sources", DAY - 1) is None


def test_a_finding_is_replaced_by_a_higher_revision_only(book: Casebook) -> None:
    assert book.record((finding(1, revision=2, title="second"),)) == 1
    assert book.record((finding(1, revision=1, title="first"),)) == 0
    assert book.record((finding(1, revision=2, title="again"),)) == 0
    assert book.record((finding(1, revision=3, title="third"),)) == 1
    (found,) = book.findings()
    assert (found.title, found.revision) == ("third", 3)
    assert [hit.title for hit in book.findings(Filter(entity="198.51.100.1"))] == ["third"]


def test_a_stored_finding_is_the_public_form(book: Casebook) -> None:
    from andon.records import finding as module

    book.record((finding(1),))
    (found,) = book.findings()
    assert found.to_dict() == json.loads(finding(1).to_json())
    schema = json.loads((Path(module.__file__).parent / "finding.schema.json").read_text())
    jsonschema.validate(found.to_dict(), schema)


@pytest.mark.parametrize(
    "text", ["nul \x00 inside", "half \ud800 a pair", "'; DROP TABLE findings; --", "警告"]
)
def test_text_from_outside_is_stored_whatever_it_is(book: Casebook, text: str) -> None:
    book.record((finding(1, title=text, entities=(Entity("file", text),)),), (message(1, text=text),))
    (found,) = book.findings()
    assert found.to_dict()["title"] == text
    assert len(list(book.findings(Filter(entity=text)))) == 1
    assert len(book.due(0)) == 1


def test_every_filter_says_what_it_says(book: Casebook) -> None:
    book.record([finding(number) for number in range(10)])
    book.record((finding(20, kind="census", engine="darknet.census"), finding(21, severity="high")))

    def numbers(**wanted: object) -> list[int]:
        return [found.count - 100 for found in book.findings(Filter(**wanted))]  # type: ignore[arg-type]

    assert numbers() == [21, 20, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert numbers(kinds=("census",)) == [20]
    assert numbers(kinds=("census", "known-tool"))[:3] == [21, 20, 9]
    assert numbers(engines=("darknet.census",)) == [20]
    assert numbers(kinds=("known-tool",), engines=("darknet.census",)) == []
    assert numbers(severity="medium") == [21]
    assert numbers(severity="low")[:2] == [21, 9]
    assert numbers(since=8 * DAY, until=20 * DAY) == [9, 8]
    assert numbers(entity="198.51.100.7") == [7]
    assert numbers(entity="tool-1", kinds=("known-tool",), severity="low") == [7, 4, 1]
    assert numbers(series=finding(0).series) == [21, 9, 6, 3, 0]
    assert numbers(series=finding(0).series, severity="high") == [21]


def test_pages_follow_each_other_without_gap_or_repetition(book: Casebook) -> None:
    same = [finding(1, subject=("tool", f"t{number}")) for number in range(450)]  # all last seen at one time
    book.record(same)
    every = [found.id for found in book.findings()]
    assert len(every) == 450 and set(every) == {one.id for one in same}
    first = list(book.findings(limit=10))
    rest = book.findings(limit=5, before=(first[-1].last_seen, first[-1].seq))
    assert [found.id for found in rest] == every[10:15]


def test_a_follower_sees_each_finding_once_and_revisions_again(book: Casebook) -> None:
    book.record((finding(1), finding(2)))
    first, at = book.findings_after(0)
    assert [found.id for found in first] == [finding(1).id, finding(2).id]
    assert book.findings_after(at)[0] == []
    book.record((finding(1, revision=2), finding(2), finding(3)))
    second, at = book.findings_after(at, limit=1)
    third, at = book.findings_after(at, limit=10)
    assert [found.id for found in second + third] == [finding(1).id, finding(3).id]
    assert at == book.last_seq()


def test_a_finding_is_found_by_the_first_digits_of_its_id(book: Casebook) -> None:
    book.record([finding(number) for number in range(5)])
    wanted = finding(3)
    found = book.finding(wanted.id[:10])
    assert found is not None and found.id == wanted.id
    assert book.finding("") is None and book.finding("zz") is None


def test_the_last_checkpoint_is_the_one_that_counts(book: Casebook) -> None:
    assert book.last_checkpoint() is None
    for number in range(1, 9):
        book.checkpoint(Checkpoint(number, {"census": f"{number:064x}"}, number * SECOND, (finding(number),)))
    assert book.last_checkpoint() == Checkpoint(8, {"census": f"{8:064x}"}, 8 * SECOND)
    assert book.state("census") == f"{8:064x}"
    assert book.state("tools") is None
    assert len(ids(book)) == 8
    book.conclude(conclusion(0, carry_digest="c" * 64))
    kept = book.state_digests()
    assert {"c" * 64, f"{8:064x}"} <= kept and f"{1:064x}" not in kept


def test_a_checkpoint_never_goes_back(book: Casebook) -> None:
    book.checkpoint(Checkpoint(8))
    book.checkpoint(Checkpoint(8))
    with pytest.raises(CasebookError, match="another runner"):
        book.checkpoint(Checkpoint(7))


def test_a_message_is_queued_once_per_sink_whatever_is_replayed(book: Casebook) -> None:
    book.record(messages=(message(1), message(1, "noc"), message(1)))
    book.record(messages=(message(1), message(2)))
    assert [(m.sink, m.dedup_key) for m in book.due(0)] == [
        ("noc", "alert-1"),
        ("soc", "alert-1"),
        ("soc", "alert-2"),
    ]


def test_a_delivered_message_does_not_come_back(book: Casebook) -> None:
    book.record(messages=(message(1),))
    (queued,) = book.due(0)
    book.delivered(queued.id, 5)
    book.record(messages=(message(1),))
    assert book.due(10) == []
    assert book.outbox_counts() == {("soc", "delivered"): 1}


def test_forgetting_keeps_findings_and_what_recovery_needs(book: Casebook) -> None:
    for day in range(3):
        book.conclude(conclusion(day))
    (first, *_) = book.due(10 * DAY)
    book.delivered(first.id, DAY)
    assert book.forget(10 * DAY) == 2
    assert book.doomed() == ["tables/0.parquet", "tables/1.parquet"]
    assert len(ids(book)) == 3
    assert book.concluded("darknet.tools", "1d") == 3 * DAY
    assert book.table_before("darknet.tools:sources", 9 * DAY) is not None
    assert len(book.due(10 * DAY)) == 2


def test_the_audit_log_keeps_who_did_what(book: Casebook) -> None:
    book.audit(AuditEntry(5, "admin", "sink-added", "soc", {"kind": "smtp"}))
    book.audit(AuditEntry(6, "admin", "sink-removed", "soc"))
    assert [entry.action for entry in book.audit_log()] == ["sink-removed", "sink-added"]
    assert book.audit_log()[1].detail == {"kind": "smtp"}


def test_threads_write_at_once_and_nothing_is_lost(book: Casebook) -> None:
    problems: list[Exception] = []

    def work(part: int) -> None:
        try:
            for number in range(15):
                book.record(
                    (finding(number, subject=("tool", f"{part}-{number}")),), (message(number, f"s{part}"),)
                )
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(ids(book)) == 60
    assert book.last_seq() == 60
    assert sum(book.outbox_counts().values()) == 60


def test_the_store_keeps_its_name(book: Casebook, place: str) -> None:
    first = book.store_id
    book.migrate()
    with Casebook(place) as again:
        again.migrate()
        assert again.store_id == first


def test_a_reader_cannot_write(book: Casebook, place: str) -> None:
    book.record((finding(1),))
    with Casebook(place, read_only=True) as reader:
        assert len(list(reader.findings())) == 1
        with pytest.raises(StoreError):
            reader.record((finding(2),))


def test_files_of_forgotten_tables_are_doomed_until_they_are_deleted(book: Casebook) -> None:
    for day in range(4):
        book.conclude(conclusion(day))
    assert book.forget(3 * DAY + 1) == 3
    assert book.table("darknet.tools:sources", "1d", 0) is None
    assert book.doomed(2) == ["tables/0.parquet", "tables/1.parquet"]
    book.deleted(book.doomed(2))
    assert book.doomed() == ["tables/2.parquet"]
    assert book.forget(3 * DAY + 1) == 0  # again, as after a crash
    assert book.doomed() == ["tables/2.parquet"]


def test_the_newest_table_of_every_span_stays(book: Casebook) -> None:
    book.conclude(conclusion(0))
    book.conclude(
        conclusion(0, span="1h", end=DAY // 24, tables=(("sources", "tables/h.parquet", "d" * 64, 1),))
    )
    assert book.forget(10 * DAY) == 0 and book.doomed() == []
