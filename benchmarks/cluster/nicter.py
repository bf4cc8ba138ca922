"""What a telescope needs, computed from what was measured: the tables of docs/scaling.md.

    python benchmarks/cluster/nicter.py [--set NAME=VALUE ...] [--list]

``--list`` prints every input with where it comes from; ``--set`` replaces one by your own, e.g. ``--set
bytes_capture=110 --set cores=64``. Nothing is measured here: inputs are measured (by the command beside them) or
assumed, everything else is computed by the formulas below. Figures of a partition are of 5 million packets; of an hour
at 20,000/s they are more, up to what the tables of engines may hold.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

DAY, YEAR = 86_400.0, 365 * 86_400.0


@dataclass(frozen=True)
class Input:
    """``source``: the command that measures it, or "assumed"."""

    value: float
    unit: str
    what: str
    source: str


INPUTS: Final[Mapping[str, Input]] = {
    # One packet.
    "capture_us": Input(0.25, "us", "capture from the interface", "benchmarks/live/capture.py"),
    "live_us": Input(
        1.47,
        "us",
        "journal, engines, checkpoints and history, live",
        "benchmarks/live/day.py (42.3 min a day)",
    ),
    "first_us": Input(
        0.88, "us", "read and summarise, batch, from captures", "benchmarks/cluster/overhead.py"
    ),
    "second_us": Input(0.08, "us", "second read, that counts checks", "benchmarks/cluster/overhead.py"),
    "bytes_capture": Input(82.3, "B", "in a capture", "benchmarks/cluster/captures.py"),
    "bytes_gz": Input(36.7, "B", "in a compressed capture", "gzip -6 of the same"),
    "bytes_history": Input(21.0, "B", "in the packet history", "benchmarks/live/rate.py"),
    "bytes_bus": Input(26.2, "B", "on the bus", "benchmarks/bus/throughput.py"),
    "bytes_journal": Input(
        35.0, "B", "in the journal, until it is in the history", "benchmarks/store/run.py"
    ),
    # One partition, one day.
    "partition_rows": Input(72e6, "packets", "in a file: an hour at 20,000/s", "assumed"),
    "merge_s": Input(1.55, "CPU s", "merge the summaries of a partition", "benchmarks/cluster/overhead.py"),
    "summary_bytes": Input(96e6, "B", "summaries of a partition, compressed", "benchmarks/cluster/memory.py"),
    "task_s": Input(
        0.0017, "CPU s", "of scheduler and driver for a task", "benchmarks/cluster/dask_tasks.py"
    ),
    "conclude_s": Input(
        290.0, "CPU s", "conclusions of a day, one after the other", "benchmarks/cluster/overhead.py"
    ),
    "worker_bytes": Input(1.43e9, "B", "memory of a worker", "benchmarks/cluster/memory.py"),
    # The site.
    "cores": Input(32, "cores", "of the cluster", "assumed"),
    "busy": Input(0.7, "", "share of a core that may be used on the average", "assumed"),
    "keep_days": Input(365, "days", "packets are kept", "assumed"),
}


@dataclass(frozen=True)
class Load:
    """``rate``: packets per second on the average; ``again``: packets of the re-analysis."""

    name: str
    rate: float
    again: float


LOADS: Final = (
    Load("NICTER", 20_000, 20_000 * 30 * DAY),
    Load("a /8", 1_000_000, 1_000_000 * 30 * DAY),
)


@dataclass(frozen=True)
class Site:
    """The formulas. ``v``: values of the inputs by name."""

    v: Mapping[str, float]

    def sensor_cores(self, rate: float) -> float:
        """Capture and journal at the sensor, with what may be used of a core."""
        return rate * self.v["capture_us"] / 1e6 / self.v["busy"]

    def live_cores(self, rate: float) -> float:
        """`andon run` on everything that comes in."""
        return rate * self.v["live_us"] / 1e6 / self.v["busy"]

    def kept(self, rate: float, kind: str) -> float:
        """Bytes of ``keep_days`` on disk."""
        return rate * DAY * self.v["keep_days"] * self.v[f"bytes_{kind}"]

    def bits(self, rate: float, kind: str) -> float:
        """Bits per second on the network."""
        return rate * self.v[f"bytes_{kind}"] * 8

    def partitions(self, packets: float) -> float:
        return math.ceil(packets / self.v["partition_rows"])

    def parallel(self, packets: float) -> float:
        """CPU seconds of a re-analysis that any number of workers share."""
        reads = packets * (self.v["first_us"] + self.v["second_us"]) / 1e6
        return reads + self.partitions(packets) * (self.v["merge_s"] + self.v["task_s"])

    def sequential(self, packets: float, rate: float) -> float:
        """CPU seconds of the driver: conclusions of one day after the other."""
        return packets / rate / DAY * self.v["conclude_s"]

    def takes(self, packets: float, rate: float, cores: float) -> float:
        """Seconds of a re-analysis on so many cores of workers."""
        return self.parallel(packets) / cores / self.v["busy"] + self.sequential(packets, rate)

    def storage(self, packets: float, rate: float, cores: float, kind: str) -> float:
        """Bytes per second that the storage has to give while the first read goes on."""
        return cores * self.v["busy"] / self.v["first_us"] * 1e6 * self.v[f"bytes_{kind}"]

    def enough(self, packets: float, rate: float) -> float:
        """Cores beyond which the conclusions take longer than all that workers do."""
        return self.parallel(packets) / self.v["busy"] / max(self.sequential(packets, rate), 1e-9)


def size(number: float) -> str:
    """Bytes, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if number < 1000 or unit == "PB":
            return f"{number:,.3g} {unit}" if number < 100 else f"{number:,.0f} {unit}"
        number /= 1000
    raise AssertionError


def span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def tables(values: Mapping[str, float]) -> str:
    site = Site(values)
    lines = ["| | " + " | ".join(load.name for load in LOADS) + " |", "|---|" + "---|" * len(LOADS)]

    def add(name: str, texts: list[str]) -> None:
        lines.append(f"| {name} | " + " | ".join(texts) + " |")

    add("packets per second", [f"{load.rate:,.0f}" for load in LOADS])
    add("packets a year", [f"{load.rate * YEAR / 1e9:,.0f} G" for load in LOADS])
    add("cores to capture", [f"{site.sensor_cores(load.rate):.2f}" for load in LOADS])
    add("cores to analyse live", [f"{site.live_cores(load.rate):.2f}" for load in LOADS])
    for kind, name in (("capture", "captures"), ("gz", "compressed captures"), ("history", "packet history")):
        add(f"disk, {values['keep_days']:.0f} days of {name}", [size(site.kept(x.rate, kind)) for x in LOADS])
    add(
        "network, sensor to analyser, as captured",
        [f"{site.bits(x.rate, 'capture') / 1e6:,.0f} Mbit/s" for x in LOADS],
    )
    add("network, through the bus", [f"{site.bits(x.rate, 'bus') / 1e6:,.0f} Mbit/s" for x in LOADS])
    add("a month re-analysed: packets", [f"{x.again / 1e9:,.0f} G" for x in LOADS])
    add("partitions", [f"{site.partitions(x.again):,.0f}" for x in LOADS])
    add("CPU that workers share", [f"{site.parallel(x.again) / 3600:,.1f} h" for x in LOADS])
    add("conclusions, one after the other", [span(site.sequential(x.again, x.rate)) for x in LOADS])
    for cores in (2, 8, values["cores"], 256):
        add(f"on {cores:.0f} cores", [span(site.takes(x.again, x.rate, cores)) for x in LOADS])
    add("cores beyond which conclusions take longer", [f"{site.enough(x.again, x.rate):,.0f}" for x in LOADS])
    for kind, name in (("capture", "captures"), ("history", "packet history")):
        add(
            f"read from the storage, {name}, {values['cores']:.0f} cores",
            [size(site.storage(x.again, x.rate, values["cores"], kind)) + "/s" for x in LOADS],
        )
    add(
        "summaries in the work folder",
        [size(site.partitions(x.again) * values["summary_bytes"]) for x in LOADS],
    )
    add(
        f"memory of the workers, {values['cores']:.0f} cores",
        [size(values["cores"] * values["worker_bytes"]) for _ in LOADS],
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    values = {name: one.value for name, one in INPUTS.items()}
    for text in arguments.set:
        name, _, value = text.partition("=")
        if name not in values:
            parser.error(f"no input is called {name}; there are: {', '.join(values)}")
        values[name] = float(value)
    if arguments.list:
        print("| input | value | what | from |\n|---|---|---|---|")
        for name, one in INPUTS.items():
            print(f"| `{name}` | {values[name]:g} {one.unit} | {one.what} | {one.source} |")
        print()
    print(tables(values))


if __name__ == "__main__":
    main()
