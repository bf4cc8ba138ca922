"""Facts out of Arrow tables: what engines published, the operator's lists and what analysts said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.case import BENIGN, FALSE, TRUE
from andon.records.columns import plain_rows
from andon.records.inside import Inside
from andon.records.triage import CONVERSATIONS
from andon.triage.verification.facts import Coverage, History, Service
from andon.triage.verification.history import counted
from andon.triage.verification.subject import endpoint, nanoseconds

SLACK: Final = 300_000_000_000  # ns: clocks of products differ, and flows are told when they end
_MOST_PROOFS: Final = 600
# Verdicts about episodes, as casework joins them from the casebook.
VERDICTS: Final = pa.schema(
    [
        ("product", pa.string()), ("rule", pa.string()), ("host", pa.string()), ("peers", pa.list_(pa.string())),
        ("label", pa.string()), ("analyst", pa.string()), ("shown", pa.string()), ("time", pa.int64()),
    ]
)  # fmt: skip


class TableFacts:
    """``tables``: "triage.evidence:conversations", "triage.evidence:services" and "triage.screening:episodes"
    (the spans that matter one after another: the case's own, what followed, and the day before it); absent ones
    mean not known. ``inside``: CIDR, as ``Site.inside``. ``scanners``: list name -> table with a column ``cidr``
    (or ``value``). ``assets``, ``reputation``: as in ``Site``. ``verdicts``: ``VERDICTS``. ``findings``: public
    JSON. ``products``: CVE -> names of products. ``concerned``: if the conversations given are only those that
    touch these addresses. Raises ValueError for a prefix that is none."""

    def __init__(
        self,
        tables: Mapping[str, pa.Table],
        inside: Sequence[str] = (),
        scanners: Mapping[str, pa.Table] | None = None,
        assets: pa.Table | None = None,
        reputation: pa.Table | None = None,
        verdicts: pa.Table | None = None,
        findings: Iterable[Mapping[str, Any]] = (),
        products: Mapping[str, Sequence[str]] | None = None,
        concerned: Iterable[str] | None = None,
    ) -> None:
        self._flows = tables.get(
            "triage.evidence:conversations", CONVERSATIONS.empty_table()
        ).combine_chunks()
        self._services = tables.get("triage.evidence:services")
        self._episodes = tables.get("triage.screening:episodes")
        self._inside = Inside(inside)
        self._scanners = _nets(scanners or {})
        self._assets = assets
        self._reputation = reputation
        self._verdicts = verdicts
        self._products = products or {}
        self._concerned = None if concerned is None else frozenset(concerned)
        self._findings: dict[str, list[Mapping[str, Any]]] = {}
        for finding in findings:
            values = {finding["subject"]["value"], *(e["value"] for e in finding["entities"])}
            for value in values:
                self._findings.setdefault(value, []).append(finding)

    # Flows.

    @cached_property
    def _index(self) -> tuple[dict[str, int], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Number of each address; rows sorted by it and where each begins, by source and by target together."""
        src = self._flows.column("src").combine_chunks().dictionary_encode()
        dst = self._flows.column("dst").combine_chunks().dictionary_encode()
        number: dict[str, int] = {}
        codes = []
        for words in (src, dst):
            known = np.array(
                [number.setdefault(w, len(number)) for w in words.dictionary.to_pylist()], np.int64
            )
            codes.append(known[words.indices.to_numpy()] if len(words) else np.zeros(0, np.int64))
        both = np.concatenate(codes)
        order = np.argsort(both, kind="stable")
        begins = np.searchsorted(both[order], np.arange(len(number) + 1))
        return number, order % max(self._flows.num_rows, 1), begins, codes[0], codes[1]

    @cached_property
    def _times(self) -> tuple[np.ndarray, np.ndarray]:
        first, last = (self._flows.column(n).cast(pa.int64()).to_numpy() for n in ("first", "last"))
        return first, last

    def _rows(self, addresses: Sequence[str], begin: int, end: int) -> np.ndarray:
        number, order, begins, _, _ = self._index
        codes = [number[a] for a in addresses if a in number]
        if not codes:
            return np.zeros(0, np.int64)
        rows = np.unique(np.concatenate([order[begins[c] : begins[c + 1]] for c in codes]))
        first, last = self._times
        made: np.ndarray = rows[(last[rows] >= begin) & (first[rows] < end)]
        return made

    def conversations(self, addresses: Sequence[str], begin: int, end: int) -> pa.Table:
        return self._flows.take(pa.array(self._rows(addresses, begin, end)))

    def observed(self) -> tuple[int, int]:
        first, last = self._times
        return (int(first.min()), int(last.max())) if len(first) else (0, 0)

    def clients(self, address: str, begin: int, end: int) -> int:
        rows = self._rows((address,), begin, end)
        number, _, _, src, dst = self._index
        if not len(rows):
            return 0
        others = src[rows[dst[rows] == number[address]]]
        return int(np.count_nonzero(self._ours[np.unique(others)]))

    @cached_property
    def _ours(self) -> np.ndarray:
        """Whether each numbered address is inside."""
        return self._inside.find(pa.array(list(self._index[0]), pa.string()))

    @cached_property
    def _coverage(self) -> Coverage:
        """Network alerts name a source and a target: both had to do with each other, so a perfect sensor shows them."""
        if self._episodes is None or not self._flows.num_rows:
            return Coverage(0.0, 0, 0)
        begin, end = self.observed()
        table = self._episodes.select(["sources", "targets", "first", "last"])
        alone = pc.and_(
            pc.equal(pc.list_value_length(table.column("sources")), 1),
            pc.equal(pc.list_value_length(table.column("targets")), 1),
        )
        table = table.filter(alone)
        if self._concerned is not None and table.num_rows:
            # Of others no flows were given, so that none are there proves nothing.
            held = [
                row[0] in self._concerned or endpoint(target[0])[0] in self._concerned
                for row, target in zip(
                    table.column("sources").to_pylist(), table.column("targets").to_pylist(), strict=True
                )
            ]
            table = table.filter(pa.array(held))
        every = max(table.num_rows // _MOST_PROOFS, 1)
        seen = of = 0
        for row in plain_rows(table.take(pa.array(np.arange(0, table.num_rows, every)))):
            first, last = nanoseconds(row["first"]), nanoseconds(row["last"])
            source, (target, port, _) = row["sources"][0], endpoint(row["targets"][0])
            if first >= begin and last <= end and source and target and source != target:
                of += 1
                seen += self._sees(self.aliases(source), self.aliases(target), port, first, last)
        from scipy.special import betaincinv

        share = float(betaincinv(seen + 0.5, of - seen + 0.5, 0.05)) if of else 0.0
        return Coverage(share, seen, of)

    def _sees(self, sources: Sequence[str], targets: Sequence[str], port: int, first: int, last: int) -> bool:
        """Is there a flow from one to the other at that time?"""
        rows = self._rows(sources, first - SLACK, last + SLACK)
        number, _, _, src, dst = self._index
        there = np.isin(src[rows], [number[a] for a in sources if a in number])
        there &= np.isin(dst[rows], [number[a] for a in targets if a in number])
        return bool((there & ((self._ports[rows] == port) | (port < 0))).any())

    @cached_property
    def _ports(self) -> np.ndarray:
        return np.asarray(self._flows.column("port").to_numpy())

    def coverage(self) -> Coverage:
        return self._coverage

    @cached_property
    def _by_address(self) -> dict[str, dict[tuple[int, str], Service]]:
        made: dict[str, dict[tuple[int, str], Service]] = {}
        if self._services is not None:
            for row in plain_rows(self._services):
                one = Service(
                    row["address"], row["port"], row["protocol"], row["service"], nanoseconds(row["first"]),
                    nanoseconds(row["last"]), row["flows"],
                )  # fmt: skip
                held = made.setdefault(one.address, {})
                before = held.get((one.port, one.protocol))
                if before is None or one.last >= before.last:
                    held[one.port, one.protocol] = one
        return made

    def services(self, addresses: Sequence[str]) -> Sequence[Service]:
        return [one for a in addresses for one in self._by_address.get(a, {}).values()]

    # Assets and lists.

    @cached_property
    def _owned(self) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
        rows = plain_rows(self._assets) if self._assets is not None else []
        return (
            np.array([r["first"] for r in rows], np.int64),
            np.array([r["last"] for r in rows], np.int64),
            rows,
        )

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """Addresses of each system that has several."""
        made: dict[str, list[str]] = {}
        for row in self._owned[2]:
            key = row["asset"] or row["hostname"]
            if key and row["address"] not in made.setdefault(key, []):
                made[key].append(row["address"])
        return made

    @cached_property
    def _systems(self) -> dict[str, list[str]]:
        made: dict[str, list[str]] = {}
        for row in self._owned[2]:
            made.setdefault(row["address"], []).append(row["asset"] or row["hostname"])
        return made

    def aliases(self, address: str) -> Sequence[str]:
        made = dict.fromkeys([address])
        for system in self._systems.get(address, ()):
            if len(self._names.get(system, ())) <= 16:
                made |= dict.fromkeys(self._names.get(system, ()))
        return list(made)

    def assets(self, addresses: Sequence[str], at: int) -> Sequence[Mapping[str, Any]]:
        first, last, rows = self._owned
        found: dict[int, Mapping[str, Any]] = {}
        for text in addresses:
            try:
                value = int(ip_address(text)) if ":" not in text else -1
            except ValueError:
                continue
            if value >= 0:
                for n in np.flatnonzero((first <= value) & (value <= last)).tolist():
                    found[n] = rows[n]
            else:
                found |= {n: row for n, row in enumerate(rows) if row["address"] == text}
        return [
            row
            for _, row in sorted(found.items())
            if (row["valid_from"] is None or nanoseconds(row["valid_from"]) <= at)
            and (row["valid_to"] is None or nanoseconds(row["valid_to"]) >= at or row["basis"] == "scan")
        ]

    def inside(self, address: str) -> bool:
        return self._inside.has(address)

    def sanctioned(self, address: str) -> str:
        try:
            value = ip_address(address)
        except ValueError:
            return ""
        return next((name for net, name in self._scanners if value in net), "")

    @cached_property
    def _colours(self) -> dict[str, tuple[str, str]]:
        made: dict[str, tuple[str, str]] = {}
        if self._reputation is not None:
            wanted = self._reputation.select(["value", "type", "colour", "list"])
            for row in wanted.filter(
                pc.is_in(wanted["type"], pa.array(["domain", "host", "address"]))
            ).to_pylist():
                if row["value"] not in made or row["colour"] == "black":
                    made[row["value"]] = (row["colour"], row["list"])
        return made

    def reputation(self, value: str) -> tuple[str, str]:
        name = value.lower().rstrip(".")
        exact = self._colours.get(name)
        if exact or not any(c.isalpha() for c in name):
            return exact or ("", "")
        parts = name.split(".")
        for n in range(1, len(parts) - 1):
            above = self._colours.get(".".join(parts[n:]))
            if above:
                return above
        return "", ""

    # What was said before.

    @cached_property
    def _said(self) -> dict[tuple[str, str], list[dict[str, Any]]]:
        made: dict[tuple[str, str], list[dict[str, Any]]] = {}
        if self._verdicts is not None:
            for row in self._verdicts.to_pylist():
                if row["label"] in (TRUE, BENIGN, FALSE) and row["shown"] != "bulk":
                    made.setdefault((row["product"], row["rule"]), []).append(row)
        return made

    def history(
        self, product: str, rule: str, names: Sequence[str], peers: Sequence[str], before: int
    ) -> History:
        return counted(self._said.get((product, rule), ()), names, peers, before)

    @cached_property
    def _of_host(self) -> dict[str, tuple[list[dict[str, Any]], np.ndarray, np.ndarray]]:
        """Rows about each host, when they begin and when they end."""
        made: dict[str, list[dict[str, Any]]] = {}
        if self._episodes is not None:
            columns = [
                "id", "host", "address", "product", "rule", "title", "category", "severity", "sources",
                "targets", "users", "first",
                "last", "alerts",
            ]  # fmt: skip
            for row in plain_rows(self._episodes.select(columns)):
                for name in {row["host"], row["address"]} - {""}:
                    made.setdefault(name, []).append(row)
        starts = {name: np.array([row["first"] for row in rows], np.int64) for name, rows in made.items()}
        ends = {name: np.array([row["last"] for row in rows], np.int64) for name, rows in made.items()}
        return {name: (rows, starts[name], ends[name]) for name, rows in made.items()}

    def episodes(self, names: Sequence[str], begin: int, end: int) -> Sequence[Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for name in names:
            if name in self._of_host:
                rows, first, last = self._of_host[name]
                for n in np.flatnonzero((last >= begin) & (first < end)).tolist():
                    found[rows[n]["id"]] = rows[n]
        return list(found.values())

    def findings(self, values: Sequence[str], begin: int, end: int) -> Sequence[Mapping[str, Any]]:
        from datetime import datetime

        made: dict[str, Mapping[str, Any]] = {}
        for value in values:
            for finding in self._findings.get(value, ()):
                first, last = (
                    datetime.fromisoformat(finding[name]).timestamp() * 1e9
                    for name in ("first_seen", "last_seen")
                )
                if last >= begin and first < end:
                    made[finding["id"]] = finding
        return list(made.values())

    def products(self, cve: str) -> Sequence[str]:
        return [text.lower() for text in self._products.get(cve, ())]


def _nets(lists: Mapping[str, pa.Table]) -> list[tuple[Any, str]]:
    made = []
    for name, table in lists.items():
        column = next(c for c in ("cidr", "value", *table.column_names) if c in table.column_names)
        made += [(ip_network(text, strict=False), name) for text in table.column(column).to_pylist()]
    return made
