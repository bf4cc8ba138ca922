"""Asset lists as delimited text (CSV): whatever delimiter, encoding and headings their owner uses."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from andon.observe.assets.devices import device_class
from andon.observe.assets.headings import FIELDS, fields, is_list, normal
from andon.observe.assets.places import BadAddress, Place, places
from andon.observe.assets.rows import Entry, Rows
from andon.observe.assets.scans import NO_TIME, NO_ZONE
from andon.observe.assets.source import Source, encoding_of
from andon.observe.assets.times import BadTime, when
from andon.observe.jsonlines import Skipped
from andon.records.asset import LEASE, LIST, SCAN

DELIMITERS: Final = (",", ";", "\t", "|")
_TOP: Final = 30  # lines in which the headings must come: some lists begin with a title
_CELLS: Final = 4096
_LONGEST_CELL: Final = 128 << 10  # characters: the csv module's own limit, which is one of the process
_TEXTS: Final = ("asset", "hostname", "mac", "vendor", "product", "version", "os", "cpe", "owner", "contact")


class BadList(ValueError):
    """A list that cannot be used; the text says why and what to do."""


class Layout(NamedTuple):
    """Where the headings are (line from 0), how cells are parted, what they are called and mean."""

    line: int
    delimiter: str
    headings: tuple[str, ...]
    columns: dict[str, list[int]]


def layout(lines: list[str], mapping: Mapping[str, str]) -> Layout | None:
    """The layout under which most columns are known; None if no line has headings that make an asset list."""
    best: Layout | None = None
    for number, line in enumerate(lines[:_TOP]):
        text = line.strip().lstrip("﻿")
        if not text or text.lower().startswith("sep=") or "\0" in text:
            continue
        for delimiter in DELIMITERS:
            headings = tuple(_cells(text, delimiter))
            if len(headings) > _CELLS or (len(headings) < 2 and not mapping):
                continue
            found = fields(headings, mapping)
            good = {"address", "address_first"} & found.keys() if mapping else is_list(found, headings)
            if good and (best is None or len(found) > len(best.columns)):
                best = Layout(number, delimiter, headings, found)
        if best is not None and best.line < number - 3:
            break
    return best


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=delimiter), [])]
    except csv.Error:
        return []


def recognise(head: bytes) -> bool:
    """Whether a file that begins so is an asset list."""
    for encoding in (encoding_of(head),) if encoding_of(head) else ("utf-8", "cp932"):
        lines = head.decode(encoding, "replace").splitlines()
        if layout(lines[:_TOP], {}) is not None:
            return True
    return False


def read(source: Source, rows: Rows, skipped: Skipped, mapping: Mapping[str, str]) -> None:
    """Every line with an address. Raises BadList if there are no such headings, or the mapping names no field."""
    strangers = sorted(set(mapping.values()) - FIELDS.keys() - {"-"})
    if strangers:
        raise BadList(f"{strangers[0]!r} is no field of an asset; there are: {', '.join(FIELDS)}")
    encoding = source.encoding()
    top = [line for line, _ in zip(source.lines(encoding, Skipped()), range(_TOP), strict=False)]
    found = layout([text for _, text in top], mapping)
    if found is None:
        shown = " | ".join(text.strip()[:200] for _, text in top[:1])
        raise BadList(
            f"{source.path}: no headings of an asset list among the first {_TOP} lines; it begins with {shown!r}. "
            "Say which column holds what: --map 'COLUMN=address' (a heading, or the number of the column)"
        )
    rows.note(f"read as {encoding}, columns parted by {found.delimiter!r}")
    known = {number for columns in found.columns.values() for number in columns}
    for number, heading in enumerate(found.headings):
        if number not in known and heading:
            rows.note(f"column not used: {heading[:60]}")
    there = {normal(heading) for heading in found.headings} | set(map(str, range(1, len(found.headings) + 1)))
    for key in mapping:
        if normal(key) not in there:
            rows.note(f"--map {key[:60]}: there is no such column")
    # A mapping by number means that there are no headings, unless the first line names some.
    headless = all(key.isdigit() for key in mapping) and bool(mapping) and _has_address(found)
    for line, cells in _lines(source, encoding, found, skipped, headless):
        if not any(cells):
            continue
        try:
            entry = _entry(cells, found.columns, line, rows)
        except BadAddress as error:
            skipped.add(line, f"no address: {error}"[:120])
        except BadTime as error:
            skipped.add(line, f"no time: {error}"[:120])
        else:
            rows.add(entry)


def _has_address(found: Layout) -> bool:
    try:
        return bool(places(found.headings[found.columns["address"][0]]))
    except (BadAddress, KeyError):
        return False


def _lines(
    source: Source, encoding: str, found: Layout, skipped: Skipped, headless: bool
) -> Iterator[tuple[int, list[str]]]:
    begin = found.line + (0 if headless else 1)
    numbers: list[int] = [0]

    def texts() -> Iterator[str]:
        for number, line in source.lines(encoding):
            numbers[0] = number
            if number <= begin:
                continue
            if "\0" in line:
                skipped.add(number, "zero byte in the line")
                continue
            yield line

    width = len(found.headings)
    reader = csv.reader(texts(), delimiter=found.delimiter)
    while True:
        before = reader.line_num
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            # An unclosed quotation mark swallows lines until the cell is too long.
            skipped.add(numbers[0], "cell longer than 128 KiB", max(reader.line_num - before, 1))
            continue
        if reader.line_num - before > 1 and len(cells) < width and any("\n" in cell for cell in cells):
            skipped.add(numbers[0], "quotation mark without its partner", reader.line_num - before)
            continue
        if cells and not cells[0].startswith("#"):
            yield numbers[0], cells


def _entry(cells: list[str], columns: Mapping[str, list[int]], line: int, rows: Rows) -> Entry:
    def cell(name: str) -> str:
        at = columns.get(name)
        return cells[at[0]] if at and at[0] < len(cells) else ""

    entry = Entry(_places(cells, columns), f"line {line}")
    for name in _TEXTS:
        if name in columns:
            setattr(entry, name, cell(name))
    entry.device = device_class(cell("device")) if "device" in columns else ""
    leased = "lease_start" in columns or "lease_end" in columns
    lease = _time(cell("lease_start"), rows, leased), _time(cell("lease_end"), rows, leased)
    if lease != (None, None):
        entry.valid_from, entry.valid_to, entry.basis = *lease, LEASE
    else:
        entry.valid_from, entry.valid_to = (
            _time(cell("valid_from"), rows, False),
            _time(cell("valid_to"), rows, False),
        )
        seen = _time(cell("seen"), rows, False)
        entry.basis = LIST
        if seen is not None and (entry.valid_from, entry.valid_to) == (None, None):
            entry.valid_from, entry.valid_to, entry.basis = seen, seen, SCAN
    port = cell("port")
    if port.isdigit() or cell("banner"):
        entry.add_service(
            int(port) if port.isdigit() and len(port) < 6 else 0, cell("transport") or "tcp",
            cell("protocol"), cell("banner"),
        )  # fmt: skip
    return entry


def _places(cells: list[str], columns: Mapping[str, list[int]]) -> tuple[Place, ...]:
    texts = [cells[n] for n in columns.get("address", ()) if n < len(cells) and cells[n].strip()]
    first, last = columns.get("address_first"), columns.get("address_last")
    if first and first[0] < len(cells) and cells[first[0]].strip():
        begin = cells[first[0]].strip()
        end = cells[last[0]].strip() if last and last[0] < len(cells) else ""
        texts.append(f"{begin}-{end}" if end and end != begin else begin)
    if not texts:
        raise BadAddress("none given")
    found = places(texts[0]) if len(texts) == 1 else tuple(p for text in texts for p in places(text))
    return found if len(found) == 1 else tuple(dict.fromkeys(found))


def _time(text: str, rows: Rows, needed: bool) -> int | None:
    """A time. Of a lease it must be one; a wrong date of purchase costs nothing but itself."""
    if not text or text.isspace():
        return None
    try:
        found = when(text)
    except BadTime:
        if needed:
            raise
        rows.note(NO_TIME)
        return None
    if not found.zoned:
        rows.note(NO_ZONE)
    return found.ns
