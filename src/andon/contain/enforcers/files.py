"""Intents as lines of text files that another daemon reads: what both the zone file and the proxy's lists are made of.

Every line of ours stands behind its marks, comments that name an intent, its end, and a digest of the line, so that the
files alone say what is held, after a restart of ours too:

    ; andon 00000000000000aa 2026-01-01T00:00:00Z 1f0c2b3a
    evil.example CNAME .

A line that was deleted or changed by hand does not fit its mark any more. A line that another one makes void (another
answer for the same name, a name within a domain) is kept as a comment behind ``-`` until its time comes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from andon.contain.contract import Rejected, Unreachable
from andon.records.finding import nanoseconds, timestamp

LARGEST: Final = 256 << 20  # bytes of a file that is read
_MARK: Final = re.compile(r". andon ([0-9a-f]{16}) (\d{4}-\d\d-\d\dT[0-9:.]+Z) ([0-9a-f]{8})")


class Item(NamedTuple):
    """One line. ``list``: the file it belongs to; ``key``: what it is about; ``text``: the line as it stands there."""

    list: str
    key: str
    text: str


def digest(items: Iterable[Item]) -> str:
    """Of lines in any order: 32 hex digits."""
    return hashlib.sha256("\n".join(sorted(f"{one.list} {one.text}" for one in items)).encode()).hexdigest()[
        :32
    ]


@dataclass
class Held:
    """``until``: ns by intent; ``items``: by intent. ``foreign``: lines that bear no mark. ``damaged``: a head is not
    as we write it, or a file is gone, so that no line is in force for certain."""

    until: dict[int, int] = field(default_factory=dict)
    items: dict[int, frozenset[Item]] = field(default_factory=dict)
    foreign: int = 0
    damaged: bool = False

    def owners(self) -> dict[Item, list[int]]:
        made: dict[Item, list[int]] = {}
        for intent, items in self.items.items():
            for item in items:
                made.setdefault(item, []).append(intent)
        return made


@dataclass(frozen=True)
class Form:
    """How a file looks. ``comment``: its first character; ``key``: of a line; ``void``: of all lines of a list, those
    that others make void; ``head``: lines before ours, made anew for every writing; ``own``: whether a line without a
    mark is part of a head; ``leader``: a list that is written last, and whenever another one is; ``plain``: a line
    without what differs from one writing to the next (a serial)."""

    comment: str
    key: Callable[[str], str]
    void: Callable[[Collection[Item]], Collection[Item]]
    head: Callable[[str], Sequence[str]]
    own: Callable[[str], bool] = field(default=lambda line: False)
    leader: str = ""
    plain: Callable[[str], str] = field(default=lambda line: line)


def write_atomically(path: Path, data: bytes) -> None:
    """Whoever reads ``path`` sees the old file or the new one, whole, after a power cut too. Owner and mode of the old
    one are kept. Raises Unreachable."""
    temporary = ""
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with open(descriptor, "wb") as writing:  # noqa: PTH123  (a descriptor)
            writing.write(data)
            mode = 0o644
            with contextlib.suppress(FileNotFoundError):
                before = path.stat()
                mode = before.st_mode & 0o777
                with contextlib.suppress(PermissionError):
                    os.fchown(writing.fileno(), before.st_uid, before.st_gid)
            os.fchmod(writing.fileno(), mode)
            writing.flush()
            os.fsync(writing.fileno())
        Path(temporary).replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise Unreachable(f"{path} cannot be written: {error.strerror}") from error


class MarkedFiles:
    """``paths`` by list. Files that others changed are read again."""

    def __init__(self, paths: Mapping[str, Path], form: Form) -> None:
        self._paths = paths
        self._form = form
        self._seen: dict[str, tuple[int, int, int] | None] = {}
        self._held: Held | None = None
        self.changed = 0  # how often files were found changed by others

    def held(self) -> Held:
        """What the files hold now. Raises Unreachable; Rejected if a file is somebody else's."""
        signatures = {name: _signature(path) for name, path in self._paths.items()}
        if self._held is None or signatures != self._seen:
            self.changed += self._held is not None
            self._held = self._read()
            self._seen = signatures
        return self._held

    def _read(self) -> Held:
        made = Held()
        gathered: dict[int, set[Item]] = {}
        missing = [name for name, path in self._paths.items() if not path.exists()]
        for name, path in self._paths.items():
            for owners, item in self._lines(name, path, made):
                for intent, until in owners:
                    made.until[intent] = max(until, made.until.get(intent, 0))
                    gathered.setdefault(intent, set())
                    if item is not None:
                        gathered[intent].add(item)
                made.foreign += not owners and item is not None
        made.damaged |= bool(missing) and bool(made.until)
        made.items = {intent: frozenset(items) for intent, items in gathered.items()}
        return made

    def _lines(
        self, name: str, path: Path, into: Held
    ) -> Iterable[tuple[list[tuple[int, int]], Item | None]]:
        """Each line with the (intent, until) of its marks; None for marks without their line."""
        try:
            with path.open("rb") as reading:
                data = reading.read(LARGEST + 1)
        except FileNotFoundError:
            return
        except OSError as error:
            raise Unreachable(f"{path} cannot be read: {error.strerror}") from error
        if len(data) > LARGEST:
            raise Rejected(f"{path} has more than {LARGEST >> 20} MB and was not written by us")
        head = [self._form.plain(line) for line in self._form.head(name)]
        text = data.decode("utf-8", errors="replace")
        ours = text.startswith(head[0])
        if ours:
            lines = [self._form.plain(line) for line in text.split("\n")]
            into.damaged |= [line for line in lines if self._form.own(line)] != [
                line for line in head if self._form.own(line)
            ]
        marks: list[tuple[int, int, str]] = []
        void = f"{self._form.comment}- "
        for line in text.split("\n"):
            found = _MARK.fullmatch(line) if line.startswith(self._form.comment) else None
            if found is not None:
                with contextlib.suppress(ValueError, OverflowError):
                    marks.append((int(found[1], 16), nanoseconds(found[2]), found[3]))
                continue
            rule = line.removeprefix(void)
            remark = line.startswith(self._form.comment) and not line.startswith(void)
            if not rule.strip() or remark or self._form.own(line):
                continue
            item = Item(name, self._form.key(rule), rule)
            short = _short(line)
            if not marks and not ours:
                raise Rejected(f"{path} has lines that are not ours ({rule[:80]!r}); name a file of its own")
            yield [(intent, until) for intent, until, one in marks if one == short], item
            lost = [(intent, until) for intent, until, one in marks if one != short]
            if lost:
                yield lost, None
            marks = []
        if marks:
            yield [(intent, until) for intent, until, _ in marks], None

    def write(self, held: Held) -> bool:
        """Whether anything had to be written. Raises Unreachable."""
        owners = held.owners()
        by_list: dict[str, list[Item]] = {name: [] for name in self._paths}
        for item in owners:
            by_list[item.list].append(item)
        texts = {name: self._text(name, by_list[name], owners, held).encode() for name in self._paths}
        changed = [name for name, path in self._paths.items() if self._differs(path, texts[name])]
        if changed and self._form.leader:
            changed = [*(name for name in changed if name != self._form.leader), self._form.leader]
        for name in changed:
            write_atomically(self._paths[name], texts[name])
        self._seen = {name: _signature(path) for name, path in self._paths.items()}
        self._held = held
        held.foreign, held.damaged = 0, False
        return bool(changed)

    def _text(self, name: str, items: Sequence[Item], owners: Mapping[Item, list[int]], held: Held) -> str:
        form = self._form
        void = set(form.void(items))
        lines = list(form.head(name))
        body = []
        for item in sorted(items, key=lambda one: (one.key, one.text)):
            line = f"{form.comment}- {item.text}" if item in void else item.text
            short = _short(line)
            body += [
                f"{form.comment} andon {intent:016x} {timestamp(held.until[intent])} {short}"
                for intent in sorted(owners[item])
            ]
            body.append(line)
        return "\n".join([*lines, *body, ""])

    def _differs(self, path: Path, data: bytes) -> bool:
        """But for the serial."""
        try:
            before = path.read_bytes()
        except OSError:
            return True
        return self._plain(before) != self._plain(data)

    def _plain(self, data: bytes) -> list[str]:
        return [self._form.plain(line) for line in data.decode(errors="replace").split("\n")]


def _short(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:8]


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
