"""The tables of what is done, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from identity import campaign_lines, port_set_lines  # type: ignore[import-not-found]

from andon.records.contract import SECOND
from andon.records.coordination import ALERTS
from andon.simulate.score_alerts import AlertScore, Run, lead, read_events, score, threshold_for
from andon.simulate.score_volume import Volume

KINDS = ("wake-up", "small-botnet", "fast-worm", "slow-worm", "port-set-change", "stop")
Done = dict[str, Any]


def show(done: list[Done]) -> Iterator[str]:
    """All tables for which there is a result."""
    for experiment in ("quick", "main"):
        for prefix in sorted({d["job"]["prefix"] for d in done}, reverse=True):
            mine = [d for d in done if d["job"]["experiment"] == experiment and d["job"]["prefix"] == prefix]
            if mine:
                yield from _comparison(f"{experiment} /{prefix}", mine)
    noise = [d for d in done if d["job"]["experiment"] == "noise"]
    if noise:
        yield from _noise(noise)
    yield from port_set_lines([d for d in done if "darknet.portsets" in d["job"]["engines"]])
    yield from campaign_lines([d for d in done if d["job"]["experiment"] == "campaigns"])
    if done:
        yield from _cost(done)


def alerts(result: Done, engine: str) -> pa.Table:
    """All rows that an engine published in a job."""
    path = result["folder"] / f"{engine}-alerts.parquet"
    return pq.read_table(path) if path.exists() else ALERTS.empty_table()


def runs(results: list[Done], engine: str) -> list[Run]:
    return [
        Run(alerts(r, engine), pq.read_table(r["folder"] / "events.parquet"), r["calm"], r["end"])
        for r in results
        if engine in r["job"]["engines"]
    ]


def _engines(results: list[Done]) -> list[str]:
    return list(dict.fromkeys(e for r in results for e in r["job"]["engines"]))


def _comparison(title: str, results: list[Done]) -> Iterator[str]:
    own: dict[str, AlertScore] = {}
    equal: dict[str, AlertScore] = {}
    for engine in _engines(results):
        mine = runs(results, engine)
        own[engine] = score(mine)
        equal[engine] = score(mine, threshold_for(mine))
    seeds = sorted({r["job"]["seed"] for r in results})
    yield f"\n### {title}, seeds {seeds}\n"
    yield "| engine | threshold | above limit | excess >= 6 | below | false/day | on decoys | delay p50 | mean | max |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for engine, at_own in own.items():
        for name, result in (("own", at_own), ("<= 1/day", equal[engine])):
            yield _row(engine, name, result)
    volume = _volume_delays(results)
    yield "\nFound / planted above the limit at <= 1 false alert a day, and mean lead over the port's volume (hours):\n"
    yield "| engine | " + " | ".join(KINDS) + " |"
    yield "|---" * (len(KINDS) + 1) + "|"
    for engine, result in equal.items():
        yield f"| {engine} | " + " | ".join(_kind(result, kind, volume) for kind in KINDS) + " |"
    ours = equal.get("darknet.synchrony")
    if ours and len(equal) > 1:
        yield "\n| against | events both found | earlier by, mean h | later by at most, h | only the other found |"
        yield "|---|---|---|---|---|"
        for engine, result in equal.items():
            if result is not ours:
                against = lead(ours, result)
                yield (
                    f"| {engine} | {against['events']} | {_hours(against['mean'])} | {_hours(against['latest'])} | "
                    f"{against['only_other']} |"
                )


def _row(engine: str, name: str, result: AlertScore) -> str:
    above, below = result.recall(), result.recall(above=False)
    seen = [f for f in result.events if not f.event.above and f.event.excess >= 6]
    delays = result.delays() / 3600
    spread = (
        f"{np.median(delays):.2f} h | {delays.mean():.2f} h | {delays.max():.2f} h"
        if len(delays)
        else "- | - | -"
    )
    decoys = ", ".join(f"{k.removeprefix('decoy-')} {v}" for k, v in sorted(result.on_decoys.items())) or "-"
    excess = f"{sum(f.delay is not None for f in seen)}/{len(seen)}"
    return (
        f"| {engine} | {name} | {above[0]}/{above[1]} | {excess} | {below[0]}/{below[1]} | "
        f"{result.false_a_day:.2f} | {decoys} | {spread} |"
    )


def _kind(result: AlertScore, kind: str, volume: dict[tuple[int, str], int | None]) -> str:
    got, all_ = result.recall(kind)
    gains = [
        (told - f.delay) / (3600 * SECOND)
        for f in result.events
        if f.event.kind == kind and f.event.above and f.delay is not None
        if (told := volume.get((f.run, f.event.name))) is not None
    ]
    silent = sum(
        volume.get((f.run, f.event.name)) is None
        for f in result.events
        if f.event.kind == kind and f.event.above and f.delay is not None
    )
    text = f"{got}/{all_}"
    if gains:
        text += f", {np.mean(gains):+.1f} h"
    return text + (f", {silent} never" if silent else "")


def _volume_delays(results: list[Done]) -> dict[tuple[int, str], int | None]:
    """(run, event) -> delay of the volume baseline; runs are numbered as ``runs`` gives them: by seed."""
    found: dict[tuple[int, str], int | None] = {}
    by_seed: dict[int, Done] = {}
    for r in results:
        by_seed.setdefault(r["job"]["seed"], r)
    for number, seed in enumerate(sorted(by_seed)):
        r = by_seed[seed]
        volume = Volume({(p, q) for p, q in r["ports"]}, r["start"], r["end"])
        volume.counts = np.load(r["folder"] / "volume.npy")
        for event in read_events(pq.read_table(r["folder"] / "events.parquet")):
            found[(number, event.name)] = volume.delay(event)
    return found


def _hours(value: float | None) -> str:
    return "-" if value is None else f"{value / 3600:.2f}"


def _noise(results: list[Done]) -> Iterator[str]:
    yield "\n### noise: alerts of an engine a day where nothing is planted (all of the capture counted)\n"
    yield "| engine | telescope | seeds | days | alerts | a day | worst seed a day |"
    yield "|---|---|---|---|---|---|---|"
    for engine in _engines(results):
        for prefix in sorted({r["job"]["prefix"] for r in results}, reverse=True):
            mine = [r for r in results if r["job"]["prefix"] == prefix and engine in r["job"]["engines"]]
            each = [
                score(
                    [
                        Run(
                            alerts(r, engine),
                            pq.read_table(r["folder"] / "events.parquet"),
                            r["start"],
                            r["end"],
                        )
                    ]
                )
                for r in mine
            ]
            days, false = sum(e.days for e in each), sum(e.false for e in each)
            worst = max((e.false_a_day for e in each), default=0.0)
            if days:
                yield (
                    f"| {engine} | /{prefix} | {len(mine)} | {days:g} | {false} | {false / days:.2f} | {worst:.2f} |"
                )


def _cost(results: list[Done]) -> Iterator[str]:
    yield "\n### cost: CPU seconds per simulated day\n"
    yield "| experiment | engine | packets/s | summarise | conclude | longest span | ns/packet | peak summary MB |"
    yield "|---|---|---|---|---|---|---|---|"
    grouped: dict[tuple[str, int, str], list[tuple[float, float, Done]]] = {}
    for r in results:
        days = (r["end"] - r["start"]) / (86400 * SECOND)
        for engine, f in r["figures"]["engines"].items():
            key = (r["job"]["experiment"], r["job"]["prefix"], engine)
            grouped.setdefault(key, []).append((days, r["figures"]["packets"], f))
    for (experiment, prefix, engine), rows in grouped.items():
        days, packets = sum(d for d, _, _ in rows), sum(p for _, p, _ in rows)
        first, then = (sum(f[k] for _, _, f in rows) for k in ("summarise", "conclude"))
        longest, largest = max(f["longest"] for _, _, f in rows), max(f["bytes"] for _, _, f in rows)
        yield (
            f"| {experiment} /{prefix} | {engine} | {packets / days / 86400:,.0f} | {first / days:.1f} | "
            f"{then / days:.1f} | {longest:.2f} s | {first / max(packets, 1) * 1e9:.0f} | {largest / 1e6:.1f} |"
        )
