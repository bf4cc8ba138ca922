"""The summary of ``livenet.edges``: runs of rows, contacts not yet sorted, and counts of what could be no edge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self

import numpy as np
import pyarrow as pa

from andon.detect.livenet.edges.flows import ALWAYS, AUTO, NEVER, Named
from andon.detect.livenet.edges.gather import Piece, piece, run_of
from andon.detect.livenet.edges.kernels import COUNT, LISTED
from andon.detect.livenet.edges.names import Names, ascending
from andon.detect.livenet.edges.store import Bounds, Run, at_level, union, within, without_hosts
from andon.sketch.state import StateError, join, pack, split, unpack

_KIND, _VERSION = "livenet-edges", 1
_GATHER: Final = 1 << 19  # contacts that are sorted at a time
Flags = Callable[[pa.Array], np.ndarray]


def _none(texts: pa.Array) -> np.ndarray:
    return np.zeros(len(texts), np.uint8)


class Contacts:
    """``bounds`` and ``salt`` are the site's; ``flags_of`` (colours of names) is lent by the engine with every
    batch and is no part of the state. ``contacts`` counts all, ``inbound`` those of outsiders, of the others
    ``unnamed`` those of no terminal, ``nowhere`` of no destination."""

    def __init__(self, bounds: Bounds, salt: int, flags_of: Flags = _none) -> None:
        self.bounds, self.salt, self.flags_of = bounds, salt, flags_of
        self.contacts = self.inbound = self.unnamed = self.nowhere = 0
        self._pieces: list[Piece] = []
        self._gathered = 0
        self._runs: list[Run] = []

    def add(self, batch: pa.RecordBatch, inbound: np.ndarray) -> Piece:
        """Take in contacts (``records.contact``) but those of a mask; gives those of them that are edges."""
        self.inbound += int(inbound.sum())
        self.contacts += batch.num_rows
        if inbound.any():
            batch = batch.filter(pa.array(~inbound))
        made, unnamed, nowhere = piece(batch, self.salt)
        self.unnamed += unnamed
        self.nowhere += nowhere
        self.put(made)
        return made

    def put(self, made: Piece) -> None:
        """Take in what is made into edges already."""
        if len(made):
            self._pieces.append(made)
            self._gathered += len(made)
        if self._gathered >= _GATHER:
            self._sort()

    def merge(self, other: Contacts) -> None:
        if (self.bounds, self.salt) != (other.bounds, other.salt):
            raise ValueError("only summaries of the same bounds and hash key can be merged")
        self.contacts += other.contacts
        self.inbound += other.inbound
        self.unnamed += other.unnamed
        self.nowhere += other.nowhere
        other._sort()
        for run in other._runs:
            self._put(run)

    def _sort(self) -> None:
        if self._pieces:
            level = max((run.level for run in self._runs), default=0)
            made = run_of(self._pieces, self.flags_of, level)
            self._pieces, self._gathered = [], 0
            self._put(within(made, self.bounds))

    def _put(self, run: Run) -> None:
        """Add a run; runs of like size become one, and all do when they are too many rows together."""
        self._runs.append(run)
        while len(self._runs) > 1 and (
            2 * len(self._runs[-1].keys) >= len(self._runs[-2].keys)
            or sum(len(each.keys) for each in self._runs) > self.bounds.rows
        ):
            last = self._runs.pop()
            self._runs[-1] = within(union(self._runs[-1], last), self.bounds)

    def whole(self) -> Run:
        """Everything as one run, the same however it came here."""
        self._sort()
        while len(self._runs) > 1:
            last = self._runs.pop()
            self._runs[-1] = within(union(self._runs[-1], last), self.bounds)
        return self._runs[0] if self._runs else Run.none()

    def to_bytes(self) -> bytes:
        run = self.whole()
        arrays = {
            **run.hosts.arrays("hosts"),
            **run.terminals.arrays("terminals"),
            **run.texts.arrays("texts"),
            "flags": run.flags,
            "facets": run.facets,
            "rows": run.keys,
            "wide": run.wide,
            "narrow": run.narrow,
            "events": run.events,
        }
        scalars = {
            "level": run.level,
            "bound": self.bounds.rows,
            "salt": self.salt,
            "contacts": self.contacts,
            "inbound": self.inbound,
            "unnamed": self.unnamed,
            "nowhere": self.nowhere,
        }
        return pack(_KIND, _VERSION, arrays, scalars)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack(_KIND, _VERSION, data)
        try:
            self = cls(Bounds(scalars["bound"]), scalars["salt"])
            self.contacts, self.inbound, self.unnamed, self.nowhere = (
                scalars[name] for name in ("contacts", "inbound", "unnamed", "nowhere")
            )
            run = Run(
                Names.from_arrays("hosts", arrays), arrays["flags"], Names.from_arrays("terminals", arrays),
                Names.from_arrays("texts", arrays), arrays["facets"], arrays["rows"], arrays["wide"],
                arrays["narrow"], arrays["events"], scalars["level"],
            )  # fmt: skip
        except (KeyError, ValueError, pa.ArrowInvalid) as error:
            raise StateError(f"damaged {_KIND}: {error}") from error
        _check(run)
        if len(run.hosts) or run.level:
            self._runs.append(at_level(run, run.level))
        return self


class Talk:
    """Contacts and flows that may count as some, apart. ``mode``: of ``flows``, lent by the engine with every batch and
    no part of the state. Where flows count only without contacts, those held are dropped with the first contact."""

    def __init__(self, contacts: Contacts, flows: Contacts, named: Named, mode: int = NEVER) -> None:
        self.contacts, self.flows, self.named, self.mode = contacts, flows, named, mode

    @property
    def takes_flows(self) -> bool:
        return self.mode == ALWAYS or (self.mode == AUTO and not self.has_contacts)

    @property
    def has_contacts(self) -> bool:
        """Of terminals of ours."""
        return self.contacts.contacts > self.contacts.inbound

    def add_flows(self, made: Piece) -> None:
        if self.takes_flows:
            self.flows.contacts += len(made)
            self.flows.put(made)

    def add_contacts(self, batch: pa.RecordBatch, inbound: np.ndarray) -> None:
        made = self.contacts.add(batch, inbound)
        if self.mode == ALWAYS:
            self.named.add(ascending(np.concatenate([made.server.keys, made.host.keys])))
        self._settle()

    def merge(self, other: Talk) -> None:
        self.contacts.merge(other.contacts)
        if self.takes_flows:
            self.flows.merge(other.flows)
        self.named.merge(other.named)
        self._settle()

    def _settle(self) -> None:
        if not self.takes_flows and self.flows.contacts:
            self.flows = Contacts(self.flows.bounds, self.flows.salt, self.flows.flags_of)

    def whole(self) -> tuple[Run, int]:
        """(everything as one run, flows that count as contacts)."""
        contacts, flows = self.contacts.whole(), self.flows.whole()
        if self.mode == AUTO:
            return (contacts, 0) if self.has_contacts else (flows, self.flows.contacts)
        if not len(flows.keys):
            return contacts, 0
        keys = flows.hosts.keys
        flows = without_hosts(flows, np.isin(keys, self.named.keys()) | ~self.named.knows(keys))
        return within(union(contacts, flows), self.contacts.bounds), int(
            flows.narrow[:, COUNT].sum(dtype=np.int64)
        )

    def to_bytes(self) -> bytes:
        return join(self.contacts.to_bytes(), join(self.flows.to_bytes(), self.named.to_bytes()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        contacts, rest = split(data)
        flows, named = split(rest)
        return cls(Contacts.from_bytes(contacts), Contacts.from_bytes(flows), Named.from_bytes(named))


def _check(run: Run) -> None:
    """Kernels do not look where they write: numbers have to be in range. Raises StateError."""
    rows = len(run.keys)
    if run.wide.shape != (rows, 4) or run.narrow.shape != (rows, 8) or len(run.flags) != len(run.hosts):
        raise StateError(f"damaged {_KIND}: columns differ in length")
    if rows and (int(run.host.max()) >= len(run.hosts) or int(run.terminal.max()) >= len(run.terminals)):
        raise StateError(f"damaged {_KIND}: a row without a name")
    if int(run.narrow[:, LISTED].sum(dtype=np.int64)) != len(run.events):
        raise StateError(f"damaged {_KIND}: events do not fit the rows")
