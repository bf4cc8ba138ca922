"""Beacons: detection beside RITA's score, on generated edges, RITA's own test logs and synth_a; speed.

    .venv/bin/python benchmarks/livenet/beacon.py grid     # period x jitter x loss x prevalence
    .venv/bin/python benchmarks/livenet/beacon.py days     # slow polls over a week, through the engine
    .venv/bin/python benchmarks/livenet/beacon.py rita     # ANDON_DATA/livenet/zeek/rita_*
    .venv/bin/python benchmarks/livenet/beacon.py synth    # ANDON_DATA/livenet/proxy/synth_a
    .venv/bin/python benchmarks/livenet/beacon.py speed    # 6 M edges
    .venv/bin/python benchmarks/livenet/beacon.py fit      # weights of score.machine, and how sure they are

Detection is at equal false alarms: the threshold of each score is what one background edge in ``ONE_IN`` exceeds.
"""

from __future__ import annotations

import gzip
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.livenet.beacon import BeaconEngine, rita
from andon.detect.livenet.beacon.chance import judge
from andon.detect.livenet.beacon.polls import Edges, modes, visits_of
from andon.detect.livenet.beacon.rows import SCREENED
from andon.detect.livenet.beacon.score import NAMES, machine, measurements, score
from andon.detect.livenet.beacon.segments import over_day
from andon.records.contract import Context, Nothing, Site
from andon.records.livenet import DESTINATIONS, EDGES, TERMINALS

DAY = 86_400
ONE_IN = 1000
TERMINAL_COUNT = 2000
Rng = np.random.Generator


# What people do: times in s of one day, several kinds of them.
def browsing(rng: Rng) -> np.ndarray:
    """Sessions of page views; the gaps between pages are log-normal; every page is several requests."""
    out = []
    for begin in 8 * 3600 + 36_000 * rng.beta(2, 2, 1 + rng.geometric(0.35)):
        pages = rng.geometric(min(1.0, 1 / np.exp(rng.normal(1.8, 0.8))))
        out.append(
            begin
            + np.cumsum(
                np.exp(rng.normal(np.log(rng.choice([15, 30, 60, 120])), rng.uniform(0.7, 1.3), pages))
            )
        )
    return requests(rng, np.concatenate(out))


def reading(rng: Rng) -> np.ndarray:
    """Long sessions of one page after the other, at a steady pace."""
    out = []
    for begin in 8 * 3600 + 36_000 * rng.random(rng.integers(1, 4)):
        pace, spread = rng.uniform(20, 150), rng.uniform(0.45, 0.8)
        out.append(begin + np.cumsum(np.exp(rng.normal(np.log(pace), spread, rng.integers(10, 60)))))
    return requests(rng, np.concatenate(out))


def scattered(rng: Rng) -> np.ndarray:
    """Now and then, as a Poisson process with the rate of the working day."""
    return requests(rng, 8 * 3600 + 36_000 * rng.beta(2, 2, rng.integers(6, 70)))


def streaming(rng: Rng) -> np.ndarray:
    """Pieces of a film at an even pace, as long as somebody watches."""
    out = []
    for begin in 8 * 3600 + 50_000 * rng.random(rng.integers(1, 4)):
        pace = rng.uniform(4, 12)
        out.append(begin + np.cumsum(pace * np.exp(rng.normal(0, 0.25, rng.integers(10, 200)))))
    return np.sort(np.concatenate(out))


def always(rng: Rng) -> np.ndarray:
    """A busy machine that many use: requests at random, day and night, more by day."""
    times = rng.uniform(0, DAY, rng.integers(30, 400))
    return np.sort(times[rng.random(len(times)) < 0.3 + 0.7 * np.exp(-(((times / 3600 - 13) / 4) ** 2))])


def requests(rng: Rng, pages: np.ndarray) -> np.ndarray:
    counts = rng.geometric(rng.uniform(0.15, 0.9), len(pages))
    return np.sort(np.repeat(pages, counts) + rng.exponential(1.0, counts.sum()))


PEOPLE: Mapping[Callable[[Rng], np.ndarray], float] = {
    browsing: 0.45, reading: 0.15, scattered: 0.25, streaming: 0.05, always: 0.1,
}  # fmt: skip


def person(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    kinds = list(PEOPLE)
    times = kinds[rng.choice(len(kinds), p=list(PEOPLE.values()))](rng)
    times = times[times < DAY]
    return times, answers(rng, len(times), rng.beta(1, 2))


def poll(
    rng: Rng,
    period: float,
    jitter: float,
    loss: float,
    office: bool = False,
    stray: float = 0.0,
    end: float = DAY,
) -> tuple[np.ndarray, np.ndarray]:
    """Sleeps even over period * (1 - jitter .. 1 + jitter); lost with chance ``loss``; ``office``: while the laptop
    is on. ``stray``: share of other contacts (a person, a second program, retries), at random times."""
    number = int(end / (period * max(1 - jitter, 0.2))) + 3
    times = rng.uniform(0, period) + np.cumsum(period * rng.uniform(1 - jitter, 1 + jitter, number))
    times = times[(times < end) & (rng.random(number) >= loss)]
    if office:
        on, off = rng.uniform(7.5, 9.5), rng.uniform(16, 18.5)
        noon = rng.uniform(11.5, 13)
        hour = times % DAY / 3600
        times = times[(hour > on) & (hour < off) & ((hour < noon) | (hour > noon + 0.75))]
    others = rng.uniform(times.min(), times.max(), rng.binomial(len(times), stray)) if len(times) else times
    times = np.sort(np.r_[times, others])
    return times, answers(rng, len(times), rng.beta(1.5, 1))


def answers(rng: Rng, number: int, alike: float) -> np.ndarray:
    """Sizes, bytes: a share of them the same (nothing new, a page that is cached), the others as pages are."""
    sizes = np.where(rng.random(number) < alike, rng.integers(100, 5000), np.exp(rng.normal(9, 1.6, number)))
    return sizes.astype(np.int64)


def joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> Edges:
    offsets = np.r_[0, np.cumsum([len(times) for times, _ in parts])].astype(np.int64)
    return Edges(
        offsets, np.concatenate([t for t, _ in parts]), np.concatenate([s for _, s in parts]).astype(float)
    )


def measured(edges: Edges) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(ln likelihood ratio of a machine, RITA's score, measurements) of each edge; what is not examined has the
    least."""
    times, offsets = visits_of(edges)
    enough = np.flatnonzero(np.diff(offsets) >= 6)
    ratio, theirs = (
        np.full(len(edges), -np.inf),
        rita.scores(edges.offsets, edges.times, edges.sizes, 0.0, DAY),
    )
    own = [times[offsets[i] : offsets[i + 1]] for i in enough]
    ends = np.r_[0, np.cumsum([len(t) for t in own])].astype(np.int64)
    judged = judge(
        ends, np.concatenate(own), np.zeros(len(own), np.int64), np.arange(1, len(own) + 1).astype(np.uint64)
    )
    _, one_size = modes(edges.take(enough))
    inputs = np.full((len(edges), len(NAMES)), np.nan)
    day = (np.zeros(len(own)), np.full(len(own), float(DAY)))
    known = measurements(judged, one_size, over_day(ends, np.concatenate(own), *day))
    passed = judged.ratio >= SCREENED
    inputs[enough[passed]] = known[passed]
    ratio[enough[passed]] = machine(judged, known)[passed]
    return ratio, theirs, inputs


def modified(theirs: np.ndarray, visitors: np.ndarray) -> np.ndarray:
    """RITA's score with its modifiers of prevalence."""
    share = visitors / TERMINAL_COUNT
    return theirs + 0.15 * (share <= 0.02) - 0.15 * (share >= 0.5)


def telemetry(rng: Rng) -> tuple[tuple[np.ndarray, np.ndarray], int]:
    """Software that polls, and how many terminals have it: evenly in the logarithm, from one to all."""
    period = rng.choice([60, 300, 600, 900, 1800, 3600])
    made = poll(rng, period, rng.choice([0, 0.02, 0.1, 0.3]), rng.choice([0, 0.05]), rng.random() < 0.6)
    return made, int(np.exp(rng.uniform(0, np.log(TERMINAL_COUNT))))


def grid(seed: int = 1, people: int = 20_000, each: int = 30) -> None:
    rng = np.random.default_rng(seed)
    human = [person(rng) for _ in range(people)]
    ratio, theirs, _ = measured(joined(human))
    alone = np.ones(people, np.int64)
    bars = [np.quantile(values, 1 - 1 / ONE_IN, method="higher") for values in (ratio, theirs)]
    print(
        f"{people:,} edges of people, of which {np.sum(theirs > 0):,} have a score of RITA's and "
        f"{np.sum(np.isfinite(ratio)):,} pass our screen"
    )
    print(f"Thresholds at one in {ONE_IN:,}: ours {bars[0]:.2f} nats, RITA {bars[1]:.3f}\n")
    print("Detected, % (ours / RITA), one terminal, background of people alone")
    print(
        "| period | loss | jitter 0 | 10 % | 30 % | 50 % | 30 %, office hours |\n|---|---|---|---|---|---|---|"
    )
    total = []
    for period in (30, 120, 600, 1800, 3600, 3 * 3600, 6 * 3600):
        for loss in (0.0, 0.2, 0.5):
            cells = []
            for jitter, office in ((0, False), (0.1, False), (0.3, False), (0.5, False), (0.3, True)):
                edges = joined([poll(rng, period, jitter, loss, office) for _ in range(each)])
                got, given, _ = (
                    measured(edges)
                    if len(edges.times) and np.diff(visits_of(edges)[1]).max() >= 6
                    else (
                        np.full(each, -np.inf),
                        rita.scores(edges.offsets, edges.times, edges.sizes, 0.0, DAY),
                        None,
                    )
                )
                share = [100 * np.mean(v > bar) for v, bar in zip((got, given), bars, strict=True)]
                total.append(share)
                cells.append(f"{share[0]:.0f} / {share[1]:.0f}")
            print(f"| {period} s | {loss:.0%} | " + " | ".join(cells) + " |")
    print(
        f"\nMean over the grid: ours {np.mean([t[0] for t in total]):.1f} %, "
        f"RITA {np.mean([t[1] for t in total]):.1f} %\n"
    )
    automated = [telemetry(rng) for _ in range(people // 20)]
    both = [made for made, _ in automated]
    r2, t2, _ = measured(joined(both))
    visitors = np.array([v for _, v in automated])
    mine = np.concatenate([score(ratio, alone, TERMINAL_COUNT), score(r2, visitors, TERMINAL_COUNT)])
    his = np.concatenate([modified(theirs, alone), modified(t2, visitors)])
    plain = np.concatenate([theirs, t2])
    print(
        f"The same with {len(both):,} edges of software that polls (visitors even in the logarithm) in the background:"
    )
    print(
        "beacons of 5 min, jitter 30 %, loss 20 %, of so many terminals; detected, % at one in N false alarms"
    )
    print("| terminals | one in | ours | RITA with modifiers | RITA |\n|---|---|---|---|---|")
    for many in (1, 5, 20, 100):
        edges = joined([poll(rng, 300, 0.3, 0.2) for _ in range(100)])
        got, given, _ = measured(edges)
        out = np.full(100, many)
        for one_in in (1000, 100, 50):
            limits = [np.quantile(v, 1 - 1 / one_in, method="higher") for v in (mine, his, plain)]
            values = (score(got, out, TERMINAL_COUNT), modified(given, out), given)
            print(
                f"| {many} | {one_in} | "
                + " | ".join(f"{100 * np.mean(v > b):.0f}" for v, b in zip(values, limits, strict=True))
                + " |"
            )


def logistic(parts: list[np.ndarray], names: tuple[str, ...], free: int) -> None:
    """Print a logistic regression (ridge of two) of machine (second part) against person; rows of nan did not pass
    the screen. A measurement of regularity that would speak for a person is left out; column ``free`` may have any
    sign."""
    shares = [float(np.mean(~np.isnan(part[:, 0]))) for part in parts]
    kept = [part[~np.isnan(part[:, 0])] for part in parts]
    x, y = np.concatenate(kept), np.repeat([0.0, 1.0], [len(part) for part in kept])
    sure = np.where(y == 1, 0.5 / y.sum(), 0.5 / (len(y) - y.sum())) * len(y)
    ridge = np.full(x.shape[1], 2.0)
    ridge[0] = 0.0
    use = np.ones(x.shape[1], np.bool_)
    while True:
        w = np.zeros(x.shape[1])
        for _ in range(60):
            p = 1 / (1 + np.exp(-x @ w))
            curve = (x[:, use] * (sure * p * (1 - p))[:, None]).T @ x[:, use] + np.diag(ridge[use])
            w[use] += np.linalg.solve(curve, (x.T @ (sure * (y - p)) - ridge * w)[use])
        signs = np.where(np.arange(len(w)) == free, 0.0, w)
        signs[0] = 0.0
        if (signs >= 0).all():
            break
        use[np.argmin(signs)] = False
    # Passing the screen is evidence, too: shares of the two that pass.
    shift = np.log(shares[1] / shares[0])
    print(
        f"pass the screen: people {shares[0]:.3f}, machines {shares[1]:.3f}; that alone is {shift:+.2f} nats"
    )
    w[0] += shift
    print(", ".join(f"{name} {value:+.2f}" for name, value in zip(names, w, strict=True)))
    z = x @ w
    for low, high in ((-20, -4), (-4, -2), (-2, 0), (0, 2), (2, 4), (4, 20)):
        at = (z >= low) & (z < high)
        said = [np.sum(at & (y == k)) / max(1, np.sum(y == k)) * shares[k] for k in (0, 1)]
        seen = np.log(max(said[1], 1e-9) / max(said[0], 1e-9))
        print(
            f"said {low:+d}..{high:+d}: mean {z[at].mean() if at.any() else 0:+.1f}, "
            f"seen {seen:+.1f} ({at.sum()} edges)"
        )


def fit(seed: int = 7) -> None:
    """Weights of one day and of several."""
    rng = np.random.default_rng(seed)
    human = [person(rng) for _ in range(24_000)]
    periods = np.exp(rng.uniform(np.log(20), np.log(6 * 3600), 4000))
    made = [
        poll(
            rng,
            p,
            rng.uniform(0, 0.5),
            rng.choice([0, 0.1, 0.3, 0.5]),
            rng.random() < 0.4,
            rng.choice([0, 0, 0.1, 0.3]),
        )
        for p in periods
    ]
    logistic([measured(joined(every))[2] for every in (human, made)], NAMES, NAMES.index("period"))
    print()
    fit_slow(rng)


OFFICE = sum(1 << h for h in range(8, 18))
EVERY = (1 << 24) - 1


def visitor(rng: Rng) -> tuple[np.ndarray, np.ndarray, int]:
    """A person who comes back over up to a week: at any time of work, or with habits, weekends mostly off."""
    days = rng.integers(3, 8)
    habits = rng.uniform(8, 18, rng.integers(1, 4))
    loose, rate, weekend = rng.uniform(0.1, 0.8), rng.uniform(0.4, 4), rng.integers(0, 7)
    out = []
    for day in range(days):
        if (day + weekend) % 7 >= 5 and rng.random() < 0.8:
            continue
        hours = rng.uniform(8, 18, rng.poisson(rate))
        if rng.random() < 0.5:
            hours = np.r_[
                hours[: rng.integers(0, 2)], rng.normal(habits, loose)[rng.random(len(habits)) < 0.8]
            ]
        out.append(day * DAY + 3600 * np.clip(hours, 0, 23.9))
    times = np.sort(np.concatenate(out)) if out else np.zeros(0)
    return times, answers(rng, len(times), rng.beta(1, 2)), OFFICE if rng.random() < 0.6 else EVERY


def slow_poll(
    rng: Rng, period: float, jitter: float, loss: float, office: bool
) -> tuple[np.ndarray, np.ndarray, int]:
    times, sizes = poll(rng, period, jitter, loss, office, end=rng.integers(3, 8) * DAY)
    return times, sizes, OFFICE if office or rng.random() < 0.3 else EVERY


def measured_slow(parts: list[tuple[np.ndarray, np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    """(ln likelihood ratio, measurements), as ``measured``, over days."""
    inputs, ratio = np.full((len(parts), len(NAMES)), np.nan), np.full(len(parts), -np.inf)
    enough = [i for i, (t, _, _) in enumerate(parts) if len(t) >= 6 and t[-1] - t[0] > DAY]
    edges = joined([parts[i][:2] for i in enough])
    hours = np.array([parts[i][2] for i in enough])
    judged = judge(edges.offsets, edges.times, hours, np.arange(1, len(enough) + 1).astype(np.uint64))
    first = np.floor(edges.times[edges.offsets[:-1]] / DAY) * DAY
    last = np.ceil(edges.times[edges.offsets[1:] - 1] / DAY) * DAY
    known = measurements(judged, modes(edges)[1], over_day(edges.offsets, edges.times, first, last))
    passed = judged.ratio >= SCREENED
    at = np.array(enough)[passed]
    inputs[at], ratio[at] = known[passed], machine(judged, known, slow=True)[passed]
    return ratio, inputs


def fit_slow(rng: Rng) -> None:
    people = [visitor(rng) for _ in range(20_000)]
    periods = np.exp(rng.uniform(np.log(2 * 3600), np.log(24 * 3600), 4000))
    made = [
        slow_poll(rng, p, rng.uniform(0, 0.4), rng.choice([0, 0.1, 0.3]), rng.random() < 0.3) for p in periods
    ]
    logistic([measured_slow(every)[1] for every in (people, made)], NAMES, NAMES.index("period"))


def days(seed: int = 5, people: int = 20_000, each: int = 100) -> None:
    """Polls that come too seldom for one day, by the days that are remembered."""
    rng = np.random.default_rng(seed)
    ratio, _ = measured_slow([visitor(rng) for _ in range(people)])
    bar = np.quantile(ratio, 1 - 1 / ONE_IN, method="higher")
    print(
        f"{people:,} edges of people over 3 to 7 days; threshold at one in {ONE_IN:,}: {bar:.2f} nats. Detected, %"
    )
    print(
        "| period | days | jitter 0 | 10 % | 30 % | 10 %, loss 20 % | 10 %, office hours |\n"
        "|---|---|---|---|---|---|---|"
    )
    for hours in (2, 4, 6, 8, 12, 24):
        for length in (2, 4, 7):
            cells = []
            for jitter, loss, office in (
                (0, 0, False),
                (0.1, 0, False),
                (0.3, 0, False),
                (0.1, 0.2, False),
                (0.1, 0, True),
            ):
                parts = []
                for _ in range(each):
                    times, sizes = poll(rng, hours * 3600, jitter, loss, office, end=length * DAY)
                    parts.append((times, sizes, OFFICE if office else EVERY))
                if not any(len(t) >= 6 and t[-1] - t[0] > DAY for t, _, _ in parts):
                    cells.append("0")
                    continue
                cells.append(f"{100 * np.mean(measured_slow(parts)[0] > bar):.0f}")
            print(f"| {hours} h | {length} | " + " | ".join(cells) + " |")


def filled(schema: pa.Schema, number: int, given: Mapping[str, Any]) -> pa.Table:
    """A table of the schema; columns that are not given are 0, "" or empty."""
    columns = []
    for field in schema:
        if field.name in given:
            columns.append(pa.array(given[field.name], field.type))
        elif pa.types.is_list(field.type):
            columns.append(
                pa.ListArray.from_arrays(np.zeros(number + 1, np.int32), pa.array([], field.type.value_type))
            )
        elif pa.types.is_string(field.type):
            columns.append(pa.array([""] * number))
        else:
            columns.append(pa.array(np.zeros(number, np.int64)).cast(field.type))
    return pa.table(columns, schema=schema)


def tables(
    terminal: np.ndarray,
    destination: np.ndarray,
    times: np.ndarray,
    sizes: np.ndarray,
    names: list[str],
    start: int,
) -> dict[str, pa.Table]:
    """What ``livenet.edges`` publishes of one day: numbers of terminal and destination, s since ``start``, bytes."""
    order = np.lexsort((times, destination, terminal))
    terminal, destination, times, sizes = (a[order] for a in (terminal, destination, times, sizes))
    new = np.r_[True, (terminal[1:] != terminal[:-1]) | (destination[1:] != destination[:-1])]
    begin = np.flatnonzero(new)
    ends = np.r_[begin, len(times)].astype(np.int32)
    moment = pa.timestamp("ns", tz="UTC")
    stamp = lambda s: pa.array((s * 1e9).astype(np.int64) + start * 10**9).cast(moment)  # noqa: E731
    who, where = terminal[begin], destination[begin]
    text = lambda values, kind: pa.array([kind(v) for v in values.tolist()])  # noqa: E731
    edges = filled(EDGES, len(begin), {
        "terminal": text(who, "t{}".format), "destination": text(where, names.__getitem__),
        "first": stamp(times[begin]),
        "last": stamp(times[ends[1:] - 1]), "count": np.diff(ends),
        "times": pa.ListArray.from_arrays(ends, pa.array((times * 1000).astype(np.uint32))),
        "sizes": pa.ListArray.from_arrays(ends, pa.array(sizes.astype(np.uint32))),
    })  # fmt: skip
    places, visitors = np.unique(where, return_counts=True)
    seen = np.full(int(where.max()) + 1, np.inf)
    np.minimum.at(seen, where, times[begin])
    people = np.unique(who)
    hours = np.zeros(int(who.max()) + 1, np.int64)
    np.bitwise_or.at(hours, terminal, 1 << (times // 3600).astype(np.int64))
    return {
        "livenet.edges:edges": edges,
        "livenet.edges:destinations": filled(DESTINATIONS, len(places), {
            "destination": text(places, names.__getitem__), "visitors": visitors, "first_seen": stamp(seen[places]),
        }),
        "livenet.edges:terminals": filled(
            TERMINALS, len(people), {"terminal": text(people, "t{}".format), "hours": hours[people]}
        ),
    }  # fmt: skip


def concluded(engine: BeaconEngine, given: dict[str, pa.Table], start: int, carry: Any) -> Any:
    return engine.conclude(
        Nothing(), carry, Context("1d", start * 10**9, (start + DAY) * 10**9, tables=given)
    )


def rita_logs() -> None:
    """RITA's own logs: where the known C2 and the harmless poll of every host stand."""
    folder = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "livenet" / "zeek"
    for name, watched in (
        ("rita_proxy_http", "www.honestimnotevil.com"),
        ("rita_valid_http", "www.alexa.com"),
    ):
        with gzip.open(folder / f"{name}.log.gz", "rt", errors="replace") as lines:
            rows, fields = [], []
            for line in lines:
                cells = line.rstrip("\n").split("\t")
                if cells[0] == "#fields":
                    fields = cells[1:]
                elif not line.startswith("#"):
                    row = dict(zip(fields, cells, strict=True))
                    size = row["response_body_len"]
                    rows.append(
                        (float(row["ts"]), row["id.orig_h"], row["host"], int(size) if size.isdigit() else 0)
                    )
        who, where = (sorted({row[n] for row in rows}) for n in (1, 2))
        ts = np.array([row[0] for row in rows])
        terminal, destination = (
            np.array([k.index(row[n]) for row in rows]) for k, n in ((who, 1), (where, 2))
        )
        sizes = np.array([row[3] for row in rows])
        begin, carry = int(ts.min()) // DAY * DAY, None
        while begin < ts.max():
            day = (ts >= begin) & (ts < begin + DAY)
            given = tables(terminal[day], destination[day], ts[day] - begin, sizes[day], where, begin)
            outcome = concluded(BeaconEngine(Site()), given, begin, carry)
            carry = outcome.carry
            ranked = outcome.tables["beacons"]["destination"].to_pylist()
            score_of = outcome.tables["beacons"]["score"].to_pylist()
            edges = given["livenet.edges:edges"]
            lists = edges["times"].combine_chunks()
            plain = rita.scores(
                lists.offsets.to_numpy().astype(np.int64), lists.values.to_numpy() / 1000.0,
                edges["sizes"].combine_chunks().values.to_numpy().astype(float), float((ts[day] - begin).min()),
                float((ts[day] - begin).max()),
            )  # fmt: skip
            by_rita = edges["destination"].take(pa.array(np.argsort(-plain, kind="stable"))).to_pylist()
            place = ranked.index(watched) + 1 if watched in ranked else "none"
            print(
                f"{name}, day {begin // DAY}: {edges.num_rows:,} edges; {watched}: our rank {place} of {len(ranked)} "
                f"(score {score_of[place - 1] if place != 'none' else 0:.3f}), "
                f"RITA's score {by_rita.index(watched) + 1}; "
                f"{sum(n == watched for n in by_rita[:20])} of RITA's first 20; findings {len(outcome.findings)}: "
                + ", ".join(f.subject[1] for f in outcome.findings[:3])
            )
            begin += DAY


def synth() -> None:
    """synth_a: destinations by their best beacon; the first destination of each campaign is the polled one."""
    import polars as pl

    folder = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "livenet" / "proxy" / "synth_a"
    about = pl.read_parquet(folder / "dest.parquet").sort("dest")
    log = pl.read_parquet(folder / "log.parquet")
    kinds, names, white = (
        about["kind"].to_list(),
        about["name"].to_list(),
        (about["seed"] == "white").to_numpy(),
    )
    kind_of = dict(zip(names, kinds, strict=True))
    ts, terminal, destination, sizes = (log[c].to_numpy() for c in ("ts", "terminal", "dest", "bytes"))
    edges, counts = np.unique(terminal.astype(np.int64) * 10**6 + destination, return_counts=True)
    polled = {names[e % 10**6] for e in edges[counts >= 20] if kinds[e % 10**6] == "malicious"}
    print(f"{len(polled)} malicious destinations have an edge of 20 or more contacts")
    carry, begin = None, int(ts.min()) // DAY * DAY
    ever: dict[str, float] = {}
    while begin < ts.max():
        day = (ts >= begin) & (ts < begin + DAY) & ~white[destination]
        given = tables(terminal[day], destination[day], ts[day] - begin, sizes[day], names, begin)
        used = time.process_time()
        outcome = concluded(BeaconEngine(Site()), given, begin, carry)
        used = time.process_time() - used
        carry = outcome.carry
        made = outcome.tables["beacons"]
        best: dict[str, float] = {}
        for name, value in zip(made["destination"].to_pylist(), made["score"].to_pylist(), strict=True):
            best.setdefault(name, value)
        for name, value in best.items():
            ever[name] = max(value, ever.get(name, 0.0))
        ours = [kind_of[name] == "malicious" for name in best]
        lists = given["livenet.edges:edges"]["times"].combine_chunks()
        size = given["livenet.edges:edges"]["sizes"].combine_chunks().values.to_numpy().astype(float)
        plain = rita.scores(
            lists.offsets.to_numpy().astype(np.int64), lists.values.to_numpy() / 1000, size, 0.0, DAY
        )
        who = given["livenet.edges:edges"]["destination"].to_pylist()
        theirs = list(dict.fromkeys(who[i] for i in np.argsort(-plain, kind="stable")))
        him = [kind_of[name] == "malicious" for name in theirs]
        print(
            f"day {begin // DAY}: {len(who):,} edges, {used:.2f} CPU s; malicious in our first 10/25/50: "
            + "/".join(str(sum(ours[:n])) for n in (10, 25, 50)) + "; in RITA's: "
            + "/".join(str(sum(him[:n])) for n in (10, 25, 50))
            + f"; findings {len(outcome.findings)}, kinds {Counter(kind_of[f.subject[1]] for f in outcome.findings)}"
        )  # fmt: skip
        begin += DAY
    found = {name for name, value in ever.items() if value >= 0.5}
    print(
        f"score >= 0.5 on some day: {Counter(kind_of[name] for name in found)}; of the {len(polled)} polled malicious "
        f"{len(polled & found)}"
    )


def speed(edges: int = 6_000_000, seed: int = 3) -> None:
    rng = np.random.default_rng(seed)
    counts = np.where(rng.random(edges) < 0.86, rng.integers(1, 4, edges), rng.geometric(0.12, edges) + 3)
    counts = np.minimum(counts, 500)
    offsets = np.r_[0, np.cumsum(counts)].astype(np.int32)
    owner = np.repeat(np.arange(edges), counts)
    times = (
        8 * 3600
        + 36_000 * rng.beta(2, 2, edges)[owner]
        + rng.exponential(300, len(owner)) * rng.integers(0, 40, len(owner))
    )
    times = np.minimum(times, DAY - 1.0)[np.lexsort((times, owner))]
    beacons = rng.choice(np.flatnonzero(counts >= 20), 2000, replace=False)
    for i in beacons.tolist():
        times[offsets[i] : offsets[i + 1]] = 600.0 * np.arange(counts[i]) + rng.uniform(0, 5, counts[i])
    where = np.where(
        rng.random(edges) < 0.5, rng.integers(0, 3000, edges), rng.integers(3000, 640_000, edges)
    )
    who = rng.integers(0, 20_000, edges)
    text = lambda kind, n: pa.array([f"{kind}{i}.example" for i in range(n)])  # noqa: E731
    hosts, people = text("d", 640_000), text("t", 20_000)
    table = filled(EDGES, edges, {
        "terminal": people.take(pa.array(who)), "destination": hosts.take(pa.array(where)), "count": counts,
        "times": pa.ListArray.from_arrays(offsets, pa.array((times * 1000).astype(np.uint32))),
        "sizes": pa.ListArray.from_arrays(offsets, pa.array(rng.integers(100, 9000, len(times)).astype(np.uint32))),
    })  # fmt: skip
    given = {
        "livenet.edges:edges": table,
        "livenet.edges:destinations": filled(
            DESTINATIONS, 640_000, {"destination": hosts, "visitors": np.bincount(where, minlength=640_000)}
        ),
        "livenet.edges:terminals": filled(
            TERMINALS, 20_000, {"terminal": people, "hours": np.full(20_000, 0x3FF00)}
        ),
    }
    engine, carry = BeaconEngine(Site()), None
    concluded(engine, {k: v.slice(0, 1000) for k, v in given.items()}, DAY, None)
    for day in (20_000, 20_001):
        used = time.process_time()
        outcome = concluded(engine, given, day * DAY, carry)
        carry = outcome.carry
        print(
            f"{edges:,} edges, {len(times):,} contacts, {np.sum(counts >= 6):,} edges of 6 or more: "
            f"{time.process_time() - used:.1f} CPU s; {outcome.tables['beacons'].num_rows:,} rows, carry "
            f"{len(carry.to_bytes()) / 1e6:.0f} MB; peak "
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB"
        )


if __name__ == "__main__":
    {"grid": grid, "days": days, "rita": rita_logs, "synth": synth, "speed": speed, "fit": fit}[sys.argv[1]]()
