"""The state of a search, and the one way in which a candidate becomes a family.

Layers propose candidates; `Search.consider` verifies them on every open row, refuses what is a by-product of
something else, takes the best, and closes its rows, so that what is left shows the next relation (peeling). A source
may so end in several families.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from andon.records.expression import ExpressionError, compile_program

from .again import WHOLE, Turn
from .candidate import Candidate, values
from .ports import of_the_port
from .sample import COLUMNS, Sample
from .units import Units, fresh_rows, make_units
from .verify import Rows, Tally, Verified, counts_up, is_trace, pure, verify, with_constants, without_traces
from .words import ID, NAMES, SEQ, SEQ_HIGH, SPORT, SRC, WINDOW, fields_matrix, word_values, words_of

LEAST_BITS = 8.0
MOST_AT_ONCE = 800_000  # rows


@dataclass(frozen=True)
class Budget:
    """``seconds``: CPU for the whole search, after which nothing more is taken up (one candidate's verification, or one
    compiled pass of a layer, is finished: seconds at a million rows); ``min_sources``: a family's smallest number of
    sources; ``votes``: sources that must agree before a layer proposes what it read off single sources; ``turn``: which
    part of the units and pools the costly layers look at (L2, and L5 from ``meet`` on)."""

    seconds: float = 60.0
    min_sources: int = 20
    votes: int = 3
    turn: Turn = WHOLE


class Search:
    """Rows, which of them are still open, units of these, families found.

    ``skip``: target fields that layers leave out; ``within``: while a family is searched for a second relation, the
    first (then only what nearly all rows satisfy is taken).
    """

    def __init__(self, sample: Sample, budget: Budget) -> None:
        self.sample, self.budget = sample, budget
        self.begin, self.layer = time.process_time(), "preparation"
        self.kept = fresh_rows(sample)
        source = sample.of_row[self.kept].astype(np.int64)
        columns = {name: np.ascontiguousarray(sample.columns[name][self.kept]) for name in COLUMNS}
        columns["src"] = sample.src[source]
        columns["layers"] = np.full(len(self.kept), 5, np.uint8)
        columns["tcp_flags"] = np.full(len(self.kept), 2, np.uint8)
        self.rows = Rows.of(columns, source, len(sample.src))
        self.fields = fields_matrix(columns)
        self.open = np.ones(len(self.kept), np.bool_)
        self.found: list[Verified] = []
        self.units = Units.none()
        self.refused: set[str] = set()
        self.left_out: list[str] = []
        self.skip: frozenset[int] = frozenset()
        self.within: Verified | None = None
        self.tally = Tally()
        self.cut: dict[str, tuple[int, int]] = {}
        self.seen: dict[int, dict[int, int]] = {}
        key = source << 16 | columns["ttl"].astype(np.int64) << 8 | columns["ip_len"].astype(np.int64) & 0xFF
        _, self.voice = np.unique(key, return_inverse=True)

    def late(self) -> bool:
        """Whether the budget's CPU seconds are spent; the first time, that is noted in ``left_out``."""
        if time.process_time() - self.begin <= self.budget.seconds:
            return False
        note = f"the budget of {self.budget.seconds:g} CPU seconds was spent during {self.layer}"
        if not any(text.startswith("the budget of") for text in self.left_out):
            self.left_out.append(note)
        return True

    def refresh(self, least: int = 4) -> None:
        """Make units of what is open."""
        self.units = make_units(self.rows, np.flatnonzero(self.open), least)

    def open_units(self, least: int) -> np.ndarray:
        """Units of at least ``least`` rows, four fifths of which are still open."""
        sizes = self.units.sizes
        if not len(sizes):
            return np.zeros(0, np.int64)
        free = np.add.reduceat(self.open[self.units.rows].astype(np.int64), self.units.starts[:-1])
        return np.flatnonzero((sizes >= least) & (free * 10 >= sizes * 8))

    def some(self, least: int, most: int) -> np.ndarray:
        """``most`` open units for the costly layers; more where there are many, up to four times as many.

        Half of them have windows that few sources use: ordinary systems share a handful of windows. Of each half,
        one half are the largest units and the others are taken at equal steps. What is cut is noted in ``cut``.
        """
        which = self.open_units(least)
        most = int(min(max(most, len(which) // 20), 4 * most))
        if len(which) <= most:
            return which
        if self.within is None:
            self.cut[self.layer] = max(self.cut.get(self.layer, (0, 0)), (len(which), most))
        window = self.rows.columns["tcp_window"][self.units.rows[self.units.starts[which]]]
        rare = np.bincount(window, minlength=65536)[window] * 100 < len(which)
        parts: list[np.ndarray] = []
        for group in (which[rare], which[~rare]):
            ordered = group[np.argsort(-self.units.sizes[group], kind="stable")]
            parts.append(ordered[: most // 4])
            rest = ordered[most // 4 :]
            if len(rest):
                parts.append(rest[np.unique(np.linspace(0, len(rest) - 1, most // 4).astype(np.int64))])
        found: np.ndarray = np.sort(np.concatenate(parts))
        return found

    def looked(self, target: int, source: int, hidden: int) -> None:
        """Note that a target was looked at in rows of a source, and which bits of its field are determined by words
        in a way that was not found."""
        at = self.seen.setdefault(SEQ if target == SEQ_HIGH else target, {})
        at[source] = at.get(source, 0) | hidden

    def unit(self, number: int) -> np.ndarray:
        """Rows of a unit."""
        return self.units.rows[self.units.starts[number] : self.units.starts[number + 1]]

    def consider(self, candidates: list[Candidate], voters: np.ndarray | None = None) -> bool:
        """Take the best of the candidates that hold, if any does; True then, and its rows are closed.

        ``voters``: sources that proposed it. In a large sample a candidate is first put to them alone.
        """
        if self.late():
            return False
        best: Verified | None = None
        for candidate in candidates:
            key = candidate.residue
            if key in self.refused:
                continue
            seen = self._verified(candidate, voters)
            fit = [one for one in without_traces(seen) if self._holds(one)]
            # A free key fits whatever a constant fits. What the constant leaves is open for the session later.
            fit = [one for one in fit if one.scope == "global"] or fit
            if not fit:
                self.refused.add(key)
            for one in fit:
                if best is None or one.worth > 1.02 * best.worth:
                    best = one
        if best is None:
            return False
        best = self._with_port(self._with_source(best))
        self.found.append(best)
        self.open &= ~best.rows
        return True

    def _verified(self, candidate: Candidate, voters: np.ndarray | None) -> list[Verified]:
        least = self.budget.min_sources
        if voters is None or len(self.open) <= MOST_AT_ONCE:
            return verify(self.rows, candidate, least, self.open, self.tally)
        own = np.zeros(len(self.rows.sizes), np.bool_)
        own[voters] = True
        least_here = min(3, len(voters))
        seen = verify(self.rows, candidate, least_here, self.open & own[self.rows.source])
        constants = [one.constant for one in seen if one.scope == "global"][:8]
        if constants:
            self.tally.candidates += 1
            return with_constants(self.rows, candidate, constants, least, self.open)
        return verify(self.rows, candidate, least, self.open, self.tally) if seen else []

    def _holds(self, one: Verified) -> bool:
        if one.bits < LEAST_BITS:
            return False
        if self.within is not None and one.rows.sum() < 0.9 * self.open.sum():
            return False
        if self._hidden(one) or not _usable(one) or counts_up(self.rows, one):
            return False
        return pure(self.rows, one, self.voice, self.open) and not is_trace(self.rows, one)

    def _hidden(self, one: Verified) -> bool:
        """Whether words determine bits that the relation leaves open, in half of its sources that were looked at: then
        it is a trace of a relation that was not found."""
        c = one.candidate
        field = next((f for f in (ID, WINDOW, SPORT) if NAMES[f] == c.target), SEQ)
        said = c.mask << 16 if c.target == NAMES[SEQ_HIGH] else c.mask
        mine = set(one.sources.tolist())
        looked = [bool(bits & ~said) for source, bits in self.seen.get(field, {}).items() if source in mine]
        return 2 * sum(looked) > len(looked)

    def _with_port(self, found: Verified) -> Verified:
        """A relation that holds at one port, with a constant made of the port, is the one with the port."""
        if self.within is not None:
            return found
        richer = of_the_port(self.rows, found, self.budget.min_sources, self.open)
        return next((one for one in richer if self._holds(one)), found)

    def _with_source(self, found: Verified) -> Verified:
        """A session relation whose key is made of the source's address is a global one."""
        if found.scope != "session":
            return found
        at = np.flatnonzero(found.rows)
        source = self.rows.source[at]
        first = at[np.r_[True, source[1:] != source[:-1]]]
        c = found.candidate
        key = values(c.residue, {name: column[first] for name, column in self.rows.columns.items()})
        src = self.rows.columns["src"][first]
        for word in words_of(SRC):
            mine = word_values(word, src)
            rest = ((key ^ mine) if c.op == "^" else (key - mine)) & np.uint32(c.mask)
            if int(np.unique(rest, return_counts=True)[1].max()) * 2 < len(rest):
                continue
            right = f"({c.right}) {'^' if c.op == '^' else '+'} {word}"
            made = verify(
                self.rows,
                replace(c, right=right, cost=c.cost + word.cost),
                self.budget.min_sources,
                self.open,
            )
            if made and made[0].scope == "global" and 2 * len(made[0].sources) > len(found.sources):
                return made[0]
        return found


def _usable(one: Verified) -> bool:
    """Whether the expression, which is in another form than the candidate, can be put to packets."""
    try:
        compile_program(one.expression)
    except ExpressionError:  # a key that cannot be solved for in this form
        return False
    return True
