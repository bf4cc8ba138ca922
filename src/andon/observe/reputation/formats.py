"""Which format a list is in, and its lines and tables as rows (``entries.RAW``)."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from andon.observe.lists import Skipped, TableError
from andon.observe.reputation.entries import RAW, Raw, raw_table
from andon.records.reputation import ADDRESS, DOMAIN, HOST, URL

# Names of columns, in the order in which they are preferred; only letters and digits count.
COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "value": (
        "host", "hostname", "fqdn", "domain", "domainname", "value", "indicator", "indicatorvalue", "trail", "iocvalue",
        "ioc", "url", "urls", "ip", "ipaddress", "dstip", "srcip", "address", "cidr", "prefix", "network", "dest",
        "destination", "name",
    ),
    "colour": ("colour", "color", "seed"),
    "type": ("type", "indicatortype", "ioctype"),
    "port": ("port", "dstport"),
    "list": ("source", "list", "feed"),
    "family": ("family", "malware", "malwareprintable", "signature", "threat", "category", "tags"),
    "added": ("added", "date", "dateadded", "firstseen", "firstseenutc", "validfrom", "timestamp", "created"),
    "rank": ("rank", "globalrank", "position"),
}  # fmt: skip
TYPES: Final[Mapping[str, str]] = {
    "domain": DOMAIN, "domain-name": DOMAIN, "hostname": HOST, "host": HOST, "fqdn": HOST, "ip-dst": ADDRESS,
    "ip-src": ADDRESS, "ip": ADDRESS, "ipv4": ADDRESS, "ipv6": ADDRESS, "ipv4-addr": ADDRESS, "ipv6-addr": ADDRESS,
    "address": ADDRESS, "cidr": "", "prefix": "", "network": "", "url": URL, "ip-dst|port": "", "ip-src|port": "",
    "ip:port": "", "hostname|port": "", "domain|ip": DOMAIN,
}  # fmt: skip
_RANKED: Final = re.compile(r'\s*"?\d{1,9}"?\s*,\s*"?[^",\s]+\.[^",\s]+"?\s*')
_LOCAL: Final = ("0.0.0.0", "127.0.0.1", "::", "::1")
_HEAD: Final = 200  # lines that a format is recognised by


def read(path: Path, data: bytes, skipped: Skipped) -> pa.Table:
    """Rows of ``entries.RAW``. Raises TableError."""
    if data[:4] == b"PAR1":
        return _table(path, _parquet(path, data))
    text = data.decode("utf-8-sig", "replace").replace("\0", "")
    if text.lstrip()[:1] in ("{", "["):
        from andon.observe.reputation.documents import read as read_json

        return read_json(path, text, skipped)
    lines = text.splitlines()
    head = [
        line for line in lines[:_HEAD] if line.strip() and not line.lstrip().startswith(("#", "!", "//", ";"))
    ]
    if not head:
        raise TableError(f"{path}: nothing but comments")
    heading = _heading(lines, head[0])
    if heading is not None:
        return _csv(*heading, lines, skipped)
    if sum(bool(_RANKED.fullmatch(line)) for line in head) > len(head) // 2:
        return _ranked(lines, skipped)
    if sum(line.split()[0] in _LOCAL and len(line.split()) > 1 for line in head) > len(head) // 2:
        return _hosts(lines)
    return _plain(lines)


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def columns_of(names: Sequence[str]) -> dict[str, int]:
    """Place of each of our columns in a table with these names."""
    keys = [_key(name) for name in names]
    found: dict[str, int] = {}
    for ours, theirs in COLUMNS.items():
        place = next((keys.index(name) for name in theirs if name in keys), None)
        if place is not None and place not in found.values():
            found[ours] = place
    return found


def _heading(lines: list[str], first: str) -> tuple[list[str], str] | None:
    """Names of columns and what parts them: of the first line that is no comment, or of the last comment before it
    (as abuse.ch writes)."""
    before: list[str] = []
    for line in lines[:_HEAD]:
        if line.lstrip().startswith("#"):
            before.append(line.lstrip("# \t"))
        elif line.strip():
            break
    for line in [first, *reversed(before)]:
        delimiter = max(",;\t", key=line.count)
        names = next(csv.reader([line], skipinitialspace=True, delimiter=delimiter), [])
        found = columns_of(names)
        if (
            "value" in found
            and (len(names) > 1 or _key(line) in COLUMNS["value"])
            and "." not in names[found["value"]]
        ):
            return names, delimiter
    return None


def when(text: Any) -> int | None:
    """ns since 1970 of a date as lists write them (ISO 8601, seconds since 1970); None for what is none."""
    text = str(text if text is not None else "").strip()
    try:
        if re.fullmatch(r"\d{9,10}(\.\d+)?", text):
            seconds = int(float(text))
        else:
            found = datetime.fromisoformat(text.removesuffix(" UTC").replace("/", "-"))
            seconds = int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return None
    return seconds * 1_000_000_000 if 0 <= seconds < 9_000_000_000 else None


def _csv(names: list[str], delimiter: str, lines: list[str], skipped: Skipped) -> pa.Table:
    place, raw = columns_of(names), Raw()
    wide = max(place.values())
    ids = next((n for n, name in enumerate(names) if _key(name) == "toids"), None)
    data = (line for line in lines if not line.lstrip().startswith("#"))
    number = 0
    try:
        for number, cells in enumerate(csv.reader(data, skipinitialspace=True, delimiter=delimiter), 1):
            if not cells or cells == names:
                continue
            if len(cells) <= wide:
                skipped.add(f"row {number}: {','.join(cells)[:60]!r}: too few columns")
                continue
            if ids is not None and len(cells) > ids and cells[ids].strip().lower() in ("0", "false"):
                skipped.add(f"row {number}: {cells[place['value']][:60]!r}: not for detection (to_ids)")
                continue
            _row(raw, {ours: cells[at].strip() for ours, at in place.items()}, number)
    except csv.Error as error:
        skipped.add(f"row {number}: {error}; the rest was not read")
    return raw.table()


def _row(raw: Raw, said: Mapping[str, str], line: int) -> None:
    """One row of named texts."""
    value, kind = said["value"], said.get("type", "").lower()
    if "|" in value and "|" in kind:
        first, second = value.split("|", 1)
        value = f"{first}:{second}" if kind.endswith("|port") else first
    port, rank = said.get("port", ""), said.get("rank", "")
    raw.add(
        value, line, TYPES.get(kind, ""), colour_of(said.get("colour", "")),
        int(port) if port.isdigit() and 0 < int(port) < 65536 else -1, said.get("list", ""), said.get("family", ""),
        when(said.get("added")), int(rank) if rank.isdigit() and len(rank) < 10 else -1,
    )  # fmt: skip


def colour_of(text: str) -> str:
    """The colour that a file names; what is neither black nor white stays as it is, and is left out."""
    text = text.strip().lower()
    return {"malicious": "black", "block": "black", "benign": "white", "allow": "white"}.get(text, text)


def _parquet(path: Path, data: bytes) -> pa.Table:
    try:
        return pq.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"{path}: not a Parquet file: {error}") from error


def _table(path: Path, table: pa.Table) -> pa.Table:
    place = columns_of(table.column_names)
    if "value" not in place:
        raise TableError(
            f"{path}: needs a column {', '.join(COLUMNS['value'][:9])}...; has {table.column_names}"
        )
    given: dict[str, pa.Array] = {}
    for ours, at in place.items():
        column = table.column(at).combine_chunks()
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if ours == "added":
            given[ours] = _dates(column)
        elif ours in ("port", "rank"):
            if pa.types.is_integer(column.type):
                given[ours] = pc.fill_null(column.cast(pa.int64()), -1)
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            given[ours] = column.cast(pa.string()).fill_null("")
    if "value" not in given:
        raise TableError(f"{path}: column {table.column_names[place['value']]} holds no texts")
    for name, change in (("colour", colour_of), ("type", lambda text: TYPES.get(text.lower(), ""))):
        if name in given:
            words = given[name].dictionary_encode()
            changed = pa.array([change(word) for word in words.dictionary.to_pylist()], pa.string())
            given[name] = changed.take(words.indices)
    if "port" in given:
        ports = np.asarray(given["port"])
        given["port"] = pa.array(np.where((ports > 0) & (ports < 65536), ports, -1).astype(np.int32))
    return raw_table(table.num_rows, **given)


def _dates(column: pa.Array) -> pa.Array:
    wanted = RAW.field("added").type
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        stamped = column.cast(pa.timestamp("ns")) if pa.types.is_date(column.type) else column
        return (
            stamped.cast(pa.timestamp("ns")).view(pa.int64()).cast(wanted)
            if stamped.type != wanted
            else stamped
        )
    words = column.cast(pa.string()).dictionary_encode()
    return (
        pa.array([when(word) for word in words.dictionary.to_pylist()], pa.int64())
        .take(words.indices)
        .cast(wanted)
    )


def _plain(lines: list[str]) -> pa.Table:
    """The first word of each line; what stands behind ``#`` or ``;`` is a comment."""
    texts = pc.utf8_trim_whitespace(pa.array(lines, pa.string()))
    texts = pc.replace_substring_regex(texts, r"(^(#|!|;|//).*$)|([\s,]+(#|;|//).*$)", "")
    texts = pc.replace_substring_regex(texts, r"[\s,;].*$", "")
    good = pc.not_equal(texts, "")
    numbers = pa.array(np.arange(1, len(lines) + 1)).filter(good)
    values = texts.filter(good)
    return raw_table(len(values), value=values, line=numbers)


def _hosts(lines: list[str]) -> pa.Table:
    """Names behind an address, each for itself."""
    raw = Raw()
    for number, line in enumerate(lines, 1):
        words = line.split("#", 1)[0].split()
        for name in words[1:] if words[:1] and words[0] in _LOCAL else words[:1]:
            if name.lower() not in (
                "localhost",
                "localhost.localdomain",
                "local",
                "broadcasthost",
                "0.0.0.0",
            ) and (not name.lower().startswith("ip6-")):
                raw.add(name, number, HOST)
    return raw.table()


def _ranked(lines: list[str], skipped: Skipped) -> pa.Table:
    """``RANK,DOMAIN`` a line."""
    raw = Raw()
    for number, line in enumerate(lines, 1):
        rank, comma, name = line.partition(",")
        rank = rank.strip().strip('"')
        if comma and rank.isdigit() and len(rank) < 10:
            raw.add(name.strip().strip('"'), number, DOMAIN, rank=int(rank))
        elif line.strip() and not line.startswith("#"):
            skipped.add(f"line {number}: {line[:60]!r}: not RANK,DOMAIN")
    return raw.table()
