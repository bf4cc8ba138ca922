"""At the limits as they are: half a million pairs and 200,000 sources more or less, in parts or in one."""

from __future__ import annotations

import numpy as np
import pytest

from andon.run.exactly import Counted, Tally, merge
from andon.run.exactly.figures import PAIRS, SOURCES, Exact, Sessions


def counted(name: str, src: np.ndarray, port: np.ndarray) -> Counted:
    exact, sessions, inputs = Exact(), Sessions(), {name}
    exact.add(src, port)
    sessions.add(src, src)
    return Counted(
        "x", {name: 0}, {0: Tally(len(src), 5, 9, inputs, exact), 1: Tally(inputs=inputs, sessions=sessions)}
    )


@pytest.mark.parametrize("sources", [SOURCES, SOURCES + 1, PAIRS, PAIRS + 1])
def test_parts_give_what_one_pass_gives_on_either_side_of_a_limit(sources: int) -> None:
    rng = np.random.default_rng(sources)
    src = (rng.permutation(sources) * 7919 + 1).astype(np.uint32)  # distinct
    src = rng.permutation(np.concatenate([src, src[: sources // 10]]))
    port = (src % 65_536).astype(np.uint16)
    whole = counted("a", src, port)
    cuts = np.sort(rng.choice(len(src), 4, replace=False))
    parts = [
        Counted.from_bytes(counted("a", *piece).to_bytes())
        for piece in zip(np.split(src, cuts), np.split(port, cuts), strict=True)
    ]
    joined = merge(*(parts[n] for n in rng.permutation(len(parts)).tolist()))
    assert joined.to_bytes() == whole.to_bytes()
    exact, sessions = joined.tallies[0].exact, joined.tallies[1].sessions
    assert exact is not None and sessions is not None
    told = exact.to_dict("x", len(src), 5, 9)
    assert told["sources_exact"] == (sources <= SOURCES)
    assert told["sources"] == sources if sources <= SOURCES else abs(told["sources"] / sources - 1) < 0.02
    assert sessions.number(1) == (sources if sources <= PAIRS else None)
    assert sessions.number(2) == (sources // 10 if sources <= PAIRS else None)
    assert sum(one["packets"] for one in told["ports"]) > 0 and exact.ports.used == 65_536
