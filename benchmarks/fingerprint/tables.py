"""Results as tables on stdout, and the same figures as JSON values."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

Entry = dict[str, Any]  # {"job": configuration, "result": figures}


def show(entries: list[Entry]) -> dict[str, Any]:
    """Print a table per experiment; returns all figures."""
    parts: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        parts[entry["job"]["experiment"]].append(entry)
    makers = {"planted": planted, "noise": noise, "slow": slow, "mixed": mixed, "captures": captures}
    makers["blind"] = blind
    return {name: makers[name](part) for name, part in parts.items()}


def planted(entries: list[Entry]) -> dict[str, Any]:
    print("\nplanted: sixteen families, half of all sources noise")
    print(
        "foreign  runs  families  eligible src  all src  family prec.  source prec.  exact    short    false  repeated"
        "   CPU s: median, most"
    )
    levels = sorted({e["job"]["contamination"] for e in entries})
    figures: dict[str, Any] = {"by contamination": {}, "by family": {}, "false": []}
    for level in levels:
        results = [e["result"] for e in entries if e["job"]["contamination"] == level]
        row = pooled(results)
        figures["by contamination"][level] = row
        print(
            f"{level:5} % {row['runs']:6} {pct(row['family_recall'])}   {pct(row['source_recall'])}     "
            f"{pct(row['all_source_recall'])}  {pct(row['family_precision'])}      {pct(row['source_precision'])} "
            f"{pct(row['exact_share'])} {pct(row['short_share'])} {row['false']:8}{row['repeated']:10}"
            f"  {row['cpu_median']:6.1f} {row['cpu_max']:6.1f}"
        )
    figures["by family"] = by_family([e["result"] for e in entries])
    print(
        f"\n{'family':14}{'eligible':>9}{'found':>7}{'exact':>7}{'eligible src':>14}{'found':>9}{'wrong':>7}"
    )
    for name, row in figures["by family"].items():
        print(
            f"{name:14}{row['eligible']:9}{row['found']:7}{row['exact']:7}{row['eligible_sources']:14}"
            f"{row['right_eligible']:9}{row['wrong']:7}"
        )
    otherwise = {
        f["relation"]: f["found"]
        for e in entries
        for f in e["result"]["families"]
        if f["found"] and not f["exact"]
    }
    figures["said otherwise"] = otherwise
    for relation, text in [*otherwise.items()][:20]:
        print(f"  equal, said otherwise: {relation}  as  {text}")
    for e in entries:
        figures["false"] += [{**e["job"], **f} for f in e["result"]["false"]]
    for f in figures["false"][:20]:
        print(
            f"  false: {f['relation']} ({f['sources']} sources, {f['share']:.0%} of {f['nearest'] or 'no family'}; "
            f"seed {f['seed']}, {f['contamination']} %)"
        )
    return figures


def pooled(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Counts of all runs together, then shares."""
    families = [f for r in results for f in r["families"]]
    mine = [f for f in families if f["eligible"]]
    found = [f for f in families if f["found"]]
    false = sum(len(r["false"]) for r in results)
    given = sum(f["given"] for f in families) + sum(f["sources"] for r in results for f in r["false"])
    cpu = sorted(r["cpu"] for r in results)
    return {
        "runs": len(results),
        "eligible": len(mine),
        "family_recall": ratio(sum(bool(f["found"]) for f in mine), len(mine)),
        "source_recall": ratio(
            sum(f["right_eligible"] for f in mine), sum(f["eligible_sources"] for f in mine)
        ),
        "all_source_recall": ratio(sum(f["right"] for f in families), sum(f["sources"] for f in families)),
        "family_precision": ratio(len(found), len(found) + false),
        "source_precision": ratio(sum(f["right"] for f in families), given),
        "exact_share": ratio(sum(f["exact"] for f in found), len(found)),
        "short_share": ratio(sum(f["short"] for f in found), len(found)),
        "false": false,
        "repeated": sum(r["repeated"] for r in results),
        "cpu_median": cpu[len(cpu) // 2],
        "cpu_max": cpu[-1],
        "peak_mb": max(r["peak_mb"] for r in results),
    }


def by_family(results: list[dict[str, Any]]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for f in (f for r in results for f in r["families"]):
        row = rows.setdefault(
            f["name"],
            {"eligible": 0, "found": 0, "exact": 0, "eligible_sources": 0, "right_eligible": 0, "wrong": 0},
        )
        row["eligible"] += f["eligible"]
        row["found"] += bool(f["found"])
        row["exact"] += f["exact"]
        row["eligible_sources"] += f["eligible_sources"]
        row["right_eligible"] += f["right_eligible"]
        row["wrong"] += f["given"] - f["right"]
    return rows


def noise(entries: list[Entry]) -> dict[str, Any]:
    false = [{**f, "seed": e["job"]["seed"]} for e in entries for f in e["result"]["false"]]
    hit = sum(bool(e["result"]["false"]) for e in entries)
    n = len(entries)
    # With 0 of n the 95 % bound is 1 - 0.05^(1/n) (the "rule of three"); with more it is not printed.
    bound = 1 - 0.05 ** (1 / n) if not hit else None
    text = f"; false families in less than {bound:.1%} of such runs (95 %)" if bound is not None else ""
    print(f"\nnoise alone: n = {n} runs, {len(false)} false families in {hit} runs{text}")
    for f in false[:20]:
        print(f"  false: {f['relation']} ({f['sources']} sources, seed {f['seed']})")
    cpu = max(e["result"]["cpu"] for e in entries)
    return {"runs": n, "runs_with_false": hit, "false": false, "bound": bound, "cpu_max": cpu}


def slow(entries: list[Entry]) -> dict[str, Any]:
    """Smallest number of sources from which on a family was found at every seed and every larger size."""
    seeds = sorted({e["job"]["seed"] for e in entries})
    sizes = sorted({e["job"]["sources"] for e in entries})
    found: dict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    right: dict[str, list[float]] = defaultdict(list)
    for e in entries:
        for f in e["result"]["families"]:
            found[f["name"]][e["job"]["sources"]].append(bool(f["found"]))
            if f["found"]:
                right[f["name"]].append(f["right"] / f["sources"])
    print(
        f"\nslow: sources of 1 to 3 packets, {len(seeds)} seeds; found of so many runs at each number of sources"
    )
    print(f"{'family':14}" + "".join(f"{size:>7}" for size in sizes) + "   smallest   sources given")
    figures: dict[str, Any] = {}
    for name, at in found.items():
        smallest: int | None = None
        for size in reversed(sizes):
            if not at[size] or not all(at[size]):
                break
            smallest = size
        share = sum(right[name]) / len(right[name]) if right[name] else 0.0
        figures[name] = {"smallest": smallest, "runs": {s: sum(at[s]) for s in sizes}, "sources_given": share}
        cells = "".join(f"{sum(at[size]):>5}/{len(at[size])}" for size in sizes)
        print(f"{name:14}{cells}   {smallest or '> ' + str(sizes[-1]):>8}   {share:6.1%}")
    false = [f for e in entries for f in e["result"]["false"]]
    print(
        f"false families: {len(false)}",
        *(f"{f['relation']} ({f['nearest']})" for f in false[:10]),
        sep="\n  ",
    )
    return {"families": figures, "false": false}


def mixed(entries: list[Entry]) -> dict[str, Any]:
    row = pooled([e["result"] for e in entries])
    row["infected_twice"] = sum(e["result"]["infected_twice"] for e in entries)
    row["found_twice"] = sum(e["result"]["found_twice"] for e in entries)
    print(
        f"\nmixed: {row['runs']} runs, 30 % of addresses with 2-5 hosts, every second family on hosts of another: "
        f"families {pct(row['family_recall'])}, eligible sources {pct(row['source_recall'])}, false {row['false']}; "
        f"{row['infected_twice']} addresses with two infections, both found at {row['found_twice']}"
    )
    return row


def blind(entries: list[Entry]) -> dict[str, Any]:
    """Relations drawn from the grammar: recall by number of operations and by class, what was missed, what is false."""
    results = [e["result"] for e in entries]
    row = pooled(results)
    print(
        f"\nblind: {row['runs']} runs of sixteen drawn relations: eligible families {pct(row['family_recall'])} of "
        f"{row['eligible']}, eligible sources {pct(row['source_recall'])}, family precision "
        f"{pct(row['family_precision'])}, no longer than planted {pct(row['short_share'])}, false {row['false']}; "
        f"CPU s median {row['cpu_median']:.1f}, most {row['cpu_max']:.1f}"
    )
    mine = [f for r in results for f in r["families"] if f["eligible"]]
    for by in ("operations", "kind"):
        groups: dict[Any, list[bool]] = defaultdict(list)
        for f in mine:
            groups[f[by]].append(bool(f["found"]))
        row[f"by {by}"] = {str(name): [sum(hits), len(hits)] for name, hits in sorted(groups.items())}
        for name, (hits, count) in row[f"by {by}"].items():
            print(f"  {by} {name:20}{hits:5} of {count:4}  {hits / count:6.1%}")
    row["missed"] = [
        {
            "seed": e["job"]["seed"],
            "operations": f["operations"],
            "kind": f["kind"],
            "relation": f["relation"],
        }
        for e in entries
        for f in e["result"]["families"]
        if f["eligible"] and not f["found"]
    ]
    for miss in row["missed"]:
        print(
            f"  missed: {miss['relation']} (seed {miss['seed']}, {miss['operations']} operations, {miss['kind']})"
        )
    row["false families"] = [{**e["job"], **f} for e in entries for f in e["result"]["false"]]
    names = {(e["job"]["seed"], f["name"]): f["relation"] for e in entries for f in e["result"]["families"]}
    for f in row["false families"]:
        print(
            f"  false: {f['relation']} ({f['sources']} sources, seed {f['seed']}), {f['share']:.0%} of them of "
            f"{names.get((f['seed'], f['nearest']), 'no family')}"
        )
    return row


def captures(entries: list[Entry]) -> dict[str, Any]:
    print(f"\nreal captures\n{'capture':40}{'use':9}{'SYN':>8}{'CPU s':>7}  verdict")
    missing = false = 0
    for e in entries:
        job, r = e["job"], e["result"]
        missing += r["missing"]
        false += len(r["false"])
        said = [f"found {t}" for t in r["found"]] + ([f"MISSING {r['expected']}"] if r["missing"] else [])
        said += [f"FALSE {f['relation']} ({f['sources']} sources)" for f in r["false"]]
        said += [f"the host's own {t}" for t in r["of_the_host"]]
        print(
            f"{job['capture']:40}{job['use']:9}{r['syn']:8}{r['cpu']:7.1f}  {'; '.join(said) or 'nothing, as expected'}"
        )
    print(f"missing {missing}, false {false}")
    return {"missing": missing, "false": false, "results": entries}


def ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def pct(value: float | None) -> str:
    return "      -" if value is None else f"{value:7.4f}"
