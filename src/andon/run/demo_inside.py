"""The third act of the demonstration: darknet and inside together, with one camera that both see.

The camera is one of those that the second act's family is on. Here it stands in an organisation whose proxy writes a
log: the darknet and the honeypots see it scan, the log shows with whom it talks.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from andon.observe.reputation import reputation
from andon.records.contract import Site
from andon.records.finding import Finding
from andon.records.reputation import BLACK, WHITE
from andon.run.batch import Analysis, analyze
from andon.run.engines import load_engines
from andon.run.inputs import Inputs, with_assets
from andon.run.results import write_results
from andon.simulate.joint import DEMO_FAMILY
from andon.simulate.organisation import Scenario, simulate

ASSET: Final = "CAM-1"
_TERMINALS: Final = 400
_TOLD: Final = ("infected-terminal", "suspected-terminal")  # the surest first
_BEACON: Final = "beacon"


@dataclass(frozen=True)
class InsideDemo:
    """``outside``: what the darknet's side says of the camera; ``inside``: what its contacts say. ``named``: terminals
    that the last day's list names, the surest first; ``infected``: those that the truth names.

    ``right``: both sides name the camera, and of the ten terminals named first nine are infected."""

    lines: int
    seconds: dict[str, float]  # CPU
    camera: str
    outside: Finding | None
    inside: Finding | None
    named: list[str]
    infected: set[str]

    @property
    def hits(self) -> int:
        return sum(name in self.infected for name in self.named)

    @property
    def right(self) -> bool:
        first = self.named[:10]
        sure = sum(name in self.infected for name in first) >= 0.9 * len(first)
        return self.outside is not None and self.inside is not None and bool(first) and sure

    def to_dict(self) -> dict[str, Any]:
        return {
            "lines": self.lines,
            "cpu_seconds": {name: round(value, 2) for name, value in self.seconds.items()},
            "camera": self.camera,
            "outside": None if self.outside is None else self.outside.title,
            "inside": None if self.inside is None else self.inside.title,
            "named": len(self.named),
            "hits": self.hits,
            "infected": len(self.infected),
            "right": self.right,
        }


def run_inside(folder: Path, joint: Path, progress: Callable[[str, int], None]) -> InsideDemo:
    """Simulate the camera's organisation into ``folder`` and analyse its log together with what the second act left in
    ``joint``. Raises OSError."""
    begun = process_time()
    camera, start = _camera(joint / "truth")
    scenario = Scenario(seed=42, terminals=_TERMINALS, days=2, start=start, camera=camera)
    made = simulate(scenario, folder, ("squid",))
    inventory = folder / "inventory.csv"
    with inventory.open("w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["asset_id", "ip", "lease_start", "lease_end", "device", "vendor", "product"])
        end = start + timedelta(days=scenario.days)
        rows.writerow([ASSET, camera, f"{start:%FT%TZ}", f"{end:%FT%TZ}", "IP Camera", "Dahua", "IPC-HDW"])
    simulated = process_time()
    given = [path for path in sorted(joint.iterdir()) if path.is_file() and _of_the_world(path)]
    inputs = Inputs.of([*given, inventory, folder / "access.log"])
    lists = [
        reputation(folder / "lists" / f"{colour}.csv", colour)[0].to_batches() for colour in (BLACK, WHITE)
    ]
    site = with_assets(Site(reputation=pa.Table.from_batches([b for one in lists for b in one])), inputs)
    engines = load_engines(site, ["intel.profile", "darknet.asset", "livenet.proxygraph"])
    result = analyze(inputs, site, engines, progress)
    analysed = process_time()
    write_results(result, folder / "result")
    terminals = pq.read_table(folder / "truth" / "terminals.parquet").to_pylist()
    return InsideDemo(
        lines=made.lines,
        seconds={"simulate": simulated - begun, "analyse": analysed - simulated},
        camera=camera,
        outside=_newest(result, ("asset-suspected-infected",), camera),
        inside=_newest(result, (*_TOLD, _BEACON), camera),
        named=_named(result),
        infected={row["terminal"] for row in terminals if row["campaign"] >= 0},
    )


def _of_the_world(path: Path) -> bool:
    """What the darknet, the honeypots and the reporters have; not the lists of the second act's partner."""
    return path.suffix in (".pcap", ".json") or path.name == "reports.jsonl"


def _camera(truth: Path) -> tuple[str, datetime]:
    """Address of a camera that has the family, and the first day of the scenario."""
    cases = pq.read_table(truth / "infections.parquet").to_pylist()
    homes = {row["device"]: row for row in pq.read_table(truth / "addresses.parquet").to_pylist()}
    case = next(
        one
        for one in cases
        if one["family"] == DEMO_FAMILY and one["type"] == "IP Camera" and not homes[one["device"]]["shared"]
    )
    home = homes[case["device"]]
    return home["ip"], datetime.fromisoformat(home["from"]).astimezone(UTC)


def _newest(result: Analysis, kinds: tuple[str, ...], address: str) -> Finding | None:
    """What is said of the camera, by its address or by its name in the inventory."""
    told = [
        f
        for f in result.findings
        if f.kind in kinds and any(entity.value in (address, ASSET) for entity in f.entities)
    ]
    return max(told, key=lambda f: (-kinds.index(f.kind), f.window, f.revision, f.confidence), default=None)


def _named(result: Analysis) -> list[str]:
    """Terminals that findings of the last day name, the surest first."""
    told = [f for f in result.findings if f.kind in _TOLD]
    last = max((f.window for f in told), default=None)
    mine = sorted((f for f in told if f.window == last), key=lambda f: (-f.confidence, f.subject[1]))
    return [f.subject[1] for f in mine]


def show_inside(demo: InsideDemo) -> None:
    """Print what both sides say of the camera, and the list beside the truth."""
    from rich.console import Console

    screen = Console(width=100, highlight=False)
    screen.print()
    screen.print(
        f"Inside an organisation of {_TERMINALS} terminals: two days, {demo.lines:,} lines of its proxy, beside the "
        f"darknet and the honeypots. Of its camera at {demo.camera}:"
    )
    for place, finding in (("outside", demo.outside), ("inside", demo.inside)):
        text = "nothing" if finding is None else finding.statement.split(" Next:")[0]
        screen.print(f"  {place:7}  {text}", soft_wrap=False)
    screen.print(
        f"  {len(demo.named)} terminals named on the last day, {demo.hits} of them infected; {len(demo.infected)} are."
    )
    screen.print(f"CPU: simulate {demo.seconds['simulate']:.1f} s, analyse {demo.seconds['analyse']:.1f} s.")
