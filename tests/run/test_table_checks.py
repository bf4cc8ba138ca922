"""Checks by SQL over tables: many asked together count what each counts by itself."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from andon.records.finding import Check, Evidence, Finding
from andon.run.table_checks import Answers, SpanParts

SCHEMA = pa.schema([("src", pa.uint32()), ("fingerprint", pa.string()), ("weight", pa.float64())])
TABLE = "darknet.sightings:sources"
FROM = "SELECT count(*) FROM darknet_sightings_sources WHERE "
WHERE = [
    "src = 1",
    "src = 2",
    "src = 3 AND fingerprint = 'a b'",
    "fingerprint = 'a b' AND src = 3",
    "src = 3 AND fingerprint = 'it''s'",
    "src = 99",
    "src = 4294967296",
    "src = 3 AND src = 4",
    "fingerprint = ''",
    "fingerprint = '日本'",
    "weight = 1",
    "src = '1'",
    "src > 1 OR src = 1",
]
BROKEN = ["nothing = 1", "src = 1 AND"]


def day(start: int) -> pa.Table:
    texts = ["a b", "it's", "", None, "日本"]
    rows = [(n % (3 + start), texts[n % 5], float(n % 2)) for n in range(100 + start)]
    return pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)


def finding(where: list[str]) -> Finding:
    checks = tuple(Evidence(text, Check("", 0.0, "sql", FROM + text)) for text in where)
    return Finding("x", 1, "census", "t", "s", 1.0, "c", (0, 1), ("a", "b"), 0, 1, 1, evidence=checks)


def counted(days: list[pa.Table]) -> list[Finding]:
    parts = SpanParts()
    for start, table in enumerate(days):
        parts.add("1d", start, {TABLE: table})
    findings = [finding(WHERE + BROKEN) for _ in days]
    return parts.count(findings, [("1d", start) for start in range(len(days))], {TABLE: days})


def test_together_they_count_what_they_count_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    days = [day(start) for start in range(4)]
    together = counted(days)
    runs: list[str] = []
    run = Answers._run

    def told(self: Answers, sql: str, *more: Any) -> Any:
        runs.append(sql)
        return run(self, sql, *more)

    monkeypatch.setattr(Answers, "_run", told)
    assert counted(days) == together
    asked = len(runs)
    monkeypatch.setattr(Answers, "ask", lambda *_: None)
    assert counted(days) == together
    assert asked < (len(runs) - asked) * 0.7
    for table, one in zip(days, together, strict=True):
        expected = [item.check.expected for item in one.evidence if item.check is not None]
        src, texts = table["src"].to_pylist(), table["fingerprint"].to_pylist()
        assert expected[:2] == [src.count(1), src.count(2)]
        both = list(zip(src, texts, strict=True))
        assert expected[2:4] == [both.count((3, "a b"))] * 2
        assert expected[5:8] == [0, 0, 0]
        assert expected[8:10] == [texts.count(""), texts.count("日本")]
        assert expected[len(WHERE) :] == [None, None]
        assert all("not counted" in item.statement for item in one.evidence[len(WHERE) :])


def test_a_table_without_rows_counts_nothing() -> None:
    (one,) = counted([SCHEMA.empty_table()])
    assert [item.check.expected for item in one.evidence if item.check is not None][:4] == [0, 0, 0, 0]
