"""Asset lists, whoever wrote them, as ``records.asset.ASSET``: which system has which address, and when.

``recognise`` says what a file is from its beginning; ``assets`` reads it. A list is data of its owner: nothing in it is
looked up, scanned or fetched, and what cannot be read is skipped and counted.

    >>> recognise(b"asset_id,ip,device\\n", "list.csv")
    'csv'
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from andon.observe.assets import delimited, leases, nmap, scans
from andon.observe.assets.delimited import BadList
from andon.observe.assets.objects import some
from andon.observe.assets.rows import MOST_ROWS, Rows, said
from andon.observe.assets.source import LOOK, Source, encoding_of
from andon.observe.compressed import Broken, compression, decompressor
from andon.observe.jsonlines import Skipped
from andon.observe.recog import Recog, shipped
from andon.records.asset import ASSET

FORMATS: Final = (
    "csv", "nmap", "masscan-json", "shodan", "censys", "runzero", "ocsf", "dhcpd", "kea", "windows-dhcp", "dnsmasq",
    "parquet",
)  # fmt: skip
__all__ = ["FORMATS", "BadList", "assets", "recognise", "said"]


def recognise(head: bytes, name: str = "") -> str | None:
    """The format of an asset list that begins with ``head`` (some 64 KiB; may be compressed), None if it is none that
    is known. Of Parquet files the beginning does not tell: there ``name`` must be the path of the file."""
    head = _plain(head[:LOOK])
    if head.startswith(b"PAR1"):
        return "parquet" if _has_columns(name) else None
    start = head[:4096].decode(encoding_of(head) or "utf-8", "replace").lstrip("﻿ \t\r\n")
    if start.startswith("<"):
        return "nmap" if "<nmaprun" in start else None
    if start.startswith(("{", "[")):
        kinds = [scans.shape(found) for found in some(head)]
        known = [kind for kind in kinds if kind is not None]
        return known[0] if known and 2 * len(known) >= len(kinds) else None
    return leases.recognise(head) or ("csv" if delimited.recognise(head) else None)


def assets(
    path: str | Path,
    skipped: Skipped,
    owner: str = "",
    mapping: Mapping[str, str] | None = None,
    recog: Recog | bool = True,
) -> pa.Table:
    """The assets of a file, plain or compressed (gzip, zstd, lz4), a row for each address, range or prefix.

    ``owner``: the organisation that the systems belong to; goes before what the list says. ``mapping``: column of a CSV
    file (heading, or number from 1) -> field (``headings.FIELDS``; "-" leaves it out). ``recog``: fingerprints that
    fill in device, vendor and product from banners where the list says nothing (True: those shipped, False: none); what
    was filled in and why is in ``source``.
    ``said(table)`` gives the format and remarks: times without a zone, columns that were not used.

    Raises BadList if it is no asset list, and OSError.

    >>> table = assets("assets.csv.zst", Skipped(), owner="Example Bank")   # doctest: +SKIP
    """
    path = Path(path)
    source = Source(path, skipped)
    head = source.head()
    kind = "csv" if mapping else recognise(head, str(path))
    rows = Rows(path.name, skipped, owner, _loader(recog))
    if kind is None:
        raise BadList(
            f"{path}: not an asset list that is known ({', '.join(FORMATS)}); for a table with other headings say "
            "which column holds what: --map 'COLUMN=address'"
        )
    if kind == "parquet":
        return _parquet(path, rows)
    if kind == "csv":
        delimited.read(source, rows, skipped, mapping or {})
    elif kind == "nmap":
        nmap.read(source, rows, skipped)
    elif kind in ("dhcpd", "kea", "windows-dhcp", "dnsmasq"):
        leases.read(kind, source, rows, skipped)
    else:
        scans.read(source, rows, skipped)
    return rows.table(kind)


def _loader(recog: Recog | bool) -> Callable[[], Recog] | None:
    if isinstance(recog, bool):
        return shipped if recog else None
    return lambda: recog


def _plain(head: bytes) -> bytes:
    kind = compression(head[:4])
    if not kind:
        return head
    stream = decompressor(io.BytesIO(head), kind)
    room, found = bytearray(LOOK), b""
    try:
        while len(found) < LOOK and (got := stream.readinto(memoryview(room))):
            found += room[:got]
    except Broken:
        pass  # the beginning of a file is a file that is cut
    return found


def _has_columns(name: str) -> bool:
    try:
        names = pq.read_schema(name).names
    except (OSError, pa.ArrowException):
        return False
    return set(ASSET.names) <= set(names)


def _parquet(path: Path, rows: Rows) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise BadList(f"{path}: more than {MOST_ROWS:,} addresses in one list")
            table = file.read(columns=ASSET.names).select(ASSET.names).cast(ASSET)
    except pa.ArrowException as error:
        raise BadList(
            f"{path}: a Parquet file, but not with the columns of an asset list: {error}"
        ) from error
    for name in ASSET.names:
        if not ASSET.field(name).nullable and table[name].null_count:
            raise BadList(f"{path}: column {name} has empty cells")
    if rows.owner:
        owners = pa.array([rows.owner] * table.num_rows, pa.string())
        table = table.set_column(ASSET.get_field_index("owner"), ASSET.field("owner"), owners)
    return table.replace_schema_metadata(rows.table("parquet").schema.metadata)
