"""The lists that an operator would have: what is black and since when, what is popular."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from . import names
from . import sites as where
from .campaigns import FAMILIES, Plan
from .scenario import Scenario
from .sites import Sites

_NEVER = 1500  # entries that nobody here ever meets


def colours(scenario: Scenario, dest: Sites, plan: Plan) -> np.ndarray:
    """ "black", "white" or "gray" of each host, as the lists have it; black wins."""
    seed = np.where(dest.white >= 0, "white", "gray").astype("U5")
    web = dest.ranges[where.WEB][1] * 3  # a domain stands for its names
    seed[1:web:3] = seed[2:web:3] = seed[0:web:3]
    seed[dest.kind == where.SUBDOMAIN] = "gray"
    seed[dest.kind == where.LISTED] = "black"
    first = dest.ranges[where.MALICIOUS][0]
    seed[first + np.nonzero(plan.black)[0]] = "black"
    if scenario.black_cdn:
        seed[dest.ranges[where.CDN][0]] = "black"
    return seed


def write_lists(scenario: Scenario, dest: Sites, plan: Plan, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    rng = scenario.rng("lists")
    seed, text = colours(scenario, dest, plan), dest.names.to_pylist()
    begin = datetime.fromtimestamp(scenario.begin / 1000, UTC)
    first = dest.ranges[where.MALICIOUS][0]
    rows = []
    for host in np.nonzero(seed == "black")[0].tolist():
        if dest.kind[host] == where.MALICIOUS:
            family, day = FAMILIES[int(plan.family[host - first])], int(plan.since[host - first])
        else:
            family, day = FAMILIES[int(rng.integers(len(FAMILIES)))], -int(rng.integers(1, 900))
        value = text[host]
        address = value.replace(".", "").isdigit()
        rows.append((value, "address" if address else "domain", family, day))
    never = np.char.add(names.labels(5_000_000, _NEVER, rng), names.zones(_NEVER, rng)).tolist()
    which, days = rng.integers(0, len(FAMILIES), _NEVER).tolist(), rng.integers(1, 900, _NEVER).tolist()
    rows += [(value, "domain", FAMILIES[f], -day) for value, f, day in zip(never, which, days, strict=True)]
    rng.shuffle(rows)
    body = [f"{v},{t},{f},{(begin + timedelta(days=d)).date().isoformat()}" for v, t, f, d in rows]
    (out / "black.csv").write_text("\n".join(["value,type,family,date", *body]) + "\n")
    ranked = np.nonzero((dest.white >= 0) & (seed != "black"))[0]
    ranked = ranked[np.argsort(dest.white[ranked], kind="stable")].tolist()
    domains = [text[h].removeprefix("www.") for h in ranked]
    if scenario.black_cdn:
        domains.append(text[dest.ranges[where.CDN][0]])
    (out / "white.csv").write_text("".join(f"{i},{domain}\n" for i, domain in enumerate(domains, 1)))
