"""CEF, LEEF and RFC 5424: whatever is in a value comes back from a reader by the book; and our own reader of alerts
finds the severity, source and destination again that went in (CEF, LEEF, OCSF, ECS)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from told_records import (
    CENSUS,
    CRITICAL,
    DESTINATION,
    FINDINGS,
    INFECTED,
    INTENTS,
    ONE_SOURCE,
    OWN,
    TOOL,
    VICTIM,
)

from andon.observe.alerts import records
from andon.observe.jsonlines import Skipped
from andon.observe.logs.options import Options
from andon.share.formats.cef import cef
from andon.share.formats.export import Told
from andon.share.formats.leef import leef
from andon.share.formats.rfc5424 import LIMIT, framed, message
from andon.share.formats.view import view
from andon.share.policy import Gate, Ground, Policy

NASTY = st.text(st.characters() | st.sampled_from("\n\r\t|=\\\"]'\x00\x1b\u2028\x85 "), max_size=60)


def plain(text: str, breaks: bool = False) -> str:
    kept = text.replace("\r\n", "\n") if breaks else text
    return "".join(c if c.isprintable() or (breaks and c in "\r\n") else " " for c in kept)


def read_cef(line: str) -> tuple[list[str], dict[str, str]]:
    """By the book: unescaped pipes cut the header, the last unescaped ``KEY=`` before a value begins it."""
    parts, at = [""], 6
    while len(parts) < 7:
        if line[at] == "\\":
            parts[-1] += line[at + 1]
            at += 2
        elif line[at] == "|":
            parts.append("")
            at += 1
        else:
            parts[-1] += line[at]
            at += 1
    rest, found = line[at:], {}
    keys = list(re.finditer(r"(?:^| )([A-Za-z0-9]+)=", rest))
    for n, key in enumerate(keys):
        raw = rest[key.end() : keys[n + 1].start() if n + 1 < len(keys) else len(rest)]
        found[key[1]] = re.sub(r"\\(.)", lambda m: {"n": "\n", "r": "\r"}.get(m[1], m[1]), raw)
    return parts[:6], found


def read_leef(line: str) -> tuple[list[str], dict[str, str]]:
    assert line.startswith("LEEF:2.0|")
    *head, delimiter, rest = line[9:].split("|", 5)
    assert delimiter == "x09"
    return head, dict(cell.split("=", 1) for cell in rest.split("\t"))


@given(NASTY, NASTY, NASTY)
def test_any_text_comes_back_from_cef_and_leef_and_makes_no_key_of_its_own(
    title: str, text: str, name: str
) -> None:
    body = {**INFECTED.to_dict(), "title": title, "subject": {"type": "tool", "value": name}, "entities": []}
    told = view(body)
    line = cef(told, "1", text)
    assert len(line.splitlines()) == 1 and "\x00" not in line
    head, fields = read_cef(line)
    assert head[4] == plain((title or "infected-terminal")[:512])
    assert fields["msg"] == plain(text, True) and fields.get("cs3", "") == plain(name, True)
    assert not fields.keys() & {"src", "dst", "act"}
    line = leef(told, "1", text)
    assert len(line.splitlines()) == 1
    head, fields = read_leef(line)
    assert head == ["Andon", "Andon", "1", "infected-terminal"]
    assert fields["msg"] == plain(text) and fields["eventName"] == plain(title or "infected-terminal")
    assert not fields.keys() & {"src", "dst", "action"}


@given(NASTY, NASTY)
def test_any_text_comes_back_from_structured_data(title: str, name: str) -> None:
    told = view({**TOOL.to_dict(), "title": title, "subject": {"type": "tool", "value": name}})
    text = message(told, hostname="sensor-1").decode()
    match = re.fullmatch(
        r"<132>1 2026-01-02T00:00:00Z sensor-1 andon - known-tool "
        r"\[andon@32473((?: \w+=\"(?:[^\"\\\]]|\\.)*\")*)\] \ufeff(.*)", text, re.DOTALL,
    )  # fmt: skip
    assert match is not None
    data = {k: re.sub(r"\\(.)", r"\1", v) for k, v in re.findall(r' (\w+)="((?:[^"\\]|\\.)*)"', match[1])}
    assert data.get("subject", "") == plain(name) and data["severity"] == "medium"
    assert match[2] == plain(f"{title or ''}: {TOOL.statement}")


def test_a_message_stays_within_what_receivers_take_and_says_its_length() -> None:
    octets = message(view({**TOOL.to_dict(), "statement": "警" * 9000}))
    assert len(octets) <= LIMIT
    octets.decode()
    assert framed(octets).startswith(b"%d <" % len(octets))


# What a finding says, and what a reader of alerts is to make of it: OCSF's severity, source, destination, port.
ROUND = [
    (ONE_SOURCE, 2, "198.50.100.9", "", -1),
    (INFECTED, 4, "10.50.0.30", "198.50.101.44", -1),
    (OWN, 4, "2001:db8:1::7", "", 23),
    (VICTIM, 3, "", "198.50.102.5", -1),
    (TOOL, 3, "", "", 23),
    (CRITICAL, 5, "192.0.2.99", "", -1),
    (CENSUS, 1, "", "", -1),
    (DESTINATION, 3, "", "", -1),
]


@pytest.mark.parametrize("form", ["cef", "leef", "ocsf", "ecs", "syslog-cef"])
def test_our_own_reader_of_alerts_finds_again_what_went_in(form: str, tmp_path: Path) -> None:
    told = Told(form.removeprefix("syslog-"), Gate(Policy("siem"), Ground()))
    lines = [told.one(finding.to_dict()) for finding, *_ in ROUND]
    if form.startswith("syslog-"):
        lines = [f"<134>1 2026-01-02T00:00:00Z h andon - x - {line}" for line in lines]
    path = tmp_path / "alerts.log"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    skipped = Skipped()
    rows = [row for kind, batch in records(path, Options(), skipped) for row in batch.to_pylist()]
    assert len(rows) == len(ROUND), skipped
    for row, (finding, severity, source, destination, port) in zip(rows, ROUND, strict=True):
        if form == "leef" and severity == 1:
            severity = 2  # LEEF's scale begins at 1, which the bands call low
        assert row["severity"] == severity, (finding.kind, row["severity"])
        assert (row["src"], row["dst"], row["dst_port"]) == (source, destination, port), finding.kind
        assert row["product"] == "andon"
        assert finding.kind in row["rule"]
        # OCSF names the technique beside its sub-technique.
        assert [one for one in row["attack"].split(",") if "." in one] == list(finding.attack)
        moment = finding.first_seen if form != "ecs" else finding.last_seen
        assert round(row["ts"].timestamp() * 1000) == moment // 10**6


def test_an_intent_is_read_as_blocked_or_by_its_name() -> None:
    _, fields = read_cef(cef(view(INTENTS[0]), "1"))
    assert fields["act"] == "block-pair" and fields["dst"] == "198.50.101.44"


def test_lines_of_json_are_json() -> None:
    for form in ("ocsf", "ecs", "thehive", "iris", "json"):
        told = Told(form, Gate(Policy("x"), Ground()))
        for finding in FINDINGS:
            made: Any = json.loads(told.one(finding.to_dict()))
            assert isinstance(made, dict) and "\n" not in told.one(finding.to_dict())
