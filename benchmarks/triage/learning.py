"""Learning from verdicts: what errors and one hostile analyst do to the ranker, whether worse models are refused,
drift, burden against PACT's rule, and the audit's estimate. On the development networks of AIT-ADS, episode level.

    python benchmarks/triage/learning.py [poison] [promotion] [adwin] [pact] [audit] [--seeds 3]

*poison*: each network in turn is the frozen set, its truth untouched; the verdicts on the other four (40 shown a day,
3 % of the rest audited, second looks as ``andon learn queries`` asks for them) teach the ranker. ``protected``: trust,
caps, holds, prevalence; ``majority``: the majority of the last words, all weights alike, of the same verdicts;
``first words``: the same without any second looks, which is what most products do. AP is the mean over the five, steps
are of 42 at 10 looks a day, wrong is the share of the labels' weight that is wrong.
*promotion*: on the side of evaluation, judged by the same analysts, as a site would see it.
CPU seconds are of the process.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from learning_world import Team, World, data_set, found, judged, told_of, world

from andon.learn.feedback import pact
from andon.learn.feedback.compare import average_precision, on_set, threshold
from andon.learn.feedback.datasets import DataSet, frozen_of
from andon.learn.feedback.labels import Rules, fold
from andon.learn.feedback.queries import missed
from andon.learn.screening.training import Rows, scores
from andon.sketch.adwin import Adwin

TARGET = "S-Flw-Nmp"  # the rule with the most true episodes, and no others
FLOODED = "A-All-Evt"  # the one with the most true ones among many that are not
TREES = 100


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


PLAIN = Rules(protected=False)
WAYS = (("protected", Rules(), True), ("majority", PLAIN, True), ("first words", PLAIN, False))


def outcomes(w: World, team: Team) -> list[dict[str, float]]:
    """For each of WAYS: mean AP, steps, share of the weight that is wrong, verdicts, alarms."""
    out = [{"ap": 0.0, "steps": 0.0, "wrong": 0.0, "verdicts": 0.0} for _ in WAYS]
    for name in w.days:
        where, own = (w.site != name) & (w.truth >= 0), w.site == name
        told, items = told_of(w, where, team)
        for (_, rules, second), line in zip(WAYS, out, strict=True):
            made = fold([v for v in told if second or not v.note], items, rules)
            place = np.array([int(id[1:]) for id in made.table["id"].to_pylist()])
            label, weight = made.table["label"].to_numpy(), made.table["weight"].to_numpy()
            use = weight > 1e-6
            at = place[use]
            rows = Rows(
                w.features[at], label[use].astype(float), w.site[at], [w.rules[i] for i in at], weight[use]
            )
            score = np.full(len(own), -np.inf)
            score[own] = scores(rows, w.rows(own), 1, TREES)
            known = own & (w.truth >= 0)
            line["ap"] += average_precision(score[known], w.truth[known], np.ones(int(known.sum()))) / len(
                w.days
            )
            line["steps"] += found(w, own, score)
            line["wrong"] += weight[use][label[use] != w.truth[at]].sum() / weight[use].sum() / len(w.days)
            line["verdicts"] += len(told)
            for alarm in made.alarms:
                line[alarm.kind] = line.get(alarm.kind, 0) + 1
    return out


def poison(w: World, seeds: int) -> None:
    teams = [Team(3), *(Team(n, p) for p in (0.05, 0.10, 0.20) for n in (3, 5))]
    teams += [Team(n, 0.0, how, TARGET) for how in ("deny", "invert", "target") for n in (3, 5)]
    teams += [Team(n, 0.0, "flood", FLOODED) for n in (3, 5)]
    teams += [Team(n, 0.05, "deny", TARGET) for n in (3, 5)]
    rows = []
    for team in teams:
        runs = [outcomes(w, Team(**{**vars(team), "seed": seed})) for seed in range(seeds)]
        line = [team.name()]
        for side in range(len(WAYS)):
            each = [run[side] for run in runs]
            aps = [e["ap"] for e in each]
            line += [f"{np.mean(aps):.3f} ({min(aps):.3f})", f"{np.mean([e['steps'] for e in each]):.1f}"]
            line += [f"{np.mean([e['wrong'] for e in each]):.1%}"]
        alarms = ("conflict", "disagreement", "flip", "flood")
        words = ", ".join(f"{kind} {runs[0][0][kind]:.0f}" for kind in alarms if kind in runs[0][0])
        rows.append([*line, f"{runs[0][0]['verdicts'] / 5:,.0f}", words])
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    head = ["verdicts of"]
    for name, _, _ in WAYS:
        head += [f"{name}: AP (worst)", "steps", "wrong"]
    table("Poison and noise", [*head, "verdicts for a training set", "alarms, of five sets"], rows)


def _scored(data: DataSet, on: DataSet, label: np.ndarray | None = None, seed: int = 1) -> np.ndarray:
    own = data.training()
    said = own.column("label") if label is None else label
    names = [
        tuple(x) for x in zip(*(own.column(c).tolist() for c in ("product", "rule", "title")), strict=True)
    ]
    rows = Rows(own.features, said.astype(float), own.column("site").astype(str), names, own.column("weight"))
    asked = [
        tuple(x) for x in zip(*(on.column(c).tolist() for c in ("product", "rule", "title")), strict=True)
    ]
    n = len(on.table)
    return scores(
        rows, Rows(on.features, np.zeros(n), on.column("site").astype(str), asked, np.ones(n)), seed, TREES
    )


def promotion(w: World, seeds: int) -> None:
    """The model in use learnt from two networks without errors; candidates come from these and a third. A fourth is
    held for evaluation (and a fifth of the groups of the others); the last one says what was really so."""
    names = list(w.days)
    cases = {
        "three networks, no errors": (Team(3), Rules(), None),
        "the same again": (Team(3), Rules(), "same"),
        "three networks, 5 % slips, protected": (Team(3, 0.05), Rules(), None),
        "three networks, 20 % slips, majority": (Team(3, 0.2), Rules(protected=False), None),
        "one of three says the opposite, majority": (Team(3, 0, "invert"), Rules(protected=False), None),
        "one of three denies, protected": (Team(3, 0, "deny"), Rules(), None),
        "labels shuffled": (Team(3), Rules(), "shuffled"),
        "labels inverted": (Team(3), Rules(), "inverted"),
        "only 60 episodes": (Team(3), Rules(), "little"),
        "all but three true ones denied": (Team(3), Rules(), "denied"),
    }
    rows = []
    for name, (team, rules, how) in cases.items():
        promoted, worse, wrongly, gaps, why = 0, 0, 0, [], {}
        for turn in range(len(names)):
            outside = names[turn]
            inside = (w.site != outside) & (w.truth >= 0)
            away, last = names[turn - 1], names[turn - 2]
            honest = data_set(w, inside, judged(w, inside, Team(3, seed=turn))[0], [away])
            old = honest.where(honest.column("site") != last)
            # What is compared on was judged by the same people: no clean truth for the site either.
            told, items = told_of(w, inside, Team(**{**vars(team), "seed": turn}))
            whole = data_set(w, inside, fold(told, items), [away])
            frozen = frozen_of(whole, "bench", 5)
            made = data_set(w, inside, fold(told, items, rules), [away])
            own = made.training()
            rng = np.random.default_rng(turn)
            label = own.column("label").copy()
            if how == "shuffled":
                label = rng.permutation(label)
            elif how == "inverted":
                label = 1 - label
            elif how == "denied":
                label[np.flatnonzero(label == 1)[3:]] = 0
            elif how == "little":
                few = np.zeros(len(made.table), bool)
                few[rng.permutation(len(made.table))[:60]] = True
                few[np.flatnonzero((made.column("label") == 1) & (made.column("side") == "train"))[:3]] = True
                made, label = made.where(few), made.where(few).training().column("label")
            elif how == "same":
                made, label = old, old.training().column("label")
            pair = [_scored(made, frozen, label), _scored(old, frozen)]
            seen = on_set("frozen", frozen, pair[0], pair[1])
            late = whole.evaluation().where(whole.evaluation().column("site") == away)
            recent = on_set(
                "recent",
                late,
                _scored(made, late, label),
                _scored(old, late),
                thresholds=(
                    threshold(pair[0], frozen.column("label")),
                    threshold(pair[1], frozen.column("label")),
                ),
            )
            out = (w.site == outside) & (w.truth >= 0)
            beyond = _data_of(w, out)
            ap = [
                average_precision(s, w.truth[out], np.ones(int(out.sum())))
                for s in (_scored(made, beyond, label), _scored(old, beyond))
            ]
            gaps.append(ap[0] - ap[1])
            good = not seen.why and not recent.why
            promoted += good
            worse += ap[0] - ap[1] < -0.05
            wrongly += good and ap[0] - ap[1] < -0.05
            for text in (*seen.why, *recent.why):
                key = text.split(" 0.")[0].split(" of cases")[0][:40]
                why[key] = why.get(key, 0) + 1
        rows.append(
            [
                name,
                f"{promoted} of 5",
                f"{np.mean(gaps):+.3f} ({min(gaps):+.3f} to {max(gaps):+.3f})",
                f"{worse} of 5",
                str(wrongly),
                "; ".join(f"{k} {v}" for k, v in sorted(why.items(), key=lambda x: -x[1])[:2]),
            ]
        )
    table(
        "Promotion",
        [
            "candidate",
            "promoted",
            "true change of AP on a network outside: mean (range)",
            "really worse by > .05",
            "promoted of those",
            "reasons given most",
        ],
        rows,
    )


def _data_of(w: World, where: np.ndarray) -> DataSet:
    import pyarrow as pa

    rows = np.flatnonzero(where)
    product, rule, title = (list(x) for x in zip(*(w.rules[i] for i in rows), strict=True))
    return DataSet(pa.table({"site": w.site[rows].tolist(), "product": product, "rule": rule, "title": title,
                             "features": pa.array(list(w.features[rows]), pa.list_(pa.float32()))}), {})  # fmt: skip


def adwin(w: World) -> None:
    rows = []
    rng = np.random.default_rng(7)
    streams: list[tuple[str, Callable[[float], np.ndarray]]] = [
        (
            "coin .05",
            lambda d: (rng.random(4000) < np.r_[np.full(2000, 0.05), np.full(2000, 0.05 + d)]).astype(float),
        ),
        ("score of santos, shuffled", lambda d: _shifted(w, rng, d)),
    ]
    for name, make in streams:
        for shift in (0.0, 0.02, 0.05, 0.1, 0.2):
            late, false, hits, n = [], 0, 0, 100
            for _ in range(n):
                values = make(shift)
                half = len(values) // 2
                at = np.flatnonzero(Adwin().update(values))
                false += int((at < half).sum())
                after = at[at >= half]
                if shift and len(after):
                    hits += 1
                    late.append(after[0] - half)
                elif not shift:
                    false += len(after)
            delay = f"{np.median(late):.0f} ({np.quantile(late, 0.95):.0f})" if late else "-"
            rows.append(
                [
                    name,
                    f"+{shift:g}",
                    f"{hits}/{n}" if shift else "-",
                    delay,
                    f"{false} in {n * (len(values) if not shift else half):,}",
                ]
            )
    table(
        "ADWIN (delta .002, clock 32)",
        ["stream", "shift", "found", "delay in values: median (95 %)", "false alarms in values"],
        rows,
    )
    begun = time.process_time()
    Adwin().update(rng.random(1_000_000))
    print(f"\n1,000,000 values in {time.process_time() - begun:.2f} CPU s")


def _shifted(w: World, rng: np.random.Generator, shift: float) -> np.ndarray:
    own = w.score[w.site == "santos"]
    values = rng.permutation(own)
    values[len(values) // 2 :] = np.minimum(values[len(values) // 2 :] + shift, 1)
    return values


def burden(w: World) -> None:
    """One model from the first two networks, then the other three in order of time; windows are ten minutes. The
    threshold is what 98 % of the true episodes of each of the two reach under a model that learnt from the other."""
    names = list(w.days)
    begin = np.isin(w.site, names[:2]) & (w.truth >= 0)
    rows_of = np.flatnonzero(~np.isin(w.site, names[:2]) & (w.truth >= 0))
    signature = np.unique([r[1] for r in w.rules], return_inverse=True)[1][rows_of]
    label, when, site = w.truth[rows_of], w.first[rows_of], w.site[rows_of]

    def learn(asked: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        mask = begin.copy()
        mask[rows_of[asked]] = True
        rows = w.rows(mask)

        def score(wanted: np.ndarray) -> np.ndarray:
            own = np.zeros(len(w.site), bool)
            own[rows_of[wanted]] = True
            out = np.empty(len(w.site))
            out[own] = scores_of(own)
            return out[rows_of[wanted]]

        from andon.learn.screening.training import grown, prior

        forest, known = grown(rows, 1, 60), prior(rows)

        def scores_of(own: np.ndarray) -> np.ndarray:
            asked_rows = w.rows(own)
            whole = np.concatenate([asked_rows.features, known.of(asked_rows.signatures)[:, None]], axis=1)
            return forest.mean(whole.astype(np.float32))

        return score

    start = learn(np.zeros(0, np.int64))
    held = w.rows(begin)
    from andon.learn.screening.training import held_out

    own = held_out(held, 1, 60)
    known = ~np.isnan(own)
    limit = float(np.quantile(own[known][held.labels[known] == 1], 0.02))
    length = 600_000_000_000
    out = []
    base, known_rate = None, 0.0
    for name, when_, rule, asks in (
        ("frozen", "never", "hybrid", 0),
        ("daily, random", "daily", "random", 40),
        ("daily, half top half uncertain (ours)", "daily", "hybrid", 20),
        ("daily, half top half uncertain, 40", "daily", "hybrid", 40),
        ("PACT: on score shift, hybrid, 20", "shift", "hybrid", 20),
        ("PACT: on score shift, hybrid, 40", "shift", "hybrid", 40),
        ("on score shift, random, 40", "shift", "random", 40),
    ):
        begun = time.process_time()
        seen, window, made = pact.run(
            when, site, signature, label, start, learn, limit, when_, asks, rule=rule, length=length
        )
        base = base or seen
        same = pact.matched(window, made, label, 0.9)
        known_rate = known_rate or same.rate
        out.append(
            [
                name,
                f"{seen.rate:.4f}",
                f"{seen.rate / base.rate - 1:+.0%}",
                f"{seen.recall:.3f}",
                f"{same.rate:.4f} ({same.rate / known_rate - 1:+.0%})",
                f"{seen.queries:,}",
                str(seen.triggers),
                f"{time.process_time() - begun:.1f}",
            ]
        )
    table(
        f"Burden: false positives per benign ten minutes ({base.windows:,} benign, {base.positives} others; threshold "
        f"{limit:.3f}: 98 % of the first networks' true ones)",
        [
            "rule",
            "burden",
            "against frozen",
            "recall of windows",
            "burden at recall .9",
            "queries",
            "updates",
            "CPU s",
        ],
        out,
    )


def audit(w: World) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for chance in (0.01, 0.05, 0.2):
        for response in (1.0, 0.6):
            screened = np.flatnonzero((w.shown != "top") & (w.truth >= 0))
            true = w.truth[screened] == 1
            truth, covered, sums, wide, n = int(true.sum()), 0, 0.0, [], 400
            for _ in range(n):
                drawn = rng.random(len(screened)) < chance
                judged_ = rng.random(int(drawn.sum())) < response
                seen = missed(np.full(int(drawn.sum()), chance), judged_, true[drawn])
                if seen.judged:
                    covered += seen.low <= truth <= seen.high
                    sums += seen.missed
                    wide.append(seen.high)
            rows.append(
                [
                    f"{chance:.0%}",
                    f"{response:.0%}",
                    str(truth),
                    f"{sums / n:.1f}",
                    f"{covered / n:.1%}",
                    f"{np.median(wide):.0f}",
                ]
            )
    table(
        "Audit: true episodes screened out (Horvitz-Thompson, 95 % interval), 400 draws",
        ["drawn", "judged of them", "truly missed", "mean estimate", "interval covers", "median upper end"],
        rows,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    parts = given.parts or ["poison", "promotion", "adwin", "pact", "audit"]
    begun = time.process_time()
    w = world()
    shown = w.shown != ""
    print(
        f"{len(w.site):,} episodes, {int((w.truth == 1).sum())} true; {int(shown.sum()):,} shown, "
        f"{int((shown & (w.truth == 1)).sum())} of them true"
    )
    todo = {
        "poison": lambda: poison(w, given.seeds),
        "promotion": lambda: promotion(w, given.seeds),
        "adwin": lambda: adwin(w),
        "pact": lambda: burden(w),
        "audit": lambda: audit(w),
    }
    for part in parts:
        todo[part]()
    print(f"\n{time.process_time() - begun:.0f} CPU s")


if __name__ == "__main__":
    main()
