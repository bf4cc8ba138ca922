"""``andon share export``: every format out of a casebook, cases and intents too, and mistakes in a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import stix2
from pymisp import MISPEvent
from told_records import (
    BLOCK,
    CASE,
    CENSUS,
    DARK_VICTIM,
    FINDINGS,
    INFECTED,
    QUARANTINE,
    TELESCOPE,
    TOOL,
    VERDICTS,
)
from typer.testing import CliRunner, Result

from andon.cli.share import app
from andon.observe.logs.pseudonyms import make_key
from andon.records.intent import IntentEvent
from andon.share.formats.export import LINES
from andon.store.casebook import Casebook
from andon.store.intents import IntentLog


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    with Casebook(folder) as book:
        book.migrate()
        book.record(findings=[*FINDINGS, DARK_VICTIM], clock=CASE.updated)
        book.remember("telescope", json.dumps([TELESCOPE]))
        book.cases.create(replace(CASE, state="open", version=1), "andon", now=CASE.opened)
        for verdict in VERDICTS:
            book.verdicts.add(verdict)
    log = IntentLog(folder / "contain")
    for intent in (BLOCK, QUARANTINE):
        log.append([IntentEvent(intent.id, "proposed", "andon", intent.created)], {intent.id: intent})
    log.append([IntentEvent(BLOCK.id, "accepted", "andon", BLOCK.created + 1)], {})
    log.close()
    return folder


def run(store: Path, format: str, out: Path | str, *more: str) -> Result:
    return CliRunner().invoke(
        app, ["export", "--store", str(store), "--format", format, "--out", str(out), *more]
    )


@pytest.mark.parametrize("format", LINES)
def test_each_line_format_tells_every_finding(format: str, store: Path, tmp_path: Path) -> None:
    done = run(store, format, tmp_path / "x")
    assert done.exit_code == 0, done.output
    assert len((tmp_path / "x").read_text(encoding="utf-8").split("\n")) == len(FINDINGS) + 2
    assert run(store, format, "-", "--limit", "1").exit_code == 0


def test_a_bundle_holds_back_what_is_strict_and_says_so(store: Path, tmp_path: Path) -> None:
    done = run(store, "stix", tmp_path / "x.json", "--organisation", "Example SOC")
    assert done.exit_code == 0 and "withheld: TLP:AMBER+STRICT is above TLP:AMBER" in done.output
    text = (tmp_path / "x.json").read_text()
    stix2.parse(text)
    assert "203.0.11" not in text and "mustermann" not in text and "tamigi102" not in text
    key = tmp_path / "key"
    make_key(key)
    assert run(store, "stix", tmp_path / "y.json", "--tlp", "red", "--key", str(key)).exit_code == 0
    assert (
        "user-" in (tmp_path / "y.json").read_text() and "mustermann" not in (tmp_path / "y.json").read_text()
    )
    assert (
        run(
            store, "stix", tmp_path / "z.json", "--tlp", "red", "--people", "plain", "--show-telescope"
        ).exit_code
        == 0
    )
    assert (
        "mustermann" in (tmp_path / "z.json").read_text()
        and "203.0.113.9" in (tmp_path / "z.json").read_text()
    )


def test_a_feed_and_rules_are_folders(store: Path, tmp_path: Path) -> None:
    assert run(store, "misp", tmp_path / "feed").exit_code == 0
    for uuid in json.loads((tmp_path / "feed" / "manifest.json").read_text()):
        MISPEvent().load_file(tmp_path / "feed" / f"{uuid}.json")
    listing = tmp_path / "warn.json"
    listing.write_text(
        json.dumps({"name": "Ours", "type": "hostname", "version": 1, "list": ["bad.example.org"]})
    )
    for format in ("suricata", "zeek", "bpf"):
        done = run(store, format, tmp_path / format, "--warning-list", str(listing))
        assert done.exit_code == 0 and "not expressible" in done.output
        assert "bad.example.org" not in "".join(
            path.read_text() for path in (tmp_path / format).iterdir() if path.name != "manifest.json"
        )
    first = (tmp_path / "suricata" / "andon.rules").read_text()
    assert run(store, "suricata", tmp_path / "suricata", "--warning-list", str(listing)).exit_code == 0
    assert (tmp_path / "suricata" / "andon.rules").read_text() == first


def test_intents_come_with_their_state(store: Path) -> None:
    done = run(store, "ocsf", "-", "--what", "intents")
    made = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [one["command_uid"] for one in made] == [f"{BLOCK.id:016x}", f"{QUARANTINE.id:016x}"]
    assert [one["status_detail"] for one in made] == ["accepted", "proposed"]


def test_cases_come_with_their_verdicts_and_findings(store: Path, tmp_path: Path) -> None:
    done = run(store, "ocsf", "-", "--what", "cases", "--severity", "high")
    made = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert (made["class_uid"], made["verdict"]) == (2005, "True Positive")
    assert made["finding_info_list"][0]["title"] == INFECTED.title
    assert run(store, "stix", tmp_path / "x", "--what", "cases", "--tlp", "amber+strict").exit_code == 0
    kinds = {one["type"] for one in json.loads((tmp_path / "x").read_text())["objects"]}
    assert {"grouping", "opinion", "note"} <= kinds
    assert run(store, "stix", tmp_path / "y", "--what", "cases").exit_code == 1  # amber alone: nothing leaves


def test_what_is_wanted_can_be_narrowed(store: Path) -> None:
    done = run(store, "json", "-", "--kind", "infected-terminal", "--severity", "high")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines() if line.startswith("{")] == [
        INFECTED.id
    ]


def test_results_of_a_batch_are_told_too(tmp_path: Path) -> None:
    (tmp_path / "findings.ndjson").write_text(TOOL.to_json() + "\n")
    done = run(tmp_path, "cef", "-")
    assert done.exit_code == 0 and "CEF:0|Andon|Andon|" in done.stdout
    held = run(tmp_path, "stix", tmp_path / "x")
    assert held.exit_code == 1 and "prefixes are not known" in held.output
    assert "--telescope CIDR,... or --show-telescope" in held.output
    assert run(tmp_path, "stix", tmp_path / "x", "--telescope", "203.0.113.0/24").exit_code == 0
    assert run(tmp_path, "stix", tmp_path / "x", "--show-telescope").exit_code == 0
    for said in (
        ["203.0.112.0/22"],
        ["(masked)"],
    ):  # as the census of these results names it, or named it once
        census = replace(CENSUS, attributes={"telescope": said})
        (tmp_path / "findings.ndjson").write_text(
            f"{DARK_VICTIM.to_json()}\n{TOOL.to_json()}\n{census.to_json()}\n"
        )
        assert run(tmp_path, "stix", tmp_path / "x").exit_code == 0
        assert ("203.0.113.9" in (tmp_path / "x").read_text()) is (said == ["(masked)"])


@pytest.mark.parametrize(
    ("more", "said", "code"),
    [
        (["--format", "pdf"], "there are ocsf", 2),
        (["--format", "cef", "--what", "people"], "there are findings", 2),
        (["--format", "cef", "--kind", "nothing"], "no such kind", 2),
        (["--format", "cef", "--severity", "terrible"], "is none of", 2),
        (["--format", "cef", "--tlp", "white"], "tlp is one of", 2),
        (["--format", "cef", "--people", "pseudonym"], "needs --key", 2),
        (["--format", "cef", "--telescope", "x"], "x", 2),
        (["--format", "misp", "--out", "-"], "give a folder", 2),
        (["--format", "stix", "--warning-list", "/no/such"], "such", 1),
    ],
)
def test_a_mistake_is_said_in_a_sentence(
    more: list[str], said: str, code: int, store: Path, tmp_path: Path
) -> None:
    given = ["export", "--store", str(store)] + ([] if "--out" in more else ["--out", str(tmp_path / "x")])
    done = CliRunner().invoke(app, [*given, *more])
    assert (done.exit_code, said in done.output) == (code, True), done.output
