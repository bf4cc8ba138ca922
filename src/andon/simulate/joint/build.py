"""A scenario written to a folder, in the file names and native formats that its readers expect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from .assets import Assets
from .families import families
from .infections import infections
from .leases import world
from .logs import write_logs
from .reports import reports, write_reports
from .scenario import DAY, Scenario
from .sightings import sightings
from .truth import dotted, write_truth
from .visits import visits


@dataclass(frozen=True)
class Made:
    """What was written: files to analyse (the truth is not among them), and how much of what."""

    folder: Path
    files: tuple[Path, ...]
    families: int
    infections: int
    sightings: int
    visits: int
    packets: int


def simulate(scenario: Scenario, out: Path, capture_days: float = 0.0) -> Made:
    """Write the scenario into ``out`` and the truth into ``out/truth``; folders are made if absent.

    ``capture_days`` > 0: ``capture.pcap`` too, the packets of a stretch of so many days in the middle of it, whose
    headers really keep the families' relations. Raises OSError, and ValueError if the stretch does not fit in.
    """
    if not 0 <= capture_days <= scenario.days:
        raise ValueError(
            f"the capture lasts at most the {scenario.days} days of the scenario, not {capture_days}"
        )
    out.mkdir(parents=True, exist_ok=True)
    bots = families(scenario)
    where = world(scenario)
    cases = infections(scenario, bots, where)
    seen = sightings(scenario, bots, where, cases)
    who = visits(scenario, bots, where, cases)
    said = reports(scenario, families(scenario, "others") if scenario.null == "rename" else bots)
    owned = Assets(scenario, where, cases)
    names = pa.array([name or None for name in seen.names], pa.string())
    pq.write_table(
        pa.table({
            "ts": seen.ts / 1e9,
            "src": pa.array(dotted(seen.src)),
            "dst_port": seen.port.astype("int64"),
            "fingerprint": names.take(pa.array(seen.mark)),
        }),
        out / "darknet_sources.parquet", compression="zstd",
    )  # fmt: skip
    ids = write_logs(scenario, who, out)
    write_reports(said, out)
    owned.write(out)
    write_truth(scenario, bots, where, cases, seen, who, ids, owned, said, out / "truth")
    packets = 0
    if capture_days:
        from .capture import write_capture

        packets = write_capture(scenario, bots, where, cases, round(capture_days * DAY), out / "capture.pcap")
    files = tuple(sorted(path for path in out.iterdir() if path.is_file()))
    return Made(out, files, len(bots), len(cases.device), len(seen.ts), len(who), packets)
