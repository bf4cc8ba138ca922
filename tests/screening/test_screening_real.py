"""A real network of AIT-ADS from its file to findings, through the runner."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from andon.learn import registry
from andon.records.contract import Site
from andon.run.batch import analyze
from andon.triage.screening import engine


def test_a_network_of_ait_ads(andon_data: Path, tmp_path: Path) -> None:
    """The shipped model has learnt from this network: this holds the way from file to finding, not how good it is
    (``benchmarks/triage/screening.py`` does). Last day of four, on which the attack is."""
    table = pq.read_table(andon_data / "triage" / "ait_ads_dev.parquet")
    table = table.filter(pc.equal(table["scenario"].cast(pa.string()), "russellmitchell"))
    table = table.filter(pc.greater_equal(table["time"], 1_642_982_400))
    pq.write_table(table, tmp_path / "alerts.parquet")
    site = Site(models=registry.shipped())
    found = analyze([tmp_path / "alerts.parquet"], site, [engine(site)])
    shown = [one for one in found.findings if one.kind == "alert-episode"]
    assert 100 <= len(shown) <= 130
    assert all(one.evidence[0].check is not None and one.evidence[0].check.expected == 1 for one in shown)
    ranks = [one.attributes["rank"] for one in shown if one.attributes["tier"] == "inspect"]
    assert sorted(ranks)[:100] == list(range(1, 101))
    labels: dict[str, int] = {}
    rows = table.filter(pc.not_equal(table["event_label"].cast(pa.string()), "-"))
    by_rule: dict[tuple[str, str], list[tuple[int, str]]] = {}
    columns = (rows[name].to_pylist() for name in ("host", "short", "time", "event_label"))
    for host, rule, time, label in zip(*columns, strict=True):
        by_rule.setdefault((host, rule), []).append((time * 1_000_000_000, label))
    for one in shown:
        for time, label in by_rule.get((one.attributes["host"], one.attributes["rule"]), []):
            if one.first_seen <= time <= one.last_seen:
                labels[label] = min(labels.get(label, 10_000), one.attributes["rank"])
    assert labels.keys() >= {"dirb", "wpscan", "service_scan", "webshell_cmd", "crack_passwords"}
    assert min(labels["dirb"], labels["wpscan"]) <= 10
