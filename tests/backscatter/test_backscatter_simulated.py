"""The simulated Internet, where the truth is known: every strong victim is called, and nobody else."""

from __future__ import annotations

import numpy as np
from backscatter_traffic import DAY, telescope

from andon.detect.darknet.backscatter import engine
from andon.records.contract import Context, Site
from andon.simulate.internet import packets, small_config, truth


def test_victims_and_the_flooded_address_of_the_simulated_internet_are_called_and_nobody_else() -> None:
    config = small_config(seed=3, packets=400_000)
    ours = engine(Site())
    state = ours.empty()
    for batch in packets(config):
        state = ours.summarise(batch, state)
    start = config.start_ns // DAY * DAY
    outcome = ours.conclude(
        state, None, Context("1d", start, start + DAY, tables=telescope(config.addresses))
    )
    rows, events = truth(config)
    kind, sent = np.array(rows["kind"].to_pylist()), rows["packets"].to_numpy()
    victims = rows["src"].to_numpy()[kind == "backscatter"]
    strong = set(victims[sent[kind == "backscatter"] >= 40].tolist())
    called = outcome.tables["victims"].drop(["first", "last"]).to_pylist()
    named = {row["address"] for row in called if row["class"] == "spoofed-dos-victim"}
    assert strong
    assert strong <= named <= set(victims.tolist())
    flooded = {
        row["dst"] for row in events.drop(["ts"]).to_pylist() if row["event"] == "attack-begin" and row["dst"]
    }
    assert {row["address"] for row in called if row["class"] != "spoofed-dos-victim"} == flooded
