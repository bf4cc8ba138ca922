"""Alerts that are JSON documents: which product wrote them, and how they lie in the file.

A format (``FORMATS``) is a module with a ``CHART`` (which member of a document is which column) and
``is_one(document)``. Members are looked up by the compiled scanner of ``observe.jsonlines``; no document is built but
the first few, by which the format is known. Documents may be wrapped (``_source`` of a search's hit, ``result`` of an
export), and lie one to a line, in a list, or spread over lines (``flatten``).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from andon.observe.alerts.columns import (
    LONGEST_COMMAND,
    Inside,
    Words,
    alerts,
    is_filled,
    line_ends,
    rewritten,
    texts_of,
)
from andon.observe.alerts.shape import settled
from andon.observe.alerts.words import first, listed, severity
from andon.observe.jsonlines import NO_TIME, Block, Paths, Skipped, blocks
from andon.observe.jsonlines.kernel import ABSENT, RAW, TEXT
from andon.observe.logs import encode
from andon.observe.logs.options import Options
from andon.observe.logs.target import first_item
from andon.records.alert import LONGEST_RAW
from andon.records.contact import LONGEST_URL
from andon.records.kinds import ALERT as ALERT_KIND

if TYPE_CHECKING:
    from andon.observe.logs import Lines

FORMATS: Final = ("hub", "wazuh", "aminer", "ocsf", "zircolite", "sigma", "ecs")  # the surest first
WRAPPERS: Final = ("", "_source.", "result.")
LEVELS: Final = (0, 1, 2, 3)
NO_ALERT: Final = "documents that are no alerts"
NO_RULE: Final = "no rule and no title"
NO_TIME_READ: Final = "no valid time"
_SAMPLE: Final = 20  # documents
_LONG: Final = {"path": LONGEST_URL, "command": LONGEST_COMMAND, "uid": 512}
_LISTS: Final = frozenset({"category"})  # all items; of others the first
_WHOLE: Final = frozenset({"attack", "cve", "evidences", "resource"})  # as they are written


@dataclass(frozen=True)
class Chart:
    """``columns``: column of an alert (or what ``finish`` makes one of) to the members that may hold it, the best
    first; ``times``: likewise of its time. ``grade``: OCSF severity of a word. ``finish``: changes the columns of a
    block. ``only``: which rows of a block are alerts, bool. ``expand``: makes several documents of one, for formats
    that nest them; it is slow. ``clock``: reads times that are written in no common way, one by one."""

    source: str
    times: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    grade: Callable[[str], int] = severity
    finish: Callable[[dict[str, Any]], None] | None = None
    only: Callable[[dict[str, Any]], np.ndarray] | None = None
    expand: Callable[[dict[str, Any]], list[dict[str, Any]]] | None = None
    clock: Callable[[str], int] | None = None
    product: str = ""
    values: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Laid:
    """How documents lie in a file. ``level``: of ``flatten``; -1: one to a line."""

    format: str
    wrapper: str
    level: int


@lru_cache(maxsize=8)
def _laid(head: bytes) -> Laid | None:
    start = head[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start.startswith((b"{", b"[")):
        return None
    lines = [line for line in head.split(b"\n") if line.strip()]
    whole = lines if head.endswith(b"\n") or len(lines) < 2 else lines[:-1]
    documents = _parsed(whole[: 3 * _SAMPLE])
    begins = bool(documents) and documents[0][0] == 0
    if documents and (found := _known([one for _, one in documents], -1)) and (begins or len(documents) > 3):
        return found
    from andon.observe.alerts.flatten import Flattener

    if start.startswith(b"[") and b'"rule_level"' in head[:65_536] and b'"matches"' in head:
        return Laid("zircolite", "", 1)  # its documents are longer than what is looked at
    for level in LEVELS:
        made = Flattener(level, len(head) + 1).feed(head, Skipped()).split(b"\n")
        if found := _known([one for _, one in _parsed(made[:_SAMPLE])], level):
            return found
    return _known([one for _, one in documents], -1) if documents else None


def _parsed(lines: Sequence[bytes]) -> list[tuple[int, dict[str, Any]]]:
    """(number, document) of lines that hold one."""
    found = []
    for number, line in enumerate(lines):
        text = line.strip().removeprefix(b"\xef\xbb\xbf").lstrip(b"[, \t").rstrip(b"], \t\r")
        try:
            made = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(made, dict):
            found.append((number, made))
    return found


def _known(documents: Sequence[dict[str, Any]], level: int) -> Laid | None:
    """The format that most of the documents are of, at least half of them."""
    best, most = None, 0
    for wrapper in WRAPPERS:
        inner = [one.get(wrapper[:-1]) if wrapper else one for one in documents]
        some = [one for one in inner if isinstance(one, dict)]
        for name in FORMATS:
            test = module(name).is_one
            count = sum(1 for one in some if test(one))
            if count > most and 2 * count >= len(documents):
                best, most = Laid(name, wrapper, level), count
    return best


def module(name: str) -> Any:
    """The module of a format."""
    return import_module(f"andon.observe.alerts.{name}")


def recognise(head: bytes, name: str) -> bool:
    """Are the first documents alerts of a format that is known?"""
    return _laid(head) is not None


def lines(head: bytes, options: Options, state: Mapping[str, Any] | None) -> Lines:
    """See ``observe.alerts``. Raises ValueError."""
    if state is not None and "laid" in state:
        laid: Laid | None = Laid(*state["laid"])
    else:
        laid = _laid(head)
    if laid is None:
        raise ValueError("not alerts of a known format (docs/alerts.md)")
    return Documents(laid, options, state)


class Documents:
    """A reader of documents (``observe.logs.Lines``)."""

    kinds: tuple[str, ...] = (ALERT_KIND,)

    def __init__(self, laid: Laid, options: Options, state: Mapping[str, Any] | None = None) -> None:
        from andon.observe.alerts.flatten import Flattener

        self.laid = laid
        self.chart: Chart = module(laid.format).CHART
        self.source = self.chart.source
        self._line = int(state["line"]) if state else 1
        self._inside = Inside(options.inside)
        self._flat: Flattener | None = None
        longest = 32 << 20 if self.chart.expand is not None else 1 << 20
        if laid.level >= 0:
            held = (state or {}).get("flat")
            self._flat = Flattener(laid.level, longest, held)
        wrapper = laid.wrapper if self.chart.expand is None else ""
        self._times = tuple(wrapper + path for path in self.chart.times)
        self._columns = {
            name: tuple(wrapper + path for path in paths) for name, paths in self.chart.columns.items()
        }
        every = [*self._times, *(path for paths in self._columns.values() for path in paths)]
        self._paths = Paths(list(dict.fromkeys(every)))

    def state(self) -> Mapping[str, Any]:
        laid = [self.laid.format, self.laid.wrapper, self.laid.level]
        return {"line": self._line, "laid": laid, **({"flat": self._flat.state()} if self._flat else {})}

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        if self._line == 1:
            data = data.removeprefix(b"\xef\xbb\xbf")  # the mark of UTF-8
        if self._flat is not None:
            data = self._flat.feed(data, skipped)
        if self.chart.expand is not None:
            data = self._expanded(data, skipped)
        number, self._line = self._line, self._line + data.count(b"\n")
        for block in blocks(io.BytesIO(data), self._paths, skipped, number):
            made = self.records(block, skipped)
            if made is not None:
                yield made

    def _expanded(self, data: bytes, skipped: Skipped) -> bytes:
        assert self.chart.expand is not None
        made = []
        for number, line in enumerate(data.splitlines()):
            found = _parsed([line])
            inner = found[0][1] if found else None
            if inner is not None and self.laid.wrapper:
                inner = inner.get(self.laid.wrapper[:-1])
            if not isinstance(inner, dict):
                if line.strip(b" \t\r[],"):
                    skipped.add(self._line + number, "not a JSON object")
                continue
            made += [json.dumps(one).encode() + b"\n" for one in self.chart.expand(inner)]
        return b"".join(made)

    def records(self, block: Block, skipped: Skipped) -> tuple[str, pa.RecordBatch] | None:
        """Alerts of a block; None if none of its documents is one."""
        chart = self.chart
        times = np.full(len(block), NO_TIME, np.int64)
        for path in self._times:
            missing = times == NO_TIME
            if missing.any() and block.kinds(path).any():
                found = block.times(path)
                if (block.kinds(path) == RAW).any():  # a list of times: the first
                    found = np.where(found == NO_TIME, _first_times(block, path), found)
                times = np.where(missing, found, times)
        if chart.clock is not None and (times == NO_TIME).any():
            for path in self._times:
                missing = (times == NO_TIME) & block.filled(path)
                if missing.any():
                    rows = np.flatnonzero(missing)
                    times[rows] = [chart.clock(text) for text in block.text(path, rows).to_pylist()]
        rule, title = self._any_of(block, "rule"), self._any_of(block, "title")
        for reason, bad in (
            (NO_TIME_READ, times == NO_TIME),
            (NO_RULE, (times != NO_TIME) & ~(rule | title)),
        ):
            if bad.any():
                skipped.add(int(block.line[bad][0]), reason, int(bad.sum()))
        good = (times != NO_TIME) & (rule | title)
        if not good.all():
            if not good.any():
                return None
            block, times = block.of(good), times[good]
        columns = self.columns(block)
        columns["ts"] = times
        if chart.only is not None and not (wanted := chart.only(columns)).all():
            skipped.leave(NO_ALERT, int((~wanted).sum()))
            if not wanted.any():
                return None
            block, times = block.of(wanted), times[wanted]
            columns = self.columns(block) | {"ts": times}
        columns["raw"] = raw_of(block)
        if chart.finish is not None:
            chart.finish(columns)
        settled(columns, chart.grade)
        return alerts(len(block), chart.source, _real(columns), self._inside, block.line - 1)

    def _any_of(self, block: Block, name: str) -> np.ndarray:
        there = np.zeros(len(block), np.bool_)
        for path in self._columns.get(name, ()):
            there |= block.filled(path)
        return there

    def columns(self, block: Block) -> dict[str, Any]:
        """Columns that some document of the block has."""
        found: dict[str, Any] = {}
        for name, paths in self._columns.items():
            places = None
            for path in paths:
                if block.kinds(path).any():
                    there = block.places(path)
                    places = there if places is None else encode.either(places, there)
            if places is not None:
                if name in _WHOLE:
                    found[name] = encode.words(places, 65_536)
                else:
                    found[name] = column(places, name in _LISTS, _LONG.get(name, 0))
        for name, text in self.chart.values.items():
            found[name] = encode.constant(text, len(block))
        if self.chart.product and "product" not in found:
            found["product"] = encode.constant(self.chart.product, len(block))
        return found


def _first_times(block: Block, path: str) -> np.ndarray:
    from andon.observe.jsonlines.values import times

    data, begins, ends, kinds = first_item(block.places(path))
    pair, sorts = np.empty((len(begins), 2), np.int32), np.empty((len(begins), 2), np.uint8)
    lasts = np.empty((len(begins), 2), np.int32)
    pair[:, 0], lasts[:, 0], sorts[:, 0] = begins, ends, kinds  # the layout that is compiled already
    return np.asarray(times(data, pair[:, 0], lasts[:, 0], sorts[:, 0]))


def _real(columns: dict[str, Any]) -> dict[str, Any]:
    """Without what only ``finish`` is for."""
    from andon.records.alert import ALERT

    return {name: given for name, given in columns.items() if name in ALERT.names}


def column(places: encode.Places, every: bool = False, longest: int = 0) -> pa.Array:
    """A column of texts out of places; of lists all items (``every``) or the first. ``longest``: bytes of texts that
    do not repeat; 0: they do."""
    data, begins, ends, kinds = places
    raw = (kinds == RAW) & (ends > begins)
    if raw.any():
        raw &= data[np.where(raw, begins, 0)] == 0x5B
        kinds = np.where((places[3] == RAW) & ~raw, ABSENT, kinds)  # objects say nothing as texts
        places = data, begins, ends, kinds
    if longest and not raw.any():
        return encode.texts(places, longest)
    made = encode.words(places, longest or 1024 if not raw.any() else 65_536)
    if raw.any():
        held = set(np.asarray(made.indices)[raw].tolist())
        change = listed if every else first
        words = [
            change(word)[:1024] if number in held else word
            for number, word in enumerate(made.dictionary.to_pylist())
        ]
        whole = texts_of(words).dictionary_encode()
        codes = np.asarray(whole.indices)[np.asarray(made.indices)]
        made = pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), whole.dictionary)
    return made.cast(pa.string()) if longest else made


def raw_of(block: Block) -> pa.StringArray:
    """The document of each row, cut at ``LONGEST_RAW`` bytes."""
    data, starts = block.whole()
    finish = line_ends(data, starts, LONGEST_RAW)
    return encode.texts((data, starts, finish, np.full(len(block), TEXT, np.uint8)), LONGEST_RAW)


def filled(columns: dict[str, Any], name: str) -> np.ndarray:
    """bool of each row: the column is there and holds a text."""
    rows = len(columns["ts"])
    return is_filled(columns[name]) if name in columns else np.zeros(rows, np.bool_)


def held(columns: dict[str, Any], name: str) -> Words:
    """The column, or one of nothing."""
    found: Words = columns[name] if name in columns else encode.constant("", len(columns["ts"]))
    return found


def changed(columns: dict[str, Any], name: str, change: Callable[[str], str]) -> None:
    if name in columns:
        columns[name] = rewritten(columns[name], change)
