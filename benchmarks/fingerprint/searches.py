"""The searches that are compared, behind one shape: packets in, (relation, addresses) pairs and cost out."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.fingerprint import ga
from andon.detect.darknet.fingerprint.ga_fitness import Guards
from andon.detect.darknet.fingerprint.sample import COLUMNS, Family, Sample
from andon.records.columns import column
from andon.records.packet import IPV4, LATER_FRAGMENT, SYN, TCP
from andon.simulate.internet import InternetConfig, packets

NAMES = ("ts", "src", *COLUMNS, "tcp_flags", "layers")
PER_SOURCE = 1024  # packets of a source that a search is given
Columns = dict[str, np.ndarray]
Search = Callable[[Sample, int], tuple[list[Family], dict[str, Any]]]


@dataclass(frozen=True)
class Answer:
    """``found``: relation text and addresses (uint32); CPU seconds of the search alone; what it said about itself."""

    found: list[tuple[str, np.ndarray]]
    cpu: float
    peak_mb: int
    notes: dict[str, Any]

    def costs(self) -> dict[str, Any]:
        return {"cpu": round(self.cpu, 2), "peak_mb": self.peak_mb, **self.notes}


def algebra(sample: Sample, seed: int) -> tuple[list[Family], dict[str, Any]]:
    from andon.detect.darknet.fingerprint.discover import discover

    made = discover(sample)
    spent = {name: round(value, 2) for name, value in getattr(made, "spent", {}).items()}
    return list(getattr(made, "families", made)), {
        "spent": spent,
        "left_out": list(getattr(made, "left_out", ())),
    }


def genetic(sample: Sample, seed: int) -> tuple[list[Family], dict[str, Any]]:
    made = ga.evolve(sample, seed, ga.Settings())
    return made.families, {"rounds": made.rounds, "evaluations": made.evaluations}


def unguarded(sample: Sample, seed: int) -> tuple[list[Family], dict[str, Any]]:
    made = ga.evolve(sample, seed, ga.Settings(guards=Guards.none()))
    return made.families, {"rounds": made.rounds, "evaluations": made.evaluations}


METHODS: Mapping[str, Search] = {"algebra": algebra, "ga": genetic, "ga-unguarded": unguarded}


def run_search(method: Search, columns: Columns, seed: int) -> Answer:
    """Search the SYN packets among ``columns``."""
    sample = Sample.of_packets(columns, PER_SOURCE)
    begin = time.process_time()
    families, notes = method(sample, seed)
    cpu = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return Answer([(f.relation, sample.src[f.sources]) for f in families], cpu, peak, notes)


def simulated(config: InternetConfig) -> Columns:
    """The SYN packets of a simulation."""
    return syn_packets([*packets(config)])


def syn_packets(batches: list[pa.RecordBatch]) -> Columns:
    """Columns of the TCP SYN packets of record batches; at least one batch."""
    columns = {name: np.concatenate([column(batch, name) for batch in batches]) for name in NAMES}
    whole = (columns["layers"] & (IPV4 | TCP | LATER_FRAGMENT)) == (IPV4 | TCP)
    kept = whole & (columns["tcp_flags"] & 0x3F == SYN)
    return {name: values[kept] for name, values in columns.items()}


def joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in NAMES}
