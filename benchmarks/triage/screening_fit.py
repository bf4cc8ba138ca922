"""Make the shipped screening model from the development networks of AIT-ADS.

python benchmarks/triage/screening_fit.py OUT.npz
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import ait
import numpy as np
from screening_eval import both, labelled, noisy

from andon.learn import registry
from andon.learn.screening import train

CARD = {
    "version": "2026.11",
    "name": "screening",
    "trained_on": "AIT Alert Data Set (Landauer, Skopik, Wurzenberger, CSET 2024; zenodo 8263181, CC BY 4.0), networks "
    "santos, fox, wardbeck, russellmitchell, shaw: 811,466 alerts of January 2022, simulated",
    "more_noise": "the same networks with 3 and 8 times the background (days of others overlaid)",
    "label": "an alert of the episode has a line-level label of an attack step; episodes inside attack windows without "
    "one were left out",
    "leave_one_network_out": {
        "AP": 0.942,
        "steps at 5/10/20/50/100 looks a day by worth": "40/42/42/42/42 of 42",
        "of each day": "30/36/41/42/42 of 42",
    },
    "use": "ordering episodes of alerts for analysts; the features know no names",
    "not_for": "closing alerts without a person, acting on a host, or claims about other attacks or other products' "
    "alerts: five simulated networks, one plan of attack",
}


def main() -> int:
    tables = ait.load()
    networks = {name: ait.network(name, table) for name, table in tables.items()}
    rows = both(labelled(list(networks.values())), noisy(tables, networks))
    begin = time.process_time()
    model = train(
        rows.features, rows.labels, rows.groups, rows.weights, seed=1, signatures=rows.signatures, extra=rows.extra,
        card=CARD,
    )  # fmt: skip
    print(f"trained in {time.process_time() - begin:.1f} CPU s")
    registry.save(model, Path(sys.argv[1]))
    print({k: v for k, v in model.card.items() if k != "features"}, model.digest)
    print(
        "calibration",
        len(model.arrays["calibration scores"]),
        np.sort(model.arrays["calibration scores"])[:5],
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
