"""The lists as they are published: in memory for the HTTP side, as files for any other web server, in step.

A change is worked out first, then the files are written (whole, synced, renamed), then the journal, and only then
do the lists in memory change: an intent is acknowledged once it would survive a power cut. Taking something *away*
happens in memory even if the disk is full, because nobody may stay cut for want of room; the files are written when
there is.

Where the journal is missing or damaged, what the lists should hold is not known. Until the reconciler has spoken the
lists are *held back*: the HTTP side answers 503, on which firewalls keep the list that they have, and the files
stay as they are. An empty list instead would lift every block. In a folder that is new the first thing that is applied
ends this, since the reconciler applies all that is wanted at once; where lists were there, it has to look twice.
"""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from andon.contain.contract import Rejected
from andon.contain.enforcers.edl.access import NAME as ACCESS
from andon.contain.enforcers.edl.aggregate import aggregated
from andon.contain.enforcers.edl.entries import HOST_IP, IP, LISTS, NOBODY, TYPES, Entry, address_text, order
from andon.contain.enforcers.edl.journal import NAME as JOURNAL
from andon.contain.enforcers.edl.journal import Held, Journal, Published
from andon.store.durable import make_folder, write_durable
from andon.store.errors import StoreError

Key = tuple[int, int, str]
SECOND: Final = 1_000_000_000


@dataclass(frozen=True)
class Snapshot:
    """One version of one list. ``until``: when the first entry ends (ns; 0: none does)."""

    name: str
    body: bytes
    lines: int
    published: Published
    until: int

    @cached_property
    def etag(self) -> str:
        return f'"{self.published.digest[:32]}"'

    @cached_property
    def packed(self) -> bytes:
        """The body in gzip, the same bytes each time."""
        return gzip.compress(self.body, 6, mtime=0)

    @cached_property
    def packed_etag(self) -> str:
        """Strong validators tell encodings apart (RFC 9110, 8.8.3.3)."""
        return f'"{self.published.digest[:32]}-gz"'


class Lists:
    """See the module. ``limits``: most lines, by type. Raises ValueError for a folder with lists that are not ours,
    StoreError for one that cannot be used."""

    def __init__(
        self, folder: Path, limits: Mapping[str, int], aggregate: bool, placeholder: bool, now: int
    ) -> None:
        self.folder, self.limits = folder, limits
        self._aggregate, self._placeholder = aggregate, placeholder
        make_folder(folder)
        self.journal = Journal(folder / JOURNAL)
        self.journal.load()
        self.fresh = not any((folder / ours).exists() for ours in (JOURNAL, ACCESS))
        if self.fresh:
            self._refuse_strangers()
        self.held_back = not self.journal.whole
        self.unsaved = False
        self._owners: dict[str, Counter[str]] = {name: Counter() for name in LISTS}
        self._order: dict[str, list[tuple[Key, str]]] = {name: [] for name in LISTS}
        for one in self.held.values():
            for entry in one.entries:
                self._owners[entry.list][entry.text] += 1
        self._snapshots: dict[str, Snapshot] = {}
        ends = _ends(self.held.values())
        for name in LISTS:
            self._order[name] = sorted((order(Entry(name, text)), text) for text in self._owners[name])
            self._snapshots[name] = self._snapshot(name, self._order[name], ends.get(name, 0), now)
        if not self.held_back:
            self.mend()

    def _refuse_strangers(self) -> None:
        for name in LISTS:
            path = self.path(name)
            if path.exists() and path.stat().st_size:
                raise ValueError(f"folder: {path} is there and was not written by Andon: name another folder")

    @property
    def held(self) -> Mapping[int, Held]:
        return self.journal.held

    @property
    def epoch(self) -> str:
        return self.journal.epoch

    def snapshot(self, name: str) -> Snapshot | None:
        """What is published under a name; None: there is no such list. Any thread may ask."""
        return self._snapshots.get(name)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    def lines(self, kind: str) -> int:
        """How many lines the lists of a type have together."""
        return sum(self._snapshots[name].lines for name in LISTS if TYPES[name] == kind)

    def change(self, added: Sequence[Held], removed: Iterable[int], now: int, force: bool = False) -> None:
        """Hold these and not those. All or nothing, except with ``force``: then the lists in memory change even where
        the disk does not let the files. Raises Rejected where there is no room, StoreError."""
        new = {one.intent: one for one in added}
        old = [self.held[intent] for intent in {*removed, *new} if intent in self.held]
        gone = {one.intent for one in old} - set(new)
        delta: dict[str, Counter[str]] = {}
        for ones, step in ((old, -1), (new.values(), 1)):
            for one in ones:
                for entry in one.entries:
                    delta.setdefault(entry.list, Counter())[entry.text] += step
        orders = {name: self._reordered(name, steps) for name, steps in delta.items()}
        after = {intent: one for intent, one in self.held.items() if intent not in gone} | new
        ends = _ends(after.values())
        made = {name: self._snapshot(name, order_, ends.get(name, 0), now) for name, order_ in orders.items()}
        self._room(made)
        after |= {intent: self._dated(one, made) for intent, one in new.items()}
        try:
            if not self.held_back:
                self._write(made)
            self.journal.append(after, new, gone, {name: one.published for name, one in made.items()})
        except StoreError:
            if force:
                self.unsaved = True
                self.journal.held = after
                self._commit(delta, orders, made)
            raise
        self._commit(delta, orders, made)

    def _commit(
        self,
        delta: Mapping[str, Counter[str]],
        orders: Mapping[str, list[tuple[Key, str]]],
        made: Mapping[str, Snapshot],
    ) -> None:
        for name, steps in delta.items():
            owners = self._owners[name]
            for text, step in steps.items():
                owners[text] += step
                if owners[text] <= 0:
                    del owners[text]
        self._order.update(orders)
        self._snapshots.update(made)

    def _reordered(self, name: str, steps: Mapping[str, int]) -> list[tuple[Key, str]]:
        owners = self._owners[name]
        gone = {text for text, step in steps.items() if step < 0 and owners[text] + step <= 0}
        came = [text for text, step in steps.items() if step > 0 and not owners[text]]
        made = (
            [pair for pair in self._order[name] if pair[1] not in gone] if gone else list(self._order[name])
        )
        made += [(order(Entry(name, text)), text) for text in came]
        made.sort()  # nearly in order: about linear
        return made

    def _snapshot(self, name: str, order_: Sequence[tuple[Key, str]], until: int, now: int) -> Snapshot:
        if self._aggregate and TYPES[name] == "ip":
            width = 32 if name in (IP, HOST_IP) else 128
            texts = [
                _prefix_text(first, length, width)
                for first, length in aggregated((key[:2] for key, _ in order_), width)
            ]
        else:
            texts = [text for _, text in order_]
        shown = texts or ([NOBODY[name]] if self._placeholder else [])
        body = "".join(f"{text}\n" for text in shown).encode("ascii")
        digest = hashlib.sha256(body).hexdigest()
        last = self.journal.published.get(name, Published())
        if digest != last.digest:
            seconds = max(now // SECOND, last.seconds)
            last = Published(last.version + 1, digest, seconds, seconds == last.seconds)
        return Snapshot(name, body, len(texts), last, until)

    def _room(self, made: Mapping[str, Snapshot]) -> None:
        after = {**self._snapshots, **made}
        for kind, most in self.limits.items():
            lines = sum(one.lines for name, one in after.items() if TYPES[name] == kind)
            if lines > most and lines > self.lines(kind):
                raise Rejected(
                    f"the {kind} lists would have {lines:,} entries and a reader takes {most:,}: what is over is "
                    f"skipped there, so nothing was listed ({self.lines(kind):,} are)"
                )

    def _dated(self, one: Held, made: Mapping[str, Snapshot]) -> Held:
        """With the versions that have its entries; those that were listed before keep theirs."""
        before = self.held.get(one.intent)
        known = dict(zip(before.entries, before.since, strict=True)) if before is not None else {}
        since = tuple(known.get(entry) or made[entry.list].published.version for entry in one.entries)
        return replace(one, since=since)

    def _write(self, made: Mapping[str, Snapshot]) -> None:
        for name, one in made.items():
            if one.published is not self._snapshots[name].published:
                write_durable(self.path(name), [one.body])

    def release(self) -> None:
        """The reconciler has spoken, or did not in time: what is known is published. Raises StoreError."""
        self.held_back, self.unsaved = False, True
        self.mend()

    def clear(self, now: int) -> None:
        """Nothing is held any more: at once in memory, then in the files. Raises StoreError."""
        self.held_back, self.unsaved = False, True
        self.change((), list(self.held), now, force=True)
        self.mend()

    def damaged(self) -> tuple[str, ...]:
        """Lists whose file is not what was written. While the lists are held back nothing is known of that."""
        return () if self.held_back else tuple(name for name in LISTS if not self._intact(name))

    def _intact(self, name: str) -> bool:
        try:
            data = self.path(name).read_bytes()
        except OSError:
            return False
        return hashlib.sha256(data).hexdigest() == self._snapshots[name].published.digest

    def mend(self) -> tuple[str, ...]:
        """Writes the files that are not as they should be, and the journal if that is owed. Raises StoreError."""
        names = self.damaged()
        for name in names:
            write_durable(self.path(name), [self._snapshots[name].body])
        published = {name: one.published for name, one in self._snapshots.items()}
        if self.unsaved or published != self.journal.published:
            self.journal.rewrite(self.held, published)
            self.unsaved = False
        return names


def _ends(held: Iterable[Held]) -> dict[str, int]:
    """When the first entry of each list ends."""
    made: dict[str, int] = {}
    for one in held:
        for entry in one.entries:
            if one.until < made.get(entry.list, 1 << 64):
                made[entry.list] = one.until
    return made


def _prefix_text(first: int, length: int, width: int) -> str:
    from ipaddress import IPv4Network, IPv6Network

    return address_text(IPv4Network((first, length)) if width == 32 else IPv6Network((first, length)))
