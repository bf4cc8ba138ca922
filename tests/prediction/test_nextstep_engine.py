"""Next steps are published only where a long memory has beaten a short one on this site's own past."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from andon.records.contract import Context, Nothing, Site
from andon.records.triage import EPISODES
from andon.run.contract import check_engine
from andon.triage.nextstep import engine
from andon.triage.nextstep.memory import Steps

SLOT = 600 * 10**9
DAY = 144 * SLOT
START = 20_000 * DAY


def episodes(at: int, steps: list[tuple[str, str]], before: int = 0) -> pa.Table:
    """Episodes (host, rule) that began one second after another; ``before``: seconds by which the first is older."""
    columns: list[pa.Array] = []
    for field in EPISODES:
        if field.name in ("first", "last"):
            values: list[Any] = [at + (n - before) * 10**9 for n in range(len(steps))]
            columns.append(pa.array(values, pa.int64()).cast(field.type))
            continue
        empty: Any = [] if pa.types.is_list(field.type) else "" if pa.types.is_string(field.type) else 0
        values = [
            {"host": host, "rule": rule, "product": "suricata", "title": rule}.get(field.name, empty)
            for host, rule in steps
        ]
        columns.append(pa.array(values, pa.int64() if empty == 0 else field.type).cast(field.type))
    return pa.table(columns, schema=EPISODES)


def play(days: int, patterned: bool) -> list[Any]:
    rng, made, carry, outcomes = np.random.default_rng(7), engine(Site()), None, []
    owed = ["x"] * 6
    for day in range(days):
        for slot in range(0, 144, 24):
            steps = []
            for host in range(6):
                if patterned:  # what follows "c" depends on what came three steps before
                    words = owed[host] + ("abc" if rng.random() < 0.5 else "dbc")
                    owed[host] = "x" if words[1] == "a" else "y"
                else:
                    words = "".join(rng.choice(list("abcd"), 4))
                steps += [(f"h{host}", word) for word in words]
            at = START + day * DAY + slot * SLOT
            table = {"triage.screening:episodes": episodes(at, steps)}
            outcomes.append(made.conclude(Nothing(), carry, Context("10min", at, at + SLOT, tables=table)))
            carry = outcomes[-1].carry
    return outcomes


def test_contract_of_the_next_step_engine() -> None:
    check_engine(engine(Site()), [], {"triage.screening:episodes": episodes(0, [("h", "a"), ("h", "b")])})
    check_engine(engine(Site()), [])


def test_a_pattern_opens_the_gate_after_a_week_and_chance_does_not() -> None:
    outcomes = play(12, True)
    shown = [n for n, o in enumerate(outcomes) if o.tables["next"].num_rows]
    assert shown and shown[0] >= 7 * 6
    quality = pa.concat_tables([o.tables["quality"] for o in outcomes]).to_pylist()
    assert len(quality) == 11 and quality[-1]["shown"] and not quality[0]["shown"]
    last = quality[-1]
    assert (
        last["foretold"] > last["foretold_order_1"] and last["confident_foretold"] >= 0.9 * last["confident"]
    )
    assert not any(o.findings for o in outcomes)
    assert not any(o.tables["next"].num_rows for o in play(12, False))


def test_an_episode_counts_as_a_step_only_where_it_begins() -> None:
    made = engine(Site())
    table = {"triage.screening:episodes": episodes(START, [("h", "a"), ("h", "b"), ("h", "c")], before=2)}
    carry = made.conclude(Nothing(), None, Context("10min", START, START + SLOT, tables=table)).carry
    assert carry is not None and carry.counts[0] == 1


def test_room_for_hosts_is_bounded_and_what_is_left_out_is_counted() -> None:
    made = engine(Site(settings={"triage.nextstep.hosts": 3}))
    table = {"triage.screening:episodes": episodes(START, [(f"h{n}", "a") for n in range(10)])}
    carry = made.conclude(Nothing(), None, Context("10min", START, START + SLOT, tables=table)).carry
    assert carry is not None and len(carry.hosts) == 3 and carry.left_out == 7
    assert Steps.from_bytes(carry.to_bytes()).to_bytes() == carry.to_bytes()
