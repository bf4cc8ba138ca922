"""Any honeypot of the table in ``maps``: JSON lines to sessions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.honeypot.fold import Events, Fold, Part
from andon.observe.honeypot.maps import FieldMap
from andon.observe.jsonlines import NO_TIME, Block, Paths, Skipped, blocks
from andon.observe.jsonlines.block import Stream
from andon.observe.jsonlines.kernel import RAW
from andon.records.honeypot import COMMAND, CREDENTIAL, PAYLOAD, REQUEST

GAP: Final = 300_000_000_000  # ns of silence that end a session where nothing is numbered
_TIME: Final = pa.timestamp("ns", tz="UTC")
_FLUSH: Final = 500_000
_EARLIEST: Final = 631_152_000_000_000_000  # 1990: clocks that were never set
NO_SOURCE: Final = "no source or no time"
_GOLD, _TURN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


@lru_cache(maxsize=64)
def paths_of(chart: FieldMap) -> Paths:
    return Paths(chart.paths)


def sessions(
    stream: Stream, chart: FieldMap, skipped: Skipped, fold: Fold | None = None
) -> Iterator[pa.RecordBatch]:
    """As ``cowrie.sessions``, for the honeypot of this map."""
    kept = fold if fold is not None else Fold(chart.honeypot, gap=GAP)
    for block in blocks(stream, paths_of(chart), skipped):
        kept.add(events(block, chart, skipped))
        if kept.held >= _FLUSH:
            batch = kept.sessions()
            if batch.num_rows:
                yield batch
    batch = kept.sessions(final=fold is None)
    if batch.num_rows:
        yield batch


def events(block: Block, chart: FieldMap, skipped: Skipped) -> Events:
    """The events of a block."""
    ts = _times(block, chart)
    good = (ts != NO_TIME) & block.filled(chart.src)
    if not good.all():
        for row in np.flatnonzero(~good).tolist():
            skipped.add(int(block.line[row]), NO_SOURCE)
        block, ts = block.of(good), ts[good]
    count = len(block)
    rows = np.arange(count)
    source, port = _source(block, chart)
    key = _key(block, chart, source, port)
    facts: dict[str, Part] = {"src": Part(rows, source), "src_port": Part(rows, port)}
    facts["address"] = Part(rows, _addresses(source))
    for name in ("session", "sensor", "protocol", "dst", "hassh"):
        facts |= _fact(name, _column(block, getattr(chart, name)))
    facts |= _fact("client", _columns(block, chart.client))
    if chart.dst_port.startswith("="):
        facts["dst_port"] = Part(rows, pa.array(np.full(count, int(chart.dst_port[1:]))))
    elif chart.dst_port:
        facts["dst_port"] = Part(rows, pa.array(block.integers(chart.dst_port)))
    credentials, login = _credentials(block, chart, ts)
    opened = np.ones(count, np.bool_) if chart.one_each else _is(block, chart.opens)
    closed = np.ones(count, np.bool_) if chart.one_each else _is(block, chart.closes)
    lists = {
        "credentials": credentials,
        "commands": _commands(block, chart, ts),
        "requests": _requests(block, chart),
    }
    lists["payloads"] = _payloads(block, chart)
    made = Events(key, ts, opened, closed, login, np.zeros(count, np.int64), np.ones(count, np.int64), facts,
                  {name: part for name, part in lists.items() if len(part.rows)})  # fmt: skip
    return _with_ends(made, _ends(block, chart, ts))


def _times(block: Block, chart: FieldMap) -> np.ndarray:
    """The first of the named times that is one and is not of a clock that was never set."""
    found = np.full(len(block), NO_TIME)
    for path in chart.time:
        ts = block.times(path)
        better = (ts >= _EARLIEST) & (found < _EARLIEST)
        found[better] = ts[better]
        unset = (found == NO_TIME) & (ts != NO_TIME)
        found[unset] = ts[unset]
    return found


def _ends(block: Block, chart: FieldMap, ts: np.ndarray) -> np.ndarray:
    """When a line's session ended; never before it began."""
    if chart.end:
        return np.asarray(np.maximum(block.times(chart.end), ts))
    if chart.duration:
        seconds = np.nan_to_num(block.numbers(chart.duration), nan=0.0)
        return np.asarray(ts + (np.clip(seconds, 0, 86_400) * 1e9).astype(np.int64))
    return ts


def _with_ends(events: Events, ends: np.ndarray) -> Events:
    """Lines that are sessions of their own and last get a second event at their end."""
    later = np.flatnonzero(ends > events.ts)
    if not len(later):
        return events
    none = np.zeros(len(later), np.bool_)
    key = events.key.copy()
    # Each such line is its own session, whatever came from the same place in the same second.
    key[later] ^= (events.ts[later].astype(np.uint64) + later.astype(np.uint64)) * _TURN
    closes = events.closes.copy()
    closes[later] = False
    return Events(
        np.concatenate((key, key[later])), np.concatenate((events.ts, ends[later])),
        np.concatenate((events.opens, none)), np.concatenate((closes, ~none)),
        np.concatenate((events.login, none)), np.concatenate((events.relayed, np.zeros(len(later), np.int64))),
        np.concatenate((events.lines, np.zeros(len(later), np.int64))), events.facts, events.lists,
    )  # fmt: skip


def _source(block: Block, chart: FieldMap) -> tuple[pa.StringArray, pa.Array]:
    text = block.text(chart.src)
    if chart.src_port:
        return text, pa.array(block.integers(chart.src_port))
    parts = pc.extract_regex(text, r"^\[?(?P<address>.*?)\]?:(?P<port>[0-9]{1,5})$")
    split = parts.is_valid().to_numpy(zero_copy_only=False) & (pc.count_substring(text, ".").to_numpy() == 3)
    if not split.any():
        return text, pa.array(np.full(len(block), -1))
    address = pc.if_else(pa.array(split), pc.struct_field(parts, "address"), text)
    port = pc.if_else(pa.array(split), pc.struct_field(parts, "port"), "-1")
    return address, pc.cast(port, pa.int64())


def _addresses(source: pa.StringArray) -> pa.Array:
    """IPv4 addresses as numbers, -1 for others."""
    from andon.observe.jsonlines.values import addresses

    data = np.frombuffer(source.buffers()[2] or b"", np.uint8) if len(source) else np.empty(0, np.uint8)
    offsets = np.frombuffer(source.buffers()[1], np.int32)[source.offset : source.offset + len(source) + 1]
    places = np.stack((offsets[:-1], offsets[1:]), axis=1)
    kinds = np.ones((len(source), 2), np.uint8)  # TEXT
    padded = np.concatenate((data, np.zeros(16, np.uint8)))
    return pa.array(addresses(padded, places[:, 0], places[:, 1], kinds[:, 0]))


def _key(block: Block, chart: FieldMap, source: pa.StringArray, port: pa.Array) -> np.ndarray:
    if chart.session and not chart.one_each:
        key = block.hashes(chart.session)
        return np.asarray(key ^ (block.hashes(chart.sensor) * _GOLD)) if chart.sensor else key
    key = block.hashes(chart.src) ^ (
        port.to_numpy(zero_copy_only=False).astype(np.int64).astype(np.uint64) * _GOLD
    )
    if chart.dst_port and not chart.dst_port.startswith("="):
        key ^= block.integers(chart.dst_port).astype(np.uint64) * _TURN
    return np.asarray(key)


def _column(block: Block, path: str) -> pa.StringArray | None:
    if not path:
        return None
    if path.startswith("="):
        return pa.array([path[1:]] * len(block), pa.string())
    return block.text(path)


def _columns(block: Block, paths: tuple[str, ...]) -> pa.StringArray | None:
    found = None
    for path in paths:
        values = _repeated(block, path)
        found = values if found is None else pc.coalesce(found, values)
    return found


def _repeated(block: Block, path: str) -> pa.StringArray:
    """Strings of a member that says the same again and again: each is made once."""
    named, lengths = block.hashes(path), block.lengths(path).astype(np.uint64)
    _, first, place = np.unique(named ^ (lengths * _GOLD), return_index=True, return_inverse=True)
    if 2 * len(first) > len(block):
        return block.text(path)
    return block.text(path, first).take(pa.array(place))


def _fact(name: str, values: pa.StringArray | None) -> dict[str, Part]:
    if values is None:
        return {}
    rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    return {name: Part(rows, values.take(pa.array(rows)))} if len(rows) else {}


def _is(block: Block, wanted: tuple[str, str]) -> np.ndarray:
    if not wanted[0]:
        return np.zeros(len(block), np.bool_)
    same = pc.fill_null(pc.equal(block.text(wanted[0]), wanted[1]), False)
    return np.asarray(same.to_numpy(zero_copy_only=False))


def _credentials(block: Block, chart: FieldMap, ts: np.ndarray) -> tuple[Part, np.ndarray]:
    login = np.zeros(len(block), np.bool_)
    made: list[tuple[int, str | None, str | None]] = []
    if len(chart.credentials) == 2:
        users, passwords = chart.credentials
        rows = np.flatnonzero((block.kinds(users) > 0) | (block.kinds(passwords) > 0))
        for row, user, password in zip(
            rows.tolist(), block.json(users, rows), block.json(passwords, rows), strict=True
        ):
            names, words = _listed(user), _listed(password)
            made += [(row, _at(names, k), _at(words, k)) for k in range(max(len(names), len(words)))]
    elif chart.credentials:
        rows = np.flatnonzero(
            (block.kinds(chart.credentials[0]) == RAW) & (block.lengths(chart.credentials[0]) > 2)
        )
        for row, attempts in zip(rows.tolist(), block.json(chart.credentials[0], rows), strict=True):
            made += [
                (row, _text(one.get("username")), _text(one.get("password")))
                for one in _listed(attempts)
                if isinstance(one, dict)
            ]
    rows = np.array([row for row, _, _ in made], np.int64)
    values = pa.StructArray.from_arrays(
        [pa.array([user for _, user, _ in made], pa.string()), pa.array([word for _, _, word in made], pa.string()),
         pa.array([False] * len(made), pa.bool_()), pa.array(ts[rows]).cast(_TIME)], fields=list(CREDENTIAL),
    )  # fmt: skip
    return Part(rows, values), login


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _at(values: list[Any], place: int) -> str | None:
    return _text(values[place]) if place < len(values) else None


def _text(value: Any) -> str | None:
    """Text that Arrow can hold: halves of surrogate pairs are replaced."""
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _commands(block: Block, chart: FieldMap, ts: np.ndarray) -> Part:
    values = _columns(block, chart.command)
    if values is None:
        return Part(np.empty(0, np.int64), None)
    rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    made = pa.StructArray.from_arrays(
        [values.take(pa.array(rows)), pa.array(ts[rows]).cast(_TIME)], fields=list(COMMAND)
    )
    return Part(rows, made)


def _requests(block: Block, chart: FieldMap) -> Part:
    if chart.access:
        return _accesses(_repeated(block, chart.access))
    if not chart.uri:
        return Part(np.empty(0, np.int64), None)
    uri = block.text(chart.uri)
    rows = np.flatnonzero(uri.is_valid().to_numpy(zero_copy_only=False))
    empty = pa.nulls(len(rows), pa.string())
    parts = [block.text(path, rows) if path else empty for path in (chart.method, chart.uri, chart.body)]
    return Part(rows, pa.StructArray.from_arrays(parts, fields=list(REQUEST)))


def _accesses(lines: pa.StringArray) -> Part:
    """Requests from lines of an access log: ``"GET /path HTTP/1.1" 200 -``. Few lines differ: each is taken apart
    once."""
    coded = lines.dictionary_encode()
    parts = pc.extract_regex(
        coded.dictionary, r'^"?(?P<method>[A-Z]{3,12}) (?P<uri>.*?)(?: HTTP/[0-9.]+)?"? ?[0-9-]* ?-?$'
    )
    taken = pa.StructArray.from_arrays(
        [pc.struct_field(parts, "method"), pc.struct_field(parts, "uri"), pa.nulls(len(parts), pa.string())],
        fields=list(REQUEST),
    )
    known = np.append(parts.is_valid().to_numpy(zero_copy_only=False), False)  # the last: no line
    codes = pc.fill_null(coded.indices, len(parts)).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(known[codes])
    return Part(rows, taken.take(pa.array(codes[rows])))


def _payloads(block: Block, chart: FieldMap) -> Part:
    if not chart.payload:
        return Part(np.empty(0, np.int64), None)
    paths = dict(chart.payload)
    there = np.zeros(len(block), np.bool_)
    for path in paths.values():
        there |= block.kinds(path) > 0
    if "length" in paths:
        there &= block.integers(paths["length"]) != 0  # nothing was sent
    rows = np.flatnonzero(there)
    arrays = []
    for field in PAYLOAD:
        if field.name not in paths:
            arrays.append(pa.nulls(len(rows), field.type))
        elif field.name == "length":
            arrays.append(pa.array(block.integers(paths["length"], rows=rows)))
        else:
            arrays.append(block.text(paths[field.name], rows))
    return Part(rows, pa.StructArray.from_arrays(arrays, fields=list(PAYLOAD)))
