"""JSON lines read as columns say what ``json`` says, whatever the bytes."""

from __future__ import annotations

import io
import json
import math
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.observe.jsonlines import NO_TIME, Paths, Skipped, Words, blocks
from andon.observe.jsonlines import block as block_module

NAMES = ["a", "b", "in.x", "in.deep.y", "odd\\.name"]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**17), 10**17), st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=30), st.text(string.printable, max_size=40), st.lists(st.text(max_size=5), max_size=3),
)  # fmt: skip
INNER = st.dictionaries(st.sampled_from(["x", "z", "deep"]), LEAVES, max_size=3)
DOCUMENTS = st.dictionaries(
    st.one_of(st.sampled_from(["a", "b", "c", "odd.name"]), st.text(max_size=6)), LEAVES, max_size=6
)


def read(data: bytes, names: list[str] = NAMES) -> tuple[list[dict[str, str | None]], list[int], Skipped]:
    skipped = Skipped()
    rows: list[dict[str, str | None]] = []
    lines: list[int] = []
    for block in blocks(io.BytesIO(data), Paths(names), skipped):
        columns = {name: block.text(name).to_pylist() for name in names}
        rows += [{name: columns[name][i] for name in names} for i in range(len(block))]
        lines += block.line.tolist()
    return rows, lines, skipped


def at(document: Any, name: str) -> Any:
    for step in name.replace("\\.", "\0").split("."):
        if not isinstance(document, dict):
            return None
        document = document.get(step.replace("\0", "."))
    return document


def same(text: str | None, value: Any) -> bool:
    if value is None:
        return text is None
    if isinstance(value, str):
        return text == value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text is not None and json.loads(text) == value


@given(st.lists(st.tuples(DOCUMENTS, INNER, INNER, st.booleans(), st.sampled_from([None, 1])), max_size=8))
@settings(max_examples=150, deadline=None)
def test_columns_say_what_json_says(documents: list[Any]) -> None:
    made = []
    for document, inner, deep, ascii_only, indent in documents:
        document["in"] = inner | {"deep": deep}
        text = json.dumps(
            document, ensure_ascii=ascii_only, separators=(", ", ": ") if indent else (",", ":")
        )
        made.append((text.encode("utf-8", "surrogatepass"), json.loads(text)))
    rows, lines, skipped = read(b"\n".join(line for line, _ in made))
    assert not skipped.lines and lines == list(range(1, len(made) + 1))
    for row, (_, document) in zip(rows, made, strict=True):
        for name in NAMES:
            assert same(row[name], at(document, name)), (name, row[name], at(document, name))


@given(st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_skipped_and_every_line_is_accounted_for(data: bytes) -> None:
    rows, lines, skipped = read(data)
    blank = sum(not line.strip(b" \t\r[],") for line in data.split(b"\n"))
    assert len(rows) + skipped.lines <= data.count(b"\n") + 1
    assert len(rows) + skipped.lines + blank >= data.count(b"\n") + 1
    assert lines == sorted(set(lines))


@given(st.integers(0, 200), st.binary(min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_a_damaged_line_never_spoils_its_neighbours(place: int, dirt: bytes) -> None:
    good = b'{"a": "one", "in": {"x": [1, {"q": "}"}], "deep": {"y": "\\u00e9"}}, "b": 12.5}'
    place %= len(good)
    bad = good[:place] + dirt.replace(b"\n", b"") + good[place + len(dirt) :]
    rows, lines, skipped = read(b"\n".join([good, bad, good]))
    assert rows[0] == rows[-1] and rows[0]["in.deep.y"] == "é" and lines[0] == 1 and lines[-1] == 3
    assert len(rows) + skipped.lines == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": "x', "line cut short"),
        (b'{"a": 1', "line cut short"),
        (b'{"a": [1, {"b": 2}', "line cut short"),
        (b'{"a" 1}', "not valid JSON"),
        (b'{"a": 1 "b": 2}', "not valid JSON"),
        (b'{"a": 1} trailing', "not valid JSON"),
        (b'{"a": [1}', "not valid JSON"),
        (b'{"a": }', "not valid JSON"),
        (b"{'a': 1}", "not valid JSON"),
        (b"plain text", "not a JSON object"),
        (b'"a"', "not a JSON object"),
        (b'{"c": ' + b"[" * 600 + b"]" * 600 + b"}", "nested too deep"),
    ],
)
def test_reasons_say_what_was_wrong(line: bytes, reason: str) -> None:
    rows, _, skipped = read(b'{"a": "before"}\n' + line + b'\n{"a": "after"}\n')
    assert [row["a"] for row in rows] == ["before", "after"]
    assert dict(skipped.reasons) == {reason: 1} and skipped.examples == [(2, reason)]


def test_an_array_written_line_by_line_is_read() -> None:
    rows, _, skipped = read(b'[\n{"a": "1"},\n {"a": "2"} ,\r\n,{"a": "3"}\n]\n')
    assert [row["a"] for row in rows] == ["1", "2", "3"] and not skipped.lines


def test_the_last_of_members_of_one_name_stands_as_in_json() -> None:
    rows, _, _ = read(b'{"a": "first", "a": "second"}')
    assert rows[0]["a"] == "second"


@pytest.mark.parametrize("size", [64, 100, 4096])
def test_lines_across_blocks_and_longer_than_a_block(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(block_module, "BLOCK", size)
    monkeypatch.setattr(block_module, "LONGEST", 1 << 14)
    texts = ["x" * n for n in (1, 50, 300, 5, 9000, 2)]
    huge = b'{"a": "' + b"y" * 40_000 + b'"}'
    lines = [json.dumps({"a": text}).encode() for text in texts]
    rows, numbers, skipped = read(b"\n".join([*lines[:3], huge, *lines[3:], huge]))
    assert [row["a"] for row in rows] == texts
    assert numbers == [1, 2, 3, 5, 6, 7] and dict(skipped.reasons) == {"line longer than 32 MiB": 2}


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)), st.sampled_from(["T", " "]),
    st.sampled_from(["", "Z", "+00:00", "+09:00", "-0330"]), st.integers(0, 9), st.sampled_from(["-", "/"]),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_times_are_exact(moment: datetime, between: str, zone: str, digits: int, dash: str) -> None:
    fraction = f"{moment.microsecond:06d}000"[:digits]
    text = moment.strftime(f"%Y{dash}%m{dash}%d{between}%H:%M:%S") + (f".{fraction}" if digits else "") + zone
    offset = {"+09:00": 540, "-0330": -210}.get(zone, 0)
    whole = moment.replace(microsecond=0, tzinfo=UTC) - timedelta(minutes=offset)
    wanted = int((whole - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9
    wanted += int(fraction.ljust(9, "0")) if digits else 0
    [block] = blocks(io.BytesIO(json.dumps({"a": text}).encode()), Paths(["a"]), Skipped())
    assert block.times("a").tolist() == [wanted]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (1736443356.25, 1736443356_250_000_000),
        (1736443356250, 1736443356_250_000_000),
        ("1736443356.000000001", 1736443356_000_000_001),
        ("2025-02-30T00:00:00Z", NO_TIME),
        ("2025-01-01T24:00:00Z", NO_TIME),
        ("2025-01-01T00:00:00+9", NO_TIME),
        ("yesterday", NO_TIME),
        (-5, NO_TIME),
        ("", NO_TIME),
        (10**25, NO_TIME),
    ],
)
def test_numbers_as_times_and_what_is_no_time(value: Any, wanted: int) -> None:
    [block] = blocks(io.BytesIO(json.dumps({"a": value}).encode()), Paths(["a"]), Skipped())
    assert block.times("a").tolist() == [wanted]


def test_addresses_numbers_words_and_flags() -> None:
    rows = [
        ("192.0.2.1", 0xC0000201), ("::ffff:192.0.2.1", 0xC0000201), ("::FFFF:1.2.3.4", 0x01020304),
        ("2001:db8::1", -1),
        ("1.2.3", -1), ("1.2.3.4.5", -1), ("256.1.1.1", -1), ("1.2.3.4 ", -1), (7, -1), ("01.2.3.4", 0x01020304),
        ("", -1),
    ]  # fmt: skip
    data = b"\n".join(json.dumps({"a": text}).encode() for text, _ in rows) + b"\n"
    [block] = blocks(io.BytesIO(data), Paths(["a"]), Skipped())
    assert block.addresses("a").tolist() == [wanted for _, wanted in rows]
    data = b"\n".join(b'{"a": %s}' % value for value in (b"23", b'"2323"', b"2.5", b'"x"', b"-4"))
    data += b'\n{}\n{"a": "tru\\u0065"}\n{"a": true}\n{"a": "True"}\n'
    [block] = blocks(io.BytesIO(data), Paths(["a"]), Skipped())
    assert block.integers("a").tolist() == [23, 2323, -1, -1, -4, -1, -1, -1, -1]
    numbers = block.numbers("a").tolist()
    assert numbers[:3] == [23.0, 2323.0, 2.5] and all(math.isnan(n) for n in (numbers[3], numbers[5]))
    assert block.true("a").tolist() == [False] * 7 + [True, True]
    assert block.codes("a", Words(["x", "2323"])).tolist() == [-1, 1, -1, 0, -1, -1, -1, -1, -1]
    assert block.json("a", np.array([0, 5, 6])) == [23, None, "true"]
    assert block.source(1) == b'{"a": "2323"}'
