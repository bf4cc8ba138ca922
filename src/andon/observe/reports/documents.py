"""One file into documents: what stands in it, when it was published, how it is called.

JSON comes as one object, an array, an object that holds an array, JSON lines, or a STIX 2.1 bundle (its ``report``
objects, with the names, descriptions and patterns of what they refer to). Field names are those in common use, in any
case. HTML and PDF have files of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from andon.observe.jsonlines import Skipped
from andon.observe.reports import dates

MOST_CHARACTERS: Final = 2_000_000  # of one document
MOST_DOCUMENTS: Final = 100_000  # of one file
_LONGEST_LINE: Final = 8 << 20
_DEEPEST: Final = 4
TEXTS: Final = ("text", "content", "body", "full_text", "article", "description", "summary", "message", "abstract",
                "content_text", "content_html", "本文", "内容")  # fmt: skip
TITLES: Final = ("title", "name", "headline", "subject", "タイトル", "件名", "表題")
IDS: Final = ("id", "uuid", "report_id", "guid", "_id", "external_id", "番号")
DATES: Final = ("published", "date", "published_at", "publication_date", "publish_date", "date_published", "pubdate",
                "created", "created_at", "timestamp", "issued", "time", "modified", "updated", "公開日",
                "日付")  # fmt: skip
_NOT_REPORTS: Final = frozenset(
    (
        "eventid",
        "src_ip",
        "source_ip",
        "ip_str",
        "dst_port",
        "peer",
        "sensor",
        "attack_connection",
        "services",
    )
)
_MARKUP = re.compile(r"<(?:p|div|br|table|h[1-6]|ul|li|span|a)\b[^>]{0,300}>", re.IGNORECASE)


@dataclass(frozen=True)
class Document:
    """``published``: ns since 1970 UTC, None if it does not say."""

    text: str
    title: str = ""
    id: str = ""
    published: int | None = None


def decoded(data: bytes) -> str | None:
    """Text of bytes in UTF-8, UTF-16 with its mark, CP932 or EUC-JP; None if they are none of these."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A cut or a single damaged place: still UTF-8 if what comes before says so.
        if error.start > 200 and any(byte > 0x7F for byte in data[: error.start]):
            return data.decode("utf-8-sig", "replace")
    for encoding in ("cp932", "euc_jp"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if not re.search("[\x80-\x9f\ue000-\uf8ff]", text):
            return text
    return data.decode("latin-1") if data.count(b"\0") == 0 else None


def clean(text: str) -> str:
    """Without what no report needs and no column takes: lone surrogates, NUL and other control characters."""
    if not text.isprintable():
        text = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]", " ", text)
    return text


def markdown(text: str) -> Document:
    """Front matter (``title:``, ``date:``, ``id:``), the first heading, and the text with its marks taken off."""
    fields: dict[str, str] = {}
    front = re.match(r"\ufeff?---\s*\n(.{0,8000}?)\n---\s*\n", text, re.DOTALL)
    if front:
        for line in front.group(1).splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields.setdefault(name.strip().lower(), value.strip().strip("\"'"))
        text = text[front.end() :]
    heading = re.search(r"(?m)^#{1,2}\s+(.{1,300})$", text[:4000])
    body = re.sub(r"(?m)^#{1,6}\s+", "", text)
    body = re.sub(r"!?\[([^\]\n]{0,300})\]\(([^)\s]{1,500})[^)\n]{0,100}\)", r"\1 \2 ", body)
    body = re.sub(r"(\*\*|__)(?=\S)(.{1,300}?)(?<=\S)\1", r"\2", body)
    title = fields.get("title") or (heading.group(1).strip() if heading else "")
    published = next(
        (found for name in DATES if (found := dates.of_field(fields.get(name))) is not None), None
    )
    return Document(body, title, fields.get("id", ""), published or dates.of_head(text))


def plain_text(text: str) -> Document:
    first = next((line.strip() for line in text.splitlines()[:20] if line.strip()), "")
    return Document(text, first if len(first) <= 200 else "", "", dates.of_head(text))


def json_documents(text: str, skipped: Skipped) -> Iterator[Document]:
    """Documents of JSON of any of the forms above; what cannot be read is counted."""
    try:
        whole = json.loads(text) if text.lstrip()[:1] in ("{", "[") else None
    except (ValueError, RecursionError):
        whole = None
    if whole is not None:
        yield from _of_value(whole, skipped)
        return
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip().rstrip(",")
        if not stripped or stripped in ("[", "]"):
            continue
        try:
            if len(stripped) > _LONGEST_LINE:
                raise ValueError("line too long")
            value = json.loads(stripped)
        except (ValueError, RecursionError):
            skipped.add(number, "not JSON")
            continue
        made = False
        for document in _of_value(value, skipped):
            made = True
            yield document
        if not made:
            skipped.add(number, "JSON without a text")


def is_report(value: Any) -> bool:
    """Whether a JSON value looks like a report or holds some."""
    if isinstance(value, list):
        return any(is_report(item) for item in value[:3])
    if not isinstance(value, dict):
        return False
    names = {str(name).lower() for name in value}
    if value.get("type") == "bundle":
        objects = value.get("objects")
        return isinstance(objects, list) and any(
            isinstance(item, dict) and item.get("type") == "report" for item in objects
        )
    if names & _NOT_REPORTS:
        return False
    source = value.get("_source")
    if isinstance(source, dict):
        return is_report(source)
    texts = [name for name in TEXTS if name in names]
    known = names & {*TITLES, *IDS, *DATES}
    if texts and known and any(isinstance(_field(value, (name,)), str) for name in texts):
        return True
    return any(
        isinstance(item, list) and is_report(item)
        for name, item in value.items()
        if str(name).lower() in ("reports", "articles", "items", "entries", "data", "results", "documents")
    )


def _of_value(value: Any, skipped: Skipped, depth: int = 0) -> Iterator[Document]:
    if isinstance(value, list):
        for item in value[:MOST_DOCUMENTS]:
            yield from _of_value(item, skipped, depth)
        if len(value) > MOST_DOCUMENTS:
            skipped.add(0, "documents beyond the limit of one file", len(value) - MOST_DOCUMENTS)
    elif isinstance(value, dict) and depth < _DEEPEST:
        if isinstance(value.get("objects"), list):
            yield from _stix(value["objects"])
        elif isinstance(value.get("_source"), dict):
            yield from _of_value(value["_source"], skipped, depth + 1)
        elif (document := _document(value)) is not None:
            yield document
        else:
            for name, item in value.items():
                if isinstance(item, list) and str(name).lower() in (
                    "reports", "articles", "items", "entries", "data", "results", "documents",
                ):  # fmt: skip
                    yield from _of_value(item, skipped, depth + 1)


def _field(value: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The first of these fields that says something."""
    lowered = {str(name).lower(): item for name, item in value.items()}
    for name in names:
        item = lowered.get(name)
        if item not in (None, "", [], {}):
            return item
    return None


def _text(item: Any) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, int | float) and not isinstance(item, bool):
        return str(item)[:64]
    if isinstance(item, list):
        return "\n".join(part for part in item[:10_000] if isinstance(part, str))
    return ""


def _document(value: dict[str, Any]) -> Document | None:
    parts: list[str] = []
    for name in TEXTS:
        part = _text(_field(value, (name,)))
        # A summary that the text repeats adds nothing but a second count.
        if part and not any(part in kept for kept in parts):
            parts.append(_unmarked(part))
    if not parts:
        return None
    published = next(
        (at for name in DATES if (at := dates.of_field(_field(value, (name,)))) is not None), None
    )
    title = _text(_field(value, TITLES))
    text = "\n\n".join(parts)
    return Document(text, title[:1000], _text(_field(value, IDS))[:200], published or dates.of_head(text))


def _unmarked(text: str) -> str:
    if _MARKUP.search(text[:5000]):
        from andon.observe.reports.html import read_html

        return read_html(text).text
    return text


def _stix(objects: list[Any]) -> Iterator[Document]:
    """Reports of a STIX 2.1 bundle; what they refer to is told in words, so that it is found as in any text."""
    by_id = {str(item.get("id")): item for item in objects if isinstance(item, dict)}
    for item in objects[:MOST_DOCUMENTS]:
        if not isinstance(item, dict) or item.get("type") != "report":
            continue
        lines = [_text(item.get("description"))]
        for reference in (item.get("object_refs") or [])[:2_000]:
            other = by_id.get(str(reference))
            if other is None:
                continue
            kind, name = str(other.get("type")), _text(other.get("name"))
            if kind == "malware":
                names = [name, *(_text(alias) for alias in (other.get("aliases") or [])[:20])]
                lines += [f'malware "{one}"' for one in names if one]
            elif kind in (
                "indicator",
                "vulnerability",
                "infrastructure",
                "attack-pattern",
                "tool",
                "campaign",
                "note",
            ):
                lines += [name, _text(other.get("description")), *_pattern(_text(other.get("pattern")))]
            elif kind in ("ipv4-addr", "domain-name", "url"):
                lines.append(_text(other.get("value")))
            elif kind == "file" and isinstance(other.get("hashes"), dict):
                lines += [_text(digest) for digest in other["hashes"].values()]
        text = "\n".join(line for line in lines if line)
        yield Document(
            text, _text(item.get("name"))[:1000], _text(item.get("id"))[:200],
            dates.of_field(item.get("published")) or dates.of_field(item.get("created")),
        )  # fmt: skip


def _pattern(pattern: str) -> list[str]:
    """Constants of a STIX pattern: ``[url:value = 'http://...']``."""
    return [
        match.group(1).replace("\\'", "'")
        for match in re.finditer(r"=\s?'((?:[^'\\]|\\.){1,2000})'", pattern)
    ]
