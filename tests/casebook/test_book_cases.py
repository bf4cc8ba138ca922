"""Cases: nobody's change is lost, every change is told, and what was merged comes out as it went in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from triage_samples import SECOND, case, episode_row, episodes

from andon.records.case import CLOSED, MERGED, OPEN, Case
from andon.store.casebook import Casebook, CaseFilter, Conflict, Missing, NotAllowed


def made(book: Casebook, count: int, **changes: object) -> list[Case]:
    with book.work("casework", 7) as work:
        return [work.cases.create(case(number, **changes)) for number in range(count)]


def test_a_case_comes_back_as_it_was_stored(book: Casebook) -> None:
    odd = case(
        1,
        title="naïve \x00 防火壁 \ud800",
        entities=(("hostname", "web1"), ("ipv4-addr", "10.0.0.1"), ("user-account", "web1")),
        items=(("finding", "f1"), ("episode", "e1")),
        judgement={"verification": {"decision": "act", "log_odds": 1.5}, "reasons": ["防"]},
        level="",
    )
    kept = book.cases.create(odd, actor="casework", now=9)
    assert kept.version == 1 and kept.opened == kept.updated == 9
    held = book.cases.get("case0001")
    assert held == replace(kept, title="naïve � 防火壁 ?")
    assert book.cases.get("case") == held
    with pytest.raises(Conflict, match="already"):
        book.cases.create(odd, actor="casework")
    with pytest.raises(Missing, match="no case"):
        book.cases.get("nothing")


def test_every_change_takes_the_version_on_and_is_told_twice(book: Casebook) -> None:
    made(book, 1)
    cases = book.cases
    cases.assign("case0000", "mori", actor="sato", now=10)
    cases.note("case0000", "looked at the proxy", actor="mori", now=11)
    cases.close("case0000", "a printer", actor="mori", now=12)
    cases.reopen("case0000", actor="sato", reason="it is not", now=13)
    last = cases.update(
        replace(cases.get("case0000"), tier="act", priority=9.0), 5, "casework", "judge", now=14
    )
    assert last.version == 6 and last.updated == 14
    told = cases.timeline("case0000")
    assert [event.action for event in told] == ["create", "assign", "note", "close", "reopen", "judge"]
    assert [event.version for event in told] == [1, 2, 3, 4, 5, 6]
    assert told[2].actor == "mori" and told[2].detail == {"text": "looked at the proxy"}
    assert told[5].detail == {"tier": ["inspect", "act"], "priority": [0.0, 9.0]}
    audited = [entry for entry in book.audit_log() if entry.subject == "case0000"]
    assert [entry.action for entry in reversed(audited)] == [f"case-{event.action}" for event in told]


def test_a_change_that_rests_on_an_old_state_is_refused_and_leaves_nothing(book: Casebook) -> None:
    (old,) = made(book, 1)
    book.cases.assign("case0000", "mori", actor="mori")
    with pytest.raises(Conflict, match="version 2, not 1") as caught:
        book.cases.update(
            replace(old, title="mine", items=(("finding", "new"),)), old.version, actor="casework"
        )
    assert caught.value.held == 2
    with pytest.raises(Conflict):
        book.cases.close("case0000", "done", actor="mori", expected_version=1)
    held = book.cases.get("case0000")
    assert (held.title, held.assignee, held.state, held.version) == (old.title, "mori", OPEN, 2)
    assert book.cases.of_item("finding", "new") is None
    assert len(book.cases.timeline("case0000")) == 2


def test_an_update_changes_neither_state_nor_what_it_was_merged_into(book: Casebook) -> None:
    (old, _) = made(book, 2)
    kept = book.cases.update(replace(old, state=CLOSED), 1, actor="casework")
    assert kept.state == OPEN
    with pytest.raises(NotAllowed, match="not closed"):
        book.cases.reopen("case0000", actor="mori")
    book.cases.close("case0000", "done", actor="mori")
    with pytest.raises(NotAllowed, match="not open"):
        book.cases.close("case0000", "done", actor="mori")


def test_what_makes_no_case_is_refused(book: Casebook) -> None:
    for wrong, words in (
        ({"priority": float("nan")}, "priority"),
        ({"level": "worst"}, "level"),
        ({"tier": "top"}, "tier"),
        ({"id": ""}, "characters"),
        ({"last_seen": -1, "first_seen": 0}, "before it was first"),
        ({"items": (("packet", "1"),)}, "finding or an episode"),
    ):
        with pytest.raises(ValueError, match=words):
            book.cases.create(case(1, **wrong), actor="casework")
    with pytest.raises(ValueError, match="actor"):
        book.cases.create(case(1))
    with pytest.raises(ValueError, match="why"):
        book.cases.close("case0001", " ", actor="mori")
    with pytest.raises(ValueError, match="characters"):
        book.cases.note("case0001", "", actor="mori")
    assert book.cases.page(CaseFilter(state="")) == []


def test_an_item_is_in_one_case(book: Casebook) -> None:
    made(book, 2)
    item = ("episode", f"{0:024x}")
    kept = book.cases.add_items("case0001", [item, ("finding", "f")], actor="casework")
    assert kept.items == (("episode", f"{1:024x}"), ("finding", "f"))
    assert kept.version == 2
    holder = book.cases.of_item(*item)
    assert holder is not None and holder.id == "case0000"
    assert book.cases.add_items("case0001", [item], actor="casework").version == 2
    also = book.cases.create(case(7, items=(item, ("finding", "g"))), actor="casework")
    assert also.items == (("finding", "g"),) == book.cases.get(also.id).items


def test_the_queue_is_in_order_whatever_the_pages(book: Casebook) -> None:
    with book.work("casework") as work:
        for number in range(40):
            work.cases.create(
                case(
                    number,
                    priority=float(number % 3),
                    first_seen=0,
                    last_seen=number % 5,
                    tier=("act", "inspect", "audit", "screened")[number % 4],
                )
            )
    whole = book.cases.page(limit=100)
    assert len(whole) == 40
    assert whole == sorted(whole, key=lambda one: (one.priority, one.last_seen, one.id), reverse=True)
    pages: list[Case] = []
    while part := book.cases.page(
        before=(pages[-1].priority, pages[-1].last_seen, pages[-1].id) if pages else None, limit=7
    ):
        pages += part
    assert pages == whole


def test_each_filter_gives_what_it_says(book: Casebook) -> None:
    all_of_them = made(book, 30)
    with book.work("mori") as work:
        for number in range(0, 30, 5):
            work.cases.assign(f"case{number:04d}", "mori")
        work.cases.close("case0003", "done")
        work.cases.update(replace(all_of_them[4], level="critical", site="north", title="100% SURE_thing"), 1)
    held = {one.id: one for one in book.cases.page(CaseFilter(state=""), limit=100)}

    def hits(wanted: CaseFilter) -> set[str]:
        return {one.id for one in book.cases.page(wanted, limit=100)}

    assert hits(CaseFilter()) == {id for id, one in held.items() if one.state == OPEN}
    assert hits(CaseFilter(state="closed")) == {"case0003"}
    assert hits(CaseFilter(assignee="mori")) == {f"case{number:04d}" for number in range(0, 30, 5)}
    assert "case0000" not in hits(CaseFilter(assignee="")) and len(hits(CaseFilter(assignee=""))) == 23
    assert hits(CaseFilter(level="high")) == {"case0004"} == hits(CaseFilter(site="north"))
    assert hits(CaseFilter(text="100% sure_")) == {"case0004"}
    assert hits(CaseFilter(text="100%x")) == set()
    assert hits(CaseFilter(host="host1", state="")) == {id for id in held if int(id[4:]) % 4 == 1}
    assert hits(CaseFilter(entity="10.0.0.1", state="")) == hits(CaseFilter(host="host1", state=""))
    assert hits(CaseFilter(since=600 * SECOND)) == {id for id in hits(CaseFilter()) if int(id[4:]) >= 10}
    assert hits(CaseFilter(until=630 * SECOND, state="")) == {id for id in held if int(id[4:]) < 10}
    assert hits(CaseFilter(tier="act")) == set()
    with pytest.raises(ValueError, match="none of"):
        CaseFilter(state="lost")


def test_open_cases_of_a_host_are_found_by_name_and_by_address(book: Casebook) -> None:
    made(book, 8)
    book.cases.close("case0005", "done", actor="mori")
    assert [one.id for one in book.cases.find_open("", "host1", 0)] == ["case0001"]
    assert book.cases.find_open("", "10.0.0.1", 0) == []
    assert [one.id for one in book.cases.find_open("", "10.0.0.2", 0, anywhere=True)] == [
        "case0006",
        "case0002",
    ]
    assert [one.id for one in book.cases.find_open("", "host2", 360 * SECOND)] == ["case0006"]
    assert book.cases.find_open("north", "host2", 0) == []


def test_a_merge_takes_the_strongest_and_comes_undone(book: Casebook) -> None:
    made(book, 4)
    cases = book.cases
    cases.update(
        replace(cases.get("case0002"), tier="act", level="critical", priority=50.0), 1, actor="casework"
    )
    cases.close("case0002", "seen", actor="mori")
    before = {one.id: one for one in cases.page(CaseFilter(state=""))}
    joined = cases.merge(["case0001", "case0002"], "case0003", actor="mori", now=99)
    assert joined.items == tuple(("episode", f"{number:024x}") for number in (1, 2, 3))
    assert (joined.tier, joined.level, joined.priority) == ("act", "critical", 50.0)
    assert (joined.first_seen, joined.last_seen) == (60 * SECOND, 210 * SECOND)
    assert set(before["case0001"].entities) <= set(joined.entities)
    assert cases.get("case0003") == joined
    gone = cases.get("case0002")
    assert (gone.state, gone.merged_into, gone.items) == (MERGED, "case0003", ())
    assert cases.root("case0001").id == "case0003"
    holder = cases.of_item("episode", f"{2:024x}")
    assert holder is not None and holder.id == "case0003"
    with pytest.raises(NotAllowed, match="merged into case0003"):
        cases.merge(["case0002"], "case0000", actor="mori")
    with pytest.raises(NotAllowed, match="another"):
        cases.merge(["case0003"], "case0003", actor="mori")
    for id in ("case0002", "case0001"):
        out = cases.unmerge(id, actor="sato")
        old = before[id]
        assert replace(out, version=old.version, updated=old.updated) == old
    back = cases.get("case0003")
    old = before["case0003"]
    assert replace(back, version=old.version, updated=old.updated) == old
    assert [event.action for event in cases.timeline("case0003")] == [
        "create", "merge", "merge", "unmerge", "unmerge"
    ]  # fmt: skip
    with pytest.raises(NotAllowed, match="not merged"):
        cases.unmerge("case0001", actor="sato")


def test_what_analysts_did_after_a_merge_stays_when_it_is_undone(book: Casebook) -> None:
    made(book, 2)
    cases = book.cases
    joined = cases.merge(["case0000"], "case0001", actor="mori")
    cases.update(replace(joined, priority=77.0), joined.version, actor="mori")
    cases.add_items("case0001", [("finding", "later")], actor="casework")
    out = cases.unmerge("case0000", actor="mori")
    assert out.items == (("episode", f"{0:024x}"),)
    left = cases.get("case0001")
    assert left.priority == 77.0
    assert left.items == (("episode", f"{1:024x}"), ("finding", "later"))
    assert left.first_seen == 60 * SECOND


def test_a_case_comes_out_of_a_merge_of_merges(book: Casebook) -> None:
    made(book, 3)
    cases = book.cases
    cases.merge(["case0000"], "case0001", actor="mori")
    cases.merge(["case0001"], "case0002", actor="mori")
    assert cases.root("case0000").id == "case0002"
    assert cases.unmerge("case0000", actor="mori").items == (("episode", f"{0:024x}"),)
    assert cases.get("case0002").items == (("episode", f"{1:024x}"), ("episode", f"{2:024x}"))
    assert cases.unmerge("case0001", actor="mori").items == (("episode", f"{1:024x}"),)


def test_a_split_makes_a_case_of_some_items_with_their_times(book: Casebook) -> None:
    rows = [episode_row(number) for number in range(3)]
    book.episodes.put(episodes(*rows))
    items = tuple(("episode", str(row["id"])) for row in rows)
    book.cases.create(case(1, items=items, first_seen=0, last_seen=150 * SECOND), actor="casework")
    with pytest.raises(NotAllowed, match="leaves some"):
        book.cases.split("case0001", items, actor="mori")
    with pytest.raises(NotAllowed, match="no finding"):
        book.cases.split("case0001", [("finding", "f")], actor="mori")
    new = book.cases.split("case0001", items[:1], actor="mori")
    assert new == book.cases.get(new.id)
    assert (new.items, new.state, new.version) == (items[:1], OPEN, 1)
    assert (new.first_seen, new.last_seen) == (0, 30 * SECOND)
    rest = book.cases.get("case0001")
    assert (rest.items, rest.first_seen, rest.last_seen) == (items[1:], 60 * SECOND, 150 * SECOND)
    assert book.cases.timeline(new.id)[0].detail["from"] == "case0001"


def test_a_follower_sees_each_change_once_and_misses_none(book: Casebook) -> None:
    made(book, 3)
    seen, at = book.cases.since(0, limit=2)
    assert [one.id for one in seen] == ["case0000", "case0001"]
    book.cases.assign("case0000", "mori", actor="mori")
    seen, at = book.cases.since(at)
    assert [one.id for one in seen] == ["case0002", "case0000"]
    assert book.cases.since(at) == ([], at)


def test_a_piece_of_work_is_all_there_or_not_at_all(book: Casebook) -> None:
    with book.work("casework", 5) as work:
        work.cases.create(case(1))
        work.move("casework.episodes", 12, expected=0)
    with pytest.raises(RuntimeError), book.work("casework") as work:
        work.cases.create(case(2))
        work.cases.assign("case0001", "mori")
        work.move("casework.episodes", 13, expected=12)
        assert work.cursor("casework.episodes") == 13
        raise RuntimeError
    assert [one.id for one in book.cases.page()] == ["case0001"]
    assert book.cursor("casework.episodes") == 12
    assert book.cases.get("case0001").version == 1
    with pytest.raises(Conflict, match="stands at 12"), book.work("casework") as work:
        work.cases.create(case(3))
        work.move("casework.episodes", 20, expected=11)
    assert book.cases.counts() == {("open", "inspect"): 1}
    with pytest.raises(ValueError, match="actor"), book.work(""):
        pass
