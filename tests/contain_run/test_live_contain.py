"""Cases drive containment: what is done about them, once, and what is taken back."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "casebook"))

from triage_samples import case, episode_row, episodes

from andon.records.asset import ASSET
from andon.records.case import FALSE, TRUE, Case, Verdict
from andon.records.contract import Site
from andon.run.live.config import Config, load
from andon.run.live.contain import CURSOR, TOLD_CURSOR, Containment, containment
from andon.run.live.trouble import Troubles
from andon.store.casebook import Casebook

CONFIG = """
inside = ["10.0.0.0/8"]
[[source]]
name = "caps"
kind = "folder"
path = "caps"
[store]
path = "store"
[contain]
mode = "{mode}"
sinks = ["soc"]
[[sink]]
name = "soc"
kind = "file"
path = "soc.ndjson"
[[enforcer]]
name = "switch"
kind = "edl"
folder = "lists"
"""
HOST = "10.0.0.7"


def configured(folder: Path, mode: str = "auto") -> tuple[Config, Path]:
    path = folder / "andon.toml"
    path.write_text(CONFIG.format(mode=mode))
    return load(path), path


def assets() -> pa.Table:
    row = {
        "asset": "7", "first": int.from_bytes(bytes([10, 0, 0, 7])), "last": int.from_bytes(bytes([10, 0, 0, 7])),
        "address": HOST, "valid_from": None, "valid_to": None, "basis": "list", "hostname": "pc7", "mac": "",
        "vendor": "", "product": "", "version": "", "device": "Desktop", "os": "", "cpe": "", "owner": "",
        "contact": "", "services": [], "source": "test",
    }  # fmt: skip
    rows = [row]
    for last in range(10, 120):  # so that one host is less than two in a hundred
        number = int.from_bytes(bytes([10, 0, 0, last]))
        rows.append(
            row
            | {
                "asset": str(last),
                "first": number,
                "last": number,
                "address": f"10.0.0.{last}",
                "hostname": f"pc{last}",
            }
        )
    return pa.Table.from_pylist(rows, ASSET)


def a_case(now: int, number: int = 1, **changes: Any) -> Case:
    """A case about HOST with two independent grounds: an episode of Suricata and one of Wazuh."""
    given: dict[str, Any] = {
        "tier": "act", "level": "high", "entities": (("device", "pc7"), ("ipv4-addr", HOST)),
        "first_seen": now - 60 * 10**9, "last_seen": now - 10**9, "opened": now, "updated": now,
        "items": (("episode", f"{number:024x}"), ("episode", f"{number + 500:024x}")),
        "judgement": {"threat": {"level": "high", "stage": "objective"}, "attacker": {"classes": []}},
    }  # fmt: skip
    return replace(case(number), **(given | changes))


@pytest.fixture
def book(place: str, tmp_path: Path) -> Iterator[Casebook]:
    """On each database; the log of intents is beside the tables either way."""
    (tmp_path / "store").mkdir()
    with Casebook(place if "://" in place else tmp_path / "store") as opened:
        opened.migrate()
        yield opened


def live(folder: Path, book: Casebook, mode: str = "auto") -> Containment:
    config, path = configured(folder, mode)
    made = containment(
        config,
        path,
        Site(inside=config.inside, assets=assets()),
        book,
        time.time_ns,
        lambda *_: None,
        Troubles(),
    )
    assert made is not None
    return made


def written(book: Casebook, now: int, number: int = 1, **changes: Any) -> Case:
    rows = [
        episode_row(
            number,
            id=f"{number:024x}",
            host="pc7",
            address=HOST,
            product="suricata",
            first=now - 10**10,
            last=now,
        ),
        episode_row(
            number,
            id=f"{number + 500:024x}",
            host="pc7",
            address=HOST,
            product="wazuh",
            first=now - 10**10,
            last=now,
        ),
    ]
    book.episodes.put(episodes(*rows))
    return book.cases.create(a_case(now, number, **changes), actor="casework")


def until(made: Containment, wanted: Any, turns: int = 0) -> bool:
    """Whether it comes to that: within a minute, or within so many turns."""
    end, turned = time.monotonic() + 60, 0
    while turned < turns if turns else time.monotonic() < end:
        turned += 1
        made.once()
        if wanted():
            return True
        time.sleep(0.02)
    return False


def test_a_grave_case_is_cut_once_told_once_and_taken_back_when_it_was_none(
    tmp_path: Path, book: Casebook
) -> None:
    now = time.time_ns()
    one = written(book, now)
    made = live(tmp_path, book)
    try:
        listed = tmp_path / "lists" / "host-ip.txt"
        assert until(made, lambda: listed.exists() and HOST in listed.read_text())
        live_now = [state for state in made.made.log.live() if state.intent.action == "quarantine"]
        assert [state.intent.case for state in live_now] == [one.id]
        assert live_now[0].automatic and {g.field for g in live_now[0].intent.grounds} >= {
            "alerts:suricata",
            "alerts:wazuh",
        }
        # Seen again, with another version: nothing new.
        before = len(made.made.log.intents())
        book.cases.note(one.id, "looked at", actor="ito")
        assert until(made, lambda: book.cursor(CURSOR) > 0 and made._seen == book.cases.since(0, 500)[1])
        assert len(made.made.log.intents()) == before
        book.verdicts.add(Verdict(("case", one.id), FALSE, "ito"))
        book.cases.close(one.id, "a false alarm", actor="ito")
        assert until(made, lambda: HOST not in listed.read_text())
        ended = made.made.log.get(live_now[0].intent.id)
        assert ended is not None and ended.state == "revoked" and ended.actor == "ito"
        assert until(made, lambda: book.cursor(TOLD_CURSOR) == made.made.log.head.number)
    finally:
        made.made.close()
    subjects = told(book)
    in_force = [s for s in subjects if "quarantine of pc7 is in force" in s]
    assert len(in_force) == 1
    assert len([s for s in subjects if "quarantine of pc7 was taken back" in s]) == 1


def told(book: Casebook) -> list[str]:
    return [message.subject for message in book.messages(sink="soc", limit=1000)]


def test_a_true_case_that_is_closed_stays_cut(tmp_path: Path, book: Casebook) -> None:
    one = written(book, time.time_ns())
    made = live(tmp_path, book)
    try:
        listed = tmp_path / "lists" / "host-ip.txt"
        assert until(made, lambda: listed.exists() and HOST in listed.read_text())
        book.verdicts.add(Verdict(("case", one.id), TRUE, "ito"))
        book.cases.close(one.id, "a false alarm", actor="ito")
        assert not until(made, lambda: HOST not in listed.read_text(), turns=20)
    finally:
        made.made.close()


@pytest.mark.parametrize("mode", ["dry-run", "manual"])
def test_nothing_is_enforced_unless_the_mode_is_auto(tmp_path: Path, book: Casebook, mode: str) -> None:
    written(book, time.time_ns())
    made = live(tmp_path, book, mode)
    try:
        assert until(made, lambda: any(s.state == "dry-run" for s in made.made.log.live()))
        assert {s.state for s in made.made.log.live()} == {"dry-run"}
        lists = tmp_path / "lists"
        assert not any(HOST in file.read_text() for file in lists.glob("*.txt"))
    finally:
        made.made.close()


def test_a_case_that_screening_left_out_or_that_is_mild_cuts_nothing(tmp_path: Path, book: Casebook) -> None:
    now = time.time_ns()
    written(book, now, 1, tier="screened")
    written(book, now, 2, level="low")
    made = live(tmp_path, book)
    try:
        assert until(made, lambda: book.cursor(CURSOR) > 0)
        assert not [
            s for s in made.made.log.live() if s.intent.action in ("quarantine", "block-pair", "block")
        ]
    finally:
        made.made.close()


def test_a_restart_goes_on_without_doubling(tmp_path: Path, book: Casebook) -> None:
    written(book, time.time_ns())
    made = live(tmp_path, book)
    assert until(made, lambda: any(s.state in ("applied", "verified") for s in made.made.log.live()))
    held = sorted(s.intent.id for s in made.made.log.live())
    made.made.close()
    with book.work("test") as work:
        work.move(CURSOR, 0)  # killed before the cursor moved
    again = live(tmp_path, book)
    try:
        assert until(again, lambda: book.cursor(CURSOR) > 0)
        assert sorted(s.intent.id for s in again.made.log.live()) == held
    finally:
        again.made.close()
