"""The state machine: what is heard goes into entries, timers go off, and out come the alerts to tell.

Time passes only by what ``conclude`` is given. Timers that were due in spans that nobody concluded go off in the span
they belong to, so the alerts are the same whether the runner woke the engine or not. What came in a span is taken
before the timers of that span: a source that is heard while its alert would be closed is told as new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from andon.detect.darknet.daedalus import entry as e
from andon.detect.darknet.daedalus import judge, state, timing
from andon.detect.darknet.daedalus.flavours import ANSWERS, INSIDE, SYN
from andon.detect.darknet.daedalus.naming import Named, Relations, proven
from andon.detect.darknet.daedalus.observation import Observation
from andon.detect.darknet.daedalus.state import ENTRY, NEVER, OPEN, PENDING, Remembered

PORT_SHIFT = 20  # packets to a port that was never told, and the most of all, are told as new
PENDING_FOR = 2 * timing.HOUR
PENDING_EACH = 1024  # of one organisation


@dataclass(frozen=True)
class Rules:
    """Settings ``darknet.daedalus.*``; see ``engine``."""

    weak_alerts: int = 8
    alerts: int = 64
    most_tracked: int = 16_384


@dataclass(frozen=True)
class Told:
    """An alert to tell: ``new``, ``continued`` or ``closed``, of an entry as it then was, in the span of ``at`` (ns).
    ``entities``: addresses (hi, lo, packets) of an organisation's alert."""

    what: str
    entry: Any  # a row of ENTRY, a copy
    at: int
    entities: tuple[tuple[int, int, int], ...] = ()


@dataclass
class Heard:
    """Of one organisation in this span: sources on weak evidence, and what a quota held back."""

    owner: int
    record: Any  # a row of ORGANISATION
    sizes: tuple[int, int]  # registered addresses, IPv4 and IPv6
    fresh_weak: int = 0
    forged: bool = False
    pending: int = 0
    weak: int = 0
    weak_packets: int = 0
    held: int = 0
    held_packets: int = 0
    first: int = NEVER
    last: int = 0
    addresses: list[tuple[int, int]] = field(default_factory=list)  # of the weak ones that were kept


class Machine:
    """Works on copies of what was remembered; ``remembered()`` gives the next carry."""

    def __init__(
        self, before: Remembered, relations: Relations, named: Named, bits: dict[int, float], rules: Rules
    ):
        self.table = before.entries.copy()
        self.relations, self.named, self.family_bits, self.rules = relations, named, bits, rules
        self._blocks: list[
            np.ndarray
        ] = []  # new entries; rows are handed out as views, so a block never moves
        self._used = 0  # of the last block
        self.told: list[Told] = []
        self._gone = np.zeros(len(self.table), np.bool_)
        self._carry_relations = before.relations

    # --- timers

    def until(self, end: int) -> None:
        """Let the timers go off that are due before ``end``."""
        for at in np.flatnonzero((self.table["due"] < end) & ~self._gone).tolist():
            row = self.table[at]
            while row["due"] < end:
                now = int(row["due"])
                if now >= int(row["last"]) + timing.SILENCE:
                    self._tell("closed", row, now)
                    self._gone[at] = True
                    break
                self._tell("continued", row, now)
                row["step"] += 1
                row["since"] = 0
                row["due"] = timing.next_timer(int(row["opened"]), int(row["step"]), int(row["last"]), 0)

    def _tell(self, what: str, row: Any, at: int) -> None:
        many = row["kind"] == state.MANY and what != "closed"
        entities = self.untold(int(row["organisation"])) if many else ()
        self.told.append(Told(what, row.copy(), at, entities))
        e.mark_shown(row)

    # --- one source

    def known(self, idents: np.ndarray) -> np.ndarray:
        """bool: whether there is any entry of these addresses."""
        at = np.searchsorted(self.table["ident"], idents)
        inside = at < len(self.table)
        found = np.zeros(len(idents), np.bool_)
        found[inside] = self.table["ident"][at[inside]] == idents[inside]
        return found

    def hear(self, heard: Heard, ident: int, group: Sequence[Observation]) -> None:
        """Take the observations of one source in this span."""
        entries = self._entries(ident, group[0].first)
        live_scans = [row for row in entries if row["kind"] <= state.OUTBOUND_SCAN and _live(row, group[0])]
        scans_now = [seen for seen in group if seen.kind != ANSWERS]
        asked = any(seen.counts[SYN] for seen in scans_now) or any(
            row["flavours"][SYN] and group[0].first - row["last"] < timing.HOUR for row in live_scans
        )
        for seen in group:
            if seen.kind == ANSWERS and asked:
                # Who sends SYN packets gets answers and resets connections: no sign of being attacked.
                if scans_now:
                    continue
                e.add(live_scans[0], seen, ports=False)
                self._wind(live_scans[0], seen)
            elif seen.kind == ANSWERS:
                self._take(heard, ident, entries, seen, state.BACKSCATTER)
            else:
                scan = state.INTERNAL_SCAN if seen.kind == INSIDE else state.OUTBOUND_SCAN
                self._take(heard, ident, entries, seen, scan)

    def _entries(self, ident: int, now: int) -> list[Any]:
        low, high = (
            int(np.searchsorted(self.table["ident"], np.uint64(ident), side=side))
            for side in ("left", "right")
        )
        found = []
        for at in range(low, high):
            row = self.table[at]
            if row["state"] == PENDING and now - row["last"] > PENDING_FOR:
                self._gone[at] = True
            elif not self._gone[at]:
                found.append(row)
        return found

    def _take(self, heard: Heard, ident: int, entries: list[Any], seen: Observation, kind: int) -> None:
        inside = int(seen.kind == INSIDE)
        same = [row for row in entries if row["kind"] == kind and row["inside"] == inside]
        row = e.pick([row for row in same if _live(row, seen)], seen)
        if row is None and kind != state.BACKSCATTER:
            wrong = [
                row for row in entries if row["kind"] == state.MISCONFIGURATION and row["inside"] == inside
            ]
            before = e.pick([row for row in wrong if _live(row, seen)], seen)
            if before is not None:
                self._absorb(before, seen)
                if not self._misconfigured(before):
                    row = self._begin(heard, ident, entries, kind, inside, e.top_port(before))
                    if row is not None:
                        e.copy_facts(before, row)
                        self._judge(heard, row, seen, before["state"] == OPEN)
                else:
                    self._judge(heard, before, seen)
                return
            tool = self._tool_in(seen)
            if judge.is_misconfiguration(seen.ports, judge.distinct(seen.dsts), seen.packets, tool):
                kind, same = state.MISCONFIGURATION, wrong
        if row is None:
            stale = [row for row in same if row["state"] == OPEN and e.key_port(row) == seen.top_port]
            if stale:
                row = stale[0]
                e.clear_facts(row)
                row["state"], row["due"] = PENDING, NEVER
                self._absorb(row, seen)
                self._open(heard, row, seen)
                return
            row = self._begin(heard, ident, entries, kind, inside, seen.top_port)
            if row is None:
                self._weak(heard, seen)
                self._hold(heard, seen, True)
                return
            e.set_address(row, seen)
        self._absorb(row, seen)
        self._judge(heard, row, seen)
        if row["state"] == OPEN and e.port_shift(row) >= PORT_SHIFT:
            new = self._begin(heard, ident, entries, int(row["kind"]), inside, e.top_port(row))
            if new is not None:
                e.copy_facts(row, new)
                self._judge(heard, new, seen, True)
                e.mark_shown(row)

    def _begin(
        self, heard: Heard, ident: int, entries: list[Any], kind: int, inside: int, port: tuple[int, int]
    ) -> Any:
        """A new entry; None if too many of the organisation are pending."""
        if heard.pending >= PENDING_EACH:
            return None
        heard.pending += 1
        row = self._fresh()
        row["ident"], row["organisation"] = ident, heard.record["organisation"]
        row["kind"], row["inside"], row["sources"] = kind, inside, 1
        row["proto"], row["port"] = port
        entries.append(row)
        return row

    def _fresh(self) -> Any:
        if not self._blocks or self._used == len(self._blocks[-1]):
            self._blocks.append(state.no_entries(16 << min(len(self._blocks), 6)))
            self._used = 0
        self._used += 1
        return self._blocks[-1][self._used - 1]

    def _all(self) -> np.ndarray:
        """All entries that are still there."""
        parts = [self.table if not self._gone.any() else self.table[~self._gone], *self._blocks]
        rows = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return rows[rows["packets"] > 0]

    def _absorb(self, row: Any, seen: Observation) -> None:
        e.add(row, seen)
        self._wind(row, seen)

    def _wind(self, row: Any, seen: Observation) -> None:
        """Set the timer of an alert that was told, after packets came."""
        if row["state"] != OPEN:
            return
        if (
            row["since"] == seen.packets
        ):  # nothing since it was told: digests that fell into the silence are passed over
            row["step"] = timing.step_at(int(row["opened"]), int(row["step"]), seen.first)
        row["due"] = timing.next_timer(
            int(row["opened"]), int(row["step"]), int(row["last"]), int(row["since"])
        )

    # --- whether to tell

    def _judge(self, heard: Heard, row: Any, seen: Observation, known: bool = False) -> None:
        """Tell a pending entry if its evidence and the quotas allow."""
        if row["state"] == OPEN:
            return
        strong = known or self.tool_proven(row) or bool(self.named.tools(int(row["hi"]), int(row["lo"])))
        first = row["packets"] == seen.packets
        if not strong and first:
            self._weak(heard, seen)
        if not strong and not first:
            forged = int(heard.record["weak_packets"].sum()) + heard.weak_packets
            size = heard.sizes[0 if seen.hi == 0 and seen.lo >> 32 == 0xFFFF else 1]
            strong = row["packets"] >= judge.outweighs_forged(forged, size)
        if strong:
            if heard.record["told"] < self.rules.alerts:
                self._open(heard, row, seen)
            else:
                self._hold(heard, seen, first)
        elif not heard.forged and heard.fresh_weak + int(heard.record["weak"][0]) <= self.rules.weak_alerts:
            self._open(heard, row, seen)
        else:
            self._hold(heard, seen, first)

    def _weak(self, heard: Heard, seen: Observation) -> None:
        heard.weak += 1
        heard.weak_packets += seen.packets
        heard.addresses.append((seen.hi, seen.lo))

    def _hold(self, heard: Heard, seen: Observation, new: bool) -> None:
        heard.held += new
        heard.held_packets += seen.packets
        heard.first, heard.last = min(heard.first, seen.first), max(heard.last, seen.last)

    def _open(self, heard: Heard, row: Any, seen: Observation) -> None:
        heard.record["told"] += 1
        row["state"] = OPEN
        row["episode"] += 1
        row["opened"], row["step"] = seen.first, 0
        self._tell("new", row, seen.first)
        row["since"] = 0
        row["due"] = timing.next_timer(seen.first, 0, int(row["last"]), 0)

    def tool_proven(self, row: Any) -> bool:
        """Whether a relation or a family is proven by the packets of an entry."""
        addresses = judge.distinct(row["dsts"])
        looked_at = int(row["looked_at"])
        if any(
            proven(bits, int(row["hits"][at]), looked_at, addresses)
            for at, bits in enumerate(self.relations.bits)
        ):
            return True
        bits = self.family_bits.get(int(row["family"]), 0.0)
        return bits > 0 and proven(bits, int(row["family_hits"]), looked_at, addresses)

    def _tool_in(self, seen: Observation) -> bool:
        made = state.no_entries(1)[0]
        e.add(made, seen)
        return self.tool_proven(made)

    def _misconfigured(self, row: Any) -> bool:
        ports = e.ports(row)
        return judge.is_misconfiguration(
            ports, judge.distinct(row["dsts"]), int(row["packets"]), self.tool_proven(row)
        )

    # --- an organisation as a whole

    def open_of(self, ident: int, kind: int) -> Any:
        """The alert of an organisation that is open; None if there is none."""
        return next((row for row in self._entries(ident, 0) if row["kind"] == kind), None)

    def of_organisation(self, heard: Heard, ident: int, kind: int, sources: int, packets: int) -> None:
        """Add to the alert of an organisation (SPOOFED or MANY), and tell it if it is new."""
        entries = [row for row in self._entries(ident, heard.first) if row["kind"] == kind]
        row = entries[0] if entries else self._new_of_organisation(heard, ident, kind)
        silent = heard.first - int(row["last"]) >= timing.UNSEEN
        if silent and row["state"] == OPEN:
            e.clear_facts(row)
            row["state"] = PENDING
        row["began"] = heard.first if row["packets"] == 0 else min(int(row["began"]), heard.first)
        row["last"] = max(int(row["last"]), heard.last)
        quiet = row["since"] == 0
        row["packets"] += packets
        row["since"] += packets
        row["sources"] += sources
        if row["state"] == OPEN:
            if quiet:
                row["step"] = timing.step_at(int(row["opened"]), int(row["step"]), heard.first)
            row["due"] = timing.next_timer(
                int(row["opened"]), int(row["step"]), int(row["last"]), int(row["since"])
            )
            return
        row["state"], row["opened"], row["step"] = OPEN, heard.first, 0
        row["episode"] += 1
        self._tell("new", row, heard.first)
        row["since"] = 0
        row["due"] = timing.next_timer(heard.first, 0, int(row["last"]), 0)

    def _new_of_organisation(self, heard: Heard, ident: int, kind: int) -> Any:
        row = self._fresh()
        row["ident"], row["organisation"], row["kind"] = ident, heard.record["organisation"], kind
        return row

    def untold(self, organisation: int) -> tuple[tuple[int, int, int], ...]:
        """Addresses of an organisation that are pending: (hi, lo, packets), most packets first."""
        rows = self._all()
        rows = rows[(rows["organisation"] == organisation) & (rows["state"] == PENDING)]
        rows = rows[np.lexsort((rows["lo"], rows["hi"], -rows["packets"]))]
        return tuple((int(row["hi"]), int(row["lo"]), int(row["packets"])) for row in rows)

    # --- what is remembered

    def remembered(self, organisations: np.ndarray) -> Remembered:
        """The next carry: sorted, within its bound; what had to go is counted with its organisation."""
        made = Remembered(self._carry_relations)
        made.organisations = organisations
        if not self._blocks and not self._gone.any():
            made.entries = self.table  # nothing came or went, so order and number are what they were
            return made
        table = self._all()
        excess = len(table) - self.rules.most_tracked
        if excess > 0:
            _, of, count = np.unique(table["organisation"], return_inverse=True, return_counts=True)
            # Pending ones go first, then those of whoever has most, then those not heard of for longest.
            order = np.lexsort((table["ident"], table["last"], -count[of], table["state"]))
            for organisation in table["organisation"][order[:excess]]:
                at = np.searchsorted(organisations["organisation"], organisation)
                organisations["evicted"][at] += 1
                organisations["evicted_now"][at] += 1
            table = table[np.sort(order[excess:])]
        order = np.lexsort((table["port"], table["proto"], table["inside"], table["kind"], table["ident"]))
        made.entries = table[order] if len(table) else np.empty(0, ENTRY)
        return made


def _live(row: Any, seen: Observation) -> bool:
    return bool(seen.first - row["last"] < timing.UNSEEN)
