"""Sessions of honeypots: how fast, how well.

    python benchmarks/session/run.py [--data ../shared/data] [--part patterns|devices|exploits|roles|scale]

* ``patterns``: CyberLab's sessions, all different as text, to patterns; bar >= 20,000 sessions per CPU second.
* ``devices``: 721,975 sessions of physical devices, day by day through the engine: the attack steps have to come out
  exactly, and the token of a source's next session on another device is foretold; bar >= 96 % within one day.
* ``exploits``: HTTP requests of honeypots of 2025, all that are not plain ``/``, and what is said of each.
* ``roles``: bots, loaders and surveys of the planted scenario.
* ``scale``: a million sessions of one day: CPU, memory, bytes of the summary.

How good the tactics are: ``benchmarks/session/train.py``.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import resource
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import zstandard

from andon.detect.intel.session import engine
from andon.detect.intel.session.engine import RULES
from andon.detect.intel.session.shell import masked, statements
from andon.observe import honeypot
from andon.observe.jsonlines import Skipped
from andon.records.contract import Context, Outcome, Site
from andon.records.honeypot import SESSION

DAY = 86_400_000_000_000
FUNNEL = (721_975, 21_228, 5_525, 1_677, 1_424, 1_394)
FORETOLD = 0.96
RATE = 20_000


def raw(path: Path) -> bytes:
    with path.open("rb") as file:
        data: bytes = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()
    return data


def patterns(folder: Path) -> bool:
    rows = csv.DictReader(io.StringIO(raw(folder / "shell/cyberlab_sessions.csv.zst").decode()))
    texts = [row["session"] for row in rows]
    begin = process_time()
    found = [statements(masked(text).pattern) for text in texts]
    rate = len(texts) / (process_time() - begin)
    most = Counter(found).most_common(1)[0][1]
    print(
        f"{len(texts):,} sessions, {len(set(texts)):,} different as text: {len(set(found))} patterns, "
        f"the largest {most:,}"
    )
    print(
        f"{rate:,.0f} sessions per CPU second, nothing remembered before: {'met' if rate >= RATE else 'NOT met'}"
    )
    return rate >= RATE


def sessions(path: Path) -> pa.Table:
    return pa.Table.from_batches(list(honeypot.sessions(path, Skipped())), schema=SESSION)


def by_day(table: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    day = table.column("start").cast(pa.int64()).to_numpy() // DAY
    order = np.argsort(day, kind="stable")
    table = table.take(pa.array(order))
    for one, begin, count in zip(*np.unique(day[order], return_index=True, return_counts=True), strict=True):
        yield int(one) * DAY, table.slice(int(begin), int(count)).combine_chunks()


def concluded(site: Site, tables: Iterator[tuple[int, pa.Table]]) -> Iterator[Outcome]:
    made = engine(site)
    carry = None
    for start, table in tables:
        summary = made.empty()
        for batch in table.to_batches():
            summary = made.summarise(batch, summary)
        outcome = made.conclude(summary, carry, Context("1d", start, start + DAY))
        carry = outcome.carry
        yield outcome


def devices(folder: Path) -> bool:
    begin = process_time()
    table = sessions(folder / "iot_devices_2023/attack.session.jsonl.zst")
    read = process_time() - begin
    print(
        f"read {table.num_rows:,} sessions ({table.num_rows / read / 1e6:.2f} M per CPU second, compilation included)"
    )
    begin = process_time()
    outcomes, loaders = [], Counter[str]()
    for one in concluded(Site(), by_day(table)):
        outcomes.append((one.tables["steps"], one.tables["behaviours"]))
        found = one.tables["sessions"]
        loaders.update(found["src"].filter(pc.equal(found["role"], "loader")).to_pylist())
    spent = process_time() - begin
    print(f"{len(outcomes)} days through the engine: {table.num_rows / spent:,.0f} sessions per CPU second")
    times = sum(np.array(steps["times"].to_pylist()) for steps, _ in outcomes)
    some = sum(np.array(steps["sessions"].to_pylist()) for steps, _ in outcomes)
    for name, count, told, want in zip(outcomes[0][0]["step"].to_pylist(), some, times, FUNNEL, strict=True):
        print(
            f"  {name:22}{told:>9,} lines {count:>9,} sessions   {'as published' if told == want else f'NOT {want:,}'}"
        )
    listed = set((folder / "iot_devices_2023/loaderlist.txt").read_text().split())
    inside = sum(count for source, count in loaders.items() if source in listed)
    print(
        f"loaders: {len(loaders)} sources, {len(listed & set(loaders))} of the {len(listed)} that the authors list; "
        f"{inside / loaders.total():.1%} of {loaders.total():,} sessions are from these"
    )
    exact = tuple(times.tolist()) == FUNNEL
    good = foretold(pa.concat_tables([behaviours for _, behaviours in outcomes]))
    return exact and good


def foretold(behaviours: pa.Table) -> bool:
    """How often a source's next session on another device shows the same token."""
    tokens = behaviours.filter(pc.equal(behaviours["kind"], "token"))
    tokens = tokens.sort_by([("address", "ascending"), ("at", "ascending"), ("session", "ascending")])
    address = tokens["address"].to_numpy()
    at = tokens["at"].cast(pa.int64()).to_numpy()
    device = np.array(tokens["sensor"].to_pylist())
    token = np.array(tokens["value"].to_pylist())
    share = np.unique(token, return_counts=True)[1] / len(token)
    sources = len(np.unique(address))
    lone = sum(len(set(token[a:b])) == 1 for a, b in _runs(address))
    print(
        f"{len(token):,} sessions with a token ({int((token == '<random>').sum()):,} drawn at random, pooled), "
        f"{sources:,} sources, {lone / sources:.1%} of them with one token only"
    )
    next_same = (address[1:] == address[:-1]) & (device[1:] != device[:-1])
    gap = np.diff(at)
    good = False
    for name, window in (("1 h", DAY // 24), ("1 d", DAY), ("7 d", 7 * DAY), ("30 d", 30 * DAY)):
        chosen = next_same & (gap <= window)
        hits = float((token[1:] == token[:-1])[chosen].mean())
        own = chosen & (token[:-1] != "<random>")
        named = float((token[1:] == token[:-1])[own].mean())
        print(
            f"  next session on another device within {name:4}: same token {hits:.1%} of {int(chosen.sum()):,}; "
            f"{named:.1%} of {int(own.sum()):,} after one that is not pooled"
        )
        if name == "1 d":
            good = hits >= FORETOLD
    print(
        f"  by chance (two sessions drawn at random): {float((share**2).sum()):.1%}; bar 96 % at 1 d: "
        f"{'met' if good else 'NOT met'}"
    )
    return good


def _runs(values: np.ndarray) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(values)) + 1
    starts = np.concatenate(([0], edges, [len(values)]))
    yield from zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)


REQUESTS = (
    "tpot_gcp_2025/honeytrap_attackers.jsonl.zst", "tpot_formats_2025/tanner/tanner_report.json.zst",
    "tpot_formats_2025/h0neytr4p/log.json.zst",
)  # fmt: skip


def exploits(folder: Path) -> bool:
    from andon.detect.intel.session.exploits import Exploits, imported, own
    from andon.detect.intel.session.requests import parsed

    rules = pq.read_table(folder / "rules/et_exploit_2021.parquet")
    ours = own()
    tables = {"ours": Exploits(ours), "rules of 2021": Exploits(imported(rules.to_pydict()))}
    print(
        f"{len(ours)} signatures of ours, {len({cve for one in ours for cve in one.cves})} CVEs; "
        f"{len(tables['rules of 2021']):,} imported"
    )
    requests: Counter[tuple[str, str, str, int]] = Counter()
    for name in REQUESTS:
        for row in sessions(folder / name).select(["requests", "payloads", "dst_port"]).to_pylist():
            for one in row["requests"]:
                requests[one["method"] or "", one["uri"] or "", one["body"] or "", row["dst_port"]] += 1
            for one in row["payloads"]:
                for method, uri, rest in parsed(bytes.fromhex(one["hex"] or "")):
                    requests[method, uri, rest, row["dst_port"]] += 1
    plain = sum(count for (_, uri, _, _), count in requests.items() if uri == "/")
    print(f"{sum(requests.values())} HTTP requests, {plain} of them for /")
    said: dict[tuple[str, str], list[Counter[str]]] = {}
    total = dict.fromkeys(tables, 0)
    for (method, uri, body, port), count in requests.items():
        mine = said.setdefault((method, uri), [Counter(), Counter(), Counter()])
        mine[2]["n"] += count
        for at, (name, table) in enumerate(tables.items()):
            found = [value for signature in table.of(method, uri, body, port) for value in signature.values]
            total[name] += count * bool(found)
            mine[at].update(dict.fromkeys(found, count))
    for (method, uri), (first, second, number) in sorted(said.items(), key=lambda one: -one[1][2]["n"]):
        if uri != "/" or first or second:
            print(
                f"  {number['n']:4} {method} {uri[:90]}\n         ours: {', '.join(first) or '-'}; "
                f"rules of 2021: {', '.join(second) or '-'}"
            )
    print("; ".join(f"{name}: {count} requests" for name, count in total.items()))
    begin = process_time()
    for method, uri, body, port in list(requests) * 20:
        tables["ours"].of(method, uri, body, port)
    print(
        f"{20 * len(requests) / (process_time() - begin):,.0f} different requests per CPU second; "
        f"list for Site.lists: {RULES!r}"
    )
    return total["ours"] >= 14


def roles(folder: Path) -> bool:
    truth = {
        row["session"]: row for row in pq.read_table(folder / "scenario/truth/sessions.parquet").to_pylist()
    }
    table = sessions(folder / "scenario/cowrie.json.zst")
    counts: Counter[tuple[str, str]] = Counter()
    brier: list[float] = []
    for outcome in concluded(Site(), by_day(table)):
        found = outcome.tables["sessions"]
        for session, role, sure in zip(
            found["session"].to_pylist(),
            found["role"].to_pylist(),
            found["role_confidence"].to_pylist(),
            strict=True,
        ):
            true = truth[session.rpartition("/")[2]]["role"]
            counts[true, role] += 1
            if true != "other":
                brier.append((sure - (true == role)) ** 2)
    for (true, role), count in sorted(counts.items()):
        print(f"  truth {true:8} said {role:8}{count:6,}")
    loaders = sum(count for (true, _), count in counts.items() if true == "loader")
    called = sum(count for (_, role), count in counts.items() if role == "loader")
    recall, precision = counts["loader", "loader"] / loaders, counts["loader", "loader"] / max(called, 1)
    print(
        f"loaders: precision {precision:.3f}, recall {recall:.3f}; Brier score of roles {np.mean(brier):.3f}"
    )
    return precision >= 0.95 and recall >= 0.8


def scale(folder: Path) -> bool:
    """A million sessions: those of the devices with their times moved into one day, some twice."""
    table = sessions(folder / "iot_devices_2023/attack.session.jsonl.zst")
    more = table.slice(0, 1_000_000 - table.num_rows)
    table = pa.concat_tables([table, more]).combine_chunks()
    start = pa.array(table.column("start").cast(pa.int64()).to_numpy() % DAY).cast(
        SESSION.field("start").type
    )
    table = table.set_column(table.schema.get_field_index("start"), SESSION.field("start"), start)
    made = engine(Site())
    begin = process_time()
    summary = made.empty()
    for batch in table.to_batches(max_chunksize=1 << 16):
        summary = made.summarise(batch, summary)
    taken = process_time() - begin
    begin = process_time()
    size = len(summary.to_bytes())
    packed = process_time() - begin
    begin = process_time()
    outcome = made.conclude(summary, None, Context("1d", 0, DAY))
    drawn = process_time() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{table.num_rows:,} sessions: summarise {taken:.1f} CPU s, to bytes {packed:.1f}, conclude {drawn:.1f}; "
          f"{size / 1e6:.0f} MB, peak {memory:.2f} GB with the input; {summary.left_out:,} left out")  # fmt: skip
    print(f"{outcome.tables['behaviours'].num_rows:,} behaviours")
    return size <= made.limit


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {"patterns": patterns, "devices": devices, "exploits": exploits, "roles": roles, "scale": scale}
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("ANDON_DATA", "../shared/data")))
    parser.add_argument("--part", choices=parts, action="append")
    given = parser.parse_args()
    met = True
    for name in given.part or parts:
        print(f"\n{name}", flush=True)
        met &= parts[name](given.data / "joint")
    sys.exit(not met)


if __name__ == "__main__":
    main()
