"""``livenet.url``: what the URLs and host names of contacts look like, scored by a learned model.

Every distinct URL of an hour is scored about once; of tunnels, TLS and DNS only the host is seen and scored. White
destinations (``livenet.edges``) count nothing; black ones are published and raise nothing here, their list says it
already."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.url.evidence import bounded, evidence, own_share
from andon.detect.livenet.url.memory import DAY, Memory
from andon.detect.livenet.url.report import Suspect, finding
from andon.detect.livenet.url.summary import Seen, distinct, rarity_of
from andon.detect.livenet.url.tables import URLS
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.domains import registered_domains
from andon.records.finding import Finding
from andon.records.livenet import URL_HOSTS
from andon.sketch.urlscore import UrlScorer

_FLOOR = 0.002  # share of harmless URLs above the score from which a URL is kept one by one
_EDGES = "livenet.edges:destinations"


class UrlEngine:
    """See the module text."""

    name: ClassVar[str] = "livenet.url"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = ("contact",)
    columns: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window(tile="1h", spans=("1d",))
    needs: ClassVar[tuple[str, ...]] = (_EDGES,)
    uses: ClassVar[tuple[str, ...]] = (
        "hash_key",
        "models",
        "livenet.url.hosts",
        "livenet.url.suspects",
        "livenet.url.findings",
        "livenet.url.false_alarms",
        "livenet.url.remembered",
        "livenet.url.remembered_days",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = MappingProxyType({"hosts": URL_HOSTS, "urls": URLS})
    limit: ClassVar[int] = 256 << 20
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self._site = site
        self._hosts = site.count(self.name, "hosts", 400_000, 2_000_000)
        self._most = site.count(self.name, "suspects", 2_000, 20_000)
        self._findings = site.count(self.name, "findings", 20, 1_000)
        self._remembered = site.count(self.name, "remembered", 50_000, 1_000_000)
        self._days = site.count(self.name, "remembered_days", 30, 3_650)
        self._alarms = site.number(self.name, "false_alarms", 1.0, 1000.0)

    @cached_property
    def _scorer(self) -> UrlScorer | None:
        model = self._site.models.get("url")
        return None if model is None else UrlScorer(model)

    def empty(self) -> Seen:
        return Seen(self._hosts, self._most, self._site.hash_key)

    def summarise(self, batch: pa.RecordBatch, into: Seen) -> Seen:
        if self._scorer is not None:
            into.add(batch, self._scorer, np.full(2, -np.log(_FLOOR)))
        return into

    def merge(self, a: Seen, b: Seen) -> Seen:
        a.merge(b)
        return a

    def conclude(self, summary: Seen, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        scorer = self._scorer
        if scorer is None:
            return Outcome(tables={"hosts": URL_HOSTS.empty_table(), "urls": URLS.empty_table()}, carry=carry)
        memory = carry.copy() if carry is not None else Memory()
        day = ctx.start // DAY
        memory.next_day(day, self._days)
        edges = ctx.tables.get(_EDGES)
        held, rows = _hosts(scorer, summary, edges)
        urls = _worst(summary, held)
        # A host that is white today is no longer held against anybody.
        absent = memory.absent(held)
        old_names, old_urls = memory.names(absent)
        back = np.flatnonzero(_colours(old_names, edges) != "white")
        absent, at = absent[back], pa.array(back)
        before = {name: memory.columns[name][absent] for name in ("kind", "urls", "rarity", "odds")}
        every = {name: np.concatenate([rows[name], before[name]]) for name in before}
        table = _host_table(
            scorer,
            pa.concat_arrays([held, old_names.take(at)]),
            pa.concat_arrays([urls, old_urls.take(at)]),
            every,
        )
        memory.learn(held, urls, day, rows, self._remembered)
        shown, found = self._suspects(scorer, summary, rows, edges, ctx)
        return Outcome(findings=found, tables={"hosts": table, "urls": shown}, carry=memory)

    def _suspects(
        self,
        scorer: UrlScorer,
        summary: Seen,
        hosts: dict[str, np.ndarray],
        edges: pa.Table | None,
        ctx: Context[Memory],
    ) -> tuple[pa.Table, tuple[Finding, ...]]:
        """The table of suspicious URLs, and findings for those above the score of findings."""
        held = summary.suspects.columns
        names = summary.names.texts(held["host"])
        colours = _colours(names, edges)
        own = np.flatnonzero(colours != "white")
        at = pa.array(own)
        names, paths = names.take(at), summary.names.texts(held["key"][own])
        rarity, kinds = rarity_of(held["word"][own])
        share = own_share(rarity, kinds, hosts["rarity"], hosts["kind"])
        says = evidence(scorer, rarity, kinds, np.ones(len(own)), share)
        z = scorer.score_of(rarity, kinds)
        urls = pc.binary_join_element_wise(names, paths, "")
        visitors = distinct(held["registers"][own])
        who = held["visitors"][own]
        listed = [
            [
                text
                for text in summary.names.texts(row[row != np.uint64(0xFFFFFFFFFFFFFFFF)]).to_pylist()
                if text
            ]
            for row in who
        ]
        order = np.argsort(held["word"][own], kind="stable")
        columns: dict[str, Any] = {
            "rank": np.arange(1, len(own) + 1),
            "url": urls.take(pa.array(order)),
            "destination": names.take(pa.array(order)),
            "colour": colours[own][order].tolist(),
            "score": scorer.probability(z, kinds)[order],
            "evidence": says[order],
            "false_share": np.exp(-rarity)[order],
            "contacts": held["contacts"][own][order],
            "refused": held["refused"][own][order],
            "visitors": visitors[order],
            "terminals": [sorted(listed[each]) for each in order],
            "first": held["first"][own][order],
            "last": held["last"][own][order],
        }
        table = pa.table(
            {name: pa.array(column).cast(URLS.field(name).type) for name, column in columns.items()}, URLS
        )
        chosen, more = self._chosen(table, hosts, edges, scorer)
        return table, tuple(
            finding((self.name, self.version), one, ctx, self._site.locator, more) for one in chosen
        )

    def _chosen(
        self, table: pa.Table, hosts: dict[str, np.ndarray], edges: pa.Table | None, scorer: UrlScorer
    ) -> tuple[list[Suspect], str]:
        """Gray URLs so rare that a day of this many different URLs has at most ``false_alarms`` by chance, asked for
        by few; one of each host. (Those worth a finding, what is said of the others.)"""
        if not table.num_rows:
            return [], ""
        total = max(int(hosts["urls"].sum()), 100_000)
        rare = table["false_share"].to_numpy() * total <= self._alarms
        says = table["evidence"].to_numpy()
        gray = np.array(table["colour"].to_pylist(), dtype=object) == "gray"
        popular = 1
        about: dict[str, dict[str, Any]] = {}
        candidates = np.flatnonzero(rare & gray & (says >= 4.0))
        names = sorted(set(table["destination"].take(pa.array(candidates)).to_pylist()))
        if edges is not None and edges.num_rows:
            popular = int(pc.max(edges["visitors"]).as_py())
            about = _about(edges, names)
        few = max(20, popular // 50)
        chosen: list[Suspect] = []
        of_host: set[str] = set()
        beyond = 0
        for at in candidates.tolist():
            row = table.slice(at, 1)
            host, url = row["destination"][0].as_py(), row["url"][0].as_py()
            here = about.get(host, {})
            if host in of_host or max(int(row["visitors"][0].as_py()), int(here.get("visitors", 0))) > few:
                continue
            of_host.add(host)
            if len(chosen) >= self._findings:
                beyond += 1
                continue
            path = url[len(host) :]
            share = float(row["false_share"][0].as_py())
            chosen.append(
                Suspect(
                    url=url,
                    host=host,
                    z=float(scorer.scores(pa.array([host]), pa.array([path]))[0]),
                    score=float(row["score"][0].as_py()),
                    evidence=float(row["evidence"][0].as_py()),
                    false_share=share,
                    expected=share * total,
                    contacts=int(row["contacts"][0].as_py()),
                    refused=int(row["refused"][0].as_py()),
                    visitors=int(row["visitors"][0].as_py()),
                    terminals=tuple(row["terminals"][0].as_py()),
                    first=int(row["first"].cast(pa.int64())[0].as_py()),
                    last=int(row["last"].cast(pa.int64())[0].as_py()),
                    reasons=tuple(scorer.explain(host, path, 6)),
                    servers=tuple(here.get("servers", ())),
                    first_seen=here.get("first_seen"),
                    rank=len(chosen) + 1,
                )
            )
        return (
            chosen,
            f" {beyond} more such hosts of the day are in table livenet.url:urls." if beyond else "",
        )


def _colours(names: pa.Array, edges: pa.Table | None) -> np.ndarray:
    """Colour of each host; that of ``*.domain`` where its own name was folded; "gray" where nothing is known."""
    colour = np.full(len(names), "gray", dtype=object)
    if edges is None or not edges.num_rows or not len(names):
        return colour
    listed = edges["destination"].combine_chunks()
    at = pc.index_in(names, value_set=listed)
    missing = at.is_null().to_numpy(zero_copy_only=False)
    if missing.any():
        folded = pc.binary_join_element_wise("*", registered_domains(names), ".")
        at = pc.coalesce(at, pc.index_in(folded, value_set=listed))
    found = at.fill_null(-1).to_numpy(zero_copy_only=False)
    colours = np.array(edges["colour"].to_pylist(), dtype=object)
    colour[found >= 0] = colours[found[found >= 0]]
    return colour


def _about(edges: pa.Table, names: list[str]) -> dict[str, dict[str, Any]]:
    from andon.detect.livenet.url.report import known

    return known(edges.filter(pc.is_in(edges["destination"], value_set=pa.array(names, pa.string()))))


def _hosts(
    scorer: UrlScorer, summary: Seen, edges: pa.Table | None
) -> tuple[pa.Array, dict[str, np.ndarray]]:
    """(names, columns kind, urls, rarity, odds) of the hosts that are not white, by name."""
    keys, columns = summary.hosts.table()
    names = summary.names.texts(keys)
    order = pc.sort_indices(names).to_numpy(zero_copy_only=False)
    own = order[(_colours(names, edges) != "white")[order]]
    rarity, kinds = rarity_of(columns["worst"][own])
    urls = distinct(columns["registers"][own])
    share = own_share(rarity, kinds, rarity, kinds)
    odds = bounded(evidence(scorer, rarity, kinds, urls, share))
    return names.take(pa.array(own)), {
        "kind": kinds, "urls": urls, "rarity": rarity, "odds": odds, "worst": columns["worst"][own],
    }  # fmt: skip


def _worst(summary: Seen, names: pa.Array) -> pa.Array:
    """The worst URL of each host as far as its text is kept (among the suspicious); else the host alone."""
    held = summary.suspects.columns
    hosts = summary.names.texts(held["host"])
    # Rows are sorted, the most suspicious first, and index_in finds the first.
    at = pc.index_in(names, value_set=hosts)
    paths = summary.names.texts(held["key"]).take(at)
    return pc.binary_join_element_wise(names, paths.fill_null(""), "")


def _host_table(scorer: UrlScorer, names: pa.Array, urls: pa.Array, rows: dict[str, np.ndarray]) -> pa.Table:
    z = scorer.score_of(rows["rarity"], rows["kind"])
    table = pa.table(
        [names, scorer.probability(z, rows["kind"]), rows["odds"], urls, rows["urls"]], schema=URL_HOSTS
    )
    return table.take(pc.sort_indices(table["destination"]))


__all__ = ["UrlEngine"]
