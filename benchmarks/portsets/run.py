"""How well port sets are found and how early, and what it costs.

    python benchmarks/portsets/run.py lineages [--seeds 1 2] [--days 7] [--before-mirai]
    python benchmarks/portsets/run.py births [--seeds 1 2 3] [--before-mirai]
    python benchmarks/portsets/run.py noise [--seeds 1 2 3] [--days 3]
    python benchmarks/portsets/run.py mixed [--seeds 1 2] [--packets 1000000]
    python benchmarks/portsets/run.py cost [--packets 4000000] [--sources 300000]

``lineages`` runs a scenario of days with planted botnets (``andon.simulate.coordination``) and compares families and
births with its truth. ``births`` plants a Mirai of 23 and 2323 at nine to one in one hour, with ever fewer sources.
``noise`` counts births in a scenario without any. ``mixed`` gives what is explained by whom. Everything is printed as
one JSON object a line; CPU in seconds.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.darknet.portsets import PortSets, names
from andon.records.columns import column
from andon.records.contract import Context, Site
from andon.run.conclusions import Concluded, Conclusions
from andon.simulate.coordination import Scenario, packets, port_sets

HOUR, DAY = 3_600_000_000_000, 86_400_000_000_000
TELESCOPE = ("198.18.0.0/24",)


def say(**values: Any) -> None:
    print(json.dumps(values, default=str), flush=True)


def run(batches: Iterable[pa.RecordBatch], engine: PortSets) -> tuple[list[Concluded], Conclusions, int]:
    """Conclusions of all spans in time order, as the live runner would draw them."""
    done: list[Concluded] = []
    conclusions = Conclusions([engine], done.append)
    count = 0
    for batch in batches:
        ts = column(batch, "ts")
        conclusions.windows[0].add(batch.select(list(engine.columns)), ts)
        count += batch.num_rows
        conclusions.until(int(ts[-1]) - 60 * 10**9)
    conclusions.until(None)
    return done, conclusions, count


def lineages(options: argparse.Namespace) -> None:
    for seed in options.seeds:
        scenario = Scenario(
            seed=seed, telescope=TELESCOPE, days=options.days, before_mirai=options.before_mirai
        )
        done, _, count = run(packets(scenario), PortSets(Site()))
        families: dict[str, list[tuple[int, Any]]] = {}
        births: dict[str, list[tuple[str, int]]] = {}
        for one in done:
            for finding in one.outcome.findings:
                if finding.kind == "port-set-birth":
                    births.setdefault(finding.attributes["ports"], []).append((one.span, one.end))
            if "families" in one.outcome.tables:
                for row in one.outcome.tables["families"].to_pylist():
                    families.setdefault(row["ports"], []).append((one.start, row))
        truth = [row for row in port_sets(scenario).to_pylist() if row["active"]]
        found = 0
        sets = 0
        for row in truth:
            text = names.text(p["port"] + 65536 * (p["protocol"] == 17) for p in row["ports"])
            if len(row["ports"]) < 2:
                continue
            sets += 1
            since = _ns(row["since"])
            seen = families.get(text, [])
            line = seen[-1][1] if seen else None
            told = [(span, end) for span, end in births.get(text, []) if end > since]
            exact = line is not None and abs(_ns(line["born"]) - since // DAY * DAY) <= DAY
            found += line is not None
            say(
                seed=seed, lineage=row["lineage"], stage=row["stage"], ports=text, since=row["since"],
                sources=row["sources"], source_200=row["source_200"], found=line is not None,
                born=line["born"] if line else None, born_within_a_day=exact, line=line["line"] if line else None,
                told=[(span, np.datetime64(end, "ns").astype("datetime64[m]")) for span, end in told],
            )  # fmt: skip
        true = {names.text(p["port"] + 65536 * (p["protocol"] == 17) for p in row["ports"]) for row in truth}
        say(
            seed=seed, packets=count, sets_of_two_and_more=sets, sets_found=found,
            births={text: [span for span, _ in told] for text, told in births.items()},
            births_of_no_planted_set=sorted(set(births) - true),
            cpu_per_hour=_mean(c.cpu_seconds for c in done if c.span == "1h"),
            cpu_per_day=_mean(c.cpu_seconds for c in done if c.span == "1d"),
        )  # fmt: skip


def births(options: argparse.Namespace) -> None:
    """The last of some hours is concluded again and again with ever fewer sources of an early Mirai."""
    hours = 10
    for seed in options.seeds:
        scenario = Scenario(
            seed=seed, telescope=TELESCOPE, days=hours / 24, quiet=True, before_mirai=options.before_mirai
        )
        engine = PortSets(Site(settings={"darknet.portsets.warm_up": 8}))
        carry, at = None, scenario.start_ns
        summaries: dict[int, Any] = {}
        for batch in packets(scenario):
            hour = column(batch, "ts") // HOUR * HOUR
            for start in np.unique(hour).tolist():
                part = batch.select(list(engine.columns)).filter(pa.array(hour == start))
                summaries[start] = engine.summarise(part, summaries.get(start) or engine.empty())
        for _ in range(hours - 1):
            carry = engine.conclude(summaries[at], carry, Context("1h", at, at + HOUR)).carry
            at += HOUR
        last = summaries[at]
        for each in (2, 4, 8):
            needed = None
            for sources in (200, 150, 100, 70, 50, 35, 25, 18, 12):
                mirai = engine.summarise(_mirai(sources, each, seed, at), engine.empty())
                whole = engine.merge(engine.merge(engine.empty(), last), mirai)
                outcome = engine.conclude(whole, carry, Context("1h", at, at + HOUR))
                told = [f.attributes["ports"] for f in outcome.findings if f.kind == "port-set-birth"]
                if not {"23,2323", "2323"} & set(told):
                    break
                needed = sources
            say(
                seed=seed, before_mirai=options.before_mirai, packets_each=each, sources_needed=needed,
                background_sources_in_the_hour=last.rows.used,
            )  # fmt: skip


def _mirai(sources: int, each: int, seed: int, start: int) -> pa.RecordBatch:
    """SYN packets of an hour: a Poisson number around ``each`` from every source, at least one."""
    rng = np.random.default_rng((seed, sources, each))
    address = rng.choice(np.arange(0x01000000, 0xDF000000, 65_521), sources, replace=False)
    number = 1 + rng.poisson(each - 1, sources)
    size = int(number.sum())
    from andon.records import packet

    values = {
        "ts": start + np.sort(rng.integers(0, HOUR, size)),
        "src": np.repeat(address, number),
        "dst": 0xC6120000 + rng.integers(0, 256, size),
        "src_port": rng.integers(1024, 65536, size),
        "dst_port": np.where(rng.random(size) < 0.1, 2323, 23),
        "proto": np.full(size, 6),
        "tcp_flags": np.full(size, packet.SYN),
        "layers": np.full(size, packet.IPV4 | packet.TCP),
    }
    fields = [packet.SCHEMA.field(name) for name in PortSets.columns]
    return pa.record_batch([pa.array(values[f.name]).cast(f.type) for f in fields], schema=pa.schema(fields))


def noise(options: argparse.Namespace) -> None:
    for seed in options.seeds:
        scenario = Scenario(seed=seed, telescope=TELESCOPE, days=options.days, quiet=True)
        warm_up = 24
        done, _, count = run(
            packets(scenario), PortSets(Site(settings={"darknet.portsets.warm_up": warm_up}))
        )
        told = [
            (one.span, finding.attributes["ports"])
            for one in done
            for finding in one.outcome.findings
            if finding.kind == "port-set-birth"
        ]
        last = [one for one in done if one.span == "1d"][-1].outcome.tables["families"].to_pylist()
        say(
            seed=seed, packets=count, days_told=options.days - warm_up / 24, false_births=told,
            families_of_the_last_day=[(row["ports"], row["sources"]) for row in last],
        )  # fmt: skip


def mixed(options: argparse.Namespace) -> None:
    from andon.detect.darknet import backscatter, census, fingerprint, purpose, tools
    from andon.run.engines import in_order
    from andon.simulate.internet import InternetConfig, truth
    from andon.simulate.internet import packets as internet

    for seed in options.seeds:
        config = InternetConfig(seed=seed, packets=options.packets, contamination=0.05)
        site = Site(telescope=config.telescope)
        made = [module.engine(site) for module in (census, tools, fingerprint, backscatter, purpose)]
        engines = in_order([*made, PortSets(site)])
        tables: dict[str, pa.Table] = {}
        summaries = [engine.empty() for engine in engines]
        for batch in internet(config):
            summaries = [
                e.summarise(batch.select(list(e.columns)), s) for e, s in zip(engines, summaries, strict=True)
            ]
        start = config.start_ns // DAY * DAY
        for engine, summary in zip(engines, summaries, strict=True):
            began = time.process_time()
            outcome = engine.conclude(summary, None, Context("1d", start, start + DAY, tables=tables))
            tables |= {f"{engine.name}:{name}": table for name, table in outcome.tables.items()}
            spent = time.process_time() - began
        cover = tables["darknet.portsets:coverage"].to_pylist()[0]
        members = tables["darknet.portsets:sources"].to_pylist()
        true: dict[int, set[str]] = {}
        for row in truth(config)[0].select(["src", "family", "kind"]).to_pylist():
            true.setdefault(row["src"], set()).add("none" if row["kind"] == "noise" else row["family"])
        wrong = sum(true.get(row["src"], {"none"}) <= {"none", "ordinary"} for row in members)
        bots = {
            src
            for src, of in true.items()
            if any(name.startswith(("mirai", "hajime", "mozi", "in-step")) for name in of)
        }
        say(
            seed=seed, conclusion_cpu=round(spent, 2),
            families=tables["darknet.portsets:families"]["ports"].to_pylist(),
            members=len(members), members_that_are_noise=wrong,
            share_of_bots_in_a_family=round(sum(row["src"] in bots for row in members) / len(bots), 3),
            **{name: value for name, value in cover.items() if name not in ("start", "end")},
        )  # fmt: skip


def cost(options: argparse.Namespace) -> None:
    """Packets of many sources as a large telescope hears them; and a day's conclusion with a full table."""
    from andon.records import packet

    rng = np.random.default_rng(1)
    engine = PortSets(Site())
    size, start = 1_000_000, 20_000 * DAY
    address = rng.integers(0x01000000, 0xDF000000, options.sources)
    popular = np.r_[[23, 445, 22, 80, 3389, 443, 8080, 2323, 5555, 1433], rng.integers(1, 65536, 3000)]
    share = 1 / np.arange(1, len(popular) + 1) ** 1.1
    own = rng.choice(len(popular), (options.sources, 6), p=share / share.sum())
    kinds = rng.geometric(0.6, options.sources).clip(1, 6)
    loud = np.exp(rng.normal(0, 2, options.sources))
    whole, spent, compiled = engine.empty(), 0.0, time.process_time()
    fields = [packet.SCHEMA.field(name) for name in PortSets.columns]
    filled = options.packets // size // 2  # until then the table grows
    for n in range(-1, options.packets // size):
        who = rng.choice(options.sources, size if n >= 0 else 1000, p=loud / loud.sum())
        values = {
            "ts": start + np.sort(rng.integers(0, DAY, len(who))),
            "src": address[who],
            "dst": 0x0A000000 + rng.integers(0, 1 << 18, len(who)),
            "src_port": rng.integers(1024, 65536, len(who)),
            "dst_port": popular[own[who, rng.integers(0, 6, len(who)) % kinds[who]]],
            "proto": np.full(len(who), 6),
            "tcp_flags": np.full(len(who), packet.SYN),
            "layers": np.full(len(who), packet.IPV4 | packet.TCP),
        }
        batch = pa.record_batch(
            [pa.array(values[f.name]).cast(f.type) for f in fields], schema=pa.schema(fields)
        )
        began = time.process_time()
        for at in range(0, batch.num_rows, 65_536):
            whole = engine.summarise(batch.slice(at, 65_536), whole)
        spent += (time.process_time() - began) * (n >= filled)
    began = time.process_time()
    engine.merge(engine.empty(), whole)
    merged = time.process_time() - began
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    outcome = engine.conclude(whole, None, Context("1d", start, start + DAY))
    day = time.process_time() - began
    began = time.process_time()
    hour = engine.conclude(whole, None, Context("1h", start, start + HOUR))
    per_packet = spent / ((options.packets // size - filled) * size)
    per_hour = time.process_time() - began
    say(
        packets=options.packets, sources=whole.rows.used, level=whole.rows.level,
        summarise_ns=round(per_packet * 1e9, 1), merge_s=round(merged, 2), day_conclusion_s=round(day, 2),
        hour_conclusion_s=round(per_hour, 2),
        cpu_of_a_day_at_20000_packets_a_second=round(per_packet * 20_000 * 86_400 + 24 * (merged + per_hour) + day, 1),
        summary_memory=whole.rows.nbytes, summary_bytes=len(whole.to_bytes()),
        carry_bytes=[len(o.carry.to_bytes()) for o in (outcome, hour) if o.carry],
        families=outcome.tables["families"].num_rows,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        of_that_by_conclusions_mb=(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024,
        process_cpu=round(time.process_time() - compiled, 1),
    )  # fmt: skip


def _ns(when: Any) -> int:
    return round(when.timestamp()) * 1_000_000_000


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return round(sum(found) / max(1, len(found)), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("lineages", "births", "noise", "mixed", "cost"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--before-mirai", action="store_true")
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--sources", type=int, default=300_000)
    options = parser.parse_args()
    globals()[options.what](options)


if __name__ == "__main__":
    sys.exit(main())
