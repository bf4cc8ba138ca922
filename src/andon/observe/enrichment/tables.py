"""Tables: CSV with named columns, of relations, passive DNS, operators or indicators, and plain lists of indicators.

A row of indicators (as vendors publish them) ties what it names: a hash with its file name and detection, a name with
its address. Columns with headings that mean nothing to us are not read.
"""

from __future__ import annotations

import csv
import io
from typing import Any, Final

from andon.observe.enrichment.exchange import _inside
from andon.observe.enrichment.lines import one
from andon.observe.enrichment.values import Refused, Rows, host_of, kind_of, moment, node, usual_relation
from andon.records.infrastructure import CONFIGURED, DOMAIN, FILE, RELATIONS

_SHA: Final = (32, 40, 64)
_HEADINGS: Final = {
    "md5": FILE,
    "sha1": FILE,
    "sha256": FILE,
    "hash": FILE,
    "sha-1": FILE,
    "sha-256": FILE,
    "domain": "url",
    "ip": "url",
    "hostname": "url",
    "url": "url",
    "host": "url",
    "c2": "c2",
    "address": "url",
    "ip address": "url",
    "filename": "filename",
    "file name": "filename",
    "detection": "detection",
    "detection name": "detection",
    "family": "malware",
    "malware": "malware",
    "registrant": "registrant",
    "email": "registrant",
    "nameserver": "name-server",
    "name server": "name-server",
    "registrar": "registrar",
    "certificate": "certificate",
    "asn": "asn",
}


def read(rows: Rows, text: str, origin: str) -> bool:
    """Add what a table says; False if neither its headings nor its cells are understood."""
    sample = text[:20_000]
    delimiter = max(",;\t|", key=sample.count)
    lines = csv.reader(io.StringIO(text.replace("\0", "")), delimiter=delimiter)
    before, heading = len(rows.columns[0]), None
    lone = 0
    try:
        for number, cells in enumerate(lines, 1):
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            where = f"line {number}"
            if heading is None:
                low = [cell.lower().lstrip("#\ufeff ").replace("_", " ").strip() for cell in cells]
                if _understood(low):
                    heading = low
                    continue
                heading = []
            if cells[0].startswith("#"):
                continue
            if heading:
                _named(rows, dict(zip(heading, cells, strict=False)), origin, where)
            else:
                lone += _loose(rows, cells, origin, where)
    except csv.Error as error:
        rows.skipped.add(f"the rest of the table: {error}")
    return bool(heading) or lone > 0 or len(rows.columns[0]) > before


def _understood(low: list[str]) -> bool:
    if {"source", "target"} <= set(low) or {"rrname", "rdata"} <= set(low):
        return True
    return any(name in _HEADINGS for name in low)


def _named(rows: Rows, item: dict[str, str], origin: str, where: str) -> None:
    if "source" in item and "target" in item:
        _relation(rows, item, origin, where)
        return
    packed: dict[str, Any] = {key.replace(" ", "_"): value for key, value in item.items() if value}
    if "rrname" in packed:
        for key in ("time_first", "time_last", "count"):
            if packed.get(key, "").isdigit():
                packed[key] = int(packed[key])
    if one(rows, packed, origin, where):
        return
    found: list[tuple[str, str]] = []
    controllers: list[tuple[str, str]] = []
    when = moment(item.get("first seen") or item.get("date") or item.get("first seen utc"))
    for key, value in item.items():
        kind = _HEADINGS.get(key, "")
        for part in value.split() if kind == "c2" else [value]:
            if kind and part and part not in ("-", "N/A", "n/a"):
                try:
                    made = host_of(part) if kind == "c2" else node(kind_of(kind) or kind, part)
                except Refused as error:
                    rows.skipped.add(f"{where}: {part[:40]!r}: {error}")
                    continue
                (controllers if kind == "c2" else found).append(made)
    _inside(rows, found, when, origin)
    hashes = [value for kind, value in found if kind == FILE]
    for controller in controllers:
        for value in hashes[:1]:
            rows.add((FILE, value), CONFIGURED, controller, origin, when, when)


def _relation(rows: Rows, item: dict[str, str], origin: str, where: str) -> None:
    ends: list[tuple[str, str]] = []
    for side in ("source", "target"):
        text, kind = item[side], kind_of(item.get(f"{side} kind", "") or item.get(f"{side} type", ""))
        head, _, tail = text.partition(":")
        if not kind and kind_of(head) and tail:
            kind, text = kind_of(head), tail
        try:
            ends.append(node(kind, text) if kind else _guess(text))
        except Refused as error:
            rows.skipped.add(f"{where}: {text[:40]!r}: {error}")
            return
    said = item.get("relation", "") or item.get("kind", "") or item.get("type", "")
    first, last = (moment(item.get(key) or item.get(f"{key} seen")) for key in ("first", "last"))
    a, b = ends
    relation = said if said in RELATIONS else ""
    if not relation:
        relation, turned = usual_relation(a[0], b[0])
        a, b = (b, a) if turned else (a, b)
    rows.add(a, relation, b, item.get("origin") or origin, first, last)


def _guess(text: str) -> tuple[str, str]:
    """What a text without a kind is: a hash, an e-mail address, a URL, an address, a name."""
    if len(text) in _SHA and all(c in "0123456789abcdefABCDEF" for c in text):
        return node(FILE, text)
    if "@" in text and "://" not in text:
        return node("registrant", text)
    return host_of(text)


def _loose(rows: Rows, cells: list[str], origin: str, where: str) -> int:
    """A row without headings: the things in it, tied to the first; the number of them."""
    found: list[tuple[str, str]] = []
    for cell in cells[:32]:
        try:
            if cell:
                found.append(_guess(cell.split()[0]))
        except (Refused, IndexError):
            continue
    if not found:
        rows.skipped.add(f"{where}: {','.join(cells)[:60]!r}: nothing in it that is known")
    _inside(rows, found, None, origin)
    if len(found) == 2 and found[0][0] == found[1][0] == DOMAIN:
        rows.add(found[0], usual_relation(DOMAIN, DOMAIN)[0], found[1], origin)
    return len(found)
