"""``andon cases``, ``andon alerts`` and ``andon suppress`` as a person and as a pipe use them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from triage_samples import alert_row, alerts, case, episode_row, episodes, some_alerts
from typer.testing import CliRunner

from andon.cli import app
from andon.records.case import BENIGN, FALSE
from andon.store.casebook import Casebook

RUN = CliRunner()
HOUR = 3_600 * 1_000_000_000
JUDGEMENT = {
    "verification": {
        "decision": "act",
        "log_odds": 2.2,
        "statement": "The target answered [red]and[/red] changed \x1b[2J afterwards.",
        "checks": [
            {
                "name": "asset",
                "outcome": "unknown",
                "statement": "not in the list",
                "weight": 0.0,
                "evidence": [],
            },
            {
                "name": "known",
                "outcome": "failed",
                "statement": "the rule is noisy",
                "weight": -0.4,
                "evidence": [],
            },
            {
                "name": "answered",
                "outcome": "passed",
                "statement": "three flows came back",
                "weight": 1.1,
                "evidence": [{"statement": "3 flows", "check": {"expression": "SELECT count(*) FROM it"}}],
            },
        ],
    },
    "attacker": {
        "classes": ["financial"],
        "probabilities": {"financial": 0.8},
        "statement": "Files were encrypted.",
        "ledger": [
            {
                "kind": "domain",
                "value": "evil.example",
                "confidence": 1.0,
                "where": "e",
                "weights": {"financial": 1.2},
                "statement": "a name of that trade",
            }
        ],
        "groups": [{"name": "A group", "likeness": 0.4, "by": "three techniques"}],
    },
    "threat": {"level": "high", "stage": "impact", "statement": "It matters.", "parts": {"asset": 0.5}},
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    now = time.time_ns()
    with Casebook(tmp_path) as book:
        book.migrate()
        book.alerts.add(some_alerts(50))
        book.alerts.add(
            alerts([alert_row(900, title="\x1b[2J title", host="[b]web", name="http://evil.example/")])
        )
        rows = [episode_row(number) for number in range(6)]
        book.episodes.put(episodes(*rows))
        with book.work("casework", now - HOUR) as work:
            for number, row in enumerate(rows):
                seen = now - (number + 1) * HOUR
                one = case(number, items=(("episode", row["id"]),), judgement=JUDGEMENT, last_seen=seen)
                work.cases.create(one)
    monkeypatch.setenv("ANDON_STORE", str(tmp_path))
    monkeypatch.setenv("ANDON_ANALYST", "mori")
    return tmp_path


def answer(*words: str, code: int = 0, given: str | None = None) -> str:
    done = RUN.invoke(app, words, input=given)
    assert done.exit_code == code, done.output
    return done.output


def listed(*words: str) -> list[str]:
    return [
        json.loads(line)["id"] for line in answer("cases", "list", "--format", "json", *words).splitlines()
    ]


def test_the_queue_is_in_order_with_the_reason_and_nothing_that_drives_a_terminal(store: Path) -> None:
    text = answer("cases", "list")
    assert text.index("case0005") < text.index("case0004") < text.index("case0000")
    assert "The target answered [red]and[/red] changed" in text and "\x1b" not in text
    assert "6h" in text
    assert max(map(len, text.splitlines())) <= 100
    assert listed("--limit", "2") == ["case0005", "case0004"]
    assert listed("--host", "host1") == ["case0005", "case0001"]
    assert listed("--since", "150min") == ["case0001", "case0000"]
    assert listed("--level", "critical") == []
    answer("cases", "list", "--tier", "top", code=2)
    answer("cases", "list", "--since", "yesterday", code=2)


def test_a_case_is_shown_in_the_order_of_an_analysts_questions(store: Path) -> None:
    text = answer("cases", "show", "case0001")
    order = [
        "Two rules that nobody else sees.", "verification: act", "passed", "check with: SELECT count(*)", "failed",
        "unknown", "threat: high, stage impact", "attacker: financial", "domain evil[.]example", "like A group",
        "1 item:", "4 alerts of suricata", "timeline", "casework  create",
    ]  # fmt: skip
    at = [text.index(part) for part in order]
    assert at == sorted(at)
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if "check with" not in line) <= 100
    body = json.loads(answer("cases", "show", "case0001", "--format", "json"))
    assert body["judgement"]["verification"]["checks"][2]["outcome"] == "passed"
    assert body["timeline"][0]["action"] == "create"
    answer("cases", "show", "nothing", code=1)


def test_what_analysts_do_is_done_and_told(store: Path) -> None:
    answer("cases", "assign", "case0001", "case0002")
    answer("cases", "note", "case0001", "asked the owner")
    assert listed("--assignee", "mori") == ["case0002", "case0001"]
    assert len(listed("--unassigned")) == 4
    answer("cases", "assign", "case0002", "--nobody", "--as", "sato")
    answer("cases", "close", "case0001", "--reason", "done", "--version", "1", code=1)
    answer("cases", "close", "case0001", "--reason", "done")
    answer("cases", "close", "case0001", "--reason", "done", code=1)
    assert listed("--state", "closed") == ["case0001"]
    answer("cases", "reopen", "case0001", "--reason", "again")
    answer("cases", "merge", "case0001", "case0002", "--into", "case0003")
    assert len(json.loads(answer("cases", "show", "case0003", "--format", "json"))["items"]) == 3
    answer("cases", "unmerge", "case0002")
    item = json.loads(answer("cases", "show", "case0003", "--format", "json"))["items"][0]
    answer("cases", "split", "case0003", "--item", f"{item['kind']}:{item['id'][:8]}")
    assert len(listed("--state", "any")) == 7
    line = answer("cases", "timeline", "case0001").splitlines()
    assert [text.split()[2] for text in line] == [
        "create", "assign", "note", "close", "reopen", "merge-into"
    ]  # fmt: skip
    assert (
        json.loads(answer("cases", "timeline", "case0001", "--format", "json").splitlines()[2])["actor"]
        == "mori"
    )


def test_what_was_screened_out_is_beside_the_queue_and_beside_the_items_of_a_case(store: Path) -> None:
    with Casebook(store) as book:
        tiers = enumerate(["inspect", "screened", "screened", "screened"], 20)
        rows = [episode_row(n, rule="7", title=f"Rule {n % 2}", tier=tier) for n, tier in tiers]
        chosen, *noise = rows
        book.episodes.put(episodes(chosen, *noise))
        held = tuple(("episode", row["id"]) for row in (chosen, *noise))
        with book.work("casework") as work:
            work.cases.create(case(20, items=held, judgement=JUDGEMENT))
            work.cases.create(case(21, tier="screened", judgement=JUDGEMENT))
    assert "case0020" in listed() and "case0021" not in listed()
    assert "case0021" in listed("--tier", "any") and listed("--tier", "screened") == ["case0021"]
    text = answer("cases", "show", "case0020")
    told, beside = text[text.index("4 items:") :].split("meanwhile, screened out:")
    assert chosen["id"] in told and "inspect" in told
    # The whole id, for it is what `andon alerts list --episode` wants.
    assert not any(row["id"] in text for row in noise)
    alerts = sum(row["alerts"] for row in noise if row["title"] == "Rule 1")
    assert f"2 episodes, {alerts} alerts of suricata" in beside and "1 episode, " in beside


def test_what_is_not_there_is_not_taken_for_nothing(store: Path) -> None:
    assert "there is no episode" in answer("alerts", "list", "--episode", "0a1b2c", code=2)
    assert "there is no episode" in answer("alerts", "count", "--episode", "0a1b2c", code=2)
    assert "no id came in" in answer("cases", "verdict", "-", "--label", BENIGN, given="", code=1)
    assert "several cases begin" in answer("cases", "show", "case", code=1)
    assert "four digits" in answer("cases", "show", "cas", code=1)
    assert "finding:ID or episode:ID" in answer("cases", "split", "case0001", "--item", "case0002", code=2)


def test_verdicts_in_bulk_need_a_reason_and_are_all_or_none(store: Path) -> None:
    answer("cases", "verdict", "case0001", "case0002", "--label", "false-positive", code=2)
    answer("cases", "verdict", "case0001", "none", "--label", FALSE, "--reason", "backup", code=1)
    answer("cases", "verdict", "case0001", "--label", "nonsense", code=2)
    with Casebook(store) as book:
        assert book.verdicts.count() == 0
        answer(
            "cases",
            "verdict",
            "-",
            "--label",
            FALSE,
            "--reason",
            "backup",
            "--close",
            given="case0001\ncase0002 x\n",
        )
        answer("cases", "verdict", "case0003", "--label", BENIGN, "--shown", "top", "--as", "sato")
        episode = episode_row(4)["id"]
        answer("cases", "verdict", episode, "--kind", "episode", "--label", BENIGN)
        told = [
            (one.subject[1], one.label, one.analyst, one.shown, one.reason) for one in book.verdicts.all()
        ]
    assert told == [
        ("case0001", FALSE, "mori", "bulk", "backup"),
        ("case0002", FALSE, "mori", "bulk", "backup"),
        ("case0003", BENIGN, "sato", "top", ""),
        (episode, BENIGN, "mori", "manual", ""),
    ]
    assert listed("--state", "closed") == ["case0002", "case0001"]
    assert "false-positive" in answer("cases", "show", "case0001")


def test_alerts_are_listed_shown_and_counted(store: Path) -> None:
    text = answer("alerts", "list", "--limit", "5")
    assert "\x1b" not in text and "[b]web" in text
    rows = [
        json.loads(line)
        for line in answer("alerts", "list", "--format", "json", "--host", "host1").splitlines()
    ]
    assert rows and all(row["host"] == "host1" for row in rows)
    assert [row["ts"] for row in rows] == sorted((row["ts"] for row in rows), reverse=True)
    assert answer("alerts", "count", "--host", "host1").strip() == str(len(rows))
    assert json.loads(answer("alerts", "count", "--format", "json")) == {"alerts": 51}
    by = [
        json.loads(line)
        for line in answer("alerts", "count", "--by", "host", "--format", "json").splitlines()
    ]
    assert sum(line["alerts"] for line in by) == 51
    assert {"host": "host1", "alerts": len(rows)} in by
    last = json.loads(answer("alerts", "list", "--limit", "1", "--format", "json"))
    shown = answer("alerts", "show", str(last["id"]))
    assert "hxxp://evil[.]example/" in shown and "\x1b" not in shown
    answer("alerts", "show", "9999", code=1)
    answer("alerts", "list", "--severity", "worst", code=2)
    answer("alerts", "count", "--by", "src", code=2)
    assert answer("alerts", "count", "--severity", "fatal").strip() == "0"


def test_a_suppression_says_what_it_hides_and_ends(store: Path) -> None:
    answer("suppress", "add", "--host", "host1", "--reason", "noise", code=2)
    answer("suppress", "add", "--host", "host1", "--reason", "noise", "--for", "400d", code=2)
    answer("suppress", "add", "--reason", "noise", "--for", "1d", code=2)
    preview = json.loads(answer("suppress", "preview", "--host", "host1", "--format", "json"))
    assert (preview["episodes"], preview["alerts"], preview["inspected"]) == (2, 8, 2)
    text = answer("suppress", "add", "--host", "host1", "--reason", "noise", "--for", "30d")
    assert "it would have hidden 2 episodes of 8 alerts" in text
    (held,) = [json.loads(line) for line in answer("suppress", "list", "--format", "json").splitlines()]
    assert (held["owner"], held["host"], held["hits"], held["revoked"]) == ("mori", "host1", 0, None)
    answer("suppress", "revoke", "1", "--reason", "mended")
    answer("suppress", "revoke", "1", code=1)
    assert answer("suppress", "list", "--format", "json") == ""
    assert len(answer("suppress", "list", "--all", "--format", "json").splitlines()) == 1


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    for words in (("cases", "list"), ("alerts", "count"), ("suppress", "list")):
        assert "no store" in answer(*words, "--store", str(tmp_path / "no"), code=1)
        assert "no casebook" in answer(*words, "--store", str(tmp_path), code=1)
