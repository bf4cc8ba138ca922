"""Checks of a verification are SQL over published tables, and give what they say."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from case_world import ATTACKER, SERVER, asset, case, episode, facts, outbound, refused, talk

from andon.records.alert import BLOCKED
from andon.triage.verification import TableFacts, verify

duckdb = pytest.importorskip("duckdb")

LONG = [
    talk(0, ATTACKER, SERVER, 443),
    talk(5, SERVER, ATTACKER, 4444),
    *(talk(9, SERVER, f"10.0.3.{n}", 445) for n in range(12)),
]
CASES = [
    (episode(), [refused(0, ATTACKER, SERVER, 443)], {}),
    (episode(disposition=BLOCKED), [talk(0, ATTACKER, SERVER, 443, largest_in=10)], {}),
    (episode(), LONG, {}),
    (episode(), [talk(0, ATTACKER, SERVER, 443)], {"assets": asset("nginx", 443, 22)}),
    (episode(), [talk(0, ATTACKER, f"10.0.0.{n}", 443) for n in range(20)], {}),
    (outbound(targets=["203.0.113.60:443/tcp"]), [], {}),
    (
        episode(title="sshd: brute force", product="wazuh", targets=[], alerts=40),
        [talk(0, ATTACKER, SERVER, 22, 50, largest_in=90_000)],
        {},
    ),
]


@pytest.mark.parametrize("number", range(len(CASES)))
def test_every_check_gives_what_it_says(number: int, tmp_path: Path) -> None:
    one, rows, more = CASES[number]
    known: TableFacts = facts(list(rows), [one], **more)
    result = verify(case(one), known)
    with duckdb.connect() as sql:
        for table, name in (
            (known._flows, "triage_evidence_conversations"),
            (known._episodes, "triage_screening_episodes"),
        ):
            if name.endswith("episodes"):  # spans of ten minutes and of a day tell each
                table = pa.concat_tables([table, table])
            pq.write_table(table, tmp_path / f"{name}.parquet")
            sql.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{tmp_path / name}.parquet')")
        checks = [e.check for c in result.checks for e in c.evidence if e.check]
        assert checks
        for check in checks:
            assert sql.execute(check.expression).fetchone() == (check.expected,), check.expression
