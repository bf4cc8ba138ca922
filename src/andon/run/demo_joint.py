"""The second act of the demonstration: one malware family from its packets to the devices of a partner."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any

import pyarrow.parquet as pq

from andon.records.contract import Site
from andon.records.expression import canonical, parse
from andon.records.finding import Finding
from andon.run.batch import analyze
from andon.run.engines import load_engines
from andon.run.inputs import Inputs, with_assets
from andon.run.results import write_results
from andon.simulate.joint import DEMO_CAPTURE, DEMO_FAMILY, demo_scenario, simulate

_SHOWN = 3


@dataclass(frozen=True)
class JointDemo:
    """``infected``: assets on the partner's list that the truth gives the family; ``suspected`` of it at device level.

    ``right``: the family's page has its true fingerprint, name and vulnerability, and nine in ten of the devices
    suspected have the family."""

    packets: int
    families: int
    seconds: dict[str, float]  # CPU
    truth: dict[str, Any]
    page: Finding | None
    infected: set[str]
    suspected: dict[str, Finding] = field(default_factory=dict)

    @property
    def hits(self) -> set[str]:
        return self.infected & set(self.suspected)

    @property
    def right(self) -> bool:
        if self.page is None or not self.suspected:
            return False
        said = self.page.attributes
        named = self.truth["family"] in (said["family"], *said["aliases"])
        known = set(self.truth["cve"]) <= set(said["cves"])
        marked = canonical(parse(self.truth["expression"])) in [
            canonical(parse(f)) for f in said["fingerprints"]
        ]
        return named and known and marked and len(self.hits) >= 0.9 * len(self.suspected)

    def to_dict(self) -> dict[str, Any]:
        return {
            "packets": self.packets,
            "cpu_seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "family": self.truth["family"],
            "page": None if self.page is None else self.page.attributes,
            "infected": len(self.infected),
            "suspected": len(self.suspected),
            "hits": len(self.hits),
            "right": self.right,
        }


def run_joint(folder: Path, progress: Callable[[str, int], None]) -> JointDemo:
    """Simulate two days of bot families into ``folder``, analyse packets, logs, reports and lists together. Raises
    OSError."""
    start = process_time()
    made = simulate(demo_scenario(), folder, DEMO_CAPTURE)
    simulated = process_time()
    # The capture tells what the table of darknet sources would: the demonstration begins at the packets.
    files = [path for path in made.files if path.name != "darknet_sources.parquet"]
    inputs = Inputs.of(files)
    site = with_assets(Site(), inputs)
    engines = load_engines(site, ["intel.profile", "darknet.asset"])
    result = analyze(inputs, site, engines, progress)
    analysed = process_time()
    write_results(result, folder / "result")
    truth, infected = _truth(folder / "truth")
    pages = [
        f for f in result.findings if f.kind == "malware-profile" and f.attributes["family"] == DEMO_FAMILY
    ]
    page = max(pages, key=lambda f: (f.window, f.revision), default=None)
    # A device may be suspected before a report gives the family its name: then it is called by its token.
    names = {DEMO_FAMILY} if page is None else {DEMO_FAMILY, *page.attributes["aliases"]}
    return JointDemo(
        packets=made.packets,
        families=made.families,
        seconds={"simulate": simulated - start, "analyse": analysed - simulated},
        truth=truth,
        page=page,
        infected=infected,
        suspected={
            f.attributes["asset"]: f
            for f in result.findings
            if f.kind == "asset-suspected-infected"
            and f.attributes["level"] == "device"
            and f.attributes["family"] in names
        },
    )


def _truth(folder: Path) -> tuple[dict[str, Any], set[str]]:
    """(the family, the assets on which it really was)."""
    families = json.loads((folder / "families.json").read_text())
    family = next(one for one in families if one["family"] == DEMO_FAMILY)
    cases = pq.read_table(folder / "infections.parquet", columns=["device", "family"]).to_pylist()
    devices = {case["device"] for case in cases if case["family"] == DEMO_FAMILY}
    assets = pq.read_table(folder / "assets.parquet", columns=["asset_id", "device"]).to_pylist()
    return family, {asset["asset_id"] for asset in assets if asset["device"] in devices}


def show_joint(demo: JointDemo) -> None:
    """Print the family's page and the partner's devices beside the truth."""
    from rich.console import Console

    screen = Console(width=100, highlight=False)
    screen.print()
    screen.print(
        f"Two days of {demo.families} bot families: {demo.packets:,} packets of a darknet, logs of ten honeypots, "
        "reports, and lists of a partner's systems."
    )
    if demo.page is None:
        screen.print(f"No page was made for {demo.truth['family']}.")
        return
    screen.print(f"  {demo.page.statement}")
    for evidence in demo.page.evidence[:2]:
        screen.print(f"  - {evidence.statement}")
    screen.print()
    for asset, finding in sorted(demo.suspected.items(), key=lambda item: (-item[1].confidence, item[0]))[
        :_SHOWN
    ]:
        mark = "right" if asset in demo.infected else "WRONG"
        screen.print(f"  {mark}  {finding.statement.split(' Next:')[0]}")
    more = len(demo.suspected) - _SHOWN
    screen.print(
        f"  {f'and {more} more; ' if more > 0 else ''}of {len(demo.suspected)} suspected devices {len(demo.hits)} have "
        f"{demo.truth['family']}; it is on {len(demo.infected)} of the partner's."
    )
    screen.print(f"CPU: simulate {demo.seconds['simulate']:.1f} s, analyse {demo.seconds['analyse']:.1f} s.")
