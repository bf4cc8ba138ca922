"""Prediction: python benchmarks/triage/prediction.py [--part next] [--part volume] [--alerts PARQUET]

next: signatures of AIT-ADS networks, leave one network out, and learning as it goes, by order; steps inside attacks
apart. volume: pinball loss of day-ahead forecasts by port, of baselines, candidates, and of what the gate shows; on a
simulated telescope (andon simulate coordination, 28 days) and on 79 days of Telnet sessions of five real devices."""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from andon.triage.prediction.gate import SHUT, chosen
from andon.triage.prediction.markov import Chain
from andon.triage.prediction.volume import (
    BASELINES,
    CANDIDATES,
    LEAST_DAYS,
    LONGEST,
    forecasts,
    pinball,
)

DATA = Path(os.environ.get("ANDON_DATA", "../shared/data"))


def alerts(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(network, host, signature, inside an attack) of each alert, in time order within a network."""
    table = pq.read_table(path, columns=["scenario", "host", "short", "time_label"])
    network = np.array(table["scenario"].to_pylist())
    hosts = np.char.add(np.char.add(network.astype(str), "|"), np.array(table["host"].to_pylist(), str))
    inside = np.array(table["time_label"].to_pylist()) != "false_positive"
    _, host = np.unique(hosts, return_inverse=True)
    _, symbol = np.unique(np.array(table["short"].to_pylist(), str), return_inverse=True)
    return network, host, symbol, inside


def next_signature(path: Path) -> None:
    network, host, symbol, inside = alerts(path)
    Chain.new(1024).steps(np.zeros(3, np.int64), np.arange(3) % 2)  # compiled before it is measured
    names = list(dict.fromkeys(network.tolist()))
    print("\nnext signature, repeats folded; leave one network out")
    print(
        f"{'order':>5} {'learns':>7} {'steps':>8} {'accuracy':>8} {'attack':>7} {'steps':>7} {'sure':>6} {'share':>6}"
        "  by network"
    )
    for depth in (1, 2, 3, 5):
        for learns in (False, True):
            right, sure, sure_right = np.zeros(2), 0, 0
            total, each = np.zeros(2), []
            for name in names:
                chain, other = Chain.new(1 << 18, depth), network != name
                chain.steps(host[other], symbol[other])
                chain.last[:] = -1
                said, chance, order = chain.steps(host[~other], symbol[~other], learn=learns)
                step, good = order >= 0, said == symbol[~other]
                attack = inside[~other]
                right += ((step & good).sum(), (step & good & attack).sum())
                total += (step.sum(), (step & attack).sum())
                sure += int((step & (chance >= 0.8)).sum())
                sure_right += int((step & good & (chance >= 0.8)).sum())
                each.append(f"{(step & good).sum() / step.sum():.3f}")
            acc = right / total
            print(
                f"{depth:>5} {'yes' if learns else 'no':>7} {int(total[0]):>8,} {acc[0]:>8.3f} {acc[1]:>7.3f} "
                f"{int(total[1]):>7,} {sure_right / sure:>6.3f} {sure / total[0]:>6.2f}  {' '.join(each)}"
            )
    begin = time.process_time()
    _, _, order = Chain.new(1 << 18).steps(host, symbol)
    seconds = time.process_time() - begin
    print(
        f"{(order >= 0).sum() / seconds:,.0f} steps a CPU second, learning ({len(order) / seconds:,.0f} alerts)"
    )
    most = Counter(zip(host.tolist(), symbol.tolist(), strict=True))
    best = {h: max((n, s) for (g, s), n in most.items() if g == h)[1] for h in set(host.tolist())}
    step = order >= 0
    hit = np.array([best[h] for h in host.tolist()]) == symbol
    print(f"always the host's most frequent signature (known in hindsight): {hit[step].mean():.3f}")


def volume(name: str, series: np.ndarray) -> None:
    """``series``: (ports, hours), whole days."""
    ways = [*BASELINES, *CANDIDATES]
    own, relative, shown, best_there, gated = [], [], [], [], 0
    begin = time.process_time()
    for counts in series:
        losses = []
        for day in range(LEAST_DAYS, len(counts) // 24):
            past, came = counts[max(0, day - LONGEST) * 24 : day * 24], counts[day * 24 :][:24].astype(float)
            made, _ = forecasts(past, day % 7)
            losses.append([pinball(came, each) for each in made])
        table = np.array(losses)
        own.append(table.mean(axis=0))
        relative.append(own[-1] / max(own[-1][: len(BASELINES)].min(), 1e-9))
        for day in range(len(table)):
            past = table[max(0, day - LONGEST) : day].T
            pick = chosen(past[2:], past[:2]) if day else SHUT
            if pick != SHUT:
                gated += 1
                shown.append(table[day, 2 + pick])
                best_there.append(table[day, :2])
    print(f"\nvolume, {name}: {len(series)} series, {len(own) * len(table):,} days of a port")
    print(f"{'':<12} {'mean loss':>10} {'to better baseline, median':>27} {'series better than it':>22}")
    mean, share = np.mean(own, axis=0), np.array(relative)
    for at, way in enumerate(ways):
        print(
            f"{way:<12} {mean[at]:>10.2f} {np.median(share[:, at]):>27.3f} {(share[:, at] < 1).mean():>22.2f}"
        )
    if gated:
        base = np.mean(best_there, axis=0)
        print(
            f"shown by the gate: {gated:,} days of a port, loss {np.mean(shown):.2f}; there naive {base[0]:.2f}, "
            f"usual {base[1]:.2f}"
        )
    print(f"{time.process_time() - begin:.0f} CPU s")


def simulated(seed: int, days: int, ports: int = 60) -> np.ndarray:
    from andon.simulate.coordination import Scenario, packets

    scenario = Scenario(
        seed,
        ("198.18.0.0/24",),
        days,
        datetime.fromisoformat("2026-03-02T00:00:00Z"),
        0.01,
        False,
        None,
        False,
    )
    hours: dict[int, np.ndarray] = {}
    first = None
    for batch in packets(scenario):
        hour = batch["ts"].cast("int64").to_numpy() // 3_600_000_000_000
        first = int(hour.min()) if first is None else first
        proto = batch["proto"].to_numpy(zero_copy_only=False).astype(np.int64)
        code = proto << 16 | batch["dst_port"].to_numpy(zero_copy_only=False).astype(np.int64)
        keys, counts = np.unique(code << 16 | np.clip(hour - first, 0, days * 24 - 1), return_counts=True)
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            hours.setdefault(key >> 16, np.zeros(days * 24, np.int64))[key & 0xFFFF] += count
    order = sorted(hours, key=lambda code: (-int(hours[code].sum()), code))
    return np.stack([hours[code] for code in order[:ports]])


def sessions(path: Path) -> np.ndarray:
    """Telnet sessions an hour of each device of iot_devices_2023."""
    import zstandard

    counts: Counter[tuple[str, int]] = Counter()
    with path.open("rb") as raw:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor(max_window_size=1 << 28).stream_reader(raw)):
            try:
                said = json.loads(line)
                at = datetime.fromisoformat(said["time"] + "+00:00").timestamp()
            except (ValueError, KeyError, TypeError):
                continue
            counts[said["device"], int(at // 3600)] += 1
    devices = sorted({device for device, _ in counts})
    first = (min(hour for _, hour in counts) + 23) // 24 * 24
    days = (max(hour for _, hour in counts) - first) // 24
    made = np.zeros((len(devices), days * 24), np.int64)
    for (device, hour), count in counts.items():
        if 0 <= hour - first < days * 24:
            made[devices.index(device), hour - first] += count
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", action="append", choices=("next", "volume"), default=[])
    parser.add_argument("--alerts", type=Path, default=DATA / "triage" / "ait_ads_dev.parquet")
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    parts = given.part or ["next", "volume"]
    if "next" in parts:
        next_signature(given.alerts)
    if "volume" in parts:
        volume(f"simulated telescope (/24, 28 days, seed {given.seed})", simulated(given.seed, 28))
        path = DATA / "joint" / "iot_devices_2023" / "attack.session.jsonl.zst"
        if path.is_file():
            volume("Telnet sessions of real devices, 79 days", sessions(path))


if __name__ == "__main__":
    main()
