"""Scoring an analysis of an organisation against its truth: terminals, destinations, lists, beacons, chains,
anomalies, risk.

``Truth`` reads ``truth/`` of ``andon simulate organisation``; ``score`` takes the findings (``Finding.to_dict``) and
tables (``"ENGINE:TABLE"`` to its parts, one for each day) of an analysis. Of tables that remember, the last part
counts. What an analysis did not give is scored as None, never as zero.

*hidden*: infected terminals that never touched a black-listed host; the ranking is that of
``livenet.proxygraph:terminals`` without those that touched one. *gray*: destinations on no list; one counts if it is
malicious or a compromised landing page. *certain*: terminals said to be infected for certain; recall is over infected
terminals that touched a black-listed host. *beacons*: pairs of terminal and host; right if a campaign's. *chains*: a
chain is found if a finding names its last hop; its class is compared where the finding gives
one (*visible*: chains of which no hop is behind a tunnel). *anomalies*: found
if a finding about the terminal (by name or by address) has a window that meets it. *risk*: forecasts of the last
finished week against what came.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_DAY: Final = 86_400_000_000_000
DEPTHS: Final = (10, 20, 30)
GOOD: Final = ("malicious", "compromised")
Tables = Mapping[str, Sequence[pa.Table]]


@dataclass
class Ranking:
    """A ranked list against what is right: ``precision`` at each depth (None beyond the list's end and that of the
    truth), ``average`` precision, how many are right in all (``true``) and in the list (``listed``)."""

    true: int
    listed: int
    precision: dict[int, float | None]
    average: float | None

    @classmethod
    def of(cls, ranked: Sequence[str], right: Iterable[str], depths: Sequence[int] = DEPTHS) -> Ranking:
        """
        >>> Ranking.of(["a", "x", "b"], {"a", "b", "c"}, (2,)).precision
        {2: 0.5}
        """
        wanted = set(right)
        hit = np.array([name in wanted for name in ranked], bool)
        found = np.cumsum(hit)
        average = float((found[hit] / (np.flatnonzero(hit) + 1)).sum() / len(wanted)) if wanted else None
        precision = {
            k: float(found[min(k, len(hit)) - 1] / k) if len(hit) and len(wanted) >= k else None
            for k in depths
        }
        return cls(len(wanted), int(hit.sum()), precision, average)

    def to_dict(self) -> dict[str, Any]:
        return {"true": self.true, "listed": self.listed, "average": self.average,
                **{f"at {k}": v for k, v in self.precision.items()}}  # fmt: skip


@dataclass
class Truth:
    """What is true of a scenario; columns as lists and arrays."""

    folder: Path
    terminals: dict[str, list[Any]] = field(init=False)
    destinations: dict[str, list[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.terminals = self.table("terminals")
        self.destinations = self.table("destinations")

    def table(self, name: str) -> dict[str, list[Any]]:
        """Columns of a file of the truth; times as ns since 1970."""
        made = pq.read_table(self.folder / "truth" / f"{name}.parquet")
        plain = [c.cast(pa.int64()) if pa.types.is_timestamp(c.type) else c for c in made.columns]
        return {name: column.to_pylist() for name, column in zip(made.column_names, plain, strict=True)}

    def names(self) -> dict[str, str]:
        """Terminal by its name, by its device, and by its address where that never changes."""
        options = json.loads((self.folder / "truth" / "scenario.json").read_text())
        made: dict[str, str] = {}
        for column in ("device", "terminal") if options["lease_days"] else ("address", "device", "terminal"):
            made |= dict(zip(self.terminals[column], self.terminals["terminal"], strict=True))
        return made

    def where(self, column: str, value: object = True) -> set[str]:
        return {
            t for t, v in zip(self.terminals["terminal"], self.terminals[column], strict=True) if v == value
        }

    def infected(self) -> set[str]:
        return {
            t
            for t, v in zip(self.terminals["terminal"], self.terminals["infected_from"], strict=True)
            if v is not None
        }

    def hosts(self, kinds: Iterable[str], seed: str = "") -> set[str]:
        wanted, rows = set(kinds), self.destinations
        every = zip(rows["host"], rows["kind"], rows["seed"], strict=True)
        return {host for host, kind, colour in every if kind in wanted and (not seed or colour == seed)}


def score(truth: Truth, findings: Sequence[Mapping[str, Any]], tables: Tables) -> dict[str, Any]:
    """Everything there is to say, as JSON values."""
    return {
        "hidden": _hidden(truth, tables),
        "certain": _certain(truth, tables),
        "gray": _gray(truth, tables),
        "beacons": _beacons(truth, tables),
        "chains": _chains(truth, findings),
        "anomalies": _anomalies(truth, findings),
        "risk": _risk(truth, tables),
        "findings": dict(Counter(f["kind"] for f in findings)),
    }


def _last(tables: Tables, name: str) -> dict[str, list[Any]] | None:
    parts = [part for part in tables.get(name, ()) if part.num_rows]
    if not parts:
        return None
    keep = [f.name for f in parts[-1].schema if not pa.types.is_timestamp(f.type)]
    return dict(parts[-1].select(keep).to_pydict())


def _hidden(truth: Truth, tables: Tables) -> dict[str, Any] | None:
    rows = _last(tables, "livenet.proxygraph:terminals")
    if rows is None:
        return None
    names, touched = truth.names(), truth.where("touched_black")
    order = np.argsort(rows["rank"], kind="stable").tolist()
    ranked = [names.get(rows["terminal"][i], rows["terminal"][i]) for i in order]
    return Ranking.of([t for t in ranked if t not in touched], truth.where("hidden")).to_dict()


def _certain(truth: Truth, tables: Tables) -> dict[str, Any] | None:
    rows = _last(tables, "livenet.proxygraph:terminals")
    if rows is None:
        return None
    names, infected = truth.names(), truth.infected()
    said = {names.get(t, t) for t, c in zip(rows["terminal"], rows["certain"], strict=True) if c}
    sure = infected & truth.where("touched_black")
    others = {t for t in said - infected if t in truth.where("role", "worker")}
    return {"said": len(said), "precision": len(said & infected) / len(said) if said else None,
            "recall": len(sure & said) / len(sure) if sure else None, "wrong workers": len(others),
            "wrong": sorted(said - infected)[:10]}  # fmt: skip


def _gray(truth: Truth, tables: Tables) -> dict[str, Any] | None:
    rows = _last(tables, "livenet.proxygraph:gray")
    if rows is None:
        return None
    ranked = [rows["destination"][i] for i in np.argsort(rows["rank"], kind="stable").tolist()]
    good, bad = truth.hosts(GOOD, "gray"), truth.hosts(("malicious",), "gray")
    return {
        "good": Ranking.of(ranked, good, (10, 25, 50, 100)).to_dict(),
        "malicious": Ranking.of(ranked, bad, (10, 25, 50, 100)).to_dict(),
    }


def _beacons(truth: Truth, tables: Tables) -> dict[str, Any] | None:
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for part in tables.get("livenet.beacon:beacons", ()):
        for t, d, s, p in zip(
            *(part.column(c).to_pylist() for c in ("terminal", "destination", "score", "period")), strict=True
        ):
            best[t, d] = max(best.get((t, d), (-1.0, 0.0)), (s, p))
    if not best:
        return None
    names, rows = truth.names(), truth.table("beacons")
    c2, periods = set(), {}
    for t, h, k, n, period in zip(
        *(rows[c] for c in ("terminal", "host", "kind", "contacts", "period")), strict=True
    ):
        if k == "c2" and n >= 8:  # fewer calls are no rhythm that anybody could see
            c2.add(f"{t} {h}")
            periods[f"{t} {h}"] = period
    ranked = [f"{names.get(t, t)} {d}" for t, d in sorted(best, key=lambda pair: (-best[pair][0], pair))]
    said = {f"{names.get(t, t)} {d}": p for (t, d), (_, p) in best.items() if p > 0}
    near = [abs(said[pair] / periods[pair] - 1) < 0.1 for pair in c2 if pair in said]
    return {
        **Ranking.of(ranked, c2, (10, 20, 50)).to_dict(),
        "period within a tenth": float(np.mean(near)) if near else None,
    }


def _chains(truth: Truth, findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows, names = truth.table("chains"), truth.names()
    told: dict[tuple[str, str], str] = {}
    for f in (f for f in findings if f["kind"] == "redirect-chain"):
        about = [e["value"] for e in f["entities"]] + [f["subject"]["value"]]
        who = {names[v] for v in about if v in names}
        hosts = {_host(v) for v in about if v not in names} | {
            _host(u) for u in _texts(f["attributes"].get("hops", ()))
        }
        for t in who or {""}:
            for h in hosts:
                said = f["attributes"].get("class", f["attributes"].get("kind", ""))
                told[t, h] = str(said).replace(" ", "-")
    confusion: Counter[str] = Counter()
    visible: Counter[str] = Counter()
    columns = (rows[c] for c in ("terminal", "class", "hops", "malicious", "tunnelled"))
    for terminal, kind, hops, bad, tunnels in zip(*columns, strict=True):
        last = _host(bad or hops[-1])
        found = told.get((terminal, last), told.get(("", last)))
        if bad or found is not None:
            pair = f"{kind} -> {'not told' if found is None else found or 'no class'}"
            confusion[pair] += 1
            visible[pair] += not tunnels
    return {
        "confusion": dict(sorted(confusion.items())),
        "visible": {pair: n for pair, n in sorted(visible.items()) if n},
        "malicious": sum(b is not None for b in rows["malicious"]),
    }


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [
        v if isinstance(v, str) else str(v.get("url", v.get("host", "")))
        for v in value
        if isinstance(v, str | dict)
    ]


def _host(url: str) -> str:
    host = url.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].lower()
    return host.rsplit(":", 1)[0] if host.rsplit(":", 1)[-1].isdigit() else host


def _anomalies(truth: Truth, findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    from datetime import datetime

    rows, names = truth.table("anomalies"), truth.names()
    told: list[tuple[set[str], tuple[int, int]]] = []
    for f in (f for f in findings if f["kind"] == "flow-anomaly"):
        about = {names.get(v, v) for v in [f["subject"]["value"], *(e["value"] for e in f["entities"])]}
        window = [int(datetime.fromisoformat(f["window"][k]).timestamp() * 1e9) for k in ("start", "end")]
        told.append((about, (window[0], window[1])))
    kinds: Counter[str] = Counter()
    found: Counter[str] = Counter()
    used: set[int] = set()
    for t, k, begin, end in zip(*(rows[c] for c in ("terminal", "kind", "begin", "end")), strict=True):
        kinds[k] += 1
        mine = [i for i, (about, (a, b)) in enumerate(told) if t in about and a <= end and b >= begin]
        used.update(mine)
        found[k] += bool(mine)
    days = json.loads((truth.folder / "truth" / "scenario.json").read_text())["days"]
    return {
        "found": {k: [found[k], n] for k, n in sorted(kinds.items())},
        "false": len(told) - len(used),
        "false a terminal and 30 days": 30
        * (len(told) - len(used))
        / days
        / len(truth.terminals["terminal"]),
    }


def _risk(truth: Truth, tables: Tables) -> dict[str, Any] | None:
    """The forecast of the day before the last whole week, against who met something new in that week."""
    parts = tables.get("livenet.userrisk:risk", ())
    rows = truth.table("exposures")
    week = max(rows["week"], default=0)
    if len(parts) < 7 * week or week < 1 or not parts[7 * week - 1].num_rows:
        return None
    part, names = parts[7 * week - 1], truth.names()
    met = {
        t for t, w, m in zip(rows["terminal"], rows["week"], rows["met_new"], strict=True) if w == week and m
    }
    p = np.array(part.column("probability").to_pylist())
    y = np.array([names.get(t, t) in met for t in part.column("terminal").to_pylist()])
    if y.all() or not y.any():
        return None
    order = np.argsort(p, kind="stable")
    ranks = np.empty(len(p))
    values, place, many = np.unique(p[order], return_inverse=True, return_counts=True)
    ranks[order] = (np.cumsum(many) - (many - 1) / 2)[place]
    positive = int(y.sum())
    area = (ranks[y].sum() - positive * (positive + 1) / 2) / (positive * (len(y) - positive))
    return {
        "auc": float(area),
        "met": positive,
        "terminals": len(y),
        "forecast": float(p.sum()),
        "distinct": len(values),
    }
