"""What the operator knows of names, addresses, owners, certificates and samples, as relations for the graph.

    table, skipped = enrichment("passive-dns.jsonl.gz")

Recognised by what stands in them: passive DNS (COF, Farsight, CIRCL; lines or CSV), WHOIS and RDAP as JSON,
certificates
(crt.sh, Zeek x509 and ssl logs), samples with C2 configurations and sandbox results, MISP events, STIX 2.1 bundles,
graphs as nodes and edges, tables of indicators or of relations (CSV, or Parquet with the columns of
``records.infrastructure``); gz, zst and lz4 of all of them. What is refused is counted, with the first reasons.
Nothing is
looked up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from andon.observe.compressed import Broken, compression, decompressor
from andon.observe.enrichment.values import Rows
from andon.observe.lists import Skipped, TableError
from andon.records.infrastructure import FAMILIES, NODE_KINDS, RELATION

__all__ = ["Skipped", "TableError", "enrichment"]

LARGEST: Final = 1 << 30  # bytes of a file, unpacked


def enrichment(path: str | Path) -> tuple[pa.Table, Skipped]:
    """(relations as ``records.infrastructure.RELATION``, what was skipped) of a file.

    Raises OSError, and TableError for a file that no reader understands."""
    path, skipped = Path(path), Skipped()
    if _head(path) == b"PAR1":
        return _parquet(path), skipped
    text = _bytes(path, skipped).decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    rows = Rows(skipped)
    understood = False
    if text[:1] in ("{", "["):
        understood = _json(rows, text, path, skipped)
    elif text.startswith("#separator") or text.startswith("#fields"):
        understood = _zeek(rows, text, _origin(path))
    else:
        from andon.observe.enrichment.tables import read

        understood = read(rows, text, _origin(path))
    if not understood:
        why = f" ({'; '.join(skipped.examples)})" if skipped.examples else ""
        raise TableError(f"{path}: no enrichment of a format that is known (docs/graph.md){why}")
    return rows.table(), skipped


def _head(path: Path) -> bytes:
    with path.open("rb") as raw:
        return raw.read(4)


def _origin(path: Path) -> str:
    """Name of a feed: that of its file without endings."""
    return path.name.split(".", 1)[0][:100] or "file"


def _bytes(path: Path, skipped: Skipped) -> bytes:
    made, room = bytearray(), memoryview(bytearray(1 << 20))
    with path.open("rb") as raw:
        kind = compression(raw.peek(4)[:4])
        stream = decompressor(raw, kind) if kind else raw
        try:
            while got := stream.readinto(room):
                made += room[:got]
                if len(made) > LARGEST:
                    raise TableError(f"{path}: longer than {LARGEST >> 20} MB unpacked; split it")
        except Broken as error:
            skipped.add(str(error))
    return bytes(made)


def _parquet(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path).select(RELATION.names).cast(RELATION)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise TableError(f"{path}: not a table of relations: {error}") from error
    for column, allowed in (("source_kind", NODE_KINDS), ("target_kind", NODE_KINDS), ("relation", FAMILIES)):
        strange = set(table[column].unique().to_pylist()) - set(allowed)
        if strange:
            raise TableError(f"{path}: {column} {sorted(map(str, strange))[0][:40]!r} is not known")
    return table


def _json(rows: Rows, text: str, path: Path, skipped: Skipped) -> bool:
    from andon.observe.enrichment.exchange import graph, misp, misp_events, stix
    from andon.observe.enrichment.lines import one

    origin, known = _origin(path), False
    for where, document in _documents(text, skipped):
        if isinstance(document, dict) and document.get("type") == "bundle":
            stix(rows, document, origin)
            known = True
        elif isinstance(document, dict) and isinstance(document.get("nodes"), list):
            graph(rows, document, origin)
            known = True
        elif isinstance(document, dict) and one(rows, document, origin, where):
            known = True
        else:
            events = list(misp_events(document))
            for event in events:
                misp(rows, event, origin)
            known = known or bool(events)
            items = (
                document
                if isinstance(document, list) and not events
                else _inner(document)
                if not events
                else []
            )
            for number, item in enumerate(items, 1):
                if isinstance(item, dict) and one(rows, item, origin, f"item {number}"):
                    known = True
                elif isinstance(item, dict):
                    skipped.add(f"item {number}: an object of no known kind")
            if not events and not items:
                skipped.add(f"{where}: an object of no known kind")
    return known


def _inner(document: Any) -> list[Any]:
    """The array inside an answer of an interface ({"data": [...]})."""
    if isinstance(document, dict):
        for key in ("data", "results", "records", "answers", "samples", "certificates"):
            if isinstance(document.get(key), list):
                return list(document[key])
    return []


def _documents(text: str, skipped: Skipped) -> Iterator[tuple[str, Any]]:
    """The one JSON document of a text, or those of its lines."""
    first = text[: text.find("\n")] if "\n" in text else text
    try:
        json.loads(first)
        lines = True
    except (ValueError, RecursionError):
        lines = False
    if not lines:
        try:
            yield "document", json.loads(text)
            return
        except ValueError:
            pass
        except RecursionError:
            skipped.add("JSON nested too deeply")
            return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError):
                skipped.add(f"line {number}: {line[:60]!r}: not JSON")


def _zeek(rows: Rows, text: str, origin: str) -> bool:
    """Logs of Zeek as columns (x509, ssl)."""
    from andon.observe.enrichment.lines import one

    fields: list[str] = []
    known = False
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith("#fields"):
            fields = line.rstrip("\r").split("\t")[1:]
        elif line and line[0] != "#" and fields:
            cells = line.rstrip("\r").split("\t")
            if len(cells) != len(fields):
                rows.skipped.add(f"line {number}: {len(cells)} columns, {len(fields)} announced")
                continue
            item = {
                name: cell for name, cell in zip(fields, cells, strict=True) if cell not in ("-", "(empty)")
            }
            if one(rows, item, origin, f"line {number}"):
                known = True
            else:
                rows.skipped.add(f"line {number}: no certificate in it")
    return known
