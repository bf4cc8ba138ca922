"""Scoring the joint analysis against a scenario's truth: links, reports, devices, loaders, dates, calibration.

What can be linked at all is fixed by ``joint.evidence`` from truth and data, before a run and without the engines.

A *mark* is a fingerprint or a set of ports. A link (mark, behaviour) is right if one family has both: a fingerprint of
its own, or ports among its own. So a set of ports that also holds a port of the background is wrong. Precision is the
share of right ones among all distinct pairs that were said, in links or on profile pages; recall is the share of
linkable pairs of which one was said (for a family without fingerprint by any of its port sets). Devices and reports are
on profile pages alone.

An asset is rightly suspected if its device was infected within a day of when the finding says that it was seen. It can
be found if the lists hold a lease of it, no other listed device had the address at that time, and three sightings of
its family's fingerprint, or one honeypot session of its family, came from it.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records import joint
from andon.records.expression import ExpressionError, canonical, parse

from .joint.evidence import DAY, Evidence, seconds, table
from .score_joint_assets import AssetScore, score_assets

TOKEN, CVE, DEVICE, REPORT = (
    "fingerprint-malware",
    "fingerprint-CVE",
    "fingerprint-device",
    "fingerprint-report",
)
RELATIONS: Final = (TOKEN, CVE, DEVICE, REPORT)
BINS: Final = 10


@dataclass
class Pairs:
    """One relation: ``linkable`` pairs, distinct pairs ``said`` and ``right`` among them, linkable ones ``found``; of
    the latter two ``bare`` ones, of families without a fingerprint (linkable, found)."""

    name: str
    linkable: int = 0
    said: int = 0
    right: int = 0
    found: int = 0
    bare: tuple[int, int] = (0, 0)
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    @property
    def precision(self) -> float | None:
        return self.right / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        return self.found / self.linkable if self.linkable else None

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "linkable": self.linkable, "said": self.said, "right": self.right, "found": self.found,
            "bare": list(self.bare), "precision": self.precision, "recall": self.recall,
            "wrong": self.wrong[:20], "missed": self.missed[:20],
        }  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """How well stated probabilities fit: Brier score, and (bin's mean probability, share right, n) of each bin."""

    n: int
    brier: float | None
    bins: tuple[tuple[float, float, int], ...]

    @classmethod
    def of(cls, probability: Sequence[float], right: Sequence[bool]) -> Calibration:
        """From claims, each with what was said of it and whether it is true."""
        if not probability:
            return cls(0, None, ())
        p, y = np.array(probability, np.float64), np.array(right, np.float64)
        place = np.minimum((p * BINS).astype(np.int64), BINS - 1)
        bins = tuple(
            (float(p[place == i].mean()), float(y[place == i].mean()), int((place == i).sum()))
            for i in range(BINS) if (place == i).any()
        )  # fmt: skip
        return cls(len(p), float(((p - y) ** 2).mean()), bins)

    def to_dict(self) -> dict[str, Any]:
        return {"n": self.n, "brier": self.brier, "bins": [list(b) for b in self.bins]}


@dataclass
class JointScore:
    """Everything there is to say of one run. ``links`` counts all pairs of links whatever their kind, ``fdr_said`` is
    the largest that was printed with one of them, ``fdr_true`` the share that is wrong."""

    pairs: dict[str, Pairs]
    links: Pairs
    fdr_said: float
    fdr_true: float
    by_kind: dict[str, tuple[int, int]]  # kind of behaviour -> (said, right)
    calibration: Calibration
    roles: dict[str, Pairs]
    births: tuple[int, int]  # (dated within a day, dated)
    assets: AssetScore
    asset_calibration: Calibration

    def to_dict(self) -> dict[str, Any]:
        return {
            "pairs": {name: p.to_dict() for name, p in self.pairs.items()},
            "links": self.links.to_dict(),
            "fdr_said": self.fdr_said, "fdr_true": self.fdr_true,
            "by_kind": {kind: list(counts) for kind, counts in self.by_kind.items()},
            "calibration": self.calibration.to_dict(),
            "roles": {name: p.to_dict() for name, p in self.roles.items()},
            "births": list(self.births),
            "assets": self.assets.to_dict(),
            "asset_calibration": self.asset_calibration.to_dict(),
        }  # fmt: skip


Tables = Mapping[str, Sequence[pa.Table]]


def score(
    evidence: Evidence,
    findings: Sequence[Mapping[str, Any]],
    tables: Tables,
    names: Mapping[str, str] = MappingProxyType({}),
) -> JointScore:
    """Score a run. ``findings``: objects of ``andon analyze --format json``; ``tables``: as ``Analysis.tables``;
    ``names``: the truth's name of a report by the run's, where the report gives itself none. Of links and profiles the
    newest table counts: they say what is known at a span's end."""
    judge = Judge(evidence)
    links = newest(tables, "darknet.link:links", joint.LINKS)
    profiles = newest(tables, "intel.profile:profiles", joint.PROFILES)
    pairs = {name: Pairs(name) for name in RELATIONS}
    said: dict[str, set[tuple[str, str, str]]] = {name: set() for name in RELATIONS}
    for row in links:
        name = {joint.TOKEN: TOKEN, joint.EXPLOIT: CVE}.get(row["kind"])
        if name is not None:
            said[name].add((row["mark_kind"], row["mark"], row["value"]))
    for page in profiles:
        for mark in judge.marks_of(page):
            said[TOKEN] |= {(*mark, token) for token in page["tokens"]}
            said[CVE] |= {(*mark, cve) for cve in page["cves"]}
            said[DEVICE] |= {(*mark, target) for target in page["targets"]}
            said[REPORT] |= {(*mark, names.get(report, report)) for report in page["reports"]}
    wanted = judge.wanted()
    for name in RELATIONS:
        _count(pairs[name], judge, said[name], wanted[name])
    overall, by_kind, probability, right = _links(judge, links)
    fdr = max((row["fdr"] for row in links), default=0.0)
    assets, stated, true = score_assets(evidence, findings)
    return JointScore(
        pairs, overall, fdr, 1 - (overall.precision if overall.precision is not None else 1.0), by_kind,
        Calibration.of(probability, right), _roles(evidence, tables), judge.births(profiles), assets,
        Calibration.of(stated, true),
    )  # fmt: skip


class Judge:
    """Tells whether a pair is right."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.families = evidence.families
        self._relations = [_canonical(f["expression"]) for f in self.families]

    def owners(self, mark_kind: str, mark: str) -> set[int]:
        """Families that have a mark."""
        if mark_kind == joint.MARK_PORT_SET:
            try:
                ports = {int(part.removeprefix("tcp/")) for part in mark.split(",")}
            except ValueError:
                return set()
            return {i for i, f in enumerate(self.families) if ports <= set(f["ports"])}
        relation = _canonical(mark)
        return {
            i for i, f in enumerate(self.families)
            if f["fingerprint"] and (f["fingerprint"] == mark or (relation and self._relations[i] == relation))
        }  # fmt: skip

    def showing(self, relation: str, value: str) -> set[int]:
        """Families that a value belongs to."""
        return {i for i, f in enumerate(self.families) if _shows(relation, f, value)}

    def right(self, relation: str, pair: tuple[str, str, str]) -> bool:
        return bool(self.owners(pair[0], pair[1]) & self.showing(relation, pair[2]))

    def wanted(self) -> dict[str, list[tuple[int, str]]]:
        """(family, value) of what is linkable, by relation."""
        e = self.evidence
        kinds = {TOKEN: "token", CVE: "exploit"}
        found = {
            name: [(i, value) for i, kind, value in sorted(e.linkable) if kind == kinds[name]]
            for name in kinds
        }
        found[DEVICE] = [
            (i, f"{vendor}|{product}|{kind}") for i, kind, vendor, product in sorted(e.linkable_devices())
        ]
        found[REPORT] = sorted(e.linkable_reports())
        return found

    def marks_of(self, page: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Marks of a profile page: its fingerprints; where it has none, its port sets."""
        if page["fingerprints"]:
            return [(joint.MARK_FINGERPRINT, mark) for mark in page["fingerprints"]]
        return [(joint.MARK_PORT_SET, mark) for mark in page["port_sets"]]

    def births(self, profiles: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
        """(pages whose first sighting is within a day of their family's, pages of a family that was sighted)."""
        good = dated = 0
        for page in profiles:
            owners = set.union(set(), *(self.owners(*mark) for mark in self.marks_of(page)))
            owners &= {i for i in owners if self._is(i, page)}
            when = _epoch(page["first_darknet"])
            if owners and when:  # several where they have one scanner: then the first of them dates it
                first = min(self.evidence.first(i) for i in owners)
                dated += math.isfinite(first)
                good += abs(when - first) <= DAY
        return good, dated

    def _is(self, number: int, page: Mapping[str, Any]) -> bool:
        """Whether a page is of a family: by its fingerprint, or by a token or CVE besides its ports."""
        f = self.families[number]
        if f["fingerprint"]:
            return any(number in self.owners(joint.MARK_FINGERPRINT, mark) for mark in page["fingerprints"])
        return f["token"] in page["tokens"] or bool(set(f["cve"]) & set(page["cves"]))


def _canonical(text: str | None) -> str:
    if not text or "==" not in text:
        return ""
    try:
        return str(canonical(parse(text)))
    except ExpressionError:
        return ""


def _shows(relation: str, f: Mapping[str, Any], value: str) -> bool:
    if relation == TOKEN:
        return bool(f["token"].casefold() == value.casefold())
    if relation == CVE:
        return value in f["cve"]
    if relation == DEVICE:
        return any(_same(DEVICE, value, f"{v}|{p}|{d}") for d, v, p in f["device"])
    return value in f["reports"]


def _count(
    pairs: Pairs, judge: Judge, said: set[tuple[str, str, str]], wanted: Sequence[tuple[int, str]]
) -> None:
    pairs.said, pairs.linkable = len(said), len(wanted)
    for pair in sorted(said):
        good = judge.right(pairs.name, pair)
        pairs.right += good
        if not good:
            pairs.wrong.append(" ".join(pair))
    for number, value in wanted:
        hit = any(
            number in judge.owners(pair[0], pair[1]) and _same(pairs.name, pair[2], value) for pair in said
        )
        pairs.found += hit
        if not judge.families[number]["fingerprint"]:
            pairs.bare = pairs.bare[0] + 1, pairs.bare[1] + hit
        if not hit:
            f = judge.families[number]
            bits = max(
                (b for (i, _, v), b in judge.evidence.linkable.items() if (i, v) == (number, value)),
                default=0,
            )
            pairs.missed.append(
                f"{f['fingerprint'] or f['ports']} {value}" + (f" ({bits:.0f} bits)" if bits else "")
            )


def _same(relation: str, said: str, wanted: str) -> bool:
    """Whether a value that was said is the one that was wanted; of a target the vendor, and the product or the class of
    device (an exploit is often for more than one product, a broadband router is a router)."""
    if relation == DEVICE:
        a, b = ([*text.casefold().split("|"), "", ""][:3] for text in (said, wanted))
        alike = bool(a[2]) and bool(b[2]) and (a[2].endswith(b[2]) or b[2].endswith(a[2]))
        return a[0] == b[0] and (a[1] == b[1] or alike)
    return said.casefold() == wanted.casefold()


def _links(
    judge: Judge, links: Sequence[Mapping[str, Any]]
) -> tuple[Pairs, dict[str, tuple[int, int]], list[float], list[bool]]:
    """All links whose value tells a family, whatever their kind."""
    overall = Pairs("all links")
    by_kind: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    probability, right = [], []
    # A truth that does not say where a family's payloads lie cannot tell whose a path is.
    telling = set(_TELLING) - (set() if any(f.get("url_base") for f in judge.families) else {joint.URL_BASE})
    for row in links:
        owners = judge.owners(row["mark_kind"], row["mark"])
        mine = {i for i, f in enumerate(judge.families) if _belongs(row["kind"], row["value"], f)}
        by_kind[row["kind"]][0] += 1
        if row["kind"] not in telling:
            continue
        good = bool(owners & mine)
        overall.said += 1
        overall.right += good
        by_kind[row["kind"]][1] += good
        if not good:
            overall.wrong.append(f"{row['mark']} {row['kind']} {row['value'][:60]}")
        probability.append(float(row["probability"]))
        right.append(good)
    return overall, {kind: (n, k) for kind, (n, k) in sorted(by_kind.items())}, probability, right


_TELLING: Final = (joint.TOKEN, joint.CREDENTIAL, joint.URL_BASE, joint.URL, joint.PAYLOAD, joint.EXPLOIT)


def _belongs(kind: str, value: str, f: Mapping[str, Any]) -> bool:
    if kind == joint.TOKEN:
        return bool(value.casefold() == f["token"].casefold())
    if kind == joint.CREDENTIAL:
        return value in {f"{user}{sign}{word}" for user, word in f["creds"] for sign in ":/"}
    if kind == joint.EXPLOIT:
        return value in f["cve"]
    if kind == joint.PAYLOAD:
        return value in f["sha256"]
    if kind in (joint.URL, joint.URL_BASE):
        return value == f.get("url_base") or any(host in value for host in f["loaders"])
    return False


def _roles(evidence: Evidence, tables: Tables) -> dict[str, Pairs]:
    """Bots and loaders among the sessions of bots, loaders and surveys. Whether one of the others, who try common
    passwords for reasons of their own, is to be called a bot is not judged."""
    known = table(evidence.folder, "sessions")
    true = dict(zip(known["session"].to_pylist(), known["role"].to_pylist(), strict=True))
    said: dict[str, str] = {}
    for part in tables.get("intel.session:sessions", ()):
        names = (text.rsplit("/", 1)[-1] for text in part["session"].to_pylist())
        said.update(zip(names, part["role"].to_pylist(), strict=True))
    judged = [name for name in true if name in said and true[name] != "other"]
    found = {}
    for role in (joint.BOT, joint.LOADER):
        p = Pairs(role)
        p.linkable = sum(true[name] == role for name in judged)
        p.said = sum(said[name] == role for name in judged)
        p.right = p.found = sum(true[name] == role == said[name] for name in judged)
        wrong = Counter(true[name] for name in judged if said[name] == role != true[name])
        missed = Counter(said[name] for name in judged if true[name] == role != said[name])
        p.wrong, p.missed = ([f"{n} {text}" for text, n in c.most_common()] for c in (wrong, missed))
        found[role] = p
    return found


def newest(tables: Tables, name: str, schema: pa.Schema) -> list[dict[str, Any]]:
    """Rows of the last table of that name. Raises ValueError where its columns are not those of ``records.joint``."""
    parts = tables.get(name) or ()
    if not parts:
        return []
    last = parts[-1]
    missing = [column for column in schema.names if column not in last.column_names]
    if missing:
        raise ValueError(f"table {name} has no columns {', '.join(missing)}")
    rows: list[dict[str, Any]] = last.to_pylist()
    return rows


def _epoch(value: Any) -> float:
    """A time of a table in seconds since 1970; 0 where there is none."""
    return float(value.timestamp()) if value is not None and value.timestamp() > 0 else 0.0


def read_findings(path: Path) -> list[dict[str, Any]]:
    """Findings of a file of one JSON object a line."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


__all__ = ["Calibration", "Evidence", "JointScore", "Pairs", "read_findings", "score", "seconds"]
