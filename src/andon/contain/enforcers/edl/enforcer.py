"""The enforcer of polled lists: the default way to a firewall.

An intent is *applied* when it is on the lists and they are on disk, and *verified* when readers have fetched a version
that has it: one of them or all, as the settings say. Between the two lies the firewall's own polling interval; this
enforcer never says that something is in force because it wrote a file.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from andon.contain import warning
from andon.contain.contract import DEGRADED, DOWN, OK, Health, Limits, NotExpressible, Plan, Receipt, Rejected
from andon.contain.contract import Unreachable as EnforcerUnreachable
from andon.contain.enforcers.edl import access
from andon.contain.enforcers.edl.entries import (
    GENERIC,
    HOST_IP,
    HOST_IP6,
    LIMITS,
    LISTS,
    SUPPORTS,
    TYPES,
    Entry,
    Lines,
    lines_of,
)
from andon.contain.enforcers.edl.journal import Held
from andon.contain.enforcers.edl.lists import SECOND, Lists, Snapshot
from andon.contain.enforcers.edl.readers import Gate, Reader
from andon.records.finding import timestamp
from andon.records.intent import Intent
from andon.store.errors import StoreError

_PATIENCE: Final = 60 * SECOND  # for the reconciler, before held-back lists are published as they are
_LOOK: Final = 10 * SECOND  # how often files are looked at
_SAVE: Final = 30 * SECOND
_AWAY: Final = 86_400 * SECOND  # for so long a stranger, or one list of several, is missed
_RECENT: Final = 900 * SECOND  # for so long a failed log-in is in the health
_NEARLY: Final = 0.95  # of the room


@dataclass(frozen=True)
class Settings:
    """``max_age``: seconds for which a copy may be used without asking. ``stale_after``: seconds after which a reader
    is missed. ``verify``: "any" or "all" of the readers. ``aggregate``: the fewest prefixes with the same addresses.
    ``placeholder``: an entry that is nobody's in lists that are empty."""

    folder: Path
    format: str = GENERIC
    limits: Mapping[str, int] | None = None
    max_age: int = 300
    stale_after: int = 900
    verify: str = "any"
    aggregate: bool = False
    placeholder: bool = False
    warning_lists: tuple[Path, ...] = ()
    readers: tuple[Reader, ...] = ()


class EdlEnforcer:
    """Lists that firewalls fetch. Raises ValueError for settings that cannot be used."""

    reads_back = False  # ``actual`` says what is listed; only ``verify`` says what has reached a firewall

    def __init__(self, name: str, settings: Settings, now: Callable[[], int] = time.time_ns) -> None:
        self.name, self.settings, self.now = name, settings, now
        self.supports = SUPPORTS
        limits = {**LIMITS[settings.format], **(settings.limits or {})}
        self.limits = Limits(rules=sum(limits.values()))
        self.max_age = settings.max_age
        self.gate = Gate(settings.readers)
        self._warnings = warning.read(settings.warning_lists)
        self._warned_of = self._marks()
        try:
            self._lists = Lists(settings.folder, limits, settings.aggregate, settings.placeholder, now())
        except StoreError as error:
            raise ValueError(f"folder: {error}") from error
        self._capacity = limits
        self.access = access.Access(settings.folder / access.NAME, self._lists.epoch)
        self.access.load()
        self._started = self._looked = self._saved = now()
        self._asked = 0  # how often the reconciler has looked since the lists are held back
        self._mended: dict[str, int] = {}  # list -> when its file was last written anew
        self._mends = 0
        self._trouble = self._stale_warnings = ""
        self._quietly(self.access.save)

    # ---- what is published

    @property
    def held_back(self) -> bool:
        """Whether the lists wait for the reconciler."""
        return self._lists.held_back

    def snapshot(self, name: str) -> Snapshot | None:
        """What is published as list ``name``."""
        return self._lists.snapshot(name)

    @property
    def control(self) -> tuple[str, ...]:
        """Addresses from which readers fetched: whoever cuts them off cuts off the lists."""
        readers = self.access.readers()
        return tuple(
            sorted({one.address for lists in readers.values() for one in lists.values()} - {"", "?"})
        )

    # ---- the contract

    def plan(self, intent: Intent) -> Plan:
        """See the contract. What a warning list speaks against is not expressible."""
        lines = lines_of(intent, self.settings.format)
        self._warn(lines.entries)
        return Plan(
            intent, self.name,
            commands=tuple(f"{entry.list}.txt: + {entry.text}" for entry in lines.entries),
            inverse=tuple(f"{entry.list}.txt: - {entry.text}" for entry in lines.entries),
            touched=lines.touched, open_paths=lines.open_paths, rules=len(lines.entries), native=lines,
        )  # fmt: skip

    def _warn(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            found = self._warned(entry)
            if found:
                raise NotExpressible(
                    f"{entry.text} is on the warning list {found!r}: it goes on no list of {self.name!r}"
                )

    def _warned(self, entry: Entry) -> str:
        """The warning list that speaks against an entry; not asked of systems of ours, since many hold RFC 1918."""
        ours = entry.list in (HOST_IP, HOST_IP6)
        return "" if ours or not self._warnings.lists else self._warnings.against(entry.text)

    def apply(self, plans: Sequence[Plan]) -> Sequence[Receipt]:
        """See the contract. Raises Rejected if there is no room, or if a warning list has come to speak against an
        entry."""
        begun, now = time.perf_counter(), self.now()
        made: dict[int, Held] = {}
        for plan in plans:
            lines = (
                plan.native if isinstance(plan.native, Lines) else lines_of(plan.intent, self.settings.format)
            )
            try:
                self._warn(lines.entries)
            except NotExpressible as error:
                raise Rejected(str(error)) from error
            made[plan.intent.id] = Held(
                plan.intent.id, plan.intent.until, digest_of(lines.entries), lines.entries
            )
        new = [one for one in made.values() if not self._holds(one)]
        with _explained():
            if new:
                self._lists.change(new, (), now)
            if self.held_back and self._lists.fresh:
                self._lists.release()
            self._mend(now)
        seconds = time.perf_counter() - begun
        readers = len(self.gate.readers) or len(self.access.readers())
        return [self._receipt(made[plan.intent.id], seconds, readers) for plan in plans]

    def _holds(self, one: Held) -> bool:
        held = self._lists.held.get(one.intent)
        return held is not None and (held.digest, held.until) == (one.digest, one.until)

    def _receipt(self, one: Held, seconds: float, readers: int) -> Receipt:
        held = self._lists.held[one.intent]
        versions = {entry.list: version for entry, version in zip(held.entries, held.since, strict=True)}
        detail = {"lists": versions, "readers": readers}
        return Receipt(one.intent, self.name, one.digest, seconds, detail)

    def revoke(self, intents: Sequence[int]) -> None:
        """See the contract. What is revoked is gone from the HTTP side at once, even if the files cannot be written."""
        gone = [intent for intent in intents if intent in self._lists.held]
        if gone:
            with _explained():
                self._lists.change((), gone, self.now(), force=True)

    def revoke_all(self) -> None:
        """See the contract."""
        with _explained():
            self._lists.clear(self.now())

    def verify(self, receipt: Receipt) -> bool | None:
        """Whether readers have fetched a version that holds it. None: it is on the lists, and they have not yet."""
        held = self._lists.held.get(receipt.intent)
        if held is None or held.digest != receipt.digest:
            return False
        readers = self.access.readers()
        fetched = not self.held_back and all(
            self._fetched(entry.list, version, readers)
            for entry, version in zip(held.entries, held.since, strict=True)
        )
        return True if fetched else None

    def _fetched(self, name: str, version: int, readers: Mapping[str, Mapping[str, access.Fetch]]) -> bool:
        known = [one.name for one in self.gate.readers if one.may(name)]
        if not self.gate.readers:
            known = [reader for reader, lists in readers.items() if name in lists]
        have = [
            name in readers.get(reader, {}) and readers[reader][name].version >= version for reader in known
        ]
        return bool(have) and (all(have) if self.settings.verify == "all" else any(have))

    def actual(self) -> Mapping[int, str]:
        """See the contract. An intent on a list whose file somebody changed has a digest that says so."""
        if self.held_back:
            self._asked += 1
            if self._asked > 1:
                with _explained():
                    self._lists.release()
        damaged = set(self._lists.damaged())
        if not damaged:
            return {intent: one.digest for intent, one in self._lists.held.items()}
        return {
            intent: f"damaged:{one.digest}" if any(e.list in damaged for e in one.entries) else one.digest
            for intent, one in self._lists.held.items()
        }

    def tick(self, now: int) -> Sequence[int]:
        """See the contract. Also takes off what a warning list has come to speak against."""
        ended = self._ended(now)
        if ended:
            self._quietly(lambda: self._lists.change((), ended, now, force=True))
        if abs(now - self._looked) >= _LOOK:
            self._looked = now
            ended += self._look(now)
        if abs(now - self._saved) >= _SAVE:
            self._saved = now
            self._forget(now)
            self._quietly(self.access.save)
        return ended

    def _ended(self, now: int) -> list[int]:
        first = [one.until for name in LISTS if (one := self.snapshot(name)) is not None and one.until]
        if not first or min(first) > now:
            return []
        return [intent for intent, held in self._lists.held.items() if held.until <= now]

    def _look(self, now: int) -> list[int]:
        """Files that were changed under our hands, warning lists that were replaced, lists still held back."""
        if self.held_back and now - self._started >= _PATIENCE:
            self._quietly(self._lists.release)
        self._quietly(lambda: self._mend(now))
        marks = self._marks()
        if marks == self._warned_of:
            return []
        try:
            self._warnings = warning.read(self.settings.warning_lists)
        except ValueError as error:
            self._stale_warnings = f"the warning lists are those from before: {error}"
            return []
        self._warned_of, self._stale_warnings = marks, ""
        gone = [
            intent
            for intent, held in self._lists.held.items()
            if any(self._warned(entry) for entry in held.entries)
        ]
        if gone:
            self._quietly(lambda: self._lists.change((), gone, now, force=True))
        return gone

    def _marks(self) -> tuple[tuple[str, int, int], ...]:
        made = []
        for path in warning.files(self.settings.warning_lists):
            try:
                found = path.stat()
            except OSError:
                continue
            made.append((str(path), found.st_mtime_ns, found.st_size))
        return tuple(made)

    def _mend(self, now: int) -> None:
        if self.held_back:
            return
        for name in self._lists.mend():
            self._mended[name] = now
            self._mends += 1

    def _quietly(self, doing: Callable[[], None]) -> None:
        try:
            doing()
        except StoreError as error:
            self._trouble = str(error)
        else:
            if not self._lists.unsaved:
                self._trouble = ""

    def _forget(self, now: int) -> None:
        """Readers that are not in the settings any more, strangers that stay away, and, of a reader that still comes,
        lists that it has not asked for since yesterday."""
        known = {one.name for one in self.gate.readers}
        for reader, lists in self.access.readers().items():
            newest = max(one.last for one in lists.values())
            if reader not in known and (known or newest < now - _AWAY):
                self.access.forget(reader)
                continue
            for name, one in lists.items():
                if one.last < now - _AWAY and newest > now - self.settings.stale_after * SECOND:
                    self.access.forget(reader, name)

    def health(self) -> Health:
        """DEGRADED where readers stay away or cannot log in, a list is full or was changed by hand, or a part of a
        warning list cannot be used; DOWN where nothing can be written."""
        now, said = self.now(), []
        state = DOWN if self._lists.unsaved and self._trouble else OK
        said += [text for text in (self._trouble, self._stale_warnings) if text]
        if self.held_back:
            said.append("the lists wait for the reconciler; readers are told to keep what they have")
        said += self._about_readers(now)
        for name, at in self._mended.items():
            if now - at < _RECENT:
                said.append(f"{self._lists.path(name)} was changed by somebody else and was written anew")
        for kind, most in self._capacity.items():
            lines = self._lists.lines(kind)
            if lines >= _NEARLY * most:
                said.append(f"the {kind} lists have {lines:,} entries of {most:,} that a reader takes")
        if self._warnings.left_out:
            name, why = self._warnings.left_out[0]
            said.append(
                f"{len(self._warnings.left_out):,} entries of warning lists cannot be used, such as {name}: {why}"
            )
        epoch = int(self._lists.epoch, 16) + self._mends
        return Health(
            DEGRADED if said and state == OK else state,
            "; ".join(said),
            epoch=epoch,
            rules=sum(self._lists.lines(kind) for kind in set(TYPES.values())),
            detail=self._detail(),
        )

    def _about_readers(self, now: int) -> list[str]:
        readers, said = self.access.readers(), []
        known = [one.name for one in self.gate.readers] or list(readers)
        late = self.settings.stale_after * SECOND
        for reader in known:
            lists = readers.get(reader, {})
            if not lists:
                if now - self._started >= late:
                    said.append(f"{reader} has never fetched a list")
                continue
            for name, one in sorted(lists.items()):
                if now - one.last >= late:
                    said.append(f"{reader} has not fetched {name} since {timestamp(one.last)}")
                    break
        if not known:
            said.append("nobody has fetched a list yet")
        for who, (times, last) in self.access.refused().items():
            if now - last < _RECENT:
                said.append(
                    f"{times} requests of {who} had a wrong token, the last at {timestamp(last)}: some firewalls stop "
                    "enforcing a list that they cannot log in to"
                )
                break
        if self.gate.unread:
            said.append(f"the token file of {', '.join(sorted(self.gate.unread))} cannot be read")
        return said

    def _detail(self) -> dict[str, Any]:
        return {
            "lists": {
                name: {"entries": one.lines, "version": one.published.version, "sha256": one.published.digest}
                for name in LISTS
                if (one := self.snapshot(name)) is not None
            },
            "readers": {
                reader: {
                    name: {
                        "version": one.version, "last": timestamp(one.last), "whole": one.whole,
                        "unchanged": one.unchanged, "address": one.address,
                    }
                    for name, one in lists.items()
                }
                for reader, lists in self.access.readers().items()
            },
        }  # fmt: skip

    def close(self) -> None:
        """What readers fetched is saved; the lists stay."""
        self._quietly(self.access.save)


class _explained:
    """Trouble with files as the contract names it: it is tried again."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, StoreError):
            raise EnforcerUnreachable(str(error)) from error


def digest_of(entries: Sequence[Entry]) -> str:
    """Of what an intent puts on the lists.

    >>> digest_of([Entry("ip", "198.51.100.7")])[:8]
    'f80ac263'
    """
    text = "\n".join(f"{entry.list} {entry.text}" for entry in sorted(entries))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
