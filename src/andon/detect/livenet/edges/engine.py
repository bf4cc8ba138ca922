"""The engine: contacts in, tables of edges, destinations and terminals out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.livenet.edges import kernels as k
from andon.detect.livenet.edges import tables
from andon.detect.livenet.edges.flows import (
    ALWAYS,
    AUTO,
    NEVER,
    NOBODY,
    Named,
    Networks,
    flow_piece,
    inbound,
)
from andon.detect.livenet.edges.fold import Destinations, agents, destinations, edges
from andon.detect.livenet.edges.lists import Lists
from andon.detect.livenet.edges.memory import DAY, Memory
from andon.detect.livenet.edges.store import ADDRESS_OF, PORT_OF, SERVER_OF, USER_OF, Bounds, split_facets
from andon.detect.livenet.edges.summary import Contacts, Talk
from andon.records.contract import Context, Outcome, Site, State, Window
from andon.records.finding import Finding
from andon.records.inside import PRIVATE
from andon.records.kinds import CONTACT, FLOW, kind_of
from andon.records.livenet import COVERAGE, DESTINATIONS, EDGES, TERMINALS
from andon.records.neutral import neutral
from andon.sketch.texts import text_keys

_EMPTY = np.empty(0, np.int64)


class EdgesEngine:
    """See ``andon.detect.livenet.edges``."""

    name: ClassVar[str] = "livenet.edges"
    version: ClassVar[int] = 1
    reads: ClassVar[tuple[str, ...]] = (CONTACT, FLOW)
    columns: ClassVar[tuple[str, ...]] = ()
    window: ClassVar[Window] = Window("1h", ("1d",))
    needs: ClassVar[tuple[str, ...]] = ()
    uses: ClassVar[tuple[str, ...]] = (
        "reputation",
        "inside",
        "hash_key",
        "livenet.edges.edges",
        "livenet.edges.names",
        "livenet.edges.days",
        "livenet.edges.memory",
        "livenet.edges.rank",
        "livenet.edges.fresh",
        "livenet.edges.flows",
    )
    publishes: ClassVar[Mapping[str, pa.Schema]] = {
        "edges": EDGES,
        "destinations": DESTINATIONS,
        "terminals": TERMINALS,
        "coverage": COVERAGE,
    }
    limit: ClassVar[int] = 4 << 30
    carries: ClassVar[type[State]] = Memory

    def __init__(self, site: Site) -> None:
        self.bounds = Bounds(site.count(self.name, "edges", 8_000_000, 8_000_000))
        self.most_names = site.count(self.name, "names", 200, 1_000_000)
        self.days = site.count(self.name, "days", 60, 3650)
        self.most_remembered = site.count(self.name, "memory", 8_000_000, 100_000_000)
        self.fresh = site.count(self.name, "fresh", 30, 3650) * DAY
        rank = int(site.setting(self.name, "rank", 10_000))
        if rank < 0:
            raise ValueError(
                f"{self.name}.rank is {rank}; it is 0 (popularity lists are no white lists) or more"
            )
        self.flows = int(site.setting(self.name, "flows", AUTO))
        if self.flows not in (NEVER, ALWAYS, AUTO):
            raise ValueError(f"{self.name}.flows is {self.flows}; it is 0 (never), 1 (always) or 2 (auto)")
        self.inside, self.nobody = Networks(site.inside or PRIVATE), Networks(NOBODY)
        self.salt = site.hash_key
        self.lists = Lists(site.reputation, rank)

    def empty(self) -> Talk:
        contacts, flows = (Contacts(self.bounds, self.salt, self.lists.flags) for _ in range(2))
        return Talk(contacts, flows, Named(self.bounds.rows // 2), self.flows)

    def summarise(self, batch: pa.RecordBatch, into: Talk) -> Talk:
        self._lend(into)
        if kind_of(batch) == CONTACT:
            into.add_contacts(batch, inbound(batch, self.inside))
        elif into.takes_flows:
            into.add_flows(flow_piece(batch, self.salt, self.inside, self.nobody, self.flows == AUTO))
        return into

    def merge(self, a: Talk, b: Talk) -> Talk:
        self._lend(a)
        a.merge(b)
        return a

    def _lend(self, talk: Talk) -> None:
        talk.contacts.flags_of = talk.flows.flags_of = self.lists.flags
        talk.mode = self.flows

    def conclude(self, summary: Talk, carry: Memory | None, ctx: Context[Memory]) -> Outcome[Memory]:
        self._lend(summary)
        counted = summary.contacts
        run, flows = summary.whole()
        hosts, names = run.hosts.texts, run.terminals.texts
        ports = split_facets(run.facets, PORT_OF)
        colour, fresh, matches, said = self.lists.judge(hosts, ports, ctx.end - self.fresh)
        found = destinations(hosts, colour, self.most_names)
        terminal = _ranks(names)
        by_name = names.take(pa.array(np.argsort(terminal)))
        used, agents_of = agents(run, found.of_host, len(found))
        only_flows = bool(flows) and not summary.has_contacts
        to, by, parts = tables.Sums(len(found)), tables.Sums(len(names)), []
        for part in edges(run, terminal, found.of_host):
            to.add(part.destination, part)
            by.add(part.terminal, part)
            parts.append(tables.edges_table(part, by_name, found.names))
        memory, first_seen, domain_seen, forgotten = self._remembered(
            carry or Memory.none(), found, to.wide[:, k.FIRST], to.narrow[:, k.COUNT] > 0, ctx
        )
        fresh_of = np.zeros(len(found), np.bool_)
        fresh_of[found.of_host[fresh]] = True
        texts, owners = run.texts.texts, len(found)
        of_destinations = tables.destinations_table(
            found, found.is_address & (not only_flows), to, used, first_seen, domain_seen,
            first_seen - max(memory.began, 0) >= DAY, fresh_of,
            tables.lists_of(matches, said, found.of_host, owners),
            tables.texts_of(run.facets, SERVER_OF, found.of_host, owners, texts),
            tables.ports_of(run.facets, PORT_OF, found.of_host, owners),
        )  # fmt: skip
        agents_by_name = np.empty(len(names), np.int64)
        agents_by_name[terminal] = agents_of
        of_terminals = tables.terminals_table(
            by_name, by, agents_by_name,
            tables.texts_of(run.facets, ADDRESS_OF, terminal, len(names), texts),
            tables.texts_of(run.facets, USER_OF, terminal, len(names), texts),
        )  # fmt: skip
        could_be = counted.contacts - counted.inbound - counted.unnamed - counted.nowhere + flows
        left_out = could_be - int(by.narrow[:, k.COUNT].sum())
        edges_of = pa.concat_tables(parts) if parts else EDGES.empty_table()
        coverage = {
            "contacts": counted.contacts,
            "unnamed": counted.unnamed,
            "nowhere": counted.nowhere,
            "left_out": left_out,
            "level": run.level,
            "edges": edges_of.num_rows,
            "destinations": of_destinations.num_rows,
            "terminals": of_terminals.num_rows,
            "folded": int(found.folded.sum()),
            "remembered": len(memory),
            "forgotten": forgotten,
            "flows": flows,
            "memory_began": None if memory.began < 0 else memory.began,
            "inbound": counted.inbound,
        }
        published = {
            "edges": edges_of,
            "destinations": of_destinations,
            "terminals": of_terminals,
            "coverage": pa.Table.from_pylist([coverage], COVERAGE),
        }
        busiest = int(np.argmax(by.narrow[:, k.LISTED])) if len(names) else 0
        widest = (str(by_name[busiest]), int(by.narrow[busiest, k.LISTED])) if len(names) else ("", 0)
        return Outcome(
            self._shed(counted.contacts + flows, left_out, run.level, widest, ctx), published, memory
        )

    def _remembered(
        self,
        memory: Memory,
        found: Destinations,
        first: np.ndarray,
        visited: np.ndarray,
        ctx: Context[Memory],
    ) -> tuple[Memory, np.ndarray, np.ndarray, int]:
        """(memory after the span, when each destination and its domain were first seen, how many were forgotten)."""
        day = ctx.start // DAY
        memory, _ = memory.forget(day - self.days, self.most_remembered)
        named = ~found.is_address & visited
        stars = pc.binary_join_element_wise("*", found.domains, ".")
        keys = text_keys(found.names, self.salt)
        domains = np.where(named, text_keys(stars, self.salt), keys)
        rows = np.flatnonzero(visited)
        memory, seen = memory.seen(np.r_[keys[rows], domains[rows]], np.r_[first[rows], first[rows]], day)
        first_seen, domain_seen = first.copy(), first.copy()
        first_seen[rows], domain_seen[rows] = seen[: len(rows)], seen[len(rows) :]
        memory, forgotten = memory.forget(day - self.days, self.most_remembered)
        return memory, first_seen, domain_seen, forgotten

    def _shed(
        self, contacts: int, left_out: int, level: int, widest: tuple[str, int], ctx: Context[Memory]
    ) -> tuple[Finding, ...]:
        """What the bound on edges left out, as a finding; without it nothing is said."""
        if not left_out:
            return ()
        thinned = f"one in {1 << (level - 1)}" if level > 1 else "few"
        return (
            Finding(
                engine=self.name, engine_version=self.version, kind="load-shed",
                title=f"{left_out:,} contacts with destinations were left out",
                statement=(
                    f"Of {contacts:,} contacts {left_out:,} are of destinations that the room for edges "
                    f"(livenet.edges.edges, {self.bounds.rows:,}) left out: a sample of {thinned} destinations "
                    "stayed, with all their visitors. Black-listed hosts are never left out. Numbers of destinations "
                    "and bytes of terminals are of the sample. Of what stayed, the terminal with most destinations is "
                    f"{neutral(widest[0])} ({widest[1]:,}): a scanner, a resolver or names made up for each visit "
                    "fill the room first."
                ),
                confidence=1.0, calibration="counted", window=(ctx.start, ctx.end), subject=("engine", self.name),
                first_seen=ctx.start, last_seen=ctx.end, count=left_out,
                attributes={"contacts": contacts, "level": level, "widest": widest[0]}, aspect="load-shed",
            ),
        )  # fmt: skip


def _ranks(names: pa.Array) -> np.ndarray:
    """Place of each name in alphabetical order."""
    order = np.asarray(pc.array_sort_indices(names)).astype(np.int64)
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def engine(site: Site) -> EdgesEngine:
    """Entry point. Raises ValueError for settings out of range."""
    return EdgesEngine(site)
