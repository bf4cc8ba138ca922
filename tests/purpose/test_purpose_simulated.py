"""Precision and recall on a simulated Internet, held well below what benchmarks/purpose measures."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

from andon.detect.darknet import census, purpose, tools
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.simulate.internet import InternetConfig, packets, truth

DAY_NS = 86_400_000_000_000


@pytest.mark.slow
def test_surveys_and_bots_of_a_simulated_hour_are_told_apart() -> None:
    config = InternetConfig(seed=11, packets=600_000, contamination=0.05)
    engines: list[Any] = [module.engine(Site()) for module in (census, tools, purpose)]
    summaries = [engine.empty() for engine in engines]
    for batch in packets(config):
        summaries = [
            e.summarise(batch.select(list(e.columns)), s) for e, s in zip(engines, summaries, strict=True)
        ]
    start = int(column(batch, "ts")[0]) // DAY_NS * DAY_NS
    tables: dict[str, pa.Table] = {}
    for engine, summary in zip(engines, summaries, strict=True):
        outcome = engine.conclude(summary, None, Context("1d", start, start + DAY_NS, tables=tables))
        tables.update({f"{engine.name}:{name}": table for name, table in outcome.tables.items()})
    rank = ("none", "survey", "attack")  # a source that does both attacks
    true: dict[int, str] = {}
    for row in truth(config)[0].select(["src", "purpose", "kind"]).to_pylist():
        if row["kind"] not in ("backscatter", "flood"):
            true[row["src"]] = max(row["purpose"], true.get(row["src"], "none"), key=rank.index)
    rows = tables["darknet.purpose:sources"].select(["src", "purpose"]).to_pylist()
    counts = Counter((true[row["src"]], row["purpose"]) for row in rows if row["src"] in true)
    called = {
        name: sum(n for (_, said), n in counts.items() if said == name) for name in ("survey", "attack")
    }
    assert counts["survey", "survey"] >= 0.95 * called["survey"] > 0
    assert counts["attack", "attack"] >= 0.95 * called["attack"] > 0
    assert counts["survey", "survey"] >= 0.8 * sum(n for (what, _), n in counts.items() if what == "survey")
    assert counts["attack", "attack"] >= 0.4 * sum(n for (what, _), n in counts.items() if what == "attack")
