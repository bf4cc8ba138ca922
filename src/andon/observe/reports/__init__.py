"""Threat reports as the things they mention (``records.report.REPORT``): text, Markdown, HTML, PDF, JSON, STIX 2.1.

What is in a report is data: nothing of it is fetched or looked up. ``recognise`` says of what form a file is,
``reports`` reads it. Reports with equal text and id are equal rows wherever they were read.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from andon.observe.compressed import Broken, compression, decompressor
from andon.observe.jsonlines import Skipped
from andon.observe.reports.documents import (
    MOST_CHARACTERS,
    Document,
    clean,
    decoded,
    is_report,
    json_documents,
    markdown,
    plain_text,
)
from andon.observe.reports.mentions import language, mentions
from andon.records.kinds import REPORT, marked
from andon.records.report import REPORT as SCHEMA

MOST_BYTES: Final = 64 << 20  # of one file, decompressed
_ROWS: Final = 256  # reports of one batch
_CHUNK: Final = 1 << 20
_HTML = re.compile(rb"<!doctype\s+html|<html[\s>]|<head[\s>]|<article[\s>]", re.IGNORECASE)
_SENTENCE = re.compile(
    r"(?:(?<![A-Za-z])[A-Za-z]{2,}[\s,]+(?:[A-Za-z0-9]+[\s,.]+){4})|[\u3041-\u30fa\u4e00-\u9fff]{6}"
)
_TEXT_ENDINGS: Final = (".txt", ".text", ".md", ".markdown", ".mkd")


class UnknownReport(ValueError):
    """A file that is no report of a form that is known."""


def recognise(head: bytes, name: str) -> str | None:
    """
    "pdf", "html", "json", "markdown" or "text" from the first bytes of a file and its name, None for what is no
     report. Text has no mark of its own, so it is taken by the ending of the name. ``head`` may be compressed.

     >>> recognise(b'{"id": "R1", "title": "A botnet", "text": "..."}', "reports.jsonl"), recognise(b"%PDF-1.7", "a")
     ('json', 'pdf')
    """
    kind = compression(head[:4])
    if kind:
        head, name = _opened(head, kind), re.sub(r"\.(?:gz|zst|lz4)$", "", name, flags=re.IGNORECASE)
    lowered = name.lower()
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if b"\0" in head[:4096] and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] in (b"{", b"["):
        return "json" if _json_report(start) else None
    if _HTML.search(head[:2048]) and not start.startswith(b"<?xml-stylesheet"):
        return "html"
    if lowered.endswith((".html", ".htm", ".xhtml")):
        return "html"
    if lowered.endswith(_TEXT_ENDINGS) and start and _is_prose(head):
        return "markdown" if lowered.endswith((".md", ".markdown", ".mkd")) else "text"
    return None


def _opened(head: bytes, kind: str) -> bytes:
    stream, made, room = decompressor(io.BytesIO(head), kind), b"", bytearray(1 << 16)
    try:
        while len(made) < 1 << 18 and (got := stream.readinto(memoryview(room))):
            made += room[:got]
    except Broken:
        pass
    return made


def _json_report(start: bytes) -> bool:
    """Whether the JSON that begins so is of reports; a head may end in the middle of a value."""
    text = start.decode("utf-8", "replace")
    try:
        return is_report(json.JSONDecoder().raw_decode(text)[0])
    except (ValueError, RecursionError):
        pass
    if text[0] == "[":
        try:
            return is_report(json.JSONDecoder().raw_decode(text[1:].lstrip())[0])
        except (ValueError, RecursionError):
            pass
    if re.search(r'"type"\s*:\s*"bundle"', text[:4000]):
        return bool(re.search(r'"type"\s*:\s*"report"', text))
    # The object is longer than the head: judged by the names of its fields as far as they are seen.
    names = {name.lower() for name in re.findall(r'[{,]\s*"([A-Za-z_]{1,30})"\s*:', text[:200_000])}
    return is_report(dict.fromkeys(names, "x"))


def _is_prose(head: bytes) -> bool:
    """Sentences rather than a list or a table: one line in twenty at least."""
    text = decoded(head[:65536])
    if text is None:
        return False
    lines = [line.strip() for line in text.splitlines() if line.strip()][:200]
    if not lines:
        return False
    sentences = sum(bool(_SENTENCE.search(line)) for line in lines)
    return sentences > 0 and 20 * sentences >= len(lines)


def reports(path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
    """Reports of a file, plain or compressed, as marked batches. Raises UnknownReport, and OSError."""
    path = Path(path)
    with path.open("rb") as raw:
        data = _read(raw, skipped)
        modified = int(path.stat().st_mtime) * 1_000_000_000
    kind = recognise(data[: 1 << 18], re.sub(r"\.(?:gz|zst|lz4)$", "", path.name, flags=re.IGNORECASE))
    if kind is None:
        raise UnknownReport(
            "neither a PDF, an HTML page, JSON with texts, nor prose that ends in .txt or .md"
        )
    rows: list[dict[str, Any]] = []
    for document in _documents(data, kind, skipped):
        row = _row(document, str(path), modified, skipped)
        if row is not None:
            rows.append(row)
        if len(rows) == _ROWS:
            yield marked(pa.RecordBatch.from_pylist(rows, SCHEMA), REPORT)
            rows = []
    if rows:
        yield marked(pa.RecordBatch.from_pylist(rows, SCHEMA), REPORT)


def _read(raw: Any, skipped: Skipped) -> bytes:
    kind = compression(raw.peek(4)[:4])
    stream = decompressor(raw, kind) if kind else raw
    made, room = bytearray(), bytearray(_CHUNK)
    try:
        while len(made) <= MOST_BYTES and (got := stream.readinto(memoryview(room))):
            made += room[:got]
    except Broken as error:
        skipped.add(0, str(error))
    if len(made) > MOST_BYTES:
        skipped.add(0, f"more than {MOST_BYTES:,} bytes in one file")
        del made[MOST_BYTES:]
    return bytes(made)


def _documents(data: bytes, kind: str, skipped: Skipped) -> Iterator[Document]:
    if kind == "pdf":
        from andon.observe.reports.pdf import UnreadablePdf, read_pdf

        try:
            document, trouble = read_pdf(data)
        except UnreadablePdf as error:
            raise UnknownReport(f"PDF: {error}") from error
        if trouble:
            skipped.add(0, f"PDF: {trouble}")
        yield document
        return
    text = decoded(data)
    if text is None:
        raise UnknownReport("not text in UTF-8, UTF-16, CP932 or EUC-JP")
    if kind == "json":
        yield from json_documents(text, skipped)
    elif kind == "html":
        from andon.observe.reports.html import read_html

        yield read_html(text)
    else:
        yield markdown(text) if kind == "markdown" else plain_text(text)


def _row(document: Document, source: str, modified: int, skipped: Skipped) -> dict[str, Any] | None:
    title, body = clean(document.title).strip(), clean(document.text)
    if not body.strip() and not title:
        skipped.add(0, "a report without a text")
        return None
    # The title is part of what a report says; at most texts it is their first line already.
    text = body if not title or body.lstrip().startswith(title) else f"{title}\n\n{body}"
    if len(text) > MOST_CHARACTERS:
        skipped.add(
            0, f"characters beyond the first {MOST_CHARACTERS:,} of a report", len(text) - MOST_CHARACTERS
        )
        text = text[:MOST_CHARACTERS]
    found, left_out = mentions(text)
    if left_out:
        skipped.add(0, "mentions beyond the limit of one report", left_out)
    number = clean(document.id) or hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    return {
        "id": number,
        "published": document.published if document.published is not None else modified,
        "dated": document.published is not None,
        "title": title,
        "source": clean(source.encode("utf-8", "replace").decode()),
        "language": language(text),
        "characters": len(text),
        "mentions": found,
    }
