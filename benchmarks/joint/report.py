"""The tables of what is done, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from statistics import mean
from typing import Any

Done = dict[str, Any]
RELATIONS = ("fingerprint-malware", "fingerprint-CVE", "fingerprint-device", "fingerprint-report")
NULLS = ("shift", "rename")


def show(done: list[Done]) -> Iterator[str]:
    """All tables for which there is a result."""
    by = defaultdict(list)
    for d in done:
        by[d["job"]["experiment"]].append(d)
    for experiment in ("quick", "planted"):
        if by[experiment]:
            yield from _planted(experiment, by[experiment])
    for null in NULLS:
        if by[null]:
            yield from _null(null, by[null])
    if by["factors"]:
        yield from _factors(by["factors"])
    if done:
        spent = [sum(d["cpu_seconds"].values()) for d in done]
        yield f"CPU seconds a run: mean {mean(spent):.1f}, most {max(spent):.1f} ({len(done)} runs)."


def _planted(title: str, done: list[Done]) -> Iterator[str]:
    yield f"### {title}, {len(done)} seeds"
    yield ""
    yield "| | linkable | said | right | precision | recall | worst seed: precision, recall |"
    yield "|---|---:|---:|---:|---:|---:|---|"
    for name in RELATIONS:
        yield _row(name, [d["score"]["pairs"][name] for d in done])
    links = [d["score"]["links"] for d in done]
    said, right = (sum(p[key] for p in links) for key in ("said", "right"))
    yield f"| all links that tell a family | | {said} | {right} | {_share(right, said)} | | |"
    for role in ("bot", "loader"):
        yield _row(f"sessions: {role}", [d["score"]["roles"][role] for d in done])
    for level in ("devices", "addresses"):
        rows = [d["score"]["assets"][level] for d in done]
        linkable, said, right, found = (sum(r[i] for r in rows) for i in range(4))
        yield (
            f"| assets: {level} | {linkable} | {said} | {right} | {_share(right, said)} | {_share(found, linkable)} | |"
        )
    bare = [
        (name, *(sum(d["score"]["pairs"][name].get("bare", (0, 0))[i] for d in done) for i in (0, 1)))
        for name in RELATIONS
    ]
    good, dated = (sum(d["score"]["births"][i] for d in done) for i in (0, 1))
    yield f"| births within a day | {dated} | {dated} | {good} | {_share(good, dated)} | | |"
    yield ""
    true = 1 - sum(p["right"] for p in links) / max(1, sum(p["said"] for p in links))
    yield (
        f"False-discovery rate: printed {mean(d['score']['fdr_said'] for d in done):.4f} (mean of each run's largest), "
        f"true {true:.4f}."
    )
    yield "Of families without a fingerprint, by their ports: " + ", ".join(
        f"{name} {found} of {linkable}" for name, linkable, found in bare
    )
    yield from _calibration("links", [d["score"]["calibration"] for d in done])
    yield from _calibration("assets", [d["score"]["asset_calibration"] for d in done])
    for name in RELATIONS:
        for key in ("wrong", "missed"):
            listed = [
                f"seed {d['job']['seed']}: {text}" for d in done for text in d["score"]["pairs"][name][key]
            ]
            if listed:
                yield f"{name} {key} ({len(listed)}): {'; '.join(listed[:12])}"
    yield ""


def _row(name: str, pairs: list[dict[str, Any]]) -> str:
    linkable, said, right, found = (
        sum(p[key] for p in pairs) for key in ("linkable", "said", "right", "found")
    )
    precision = min((p["precision"] for p in pairs if p["precision"] is not None), default=None)
    recall = min((p["recall"] for p in pairs if p["recall"] is not None), default=None)
    worst = f"{_percent(precision)}, {_percent(recall)}"
    return f"| {name} | {linkable} | {said} | {right} | {_share(right, said)} | {_share(found, linkable)} | {worst} |"


def _calibration(name: str, parts: list[dict[str, Any]]) -> Iterator[str]:
    """Brier score and reliability over all runs."""
    n = sum(p["n"] for p in parts)
    if not n:
        yield f"Calibration of {name}: nothing was said."
        return
    brier = sum(p["brier"] * p["n"] for p in parts if p["n"]) / n
    bins: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for p in parts:
        for probability, right, count in p["bins"]:
            held = bins[min(int(probability * 10), 9)]
            held[0] += probability * count
            held[1] += right * count
            held[2] += count
    shown = ", ".join(
        f"{b[0] / b[2]:.2f} -> {b[1] / b[2]:.2f} (n={b[2]:.0f})" for _, b in sorted(bins.items())
    )
    yield f"Calibration of {name}: Brier {brier:.4f}; said -> true: {shown}."


def _null(name: str, done: list[Done]) -> Iterator[str]:
    with_links = [d for d in done if d["links"]]
    with_reports = [d for d in done if d["report_links"]]
    yield (
        f"### null: {name}: {len(with_links)} of {len(done)} runs with a link ({sum(d['links'] for d in done)} links), "
        f"{len(with_reports)} with a report on a page ({sum(d['report_links'] for d in done)})"
    )
    for d in with_links:
        yield f"- seed {d['job']['seed']}: {'; '.join(d['score']['links']['wrong'][:6]) or 'links of other kinds'}"
    yield ""


def _factors(done: list[Done]) -> Iterator[str]:
    yield "### factors"
    yield ""
    yield "| factor | value | links: precision | malware: recall | CVE: recall | devices: precision | devices: recall |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    by = defaultdict(list)
    for d in done:
        for name, value in d["job"]["options"].items():
            by[name, value].append(d["score"])
    for (name, value), scores in sorted(by.items()):
        said, right = (sum(s["links"][key] for s in scores) for key in ("said", "right"))
        cells = [_share(right, said)]
        for relation in RELATIONS[:2]:
            found, linkable = (
                sum(s["pairs"][relation][key] for s in scores) for key in ("found", "linkable")
            )
            cells.append(_share(found, linkable))
        linkable, told, good, hit = (sum(s["assets"]["devices"][i] for s in scores) for i in range(4))
        yield f"| {name} | {value:g} | {' | '.join([*cells, _share(good, told), _share(hit, linkable)])} |"
    yield ""


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
