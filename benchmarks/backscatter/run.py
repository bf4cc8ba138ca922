"""What darknet.backscatter finds, misses, invents and costs, on traffic whose truth is known.

    python benchmarks/backscatter/run.py [--quick] [recall noise heavy simulator cost hostile]

CPU seconds, not wall time. Packets are made as in ``tests/backscatter/backscatter_traffic.py``.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "backscatter"))

from backscatter_traffic import (
    DARK,
    DAY,
    RST,
    SECOND,
    START,
    SYN_ACK,
    concluded,
    packets,
    scans,
    telescope,
)

from andon.detect.darknet.backscatter import engine
from andon.detect.darknet.backscatter.services import service_ports
from andon.detect.darknet.backscatter.summary import LIMIT, Summary
from andon.records.contract import Context, Site
from andon.records.packet import ICMP, IPV4, SYN
from andon.simulate.internet import packets as simulated
from andon.simulate.internet import small_config, truth

SERVICES = service_ports()
REPEATS = np.array([0, 1, 3, 7, 15, 31])  # seconds at which Linux sends a SYN-ACK (tcp_synack_retries = 5)
TELESCOPES = {"/24": 256, "/20": 4096, "/16": 65536, "5 x /18": 81920, "/14": 262144, "/10": 4194304}
RATES = (1_000, 10_000, 100_000, 1_000_000)
LENGTHS = (120, 600, 3600)


def with_repeats(
    ts: np.ndarray, rng: np.random.Generator, share: float = 0.7
) -> tuple[np.ndarray, np.ndarray]:
    """(times, row each came from): a share of SYN-ACKs is repeated as by Linux, the rest once or twice."""
    copies = np.where(rng.random(len(ts)) < share, 6, rng.integers(1, 3, len(ts)))
    row = np.repeat(np.arange(len(ts)), copies)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(copies) - copies, copies)
    return ts[row] + REPEATS[nth] * SECOND, row


def attack(victim: int, rate: float, seconds: float, dark: int, seed: int) -> pa.RecordBatch | None:
    """Answers of one victim that reach the telescope: a third SYN-ACK with repeats, RST, ICMP unreachable."""
    rng = np.random.default_rng(seed)
    hits = rng.poisson(rate * seconds * dark / 2**32)
    if hits == 0:
        return None
    begin = START + int(rng.integers(0, DAY - int(seconds + 60) * SECOND))
    ts = begin + rng.integers(0, int(seconds * SECOND), hits)
    dst, ports = DARK + rng.integers(0, dark, hits), rng.integers(1024, 65536, hits)
    kind = seed % 3
    if kind == 0:
        ts, row = with_repeats(ts, rng)
        return packets(ts, victim, dst[row], dst_port=ports[row], tcp_flags=SYN_ACK)
    if kind == 1:
        return packets(ts, victim, dst, dst_port=ports, tcp_flags=RST)
    fields = {"proto": 1, "layers": IPV4 | ICMP, "icmp_type": 3, "icmp_code": 3, "src_port": 0, "dst_port": 0}
    return packets(ts, victim, dst, **fields)


def strays(sources: int, mean: float, sigma: float, seed: int, dark: int) -> pa.RecordBatch:
    """A day of answers that are no attack: each source answers Poisson(rate) stray packets at random times."""
    rng = np.random.default_rng(seed)
    rate = mean * np.exp(sigma * rng.normal(size=sources) - sigma**2 / 2)
    count = rng.poisson(rate)
    address = rng.choice(1 << 31, sources, replace=False).astype(np.uint32) + np.uint32(1 << 24)
    src = np.repeat(address, count)
    ts = START + rng.integers(0, DAY - 60 * SECOND, len(src))
    ts, row = with_repeats(ts, rng, share=0.5)
    dst, ports = DARK + rng.integers(0, dark, len(src)), rng.integers(1024, 65536, len(src))
    return packets(ts, src[row], dst[row], dst_port=ports[row], src_port=443)


def victims_called(outcome: Any) -> dict[int, Any]:
    rows = outcome.tables["victims"].drop(["first", "last"]).to_pylist()
    return {row["address"]: row for row in rows if row["class"] == "spoofed-dos-victim"}


def recall(quick: bool) -> None:
    """Recall by attack size and telescope, false victims, and how often the interval holds the true rate."""
    each = 20 if quick else 60
    print(
        f"\nrecall: {each} victims a cell among 1 M scan packets and 20,000 stray answers; SYN-ACK, RST, ICMP in turn"
    )
    print(
        f"{'telescope':>9} {'seconds':>7}  " + "".join(f"{f'{rate:,}/s':>12}" for rate in RATES) + "   false"
    )
    inside = total = 0
    for name, dark in TELESCOPES.items():
        state = Summary(Site().hash_key)
        state.add(scans(1_000_000, 1, dark=dark, seconds=86_000), SERVICES)
        state.add(strays(20_000, 1.0, 1.0, 2, dark), SERVICES)
        true: dict[int, tuple[int, int]] = {}
        for seconds in LENGTHS:
            for rate in RATES:
                for _ in range(each):
                    victim = 0xCB000000 + len(true)
                    batch = attack(victim, rate, seconds, dark, len(true))
                    true[victim] = (seconds, rate)
                    if batch is not None:
                        state.add(batch, SERVICES)
        called = victims_called(concluded(summary=state, dark=dark))
        false = len(set(called) - set(true))
        for seconds in LENGTHS:
            cells = []
            for rate in RATES:
                cell = [victim for victim, what in true.items() if what == (seconds, rate)]
                cells.append(sum(victim in called for victim in cell) / len(cell))
            print(f"{name:>9} {seconds:>7}  " + "".join(f"{cell:>12.0%}" for cell in cells) + f"{false:>8}")
        site = Site(settings={"darknet.backscatter.most_findings": 100_000})
        for found in concluded(summary=state, dark=dark, site=site).findings:
            rates = [a.get("packets_per_second_worldwide") for a in found.attributes["attacks"]]
            victim = int.from_bytes(bytes(int(part) for part in found.subject[1].split(".")))
            if len(rates) == 1 and rates[0] and victim in true:
                total += 1
                inside += rates[0]["low"] <= true[victim][1] <= rates[0]["high"]
    print(f"worldwide rate: the 95 % interval holds the true one in {inside} of {total} attacks seen whole")


def noise(quick: bool) -> None:
    """Chance victims a day on stray answers and scans alone."""
    seeds = 4 if quick else 20
    false = rows = 0
    for seed in range(seeds):
        state = Summary(Site().hash_key)
        state.add(strays(100_000, 24.0, 0.0, seed, 81920), SERVICES)
        state.add(scans(500_000, seed, dark=81920, seconds=86_000), SERVICES)
        rows += int(state.totals.sum())
        false += len(concluded(summary=state, dark=81920).findings)
    print(
        f"\npure noise: 5 x /18, {seeds} days of 100,000 sources with 24 stray answers a day each (half repeated as"
        f" by Linux) and 500,000 scan packets: {rows:,} packets, {false} findings"
    )


def heavy(quick: bool) -> None:
    """The same with heavy-tailed sources, where a loud stray source and a weak victim are the same thing."""
    for sigma in (1.0, 1.5):
        false = 0
        for seed in range(2 if quick else 5):
            state = Summary(Site().hash_key)
            state.add(strays(100_000, 24.0, sigma, seed, 81920), SERVICES)
            false += len(victims_called(concluded(summary=state, dark=81920)))
        print(
            f"heavy-tailed noise, log-normal sigma {sigma}: {false / (2 if quick else 5):.1f} victims called a day"
        )


def simulator(quick: bool) -> None:
    """Precision and recall on the simulated Internet, all families present."""
    ours = engine(Site())
    true_all = called_all = right = floods = floods_called = weak = 0
    for seed in range(3 if quick else 10):
        config = small_config(seed, 1_000_000)
        state = ours.empty()
        for batch in simulated(config):
            state = ours.summarise(batch, state)
        start = config.start_ns // DAY * DAY
        outcome = ours.conclude(
            state, None, Context("1d", start, start + DAY, tables=telescope(config.addresses))
        )
        rows, _ = truth(config)
        kind = np.array(rows["kind"].to_pylist())
        sent = rows["packets"].to_numpy()
        true = set(rows["src"].to_numpy()[(kind == "backscatter") & (sent >= 10)].tolist())
        weak += int(np.count_nonzero((kind == "backscatter") & (sent < 10)))
        called = set(victims_called(outcome))
        true_all, called_all, right = (
            true_all + len(true),
            called_all + len(called),
            right + len(true & called),
        )
        floods += bool((kind == "flood").any())
        floods_called += "spoofed-flood-target" in outcome.tables["victims"].column("class").to_pylist()
    print(
        f"\nsimulated Internet, 1 M packets an hour, 5 x /18: {true_all} victims with 10 packets or more"
        f" (and {weak} with fewer), {called_all} called,"
        f" precision {right / called_all:.3f}, recall {right / true_all:.3f};"
        f" floods on one address {floods_called}/{floods}"
    )


def cost(quick: bool) -> None:
    """CPU per packet of summarise, merge and conclude; compile time apart."""
    begin = time.process_time()
    Summary(1).add(scans(10, 1), SERVICES)
    print(f"\nfirst batch (compile or load): {time.process_time() - begin:.1f} CPU s")
    ours = engine(Site())
    state, spent, rows = ours.empty(), 0.0, 0
    millions = 2 if quick else 10
    for batch in simulated(small_config(1, millions * 1_000_000)):
        begin = time.process_time()
        state = ours.summarise(batch, state)
        spent += time.process_time() - begin
        rows += batch.num_rows
        if rows // 1_000_000 != (rows - batch.num_rows) // 1_000_000 and rows // 1_000_000 in (1, 2, 5, 10):
            print(
                f"simulated Internet, first {rows // 1_000_000} M packets: {spent / rows * 1e9:.0f} ns a packet"
            )
    begin = time.process_time()
    outcome = concluded(summary=state, dark=81920)
    print(f"conclude: {time.process_time() - begin:.2f} CPU s, {len(outcome.findings)} findings")
    begin = time.process_time()
    other = Summary.from_bytes(state.to_bytes())
    middle = time.process_time()
    state.merge(other)
    print(
        f"to and from bytes {middle - begin:.2f} CPU s, merge {time.process_time() - middle:.2f} CPU s,"
        f" {state.nbytes >> 20} MiB in memory, {len(other.to_bytes()) >> 20} MiB as bytes"
    )


def hostile(quick: bool) -> None:
    """Forged senders without end: answers from everywhere to everywhere, then SYNs to one address."""
    rng = np.random.default_rng(1)
    for what, fields in (("SYN-ACKs to all", {}), ("SYNs to one", {"tcp_flags": SYN, "dst_port": 80})):
        state, spent = Summary(Site().hash_key), 0.0
        millions = 1 if quick else 4
        for n in range(2 * millions):
            ts = START + n * 600 * SECOND + np.sort(rng.integers(0, 600 * SECOND, 500_000))
            dst = DARK + (rng.integers(0, 65536, 500_000) if not fields else 0)
            batch = packets(ts, rng.integers(0, 1 << 32, 500_000), dst, **fields)
            begin = time.process_time()
            state.add(batch, SERVICES)
            spent += time.process_time() - begin
        begin = time.process_time()
        outcome = concluded(summary=state)
        print(
            f"{what} from {millions} M forged sources: {spent / millions * 1e3:.0f} ns a packet,"
            f" {state.nbytes >> 20} MiB, bytes {len(state.to_bytes()) >> 20} of {LIMIT >> 20} MiB,"
            f" conclude {time.process_time() - begin:.2f} CPU s, findings:"
            f" {[finding.attributes['class'] for finding in outcome.findings]}"
        )
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


PARTS = {f.__name__: f for f in (recall, noise, heavy, simulator, cost, hostile)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--quick", action="store_true", help="fewer seeds and packets")
    options = parser.parse_args()
    for name in options.parts or PARTS:
        PARTS[name](options.quick)


if __name__ == "__main__":
    main()
