"""Null runs: families given out anew among the sources, and the honeypots' log moved by 200 days. No links.

    python benchmarks/link/null.py [FOLDER] [RUNS]     default ../shared/data/joint/scenario, 200

The history of the folder's scenario is made once. In each run a random half of the sources is taken, and what each
shows in the darknet (fingerprints, sets of ports) is that of another one; the whole procedure with all decoys follows.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from planted import run

from andon.detect.darknet.link.evidence import judge
from andon.detect.darknet.link.history import History
from andon.detect.darknet.link.versions import analyse
from andon.records.contract import Site

SHIFT = 200 * 86_400


def renamed(history: History, rng: np.random.Generator) -> History:
    """Half of the sources, each with the marks of another one, days and times its own."""
    dark, sessions = history.darknet, history.sessions
    every = np.unique(dark.src)
    chosen = np.sort(rng.permutation(every)[: len(every) // 2])
    rows = np.flatnonzero(np.isin(dark.src, chosen))
    part = dark.take(rows)
    of = np.searchsorted(chosen, part.src)
    begin = np.searchsorted(part.src, chosen)
    giver = begin[rng.permutation(len(chosen))][of]
    new = replace(part, fingerprint=part.fingerprint[giver], ports=part.ports[giver])
    return replace(
        history, darknet=new, sessions=sessions.take(np.flatnonzero(np.isin(sessions.address, chosen)))
    )


def shifted(history: History) -> History:
    """All sessions 200 days earlier."""
    at = (history.sessions.at.astype(np.int64) - SHIFT).astype(np.uint32)
    return replace(history, sessions=replace(history.sessions, at=at))


def links(history: History) -> tuple[int, int]:
    """(links, matched sources)."""
    begin, end = int(history.levels[:, 0].min()) * 86_400, (int(history.levels[:, 0].max()) + 1) * 86_400
    made = analyse(history, begin, end, Site().hash_key)
    return int(judge(made).linked.sum()), made.target.pairings.matched


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/joint/scenario")
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    history = run(folder).last.carry
    begin = time.process_time()
    found = [links(renamed(history, np.random.default_rng(seed))) for seed in range(runs)]
    print(json.dumps({
        "true": links(history), "shifted_200_days": links(shifted(history)),
        "renamed": {"runs": runs, "runs_with_links": sum(n > 0 for n, _ in found), "links": sum(n for n, _ in found),
                    "matched_sources_mean": round(float(np.mean([m for _, m in found])), 1)},
        "cpu_s": round(time.process_time() - begin, 1),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
