"""Counting what checks ask for in one log file, with the readers of the first read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.columns import column
from andon.run.log_checks.asked import Asked, Questions
from andon.run.log_checks.figures import Answer, LogFigures, LogFile

if TYPE_CHECKING:
    from andon.observe.logs import Lines, Options

_MOST_KNOWN: Final = 1 << 20


def count_log(
    questions: Questions, path: str, options: Options, progress: Callable[[int], None] | None = None
) -> LogFigures:
    """What is asked, counted in one log. ``options``: those of the first read, with leases if there are any; pseudonyms
    (``options.key``) are not counted, nothing could show them. ``progress`` gets the records of each batch.

    A log that cannot be read, or not to its end, counts as far as it can be read: the first read has said what is wrong
    with it."""
    made = LogFigures(questions.digest)
    if not questions.asked or options.key is not None:
        return made
    answers = [Answer() for _ in questions.asked]
    file = _read(path, options, _Look(questions.asked), answers, progress)
    if file is not None and file.answers:
        made.files[path] = file
    return made


def _read(
    path: str, options: Options, look: _Look, counts: list[Answer], progress: Callable[[int], None] | None
) -> LogFile | None:
    from andon.observe.compressed import compression
    from andon.observe.jsonlines import Skipped
    from andon.observe.logs import format_of
    from andon.observe.logs.files import blocks
    from andon.observe.logs.identity import Identity
    from andon.observe.logs.reading import plain

    who, reader, module, skipped, broken = Identity(options), None, None, Skipped(), False

    def look_at(reader: Lines, data: bytes, into: list[Answer]) -> None:
        for kind, batch in reader.read(data, skipped):
            if kind == "contact":
                look.add(who.apply(kind, batch), into)
            if progress is not None and into is counts:
                progress(batch.num_rows)

    try:
        with open(path, "rb") as raw:  # noqa: PTH123
            packed = compression(raw.read(4))
        for data in blocks(path):
            if reader is None:
                module = format_of(data, path, options)
                if module is None:
                    return None
                reader = module.lines(data, options, None)
            assert module is not None
            if plain(data) is not data:  # a tool takes such bytes as they are, the reader escapes them
                other, before = [Answer() for _ in counts], [one.rows for one in counts]
                look_at(module.lines(data, options, reader.state()), _blotted(data), other)
                look_at(reader, data, counts)
                for one, rows, twin in zip(counts, before, other, strict=True):
                    if one.rows - rows != twin.rows:  # they are in what is asked for
                        one.wrong = {name: wrong + 1 for name, wrong in one.wrong.items()}
            else:
                look_at(reader, data, counts)
    except (OSError, ValueError):
        broken = True  # the first read has said what is wrong; what was read until then is counted here too
    if reader is None or module is None:
        return None
    state = json.dumps(dict(reader.state()), sort_keys=True, separators=(",", ":"))
    answers = {n: one for n, one in enumerate(counts) if one.rows}
    return LogFile(packed, module.__name__.rpartition(".")[2], state, broken, answers)


def _blotted(data: bytes) -> bytes:
    """The same lines with U+FFFD in place of bytes that are no text."""
    return data.decode("utf-8", "replace").replace("\0", "\ufffd").encode()


class _Look:
    """Many questions put to batches at once."""

    def __init__(self, every: Sequence[Asked]) -> None:
        self._every = every
        self._terminals = sorted({asked.terminal for asked in every})
        self._hosts = sorted({asked.host for asked in every if not asked.below})
        self._domains = sorted({asked.host for asked in every if asked.below})
        self._number = {text: n for n, text in enumerate(self._terminals)}
        self._domain = {text: n for n, text in enumerate(self._domains)}
        self._known: dict[str, int] = {}  # the domain of each host seen
        self._of: dict[tuple[bool, int], list[int]] = {}  # questions by what their host is
        place = {host: n for n, host in enumerate(self._hosts)}
        for n, asked in enumerate(every):
            if asked.below:
                for number, domain in enumerate(self._domains):  # and domains inside this one
                    if domain == asked.host or domain.endswith("." + asked.host):
                        self._of.setdefault((True, number), []).append(n)
            else:
                self._of.setdefault((False, place[asked.host]), []).append(n)

    def add(self, batch: pa.RecordBatch, counts: list[Answer]) -> None:
        terminals = pa.array(self._terminals, pa.string())
        who = {name: _codes(batch.column(name), terminals) for name in ("terminal", "address", "user")}
        asked = np.maximum.reduce(list(who.values())) >= 0
        if not asked.any():
            return
        nobody = _codes(batch.column("user"), pa.array([""])) >= 0
        hosts = batch.column("host")
        for below, texts in ((False, self._hosts), (True, self._domains)):
            if not texts:
                continue
            code = self._below(hosts) if below else _codes(hosts, pa.array(texts, pa.string()))
            rows = np.flatnonzero(asked & (code >= 0))
            if not len(rows):
                continue
            order = rows[np.argsort(code[rows], kind="stable")]
            found, first = np.unique(code[order], return_index=True)
            for host, some in zip(found.tolist(), np.split(order, first[1:]), strict=True):
                for n in self._of[below, host]:
                    self._count(batch, self._every[n], some, who, nobody, counts[n])

    def _below(self, words: pa.DictionaryArray) -> np.ndarray:
        """int64: in which of the domains each row's host lies, the longest if in several; -1 for none."""
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        codes = []
        for host in words.dictionary.to_pylist():
            code = self._known.get(host)
            if code is None:
                rest = host
                while rest and rest not in self._domain:
                    rest = rest.partition(".")[2]
                code = self._known[host] = self._domain.get(rest, -1)
            codes.append(code)
        found = np.array(codes, np.int64)
        return np.asarray(found[words.indices.to_numpy(zero_copy_only=False)])

    def _count(
        self, batch: pa.RecordBatch, asked: Asked, rows: np.ndarray, who: Mapping[str, np.ndarray],
        nobody: np.ndarray, counts: Answer,
    ) -> None:  # fmt: skip
        """Count what of ``rows``, which ask for the right host, is asked for."""
        number = self._number[asked.terminal]
        rows = rows[
            (who["terminal"][rows] == number)
            | (who["address"][rows] == number)
            | (who["user"][rows] == number)
        ]
        if asked.start is not None or asked.end is not None:
            ts = column(batch, "ts")[rows]
            good = np.ones(len(rows), np.bool_)
            if asked.start is not None:
                good &= ts >= asked.start
            if asked.end is not None:
                good &= ts < asked.end
            rows = rows[good]
        if asked.path is not None and len(rows):
            same = pc.equal(batch.column("path").take(pa.array(rows)), asked.path)
            rows = rows[same.to_numpy(zero_copy_only=False)]
        own, address = who["terminal"][rows] == number, who["address"][rows] == number
        counts.rows += int(own.sum())
        counts.via.update(pc.unique(batch.column("via").take(pa.array(rows[own]))).to_pylist())
        counts.wrong["address"] += int((address != own).sum())
        counts.wrong["user"] += int(((who["user"][rows] == number) != own).sum())
        counts.wrong["nobody"] += int(((address & nobody[rows]) != own).sum())


def _codes(words: pa.DictionaryArray, texts: pa.Array) -> np.ndarray:
    """int64: which of the texts each row has, -1 for none."""
    known = np.asarray(pc.index_in(words.dictionary, texts).fill_null(-1)).astype(np.int64)
    return np.asarray(known[words.indices.to_numpy(zero_copy_only=False)])
