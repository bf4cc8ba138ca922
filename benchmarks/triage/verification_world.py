"""A folder of ``andon simulate alerts`` as verification sees it: through the same readers and the same engine as a
site's own files. Used by ``verification.py`` beside it and by tests/verification."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from andon.observe.alerts import records as alert_records
from andon.observe.assets import assets as asset_list
from andon.observe.jsonlines import Skipped
from andon.observe.lists import TableError
from andon.observe.logs import Options
from andon.observe.logs import records as log_records
from andon.observe.reputation import reputation
from andon.records.contract import Site
from andon.records.triage import EPISODES
from andon.run.batch import analyze
from andon.simulate.alerts import INSIDE
from andon.simulate.score_alerts_triage import Episode, Judged, Plain, cases, episodes
from andon.triage.evidence import Evidence
from andon.triage.verification import VERDICTS, Subject, TableFacts, Weights, verify

DAY = 86_400_000_000_000


@dataclass(frozen=True)
class Observed:
    facts: TableFacts
    cases: list[Plain]
    episodes: list[Episode]
    tables: dict[str, pa.Table]


def alerts(folder: Path) -> list[pa.RecordBatch]:
    skipped = Skipped()
    options = Options(inside=INSIDE)
    made = [b for _, b in log_records(folder / "eve.json", options, skipped)]
    made += [b for _, b in alert_records(folder / "wazuh.json", options, skipped)]
    if skipped.lines:
        raise ValueError(f"{skipped.lines} lines of alerts were not read")
    return made


def observed(
    folder: Path, every: list[Episode] | None = None, tables: dict[str, pa.Table] | None = None
) -> Observed:
    """``every``, ``tables``: episodes of the same alerts, evidence of the same flows, if they are known already."""
    every = every or episodes(alerts(folder), pq.read_table(folder / "truth" / "alerts.parquet"))
    tables = dict(tables or evidence(folder / "conn.log"))
    # Of the columns of a ranker verification uses none.
    names = [n for n in EPISODES.names if every and n in every[0].row]
    tables["triage.screening:episodes"] = pa.Table.from_pylist(
        [{n: e.row[n] for n in names} for e in every], pa.schema([EPISODES.field(n) for n in names])
    )
    try:
        black = reputation(folder / "lists" / "black.csv", "black")[0]
    except TableError:  # nobody stands on it
        black = None
    scanners = pa.table({"cidr": [line.split(",")[0] for line in (folder / "lists" / "scanners.csv").open()]})
    said = [json.loads(line) for line in (folder / "verdicts.ndjson").open()]
    facts = TableFacts(
        tables, INSIDE, {"scanners": scanners}, asset_list(folder / "assets.csv", Skipped(), recog=False), black,
        pa.Table.from_pylist(said, VERDICTS),
    )  # fmt: skip
    return Observed(facts, cases(every), every, tables)


def evidence(log: Path) -> dict[str, pa.Table]:
    result = analyze([log], Site(inside=INSIDE), [Evidence(Site(inside=INSIDE))], threads=1)
    return {name: pa.concat_tables(parts) for name, parts in result.tables.items()}


def subject(case: Plain) -> Subject:
    rows = tuple(e.row for e in case.episodes)
    return Subject(case.id, (case.host,), (case.address,), rows, (), (case.first, case.last + 1))


def judged(world: Observed, since: int, weights: Weights | None = None) -> list[Judged]:
    """Every case that begins at ``since`` (ns) or later, verified."""
    made = []
    for case in world.cases:
        if case.first >= since:
            result = verify(subject(case), world.facts, weights)
            made.append(Judged(case, result.decision, result.log_odds))
    return made


def flat(parts: Sequence[list[Judged]]) -> list[Judged]:
    return [one for part in parts for one in part]
