"""What verification may know of the cases of one round: tables of their time, verdicts, other findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from andon.records.case import Verdict
from andon.records.columns import plain_rows
from andon.records.contract import Site
from andon.run.casework.published import Published
from andon.store.casebook import Casebook, Filter
from andon.triage.cases import OpenCase
from andon.triage.cases.hosts import address
from andon.triage.cases.judge import Material
from andon.triage.verification import VERDICTS, Facts, TableFacts
from andon.triage.verification.subject import endpoint

_DAY: Final = 86_400_000_000_000
_BEFORE: Final = 3 * _DAY
_TABLES: Final = ("triage.evidence:conversations", "triage.evidence:services", "triage.screening:episodes")
SANCTIONED: Final = "sanctioned"  # how lists are named of those who may scan
_VERDICTS: Final = 200_000  # the newest are kept
_FINDINGS: Final = 200  # of one host
_BACK: Final = 7 * _DAY  # of a case that has gone on for weeks, what is looked at: its end
_ROUND: Final = 2 * _DAY  # cases whose ends are as near share tables


def rounds(cases: Sequence[OpenCase]) -> Iterator[list[OpenCase]]:
    """Cases in the order of their ends, those together that need tables of the same days: whoever judges a case of last
    month and one of today must not read all that lies between."""
    part: list[OpenCase] = []
    for case in sorted(cases, key=lambda one: (one.last, one.id)):
        if part and case.last - part[0].last > _ROUND:
            yield part
            part = []
        part.append(case)
    if part:
        yield part


class FactsOf:
    """Facts for the cases of a round; verdicts are read once and followed from then on."""

    def __init__(self, book: Casebook, published: Published, site: Site) -> None:
        self._book, self._published, self._site = book, published, site
        self._verdicts: list[dict[str, Any]] = []
        self._said: pa.Table | None = None  # the same as a table, until there are new ones
        self._through = 0
        self._assets: list[dict[str, Any]] = []
        self._named: dict[str, list[int]] = {}  # name or address -> numbers of rows of the asset list

    def of(self, materials: Sequence[Material]) -> Facts:
        """What is known around these cases: three days before the earliest, at most ten before its end, to a day after
        the latest."""
        begins = (max(material.case.first, material.case.last - _BACK) for material in materials)
        start = min(begins, default=0) - _BEFORE
        end = max((material.case.last for material in materials), default=0) + _DAY
        concerned = frozenset(value for material in materials for value in _addresses(material))
        tables = {}
        for name in _TABLES if materials else ():
            table = self._published.between(name, start, end, concerned)
            if table is not None:
                tables[name] = newest(table) if "id" in table.column_names else table
        self._follow()
        if self._said is None:
            self._said = pa.Table.from_pylist(self._verdicts, VERDICTS)
        # A list of Tor exits or of survey scanners allows nobody anything.
        lists = {
            name: table
            for name, table in self._site.lists.items()
            if name.startswith(SANCTIONED) and "cidr" in table.column_names
        }
        return TableFacts(
            tables,
            inside=self._site.inside,
            scanners=lists,
            assets=self._site.assets,
            reputation=self._site.reputation,
            verdicts=self._said,
            findings=self._findings(materials, start, end),
            concerned=concerned,
        )

    def assets(self, names: frozenset[str], at: int) -> list[dict[str, Any]]:
        """Rows of the asset list that name the host, or give one of its addresses to it alone."""
        if self._site.assets is None:
            return []
        if not self._assets:
            columns = [name for name in self._site.assets.column_names if not name.startswith("valid")]
            self._assets = self._site.assets.select(columns).to_pylist()
            for number, row in enumerate(self._assets):
                for name in _called(row):
                    self._named.setdefault(name, []).append(number)
        return [self._assets[n] for n in sorted({n for name in names for n in self._named.get(name, ())})]

    def _findings(self, materials: Sequence[Material], start: int, end: int) -> list[Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for value in sorted({name for material in materials for name in material.case.names}):
            for one in self._book.findings(Filter(entity=value, since=start, until=end), limit=_FINDINGS):
                found.setdefault(one.id, one.to_dict())
        return list(found.values())

    def _follow(self) -> None:
        """Verdicts that were given since, each as a row for every episode it speaks of."""
        while new := self._book.verdicts.since(self._through):
            self._through = new[-1].id
            episodes: dict[str, list[Verdict]] = {}
            ids = [verdict.subject[1] for verdict in new if verdict.subject[0] == "case"]
            cases = self._book.cases.get_many(ids)
            for verdict in new:
                kind, id = verdict.subject
                if kind == "episode":
                    episodes.setdefault(id, []).append(verdict)
                elif kind == "case" and id in cases:
                    for item, name in cases[id].items:
                        if item == "episode":
                            episodes.setdefault(name, []).append(verdict)
            self._said = None
            for row in plain_rows(self._book.episodes.get(sorted(episodes))):
                self._verdicts += [_row(row, verdict) for verdict in episodes[row["id"]]]
        self._verdicts = self._verdicts[-_VERDICTS:]


def _row(episode: Mapping[str, Any], verdict: Verdict) -> dict[str, Any]:
    return {
        "product": episode["product"],
        "rule": episode["rule"],
        "host": episode["host"],
        "peers": list(episode["sources"]),
        "label": verdict.label,
        "analyst": verdict.analyst,
        "shown": verdict.shown,
        "time": verdict.time,
    }


def _addresses(material: Material) -> set[str]:
    """Addresses that flows about the case can have."""
    made = {name for name in material.case.names if address(name)}
    for row in material.episodes:
        made |= {str(source) for source in row["sources"]} | {endpoint(str(t))[0] for t in row["targets"]}
    for document in material.findings:
        made |= {str(e["value"]) for e in document["entities"] if e["type"] in ("ipv4-addr", "ipv6-addr")}
    return made


def _called(row: Mapping[str, Any]) -> set[str]:
    """What a row of the asset list is found by: its host, with and without domain, and an address that it has alone."""
    host = str(row["hostname"]).lower().rstrip(".")
    alone = str(row["address"]) if row["first"] == row["last"] else ""
    return {host, host.partition(".")[0], alone} - {""}


def newest(episodes: pa.Table) -> pa.Table:
    """Of the rows of an episode the last: spans tell one as long as it goes on, and a day tells its own again."""
    last = dict(zip(episodes.column("id").to_pylist(), range(episodes.num_rows), strict=True))
    rows = pa.array(sorted(last.values()), pa.int64())
    return episodes if len(rows) == episodes.num_rows else episodes.take(rows)
