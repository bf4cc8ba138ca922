"""What a text mentions, sentence by sentence, and that hostile text costs no more than its length."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labelled import SENTENCES

from andon.observe.jsonlines import Skipped
from andon.observe.reports import reports
from andon.observe.reports.mentions import MOST_MENTIONS, language, mentions
from andon.records.report import MENTION_TYPES
from spent import spent


def values(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for mention in mentions(text)[0]:
        found.setdefault(mention["type"], set()).add(mention["value"])
    return found


@pytest.mark.parametrize(("text", "wanted"), SENTENCES, ids=range(len(SENTENCES)))
def test_a_sentence_mentions_what_its_label_says(text: str, wanted: dict[str, set[str]]) -> None:
    assert values(text) == wanted


@given(st.text(max_size=300) | st.lists(st.sampled_from([
    "port ", "23", ", ", "CVE-2020-8515", "hxxp[:]//198[.]51[.]100[.]7/a", "[.]", "botnet ", "Kasate ",
    "ポート", "番", "、",
    "token ", "root/", "\u200b", "ＣＶＥ－", "tcp.seq == ip.dst ", "(", "「", "」", "password ", "GET /a.cgi ",
    "DrayTek Vigor2960",
])).map("".join))  # fmt: skip
def test_every_mention_stands_in_the_text_where_it_says(text: str) -> None:
    rows, left_out = mentions(text)
    assert left_out == 0
    assert rows == mentions(text)[0]
    assert [row["at"] for row in rows] == sorted(row["at"] for row in rows)
    for row in rows:
        assert row["type"] in MENTION_TYPES
        assert row["value"]
        assert text[row["at"] :].startswith(row["text"])


HOSTILE = {
    "letters": "a", "digits": "1,", "dots": "1.", "brackets": "tcp.seq == ((", "defanged": "[.]", "schemes": "http://",
    "names": "Kasa botnet ", "calls": "botnet we call ", "pairs": "password root:", "users": "user name x password ",
    "ports": "port 1,", "番": "23番", "full width": "ａ．", "kana": "ｶﾞ", "invisible": "a\u200b", "makers": "Cisco A1-",
    "tokens": "token 'AB',", "quotes": "「Kasate」", "paths": "GET /", "domains": "a-a.",
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear_in_hostile_text(name: str) -> None:
    """Four times the text, at most eight times the CPU time, and never more than a second for 40,000 characters."""
    piece = HOSTILE[name]
    costs = []
    for length in (10_000, 40_000):
        text = (piece * (length // len(piece) + 1))[:length]
        tries = []
        for _try in range(2):  # the better of two: a collection of garbage can fall into one
            with spent() as cost:
                rows, _ = mentions(text)
            tries.append(cost.seconds)
        costs.append(min(tries))
        assert len(rows) <= MOST_MENTIONS
    assert costs[1] < max(8 * costs[0], 1.0)


def test_mentions_beyond_the_limit_are_counted() -> None:
    rows, left_out = mentions(" ".join(f"CVE-2020-{number}" for number in range(10_000, 16_000)))
    assert (len(rows), left_out) == (MOST_MENTIONS, 2_000)


def test_languages() -> None:
    assert [
        language(text)
        for text in (
            "ポート23へのスキャン",
            "Scans of port 23",
            "Порт двадцать три",
            "扫描端口增加了很多",
            "",
        )
    ] == ["ja", "en", "", "", ""]


@pytest.mark.real_data
def test_the_scenario_is_read_without_a_fault(andon_data: Path) -> None:
    """Every family's report against the truth: name, ports, token, credential, CVE, device, loader, hash."""
    folder = andon_data / "joint" / "scenario"
    families = json.loads((folder / "truth" / "families.json").read_text())
    skipped = Skipped()
    rows = [row for batch in reports(folder / "reports.jsonl", skipped) for row in batch.to_pylist()]
    assert skipped.lines == 0
    assert len(rows) == 14
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for row in rows:
        found: dict[str, set[str]] = {}
        for mention in row["mentions"]:
            found.setdefault(mention["type"], set()).add(mention["value"])
        if row["id"].startswith("D"):
            assert set(found) <= {"port", "port-set", "cve"}, row["id"]
            continue
        names = found["malware"]
        family = next(
            f
            for f in families
            if row["id"] in f["reports"] and {f["family"]} == names and _ports(f) == found["port"]
        )
        truth = {
            "cve": set(family["cve"]), "token": {family["token"]}, "hash": set(family["sha256"]),
            "ipv4-addr": set(family["loaders"]), "credential": {f"{user}/{word}" for user, word in family["creds"]},
            "device": {f"{maker} {model}" for _, maker, model in family["device"]},
        }  # fmt: skip
        for kind, there in truth.items():
            right[kind] += len(found.get(kind, set()) & there)
            wrong[kind] += len(found.get(kind, set()) - there)
    assert wrong.total() == 0
    assert right == {"cve": 4, "token": 4, "hash": 3, "ipv4-addr": 5, "credential": 8, "device": 4}


def _ports(family: dict[str, list[int]]) -> set[str]:
    return {str(port) for port in family["ports"]}
