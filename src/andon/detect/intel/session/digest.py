"""A batch of sessions to rows: columns in, columns out; Python sees distinct texts only.

A row holds what the conclusion needs of a session and nothing that was typed: behaviours, the number of the pattern
of its commands, and flags. Binaries, keys and passwords that were set are not in it (credentials that were tried are:
they are what tells families apart).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.detect.intel.session import reading, urls
from andon.detect.intel.session.reading import NOTHING, Reading
from andon.records.joint import CLIENT, CREDENTIAL, HASSH, PAYLOAD, PORT
from andon.sketch.hashing import mix64_array

CONTROLLER: Final = "controller"  # a kind of its own: not what the attacker shows, but what the honeypot saw
STEPS: Final = ("scan", "login", "download", "delivery", "execution", "command-and-control")
SHELLS: Final = ("", "ssh", "telnet", "adb", "shell")  # protocols whose commands are those of a shell
MOST: Final = 64  # behaviours of a session
_FIXED: Final = 128  # bytes of a row without its texts
WEB: Final = frozenset((-1, 21, 69, 80, 81, 443, 8000, 8080))  # ports of a server that was set up as one
_SURVEYS: Final = "|".join(map(re.escape, reading.SURVEYS))
SEPARATOR: Final = "\t"  # between kind and value

(
    LOGIN,
    RELAY,
    OWN_DOWNLOAD,
    DOWNLOAD,
    DELIVERED,
    BY_HAND,
    SURVEY,
    TRIED,
    REQUESTED,
    EXPLOITED,
    SILENT,
    OWN_PORT,
    RUNS,
) = (1 << bit for bit in range(13))
ROWS: Final = pa.schema(
    [
        ("source", pa.uint64()),  # keyed hash of the address
        ("row", pa.uint64()),  # keyed hash of the session
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("address", pa.int64()),
        ("port", pa.int32()),
        ("flags", pa.int32()),
        ("commands", pa.int32()),
        ("tried", pa.int32()),  # credentials
        ("first_login", pa.int64()),  # ns after the start; -1: none, or its time is not known
        ("pattern", pa.int64()),
        *((f"step{number}", pa.int32()) for number in range(len(STEPS))),
        ("src", pa.string()),
        ("session", pa.string()),
        ("sensor", pa.string()),
        ("honeypot", pa.string()),
        ("protocol", pa.string()),
        ("behaviours", pa.list_(pa.string())),
        ("cost", pa.int32()),  # bytes, about
    ]
)


@dataclass
class Pairs:
    """(row, behaviour) pairs in columns."""

    rows: list[np.ndarray]
    values: list[pa.Array]

    def add(self, rows: np.ndarray, kind: str, values: pa.Array) -> None:
        """One behaviour for each of ``rows`` (int64); empty and missing values are left out."""
        there = pc.fill_null(pc.greater(pc.binary_length(values), 0), False).to_numpy(zero_copy_only=False)
        if not there.any():
            return
        kept = values.filter(pa.array(there))
        self.rows.append(rows[there])
        self.values.append(pc.binary_join_element_wise(pa.scalar(kind), kept.cast(pa.string()), SEPARATOR))

    def spread(self, rows: np.ndarray, codes: np.ndarray, readings: list[Reading]) -> None:
        """The behaviours of ``readings[codes[i]]`` for row ``rows[i]``."""
        lengths = np.array([len(one.behaviours) for one in readings], np.int64)
        if not lengths.sum():
            return
        flat = [
            f"{kind}{SEPARATOR}{value[: reading.LONGEST_VALUE]}"
            for one in readings
            for kind, value in one.behaviours
        ]
        starts = np.cumsum(lengths) - lengths
        count = lengths[codes]
        within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        self.rows.append(np.repeat(rows, count))
        self.values.append(
            pa.array(flat, pa.string()).take(pa.array(np.repeat(starts[codes], count) + within))
        )

    def lists(self, count: int) -> tuple[pa.ListArray, np.ndarray]:
        """One list a row, each behaviour once, at most ``MOST``; and the characters of each row's."""
        if not self.rows:
            return pa.ListArray.from_arrays(
                pa.array(np.zeros(count + 1, np.int32)), pa.nulls(0, pa.string())
            ), np.zeros(count, np.int64)
        rows = np.concatenate(self.rows)
        values = pa.concat_arrays(self.values)
        coded = values.dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        _, first = np.unique(rows * len(coded.dictionary) + codes, return_index=True)
        first = np.sort(first)
        order = first[np.argsort(rows[first], kind="stable")]
        of_row = rows[order]
        starts = np.searchsorted(of_row, np.arange(count + 1))
        kept = np.arange(len(order)) - starts[of_row] < MOST
        order, of_row = order[kept], of_row[kept]
        offsets = np.searchsorted(of_row, np.arange(count + 1)).astype(np.int32)
        texts = values.take(pa.array(order))
        length = np.bincount(of_row, pc.binary_length(texts).to_numpy(zero_copy_only=False), count)
        return pa.ListArray.from_arrays(pa.array(offsets), texts), length.astype(np.int64) + 4 * np.diff(
            offsets
        )


class Digester:
    """Makes rows; ``requests`` reads requests and payloads, ``salt`` keys the hashes."""

    def __init__(self, requests: reading.Requests, salt: int) -> None:
        self._requests = requests
        self._salt = np.uint64(salt)

    def rows(self, batch: pa.RecordBatch) -> tuple[pa.Table, dict[int, str]]:
        """(rows in the order of the batch, patterns by number)."""
        count = batch.num_rows
        column = {name: batch.column(name) for name in batch.schema.names}
        flags = np.zeros(count, np.int64)
        every = np.arange(count)
        start = column["start"].cast(pa.int64()).to_numpy(zero_copy_only=False)
        port = column["dst_port"].to_numpy(zero_copy_only=False)
        src = column["src"]
        flags[_bools(column["login"])] |= LOGIN
        flags[column["relayed"].to_numpy(zero_copy_only=False) > 0] |= RELAY
        pairs = Pairs([], [])
        readings, codes = self._texts(column["commands"], count)
        pairs.spread(every, codes, readings)
        flags[np.array([one.fetches for one in readings], np.bool_)[codes]] |= DOWNLOAD
        flags[np.array([one.by_hand for one in readings], np.bool_)[codes]] |= BY_HAND
        flags[np.array([one.runs for one in readings], np.bool_)[codes]] |= RUNS
        self._fetched(src, every, codes, readings, flags)
        for name, read in (("requests", self._of_request), ("payloads", self._of_payload)):
            self._called(column[name], port, src, read, pairs, flags)
        rows, hashes = _flat(column["hashes"])
        pairs.add(rows, PAYLOAD, pc.utf8_lower(hashes))
        flags[rows] |= DELIVERED
        rows, fetched = _flat(column["urls"])
        flags[rows] |= DOWNLOAD
        self._urls(rows, fetched, src, pairs, flags)
        self._controllers(column["outcomes"], pairs)
        pairs.add(every, HASSH, column["hassh"])
        pairs.add(every, CLIENT, _cut(column["client"]))
        _surveys(column["client"], flags)
        known = np.flatnonzero(port >= 0)
        pairs.add(known, PORT, pa.array(port[known]).cast(pa.string()))
        tried, first = self._credentials(column["credentials"], start, pairs, flags, count)
        behaviours, length = pairs.lists(count)
        flags[_holding(behaviours, "exploit")] |= EXPLOITED
        commands = pc.list_value_length(column["commands"]).to_numpy(zero_copy_only=False)
        session = _names(column, start)
        steps = _steps(column, flags)
        flags[steps[2] > 0] |= DOWNLOAD
        flags[steps[3] > 0] |= DELIVERED
        # Where the honeypot tells outcomes it may not tell what was tried.
        told = pc.list_value_length(column["outcomes"]).to_numpy(zero_copy_only=False) > 0
        flags[(commands == 0) & (tried == 0) & (flags & (REQUESTED | LOGIN) == 0) & ~told] |= SILENT
        texts = [src, session, column["sensor"], column["honeypot"], column["protocol"]]
        cost = (
            _FIXED
            + length
            + sum(pc.binary_length(one).to_numpy(zero_copy_only=False).astype(np.int64) for one in texts)
        )
        number = np.array([one.number for one in readings], np.int64)[codes]
        # What is typed to a mail server or a printer is no script.
        shell = pc.is_in(pc.utf8_lower(column["protocol"]), pa.array(SHELLS))
        number[~shell.to_numpy(zero_copy_only=False)] = 0
        patterns = {one.number: one.pattern for one in readings if one.number}
        patterns = {one: patterns[one] for one in np.unique(number).tolist() if one}
        source = mix64_array(_hashes(src), self._salt)
        ends = column["end"].cast(pa.int64())
        # Of all that is in a row: rows with the same hash are the same row, so their order does not matter.
        content = (start, ends, column["address"], port, flags, commands, tried, first, number, *steps)
        parts = [pa.array(one).cast(pa.string()) for one in content]
        identity = pc.binary_join_element_wise(*texts, pc.binary_join(behaviours, "\x1f"), *parts, "\x1e")
        made = [
            source, mix64_array(_hashes(identity), self._salt), start,
            ends, column["address"], port, flags, commands,
            tried,
            first, number, *steps, *texts, behaviours, cost,
        ]  # fmt: skip
        arrays = [
            (one if isinstance(one, pa.Array) else pa.array(one)).cast(field.type)
            for one, field in zip(made, ROWS, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=ROWS), patterns

    def _texts(self, commands: pa.ListArray, count: int) -> tuple[list[Reading], np.ndarray]:
        """Readings of the distinct command texts, and which each session has."""
        inputs = pc.fill_null(commands.values.field("input"), "")
        joined = pc.binary_join(pa.ListArray.from_arrays(commands.offsets, inputs), "\n")
        return _distinct(joined, reading.of_commands, count)

    def _called(
        self, values: pa.ListArray, port: np.ndarray, src: pa.Array, read: Callable[[dict[str, Any], int], Reading],
        pairs: Pairs, flags: np.ndarray,
    ) -> None:  # fmt: skip
        """Requests or payloads, one by one: they are few, and what was read of equal ones is kept."""
        rows, flat = _flat(values)
        if not len(rows):
            return
        readings = [
            read(one, int(at)) if one else NOTHING
            for one, at in zip(flat.to_pylist(), port[rows].tolist(), strict=True)
        ]
        flags[rows] |= REQUESTED
        flags[rows[np.array([one.fetches for one in readings], np.bool_)]] |= DOWNLOAD
        codes = np.arange(len(readings))
        pairs.spread(rows, codes, readings)
        self._fetched(src, rows, codes, readings, flags)

    def _of_request(self, one: dict[str, Any], port: int) -> Reading:
        return self._requests.of_request(one["method"] or "", one["uri"] or "", one["body"] or "", port)

    def _of_payload(self, one: dict[str, Any], port: int) -> Reading:
        digest = one["sha256"] or one["md5"] or one["sha512"] or ""
        if not one["hex"] and (not digest or not one["length"] or one["length"] < 0) and not one["sha256"]:
            return NOTHING
        return self._requests.of_payload(one["hex"] or "", digest, port)

    @staticmethod
    def _fetched(
        src: pa.Array, rows: np.ndarray, codes: np.ndarray, readings: list[Reading], flags: np.ndarray
    ) -> None:
        """Marks sessions that fetch from the address they come from."""
        for code in [code for code, one in enumerate(readings) if one.urls]:
            hosts = {urls.parts(url)[:2] for url in readings[code].urls}
            for row in rows[codes == code].tolist():
                own = [port for host, port in hosts if host == src[row].as_py().lower()]
                if own:
                    flags[row] |= OWN_DOWNLOAD | (0 if any(port in WEB for port in own) else OWN_PORT)

    @staticmethod
    def _controllers(outcomes: pa.ListArray, pairs: Pairs) -> None:
        """Servers that a session's program talked to afterwards."""
        rows, flat = _flat(outcomes)
        if len(rows):
            last = pc.equal(flat.field("step"), STEPS[-1])
            kept = np.flatnonzero(_bools(last))
            pairs.add(rows[kept], CONTROLLER, _cut(flat.field("detail").take(pa.array(kept))))

    @staticmethod
    def _urls(rows: np.ndarray, fetched: pa.Array, src: pa.Array, pairs: Pairs, flags: np.ndarray) -> None:
        if not len(rows):
            return
        coded = pc.fill_null(fetched, "").dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        distinct = coded.dictionary.to_pylist()
        pairs.spread(rows, codes, [Reading(behaviours=tuple(reading.of_url(url))) for url in distinct])
        hosts = pa.array([urls.parts(url)[0] for url in distinct], pa.string()).take(pa.array(codes))
        odd = np.array([urls.parts(url)[1] not in WEB for url in distinct], np.bool_)[codes]
        same = _bools(pc.equal(hosts, pc.utf8_lower(src.take(pa.array(rows)))))
        flags[rows[same]] |= OWN_DOWNLOAD
        flags[rows[same & odd]] |= OWN_PORT

    @staticmethod
    def _credentials(
        values: pa.ListArray, start: np.ndarray, pairs: Pairs, flags: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(credentials tried, ns to the first that was accepted or -1) of each session."""
        rows, flat = _flat(values)
        first = np.full(count, -1, np.int64)
        tried = np.bincount(rows, minlength=count)
        if not len(rows):
            return tried, first
        user, word = (_cut(pc.fill_null(flat.field(name), ""), 64) for name in ("username", "password"))
        pairs.add(rows, CREDENTIAL, pc.binary_join_element_wise(user, word, ":"))
        flags[rows] |= TRIED
        good = np.flatnonzero(_bools(flat.field("accepted")))
        at = pc.fill_null(flat.field("at").cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
        for row, when in zip(rows[good][::-1].tolist(), at[good][::-1].tolist(), strict=True):
            first[row] = max(when - int(start[row]), 0) if when >= 0 else -1
        return tried, first


def _distinct(
    texts: pa.Array, read: Callable[[str], Reading], count: int
) -> tuple[list[Reading], np.ndarray]:
    coded = texts.dictionary_encode()
    codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64) if count else np.empty(0, np.int64)
    return [read(one) if one else NOTHING for one in coded.dictionary.to_pylist()] or [NOTHING], codes


def _flat(values: pa.ListArray) -> tuple[np.ndarray, pa.Array]:
    """(row of each element, elements) of a list column."""
    return pc.list_parent_indices(values).to_numpy(zero_copy_only=False).astype(np.int64), pc.list_flatten(
        values
    )


def _bools(values: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(values, False).to_numpy(zero_copy_only=False), np.bool_)


def _cut(values: pa.Array, most: int = 256) -> pa.Array:
    return pc.utf8_slice_codeunits(values, 0, most)


def _hashes(texts: pa.Array) -> np.ndarray:
    """uint64: a hash of each text, the same wherever it is computed."""
    from hashlib import blake2b

    coded = texts.dictionary_encode()
    made = [
        int.from_bytes(blake2b((one or "").encode(), digest_size=8).digest(), "little")
        for one in coded.dictionary.to_pylist()
    ]
    table = np.array(made or [0], np.uint64)
    return (
        np.asarray(table[coded.indices.to_numpy(zero_copy_only=False)])
        if len(texts)
        else np.empty(0, np.uint64)
    )


def _surveys(clients: pa.Array, flags: np.ndarray) -> None:
    found = pc.match_substring_regex(pc.utf8_lower(clients), _SURVEYS)
    flags[found.to_numpy(zero_copy_only=False)] |= SURVEY


def _holding(behaviours: pa.ListArray, kind: str) -> np.ndarray:
    rows, flat = _flat(behaviours)
    if not len(rows):
        return rows
    return np.asarray(rows[pc.starts_with(flat, kind + SEPARATOR).to_numpy(zero_copy_only=False)])


def _names(column: dict[str, Any], start: np.ndarray) -> pa.Array:
    """``SENSOR/NUMBER``; where a honeypot numbers nothing, a hash of when, whence and where to."""
    number = column["session"]
    unnamed = np.flatnonzero(pc.equal(pc.binary_length(number), 0).to_numpy(zero_copy_only=False))
    if len(unnamed):
        rows = pa.array(unnamed)
        parts = [
            column["honeypot"].take(rows), column["src"].take(rows), column["src_port"].take(rows).cast(pa.string()),
            column["dst"].take(rows), column["dst_port"].take(rows).cast(pa.string()),
            pa.array(start[unnamed]).cast(pa.string()), "|",
        ]  # fmt: skip
        made = [f"{one:016x}" for one in _hashes(pc.binary_join_element_wise(*parts)).tolist()]
        texts = number.to_pylist()
        for row, name in zip(unnamed.tolist(), made, strict=True):
            texts[row] = name
        number = pa.array(texts, pa.string())
    return pc.binary_join_element_wise(column["sensor"], number, "/")


def _steps(column: dict[str, Any], flags: np.ndarray) -> list[np.ndarray]:
    """How often each step was seen. Where the honeypot says what came of a session (``outcomes``) that is counted;
    else it follows from what the session holds: a program counts as executed if one arrived and something was run."""
    count = len(flags)
    login = (flags & LOGIN > 0).astype(np.int32)
    made = [
        np.ones(count, np.int32),
        login,
        ((flags & DOWNLOAD) > 0).astype(np.int32),
        ((flags & DELIVERED) > 0).astype(np.int32),
    ]
    made += [(flags & (DELIVERED | RUNS) == DELIVERED | RUNS).astype(np.int32), np.zeros(count, np.int32)]
    rows, flat = _flat(column["outcomes"])
    if not len(rows):
        return made
    said = np.zeros(count, np.bool_)
    said[rows] = True
    coded = pc.fill_null(flat.field("step"), "").dictionary_encode()
    known = [STEPS.index(name) if name in STEPS else -1 for name in coded.dictionary.to_pylist()]
    number = np.array(known, np.int64)[coded.indices.to_numpy(zero_copy_only=False)]
    for step in range(len(STEPS)):
        told = np.bincount(rows[number == step], minlength=count).astype(np.int32)
        made[step] = np.where(said, told, made[step])
    return made
