"""Known tools on simulated traffic with known truth: precision, recall, chance findings, cost; baselines beside.

    .venv/bin/python benchmarks/tools/run.py [--quick] [--json FILE]

Parts: (1) precision and recall by tool at 0, 1, 5, 10 and 20 % of foreign packets; (2) the same with one packet in
16 kept, as a telescope of a sixteenth would see it, which gives the heavy tail of sources with few packets;
(3) sources named on days of pure noise, 20 seeds; (4) the real captures within simulated packets; (5) CPU time and
memory. Baselines, each judged on the same packets: *one hit* (any packet satisfies the relation), *half* (at least
half of a source's SYN packets do), *all* (Merit darknet-events: all of a source's first 8 packets do), *layout*
(CAIDA corsaro3 `is_masscan`: TTL >= 200, window 1024, no TCP options, any packet).

A source is counted as a tool's when the truth says that it sent packets of it; sources are compared, not packets.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.tools import ToolsEngine
from andon.observe import read
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.records.expression import compile_program, evaluate, parse
from andon.simulate.internet import InternetConfig, packets, truth
from andon.simulate.internet.catalogue import default_families
from andon.simulate.score import TOOL_OF_STACK

SOURCES = 60  # at least, of each family that runs a tool
TOOLS = ("mirai", "masscan", "zmap", "unicornscan", "nmap", "hajime")
RELATIONS = {
    "mirai": "tcp.seq == ip.dst",
    "masscan": "ip.id == lo16(ip.dst ^ tcp.dstport ^ tcp.seq)",
    "zmap": "ip.id == 54321",
    "hajime": "tcp.window == 14600",
}
REAL = {
    "zmap_syn80_10k.pcap": "zmap",
    "masscan_tcp_0_1000_vlan.pcap": "masscan",
    "nmap_synscan_2010.pcap": "nmap",
    "masscan_udp_0_1000_vlan.pcap": "",
    "nmap_80_all.pcap": "",
    "synflood_spoofed.pcap": "",
    "iot_malware_telnet_scan.pcap": "",
    "backscatter_synack_reflection.pcap": "",
}


def engine_names(batches: list[pa.RecordBatch], **settings: Any) -> tuple[dict[str, set[int]], float, Any]:
    """(sources by tool, CPU seconds of summarise, the outcome) of one day."""
    engine = ToolsEngine(Site(settings={f"darknet.tools.{name}": value for name, value in settings.items()}))
    summary = engine.empty()
    begin = time.process_time()
    for batch in batches:
        summary = engine.summarise(batch, summary)
    spent = time.process_time() - begin
    outcome = engine.conclude(summary, None, Context("1d", 0, 86_400_000_000_000))
    found: dict[str, set[int]] = {tool: set() for tool in TOOLS}
    table = outcome.tables["sources"]
    for tool, source in zip(table["tool"].to_pylist(), table["src"].to_pylist(), strict=True):
        found[tool].add(source)
    return found, spent, outcome


def baselines(batches: list[pa.RecordBatch]) -> dict[str, dict[str, set[int]]]:
    """Sources by baseline and tool."""
    names = [f.name for f in batches[0].schema if not pa.types.is_fixed_size_binary(f.type)]
    columns = {name: np.concatenate([column(batch, name) for batch in batches]) for name in names}
    syn = evaluate(compile_program(parse("tcp.flags & 0x3f == 2")), columns)
    columns = {name: array[syn] for name, array in columns.items()}
    sources, back, counts = np.unique(columns["src"], return_inverse=True, return_counts=True)
    order = np.argsort(back, kind="stable")
    starts = np.r_[0, np.cumsum(counts)[:-1]]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(starts, counts)
    result: dict[str, dict[str, set[int]]] = {name: {} for name in ("one hit", "half", "all", "layout")}
    for tool, relation in RELATIONS.items():
        hit = evaluate(compile_program(parse(relation)), columns)
        hits = np.bincount(back, hit)
        early = np.bincount(back, hit & (place < 8))
        result["one hit"][tool] = set(sources[hits > 0].tolist())
        result["half"][tool] = set(sources[hits * 2 >= counts].tolist())
        result["all"][tool] = set(sources[early == np.minimum(counts, 8)].tolist())
    layout = (columns["ttl"] >= 200) & (columns["tcp_window"] == 1024) & (columns["ip_len"] == 40)
    result["layout"]["masscan"] = set(columns["src"][layout].tolist())
    return result


def true_sources(config: InternetConfig, seen: np.ndarray | None = None) -> dict[str, set[int]]:
    table = truth(config)[0]
    found: dict[str, set[int]] = {tool: set() for tool in TOOLS}
    for stack, source in zip(table["stack"].to_pylist(), table["src"].to_pylist(), strict=True):
        if stack in TOOL_OF_STACK:
            found[TOOL_OF_STACK[stack]].add(source)
    if seen is not None:
        present = set(seen.tolist())
        found = {tool: sources & present for tool, sources in found.items()}
    return found


def rates(found: set[int], real: set[int]) -> dict[str, float | int]:
    good = len(found & real)
    return {"true": len(real), "named": len(found), "right": good}


def add(total: dict[str, Any], key: tuple[str, ...], part: dict[str, float | int]) -> None:
    at = total.setdefault(" / ".join(key), {"true": 0, "named": 0, "right": 0})
    for name, value in part.items():
        at[name] += value


def show(title: str, total: dict[str, Any]) -> None:
    print(f"\n{title}\n{'':42}{'true':>8}{'named':>8}{'precision':>11}{'recall':>9}")
    for key, at in total.items():
        precision = at["right"] / at["named"] if at["named"] else float("nan")
        recall = at["right"] / at["true"] if at["true"] else float("nan")
        at["precision"], at["recall"] = precision, recall
        print(f"{key:42}{at['true']:8}{at['named']:8}{precision:11.4f}{recall:9.4f}")


def measured(
    config: InternetConfig, label: str, total: dict[str, Any], thin: int, with_baselines: bool
) -> float:
    batches = list(thinned(packets(config), thin, config.seed))
    seen = np.unique(np.concatenate([column(batch, "src") for batch in batches]))
    real = true_sources(config, seen)
    found, spent, _ = engine_names(batches)
    for tool in TOOLS:
        add(total, (label, tool), rates(found[tool], real[tool]))
    if thin > 1:
        several, _, _ = engine_names(batches, least_packets=2)
        add(total, (label, "mirai, 2 packets asked"), rates(several["mirai"], real["mirai"]))
    if thin > 1 and not config.contamination:
        by_packets(batches, found, real, total)
    if with_baselines:
        for name, tools in baselines(batches).items():
            for tool, sources in tools.items():
                add(total, (label, f"{name}: {tool}"), rates(sources, real[tool]))
    return spent / sum(batch.num_rows for batch in batches) * 1e9


def by_packets(
    batches: list[pa.RecordBatch],
    found: dict[str, set[int]],
    real: dict[str, set[int]],
    total: dict[str, Any],
) -> None:
    """Recall by the number of SYN packets of a source, where all of its packets are a tool's."""
    syn = [column(batch, "src")[(column(batch, "tcp_flags") & 0x3F) == 2] for batch in batches]
    sources, counts = np.unique(np.concatenate(syn), return_counts=True)
    for tool in TOOLS:
        for low, high in ((1, 1), (2, 2), (3, 3), (4, 7), (8, 15), (16, 1 << 40)):
            some = set(sources[(counts >= low) & (counts <= high)].tolist())
            label = f"{low}" if low == high else (f"{low}-{high}" if high < 1000 else f"{low}+")
            add(total, (f"{tool}, {label} SYN packets",), rates(found[tool] & some, real[tool] & some))


def thinned(batches: Iterator[pa.RecordBatch], keep: int, seed: int) -> Iterator[pa.RecordBatch]:
    rng = np.random.default_rng(seed)
    for batch in batches:
        if keep == 1:
            yield batch
        else:
            yield batch.filter(pa.array(rng.integers(0, keep, batch.num_rows) == 0))


def spliced(folder: Path, size: int) -> dict[str, Any]:
    """The real captures one by one within ``size`` simulated packets of a world without tools."""
    config = InternetConfig(seed=77, packets=size, noise=1.0, families=())
    noise = list(packets(config))
    base, spent, _ = engine_names(noise)
    rows: dict[str, Any] = {"noise alone": {tool: len(sources) for tool, sources in base.items() if sources}}
    for name, tool in REAL.items():
        scan = list(read(folder / name))
        found, _, _ = engine_names([*noise[: len(noise) // 2], *scan, *noise[len(noise) // 2 :]])
        extra = {t: len(sources - base[t]) for t, sources in found.items() if sources - base[t]}
        rows[name] = {"expected": tool or "nothing", "named": extra, "right": set(extra) == ({tool} - {""})}
        print(f"{name:40} expected {tool or 'nothing':12} named {extra or 'nothing'}")
    rows["ns per packet"] = spent / size * 1e9
    return rows


def world(seed: int, size: int, contamination: float) -> InternetConfig:
    """The default world, with enough sources of each tool for a rate to mean something."""
    plain = InternetConfig(seed=seed, packets=size, contamination=contamination)
    families = tuple(
        family.with_sources(max(family.sources, SOURCES)) if family.tool in TOOL_OF_STACK else family
        for family in default_families(plain)
    )
    return replace(plain, families=families)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the packets, fewer seeds")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of real captures")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    size, seeds, noise_seeds = (200_000, 1, 5) if arguments.quick else (1_000_000, 3, 20)
    report: dict[str, Any] = {}
    engine_names(list(packets(InternetConfig(seed=1, packets=2000))))  # compile
    speeds = []
    for thin, part in ((1, "all packets"), (16, "one packet in 16")):
        total: dict[str, Any] = {}
        for percent in (0, 1, 5, 10, 20):
            for seed in range(seeds):
                config = world(100 + seed, size, percent / 100)
                with_baselines = percent in (0, 20)
                spent = measured(config, f"{percent:2} %", total, thin, with_baselines)
                speeds += [spent] if thin == 1 else []
        show(f"{part}: {seeds} seeds of {size:,} packets, share of foreign packets", total)
        report[part] = total
    chance: list[dict[str, int]] = []
    one_hit: list[dict[str, int]] = []
    for seed in range(noise_seeds):
        batches = list(packets(InternetConfig(seed=500 + seed, packets=size, noise=1.0, families=())))
        found, _, _ = engine_names(batches)
        chance.append({tool: len(sources) for tool, sources in found.items() if sources})
        one_hit.append({tool: len(sources) for tool, sources in baselines(batches)["one hit"].items()})
    named = sum(sum(day.values()) for day in chance)
    naive = {tool: sum(day.get(tool, 0) for day in one_hit) for tool in RELATIONS}
    print(f"\npure noise, {noise_seeds} seeds of {size:,} packets: {named} sources named by chance {chance}")
    print(f"the one-hit rule on the same: {naive}")
    report["pure noise"] = {"seeds": noise_seeds, "packets": size, "named": chance, "one hit": naive}
    folder = arguments.data / "darknet-data" / "captures"
    if folder.is_dir():
        print()
        report["real captures spliced"] = spliced(folder, 2 * size if not arguments.quick else size)
    else:
        print(f"no real captures at {folder}: splicing skipped")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    report["ns per packet"] = {"median": float(np.median(speeds)), "worst": max(speeds)}
    print(
        f"\nsummarise: {np.median(speeds):.0f} ns CPU a packet (median), peak memory of this script {memory:.0f} MB"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1, default=str), "utf-8")


if __name__ == "__main__":
    main()
