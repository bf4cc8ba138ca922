"""Alert screening on AIT-ADS: leave one network out, episode level.

    python benchmarks/triage/screening.py [PART...]     PART: ranking noise unseen conformal cold speed (default: all)

Whatever ranks a network has learned from the other four alone, noise included: the noise laid over a training network
comes from training networks. Parameters of the forest (300 trees, leaves of 2, root of d) are the literature's; the
queue's discounts were chosen on the plateau that the report of the part "ranking" prints, which lies flat. The three
networks of the blind part were never read.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import ait
import numpy as np
import screening_eval as ev
from ait import DAY, Network
from screening_baselines import BASELINES, asked

from andon.learn.screening import curves, training
from andon.learn.screening.training import Rows
from andon.records.contract import Context, Site
from andon.records.kinds import marked
from andon.sketch.trees import Forest
from andon.triage.screening import conformal, counters, engine, queue

ALPHAS = (0.2, 0.1, 0.05, 0.02, 0.01)


@lru_cache(maxsize=1)
def tables() -> Mapping[str, Any]:
    return ait.load()


@lru_cache(maxsize=4)
def networks(times: int = 1) -> Mapping[str, Network]:
    return {
        name: ait.network(name, table if times == 1 else ait.with_noise(tables(), name, times))
        for name, table in tables().items()
    }


@lru_cache(maxsize=16)
def learned(held: str, noise: bool = True) -> Rows:
    """What there is to learn from when ``held`` is asked about."""
    others = {name: one for name, one in networks().items() if name != held}
    plain = ev.labelled(list(others.values()))
    return ev.both(plain, ev.noisy(tables(), others)) if noise else plain


@lru_cache(maxsize=16)
def model(held: str, noise: bool = True) -> tuple[Rows, Forest]:
    rows = learned(held, noise)
    return rows, training.grown(rows, 1)


def scores(made: Mapping[str, Network], noise: bool = True) -> dict[str, np.ndarray]:
    return {name: model(name, noise)[1].mean(asked(model(name, noise)[0], one)) for name, one in made.items()}


def steps_of(one: Network) -> frozenset[str]:
    return frozenset().union(*one.steps)


def ranking() -> None:
    made = networks()
    print(f"{sum(map(len, made.values())):,} episodes, {sum(int(o.true.sum()) for o in made.values())} true, "
          f"{sum(len(steps_of(o)) for o in made.values())} steps, {sum(o.days for o in made.values())} d")  # fmt: skip
    print(ev.HEAD)
    begin = time.process_time()
    ours = scores(made)
    used = time.process_time() - begin
    result = ev.evaluate(made, ours)
    print(ev.line("forest, with noise (shipped)", result), f" {used:.0f} CPU s")
    print(
        "  missed at 10 a day by worth:",
        ", ".join(result.mean.missed[10]) or "none",
        "| of each day:",
        ", ".join(result.daily.missed[10]),
    )
    print(ev.line("forest, no noise", ev.evaluate(made, scores(made, False))))
    added = {}
    for name, one in made.items():
        rows = learned(name)
        fitted = curves.fit(training.inputs(rows), rows.labels, training.balanced(rows))
        added[name] = 1 / (1 + np.exp(-fitted.log_odds(asked(rows, one))))
    print(ev.line("additive model (the explainer)", ev.evaluate(made, added)))
    mixed = {name: (ours[name] + added[name]) / 2 for name in made}
    print(ev.line("mean of both (not shipped)", ev.evaluate(made, mixed)))
    for title, score in BASELINES.items():
        begin = time.process_time()
        given = {name: score(learned(name, False), one) for name, one in made.items()}
        print(
            ev.line(title, ev.evaluate(made, given)), f" {time.process_time() - begin:.0f} CPU s", flush=True
        )
    print("discounts of the queue (same rule, same moment): steps at 5/10/20 by worth; of each day")
    kept = queue.SAME_RULE, queue.SAME_MOMENT
    for rule in (1.0, 0.8, 0.5, 0.3):
        for moment in (1.0, 0.9, 0.7, 0.5):
            setattr(queue, "SAME_RULE", rule), setattr(queue, "SAME_MOMENT", moment)
            one = ev.evaluate(made, ours)
            print(
                f"  {rule} {moment}:",
                *(one.mean.steps[b] for b in (5, 10, 20)),
                ";",
                *(one.daily.steps[b] for b in (5, 10, 20)),
            )
    setattr(queue, "SAME_RULE", kept[0]), setattr(queue, "SAME_MOMENT", kept[1])


def noise() -> None:
    print(ev.HEAD)
    for times in (1, 2, 6, 11):
        made = networks(times)
        per_day = sum(one.raw for one in made.values()) / sum(one.days for one in made.values())
        print(ev.line(f"x{times}: {per_day:,.0f} alerts a day", ev.evaluate(made, scores(made))), flush=True)
        print(ev.line("   learned without noise", ev.evaluate(made, scores(made, False))), flush=True)


def unseen() -> None:
    """Episodes of a step leave the training altogether; where does the best of its own stand?"""
    made = networks()
    print(
        "step: found within 5/10/20/50/100 looks a day (mean over all days, by worth) of networks that have it; best"
    )
    for step in sorted(frozenset().union(*(label for one in made.values() for label in one.steps))):
        found = dict.fromkeys(ev.BUDGETS, 0)
        places, there = [], 0
        for name, one in made.items():
            own = np.array([step in each for each in one.steps])
            if not own.any():
                continue
            there += 1
            rest = []
            for other in made.values():
                if other.name != name:
                    has = np.array([step in each for each in other.steps])
                    rest.append((other, np.flatnonzero(~other.unclear & ~has)))
            rows = Rows(
                np.concatenate([o.features[at] for o, at in rest]),
                np.concatenate([o.true[at] for o, at in rest]).astype(float),
                np.concatenate([np.full(len(at), o.name) for o, at in rest]),
                [o.rules[i] for o, at in rest for i in at.tolist()],
                np.ones(sum(len(at) for _, at in rest)),
            )
            score = training.grown(rows, 1, 150).mean(asked(rows, one))
            worth = ev.queued(one, score)[1]
            place = np.empty(len(one), np.int64)
            place[np.argsort(-worth, kind="stable")] = np.arange(1, len(one) + 1)
            best = int(place[own].min())
            places.append(round(best / one.days, 1))
            for budget in ev.BUDGETS:
                found[budget] += best <= budget * one.days
        print(
            f"  {step:<24} {'/'.join(str(n) for n in found.values())} of {there}; best looks a day {places}",
            flush=True,
        )


def promise() -> None:
    made = networks()
    ours = scores(made)
    held = {}
    for name in made:
        rows = learned(name)
        out = training.held_out(rows, 1, 150)
        true = (rows.labels > 0) & ~np.isnan(out)
        held[name] = out[true], rows.groups[true]
    total = sum(int(one.true.sum()) for one in made.values())
    days = sum(one.days for one in made.values())

    def row(title: str, rule: Any, kept: Mapping[str, Any] | None = None) -> None:
        for alpha in ALPHAS:
            missed, looks, refused, by = 0, 0, 0, []
            for name, one in made.items():
                given = rule(held[name][0], held[name][1], alpha)
                refused += not given.kept
                bad = int((ours[name][one.true] < given.threshold).sum())
                missed, looks = missed + bad, looks + int((ours[name] >= given.threshold).sum())
                by.append(bad)
            bar = alpha + 2 * np.sqrt(alpha * (1 - alpha) / total)
            verdict = (
                "refused by all" if refused == len(made) else "holds" if missed / total <= bar else "BROKEN"
            )
            print(f"  {title:<22} alpha {alpha:<5} missed {missed / total:.3f} (bar {bar:.3f}: {verdict}) by network "
                  f"{by} refused {refused}/{len(made)} looks a day {looks / days:.1f}")  # fmt: skip

    row("split", lambda s, g, a: conformal.split(s, a))
    row("PAC 95 % (own labels)", lambda s, g, a: conformal.certain(s, a))
    row("transferred (used)", conformal.transferred)
    row("alpha / 3", lambda s, g, a: conformal.split(s, a / 3))
    row("worst network", _worst)
    _mapie(held)


def _worst(scores: np.ndarray, network: np.ndarray, alpha: float) -> conformal.Promise:
    """Each network keeps its own misses at alpha; the lowest threshold of all."""
    parts = [np.sort(scores[network == name]) for name in np.unique(network)]
    lowest = min(float(part[max(int(alpha * (len(part) + 1) + 1e-9) - 1, 0)]) for part in parts)
    return conformal.Promise(lowest, alpha, len(scores), 0, True, 0.0)


def _mapie(held: Any) -> None:
    """Recall control of MAPIE (learn then test, fixed sequence) on the same calibration scores as ``certain``."""
    try:
        from mapie.risk_control import BinaryClassificationController
    except ImportError as error:
        print(f"  MAPIE is not here ({error}): not compared")
        return
    for alpha in (0.2, 0.1, 0.05):
        for name, (true, _) in held.items():
            x = np.r_[true, np.linspace(0, 0.5, 300)][
                :, None
            ]  # it wants false ones too; recall does not see them
            control = BinaryClassificationController(
                lambda rows: np.c_[1 - rows[:, 0], rows[:, 0]], "recall", target_level=1 - alpha, confidence_level=0.95,
                list_predict_params=np.r_[0.0, np.nextafter(np.sort(true), 0)], fwer_method="fixed_sequence",
            )  # fmt: skip
            control.calibrate(x, np.r_[np.ones(len(true)), np.zeros(300)].astype(int))
            valid = np.asarray(control.valid_predict_params)
            theirs, ours = (valid.max() if len(valid) else -np.inf), conformal.certain(true, alpha).threshold
            print(
                f"  without {name}: alpha {alpha}: threshold of MAPIE {theirs:.4f}, of `certain` {ours:.4f}"
            )


def cold() -> None:
    """No labels at first; 20 verdicts a day (10 of the top, 7 uncertain, 3 of the audit), five networks one after
    another, retrained every evening; steps found among what was looked at."""
    found: list[str] = []
    looked: list[tuple[Network, int]] = []
    total = 0
    for one in networks().values():
        seen: set[str] = set()
        rank_day = one.first // DAY
        for day in np.unique(rank_day).tolist():
            at = np.flatnonzero(rank_day == day)
            score, uncertain = _verdict_scores(looked, one, at)
            rank, _ = queue.ranks(score, one.signature[at], one.host[at], one.first[at])
            top = np.argsort(rank, kind="stable")[:10]
            order = np.argsort(np.abs(uncertain), kind="stable")
            more = [i for i in order.tolist() if i not in set(top.tolist())][:7]
            drawn = [
                i
                for i in np.argsort((at * 2654435761) % 4294967296).tolist()
                if i not in {*top.tolist(), *more}
            ][:3]
            for i in [*top.tolist(), *more, *drawn]:
                looked.append((one, int(at[i])))
                seen |= one.steps[int(at[i])]
            found.append(f"{total + len(seen)}")
        total += len(seen)
        found.append(f"| {one.name} {len(seen)}/{len(frozenset().union(*one.steps))} |")
    print("steps found by the end of each day:", " ".join(found))


def _verdict_scores(
    looked: list[tuple[Network, int]], one: Network, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(score, distance from the border) of the episodes ``at`` with the verdicts so far."""
    from andon.triage.screening.rank import rarity

    plain = rarity(one.features[at]).score
    labels = np.array([other.true[i] for other, i in looked], float)
    if labels.sum() < 5 or labels.sum() == len(labels):
        return plain, np.abs(plain - np.quantile(plain, 0.9))
    rows = Rows(
        np.stack([other.features[i] for other, i in looked]), labels,
        np.array([f"{other.name} {other.first[i] // DAY}" for other, i in looked]),
        [other.rules[i] for other, i in looked], np.ones(len(looked)),
    )  # fmt: skip
    made = training.grown(rows, 1, 100)
    score = made.mean(asked(rows, one)[at])
    # With few verdicts of true ones the rarity has a say.
    trust = min(labels.sum() / 30, 1.0)
    return trust * score + (1 - trust) * plain, np.abs(score - 0.3)


def speed() -> None:
    from andon.learn import registry

    rng = np.random.default_rng(1)
    n = 2_000_000
    pairs, hosts, rules = 20_000, 1_000, 400
    groups = np.stack(
        [
            np.arange(pairs),
            rng.integers(0, hosts, pairs),
            rng.integers(0, rules, pairs),
            rng.integers(0, 3 * hosts, pairs),
        ],
        1,
    )
    at = rng.zipf(1.3, n) % pairs
    when = np.sort(rng.random(n) * 86400)
    episodes = at.astype(np.int64)
    for many in (10, n):
        states = [counters.fresh(k) for k in (pairs, hosts, rules, 3 * hosts)]
        first, most, begun = (
            np.zeros((pairs, counters.WIDTH)),
            np.zeros((pairs, counters.RISING)),
            np.zeros(pairs, bool),
        )
        begin = time.process_time()
        counters.run(when[:many], at[:many], episodes[:many], groups, *states, first, most, begun)
        used = time.process_time() - begin
    print(f"counters: {n / used / 1e6:.1f} M alerts per CPU second (20,000 pairs, times to the microsecond)")
    for name in ("russellmitchell", "fox"):
        table = ait.alerts(tables()[name])
        for _ in range(2):
            made = engine(Site(models=registry.shipped()))
            print(f"{name}: {_through(made, table)}")


def _through(made: Any, table: Any) -> str:
    from andon.run.windows import EngineWindows

    windows = EngineWindows(made)
    begin = time.process_time()
    for batch in table.combine_chunks().to_batches(max_chunksize=65_536):
        windows.add(marked(batch, "alert"), batch.column("ts").cast("int64").to_numpy())
    windows.close_until(None)
    middle = time.process_time()
    carry: dict[str, Any] = {}
    for span, start, end, summary in windows.take_closed(None):
        outcome = made.conclude(summary, carry.get(span), Context(span, start, end))
        carry[span] = outcome.carry
    used = time.process_time() - begin
    rate = table.num_rows / used
    return f"{table.num_rows:,} alerts, {rate:,.0f} per CPU second (folding {middle - begin:.2f} s of {used:.2f})"


PARTS = {
    "ranking": ranking,
    "noise": noise,
    "unseen": unseen,
    "conformal": promise,
    "cold": cold,
    "speed": speed,
}


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        print(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in wanted:
        print(f"\n== {name}", flush=True)
        PARTS[name]()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
