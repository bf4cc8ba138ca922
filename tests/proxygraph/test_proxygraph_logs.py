"""From lines of a proxy log to findings whose checks were run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from andon.records.contract import Site
from andon.records.reputation import REPUTATION
from andon.run.batch import analyze
from andon.run.engines import load_engines

BEGIN = 1_775_433_600  # 2026-04-06


def _log(path: Path) -> None:
    """Forty terminals; three poll c2.example and panel.example, two of them also the black bad.example."""
    lines: list[tuple[float, str]] = []

    def ask(at: float, who: int, host: str, size: int = 4000) -> None:
        address = f"10.1.0.{who}"
        url, user = f"{host}:443", "-" if who == 11 else f"user{who}"  # one of the infected has no user
        lines.append(
            (
                at,
                f"{BEGIN + at:.3f} 120 {address} TCP_TUNNEL/200 {size} CONNECT {url} {user} DIRECT/198.51.100.9 -",
            )
        )

    for who in range(40):
        for n in range(60):
            site = (who * 31 + n * 7) % 400
            ask(9 * 3600 + 400 * n + 3 * who, who, f"site{site}.example")
    for who in (3, 11, 17):
        for n in range(80):
            ask(36_000 + 240 * n + who, who, "c2.example", 512)
        ask(36_100 + who, who, "panel.example")
        ask(60_000 + who, who, "panel.example")
    for who in (3, 11):
        for at in (36_050, 50_000, 61_000):
            ask(at + who, who, "bad.example")
    path.write_text("".join(text + "\n" for _, text in sorted(lines)))


@pytest.mark.slow
def test_log_lines_become_findings_with_checks_that_were_counted(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    _log(log)
    row = ("bad.example", "domain", "black", -1, "feed", "emotet", None, -1)
    listed = pa.Table.from_pylist([dict(zip(REPUTATION.names, row, strict=True))], REPUTATION)
    # In so small a place a third visitor is not suspected by half.
    site = Site(reputation=listed, settings={"livenet.proxygraph.terminal": 0.1})
    found = analyze([log], site, load_engines(site, ["livenet.proxygraph"]))
    ours = [f for f in found.findings if f.engine == "livenet.proxygraph"]
    infected = {f.subject[1]: f for f in ours if f.kind == "infected-terminal"}
    assert {name[-2:].strip("r.") for name in infected} == {"3", "11"}
    for finding in infected.values():
        assert "feed/emotet" in finding.statement and finding.attributes["families"] == ["feed/emotet"]
        assert finding.confidence > 0.9 and finding.severity == "high"
        counted = [item.check.expected for item in finding.evidence if item.check]
        assert counted == [1, 1, 3]  # the row of black, the edge of today, the lines of the log
        types = {entity.value: entity.type for entity in finding.entities}
        assert types["bad.example"] == "domain-name" and types[finding.subject[1]] == finding.subject[0]
        assert "3 contacts" in finding.statement and "3 contacts with 1 black destination" in finding.title
    assert {finding.subject[0] for finding in infected.values()} == {"user-account", "ipv4-addr"}
    suspected = [f for f in ours if f.kind == "suspected-destination"]
    assert {f.subject[1] for f in suspected} <= {"c2.example", "panel.example"}
    assert suspected[0].subject[1] == "c2.example"
    assert next(item.check.expected for item in suspected[0].evidence if item.check) == 3
    hidden = next(f for f in ours if f.kind == "suspected-terminal")
    assert hidden.subject[1].endswith("17") and "never touched a black" in hidden.statement
    ranked = found.tables["livenet.proxygraph:terminals"][-1]["terminal"].to_pylist()
    assert {name[-2:].strip("r.") for name in ranked[:3]} == {"3", "11", "17"}
