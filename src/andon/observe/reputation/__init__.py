"""Black and white lists, whatever they are written in, as ``records.reputation``.

    table, skipped = reputation("lists/urlhaus.csv.gz", "black")

Recognised by what stands in them: plain lists (a name, address, prefix or URL a line, comments behind ``#``), hosts
files, ranked lists (Tranco, Umbrella, Majestic), trail files of Maltrail, CSV and Parquet with named columns, MISP
(events, feeds as CSV, warning lists) and STIX 2.1 bundles; gz, zst and lz4 of all of them. What an entry says of
its date, family, port or rank is kept; a list without dates has none. ``entries`` says what is refused. Nothing is
fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from andon.observe.compressed import compression, decompressor
from andon.observe.lists import Skipped, TableError
from andon.records.reputation import BLACK, REPUTATION, WHITE

__all__ = ["Skipped", "TableError", "merged", "reputation"]

LARGEST: Final = 1 << 30  # bytes of a list, unpacked
_PACKED: Final = (".gz", ".zst", ".lz4")


def reputation(
    path: str | Path, colour: str | None = None, name: str | None = None
) -> tuple[pa.Table, Skipped]:
    """(entries, what was skipped) of a list. ``colour``: "black", "white", or None if the file says it itself (a column
    ``colour`` or ``seed``; a STIX bundle is black, a MISP warning list white); rows that are gray are left out.
    ``name``: of the list, else that of the file. Raises OSError, TableError for a file that is no list or has no
    entry."""
    from andon.observe.reputation.entries import entries
    from andon.observe.reputation.formats import read

    if colour not in (BLACK, WHITE, None):
        raise TableError(f"a list is black or white, not {colour!r}")
    path, skipped = Path(path), Skipped()
    raw = read(path, _bytes(path), skipped)
    table = entries(raw, name or list_name(path), colour, skipped)
    if not table.num_rows:
        why = f" ({'; '.join(skipped.examples)})" if skipped.examples else ""
        raise TableError(f"{path}: no entry of a black or white list{why}")
    pa.default_memory_pool().release_unused()  # a list of a million entries is read in many times its size
    return table, skipped


def merged(tables: list[pa.Table]) -> pa.Table | None:
    """All lists of a site as one table; None if there are none."""
    return pa.concat_tables(tables).cast(REPUTATION).combine_chunks() if tables else None


def list_name(path: Path) -> str:
    """The name of a file without its endings.

    >>> list_name(Path("/lists/urlhaus.csv.gz"))
    'urlhaus'
    """
    while path.suffix.lower() in _PACKED:
        path = path.with_suffix("")
    return path.stem


def _bytes(path: Path) -> bytes:
    with path.open("rb") as raw:
        kind = compression(raw.peek(4)[:4])
        stream = decompressor(raw, kind) if kind else raw
        parts, size, room = [], 0, memoryview(bytearray(1 << 20))
        while got := stream.readinto(room):
            parts.append(bytes(room[:got]))
            size += got
            if size > LARGEST:
                raise TableError(f"{path}: longer than {LARGEST >> 20} MB unpacked; split it")
    return b"".join(parts)
