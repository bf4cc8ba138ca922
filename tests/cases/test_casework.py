"""Casework over a casebook: what becomes a case, and what analysts' words and changes do to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from andon.records.case import CLOSED, Case, Suppression, Verdict
from andon.records.contract import Site
from andon.records.finding import Entity, Finding
from andon.run.casework import Casework, InMemory
from andon.run.live.casework import messages
from andon.store.casebook import Casebook, CaseFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "casebook"))
from triage_samples import episode_row, episodes

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
T = 1_767_225_600 * SECOND
LATE = T + 30 * DAY


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Casebook]:
    with Casebook(tmp_path) as book:
        book.migrate()
        yield book


def row(minute: float, host: str = "web1", address: str = "10.0.0.5", **changes: Any) -> dict[str, Any]:
    first = T + int(minute * MINUTE)
    values = {
        "host": host,
        "address": address,
        "first": first,
        "last": first + 20 * SECOND,
        "tier": "inspect",
    }
    return episode_row(1, **(values | changes))


def found(kind: str = "infected-terminal", value: str = "10.0.0.5", day: int = 0, **changes: Any) -> Finding:
    values: dict[str, Any] = {
        "engine": "livenet.proxygraph", "engine_version": 1, "kind": kind, "title": f"{value} is infected",
        "statement": "It polls a black destination.", "confidence": 0.97, "calibration": "tests",
        "window": (T + day * DAY, T + (day + 1) * DAY), "subject": ("ipv4-addr", value),
        "first_seen": T + day * DAY, "last_seen": T + (day + 1) * DAY - 1, "count": 12,
        "entities": (Entity("ipv4-addr", value, 12),), "attack": ("T1071.001",),
    }  # fmt: skip
    return Finding(**(values | changes))


def casework(book: Casebook, **more: Any) -> Casework:
    return Casework(book, InMemory({}), Site(), clock=lambda: LATE, **more)


def all_open(book: Casebook) -> list[Case]:
    return sorted(book.cases.page(CaseFilter(), limit=100), key=lambda case: (case.first_seen, case.id))


def test_alerts_and_findings_of_one_host_are_one_case_and_doing_it_again_changes_nothing(
    book: Casebook,
) -> None:
    book.episodes.put(
        episodes(row(600), row(610, rule="W-1", product="wazuh"), row(600, host="db1", address="10.0.0.9"))
    )
    book.record([found()], (), LATE)
    work = casework(book)
    step = work.run()
    assert (step.opened, step.more) == (2, False)
    one, two = all_open(book)
    assert {kind for kind, _ in one.items} == {"episode", "finding"} and len(one.items) == 3
    assert ("ipv4-addr", "10.0.0.5") in one.entities and len(two.items) == 1
    assert {"verification", "attacker", "threat", "similar"} <= set(one.judgement)
    assert one.judgement["verification"]["checks"]
    assert one.level in ("informational", "low", "medium", "high", "critical")
    versions = [case.version for case in all_open(book)]
    work.run()
    assert casework(book).run().opened == 0
    again = casework(book)
    again.run()
    assert all(a - b <= 1 for a, b in zip((case.version for case in all_open(book)), versions, strict=True))
    settled = [case.version for case in all_open(book)]
    again.run()
    casework(book).run()
    assert [case.version for case in all_open(book)] == settled


def test_pages_and_single_steps_give_the_same_cases(book: Casebook, tmp_path: Path) -> None:
    rows = [row(7 * n, host=f"h{n % 3}", address=f"10.0.1.{n % 3}") for n in range(90)]
    book.episodes.put(episodes(*rows))
    casework(book).run()
    (tmp_path / "other").mkdir()
    with Casebook(tmp_path / "other") as other:
        other.migrate()
        work = casework(other)
        for n in range(0, 90, 10):
            other.episodes.put(episodes(*rows[n : n + 10]))
            work.run()
        assert [(c.id, sorted(c.items)) for c in all_open(book)] == [
            (c.id, sorted(c.items)) for c in all_open(other)
        ]


def test_screened_and_suppressed_episodes_open_nothing(book: Casebook) -> None:
    book.suppressions.add(
        Suppression("mori", "a known scanner", LATE + DAY, product="suricata", rule="noisy"), now=T
    )
    table = episodes(row(0, tier="screened"), row(5, rule="noisy"))
    book.episodes.put(table, book.suppressions.match(table, LATE))
    assert casework(book).run().opened == 0
    book.episodes.put(episodes(row(8, rule="other")))
    casework(book).run()
    (case,) = all_open(book)
    assert len(case.items) == 1


def test_a_harmless_one_is_not_told_again_but_a_real_one_is(book: Casebook) -> None:
    for host, label in (("10.0.0.5", "false-positive"), ("10.0.0.6", "true-positive")):
        book.record([found(value=host)], (), LATE)
        casework(book).run()
        (case,) = all_open(book)
        book.verdicts.add(Verdict(("case", case.id), label, "mori"))
        book.cases.close(case.id, "done", actor="mori")
        book.record([found(value=host, day=1)], (), LATE)
        casework(book).run()
        assert len(all_open(book)) == (label == "true-positive")
    (again,) = all_open(book)
    assert [one["label"] for one in again.judgement["similar"]].count("true-positive") >= 1


def test_a_closed_case_takes_nothing_more(book: Casebook) -> None:
    book.episodes.put(episodes(row(0)))
    work = casework(book)
    work.run()
    (case,) = all_open(book)
    book.cases.close(case.id, "nothing", actor="mori")
    book.episodes.put(episodes(row(3, rule="new")))
    work.run()
    assert len(all_open(book)) == 1 and all_open(book)[0].id != case.id
    assert book.cases.get(case.id).state == CLOSED


def test_what_an_analyst_changes_meanwhile_is_kept(book: Casebook) -> None:
    book.episodes.put(episodes(row(0)))
    work = casework(book)
    work.run()
    (case,) = all_open(book)
    book.cases.assign(case.id, "mori", actor="mori")
    book.cases.note(case.id, "looks odd", actor="mori")
    book.episodes.put(episodes(row(4, rule="new")))
    work.run()
    (kept,) = all_open(book)
    assert kept.assignee == "mori" and len(kept.items) == 2
    assert [event.action for event in book.cases.timeline(case.id)][:4] == [
        "create",
        "assign",
        "note",
        "judge",
    ]


def test_merged_cases_go_on_as_one(book: Casebook) -> None:
    book.episodes.put(episodes(row(0), row(0, host="db1", address="10.0.0.9")))
    work = casework(book)
    work.run()
    one, two = all_open(book)
    book.cases.merge([two.id], one.id, actor="mori")
    book.episodes.put(episodes(row(5, rule="new")))
    work.run()
    (kept,) = all_open(book)
    assert kept.id == one.id and len(kept.items) == 3


def test_who_is_to_act_is_told_once(book: Casebook) -> None:
    scans = found("own-host-alert", severity="high", confidence=0.999, engine="darknet.daedalus")
    book.record([found(severity="critical", confidence=0.999), scans], (), LATE)
    casework(book, notify=messages(("soc",), "informational")).run()
    sent = book.messages(sink="soc")
    acting = [case for case in all_open(book) if case.tier == "act"]
    assert len(sent) == len(acting) == 1
    for message in sent:
        assert message.subject.startswith("[Andon]") and "andon cases show" in message.text
    casework(book, notify=messages(("soc",), "informational")).run()
    assert len(book.messages(sink="soc")) == len(sent)
