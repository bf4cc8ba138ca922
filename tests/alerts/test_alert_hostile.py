"""Hostile input: any bytes give records and counted skips, never an error; every line is accounted for once."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alert_samples as made
import pytest
from alert_reading import read
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.observe.alerts import FORMATS, format_of, log_format
from andon.observe.alerts.cef import Carried
from andon.observe.alerts.documents import Documents, Laid, lines, module
from andon.observe.alerts.flatten import LONGEST, Flattener
from andon.observe.alerts.mixed import Mixed
from andon.observe.alerts.words import bare, cves, disposition, hundred, listed, severity, techniques, ten
from andon.observe.jsonlines import Skipped
from andon.observe.logs.options import Options
from andon.observe.logs.reading import TextLines
from andon.records.alert import ALERT

CEF = (
    b"<13>Mar  1 08:00:00 fw CEF:0|Acme|IPS|1|7|bad \\| thing|7|src=10.0.0.1 dst=198.51.100.2 msg=a\\=b c=d\n"
)
LEEF = b"LEEF:2.0|A|B|1|E|^|src=10.0.0.2^dst=192.0.2.9^devTime=1772352000000\n"
TABLE = b"time,name,ip,host,short,time_label,event_label\n1642118401,Wazuh: IDS event.,10.0.0.1,web,W-All-Evt,x,-\n"
SAMPLES: dict[str, bytes] = {
    "wazuh": made.lines(*map(made.wazuh, range(6))),
    "aminer": made.lines(*map(made.aminer, range(4))),
    "ocsf": made.lines(*map(made.ocsf, range(4))),
    "ecs": made.lines(*(made.kibana(n, bool(n % 2)) for n in range(4)), made.beat(1)),
    "search": json.dumps({"hits": {"hits": [*map(made.hit, range(3))]}}, indent=1).encode(),
    "chainsaw": json.dumps([*map(made.chainsaw, range(3))]).encode(),
    "hayabusa": made.lines(*map(made.hayabusa, range(4))),
    "zircolite": json.dumps(made.zircolite(4), indent=1).encode(),
    "cef": CEF * 4 + LEEF * 4,
    "table": TABLE + (TABLE.split(b"\n")[1] + b"\n") * 3,
    "eve": made.lines(*map(made.eve, range(5))),
    "notice": made.notice_text(4),
}


def taken(data: bytes, head: bytes, cut: int = 0) -> tuple[list[Any], Skipped]:
    """Rows of alerts, by the reader of the format that ``head`` is of."""
    form = log_format(head, "x", Options())
    assert form is not None
    reader, skipped = form.lines(head, Options(), None), Skipped()
    rows: list[Any] = []
    at = 0
    while at < len(data):
        stop = len(data) if not cut else data.find(b"\n", min(at + cut, len(data) - 1)) + 1 or len(data)
        for kind, batch in reader.read(data[at:stop], skipped):
            if kind == "alert":
                assert batch.schema.equals(ALERT)
                batch.validate(full=True)
                for name in ("title", "host", "rule", "raw", "path", "command"):
                    texts = batch.column(name).cast("string").to_pylist()
                    assert not any("\0" in text for text in texts)
                rows += batch.select(["rule", "host", "position", "severity"]).to_pylist()
        at = stop
    return rows, skipped


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The bytes, damaged in one of the ways in which files are."""
    room = bytearray(data)
    for _ in range(rng.randrange(1, 12)):
        at, kind = rng.randrange(len(room)), rng.randrange(8)
        if kind == 0:
            room[at] = rng.randrange(256)
        elif kind == 1:
            del room[at : at + rng.randrange(1, 40)]
        elif kind == 2:
            room[at:at] = room[max(0, at - rng.randrange(1, 60)) : at]
        elif kind == 3:
            room[at:at] = rng.choice(
                (b"\0", b"\xff\xfe", b'"', b"\\", b"{" * 70, b"\n", b"\r\n", b"|", b"=", b"9" * 30)
            )
        elif kind == 4:
            room[at:at] = b"\\u0000\\ud800"
        elif kind == 5 and b'"' in room:
            place = room.find(b'"', at)
            if place >= 0:
                room[place:place] = rng.choice((b"null,", b"[[1]],", b'{"a":1},', b"1e999,", b"-"))
        elif kind == 6:
            room[at:at] = b"x" * rng.randrange(1, 3000)
        else:
            room[at : at + 4] = rng.choice((b"9999", b"-1-1", b"2026", b"\xc3\xa9\xe3\x81"))
        if not room:
            room += b"\n"
    return bytes(room)


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files_lose_the_damaged_and_nothing_else_is_wrong(name: str) -> None:
    rng, data = random.Random(name), SAMPLES[name]
    whole, _ = taken(data, data)
    assert len(whole) >= 3
    for _ in range(60):
        damaged = mutated(data, rng)
        rows, skipped = taken(damaged, data)
        assert all(0 <= row["severity"] <= 6 and row["rule"] for row in rows)
        if name in ("wazuh", "aminer", "ocsf", "hayabusa", "cef", "eve"):  # one to a line
            said = len(rows) + skipped.lines + skipped.passed.total()
            real = sum(1 for line in damaged.split(b"\n") if line.strip(b" \t\r[],"))
            comments = sum(1 for line in damaged.split(b"\n") if line.startswith(b"#"))
            assert real - comments <= said <= real + 1


@pytest.mark.parametrize("name", SAMPLES)
def test_any_bytes_behind_a_heading_are_read_to_their_end(name: str) -> None:
    rng, data = random.Random(f"{name} soup"), SAMPLES[name]
    for size in (1, 100, 5000):
        soup = bytes(rng.randrange(256) for _ in range(size))
        taken(data + soup + b"\n" + data, data)
        format_of(soup, "x")


@pytest.mark.parametrize("name", SAMPLES)
def test_how_a_file_is_cut_makes_no_difference(name: str) -> None:
    data = SAMPLES[name]
    whole, _ = taken(data, data)
    for cut in (1, 64, 777):
        assert sorted(map(str, taken(data, data, cut)[0])) == sorted(map(str, whole))


@pytest.mark.parametrize(
    "name", [name for name in SAMPLES if name not in ("eve", "notice", "table", "zircolite")]
)
def test_a_reader_goes_on_from_its_state(name: str) -> None:
    data = SAMPLES[name]
    form = format_of(data, "x")
    assert form is not None
    whole, _ = taken(data, data)
    rows: list[Any] = []
    reader = form.lines(data, Options(), None)
    for line in data.splitlines(keepends=True):
        state = json.loads(json.dumps(reader.state()))
        reader = form.lines(data, Options(), state)
        for _, batch in reader.read(line, Skipped()):
            rows += batch.select(["rule", "host", "position", "severity"]).to_pylist()
    assert rows == whole


@settings(max_examples=60)
@given(st.binary(max_size=3000))
def test_mixed_messages_take_anything(data: bytes) -> None:
    skipped = Skipped()
    reader = Mixed(Options(), lambda: made.ns(0))
    messages = [data, *data.split(b"\n"), SAMPLES["wazuh"].split(b"\n")[0], data[:50] + CEF.strip()]
    for _, batch in reader.messages(messages, skipped):
        batch.validate(full=True)


@settings(max_examples=100)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4), max_leaves=12,
))  # fmt: skip
def test_values_of_any_type_where_texts_are_expected(value: Any) -> None:
    document = made.wazuh(0) | {
        "rule": {"id": value, "level": value, "description": "x", "groups": value, "mitre": {"id": value}},
        "agent": {"name": value, "ip": value, "id": value}, "data": value, "full_log": value,
    }  # fmt: skip
    reader = Documents(Laid("wazuh", "", -1), Options())
    rows = [row for _, batch in reader.read(made.lines(document), Skipped()) for row in batch.to_pylist()]
    assert len(rows) <= 1


@settings(max_examples=200)
@given(st.text(max_size=400))
def test_words_of_any_text(text: str) -> None:
    assert (
        len(bare(text)) <= 300
        and 0 <= severity(text) <= 6
        and 0 <= ten(text) <= 6
        and 0 <= hundred(text) <= 6
    )
    assert disposition(text) in (0, 1, 2)
    techniques(text), cves(text), listed(text), module("sigma").clock(text)


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), min_size=1), max_size=8),
       st.integers(0, 3), st.integers(1, 50), st.booleans())  # fmt: skip
def test_flattened_documents_are_the_documents(some: list[Any], level: int, cut: int, spread: bool) -> None:
    laid: Any = {0: None, 1: some, 2: {"a": some}, 3: {"hits": {"total": 1, "hits": some}}}[level]
    indent = 2 if spread else None
    text = (
        json.dumps(laid, indent=indent)
        if level
        else "\n".join(json.dumps(one, indent=indent) for one in some)
    )
    flat, found = Flattener(level), b""
    data = text.encode()
    for at in range(0, len(data), cut):
        flat = Flattener(level, state=json.loads(json.dumps(flat.state())))
        found += flat.feed(data[at : at + cut], Skipped())
    assert [json.loads(line) for line in found.splitlines()] == some


def test_one_endless_document_takes_no_memory() -> None:
    flat, skipped = Flattener(0), Skipped()
    tracemalloc.start()
    flat.feed(b'{"a": "', skipped)
    for _ in range(64):
        flat.feed(b"x" * (1 << 18), skipped)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert flat.feed(b'"}\n{"b": 1}', skipped) == b'{"b": 1}\n'
    assert skipped.reasons == {"document longer than 1 MiB": 1} and most < 4 * LONGEST + (4 << 20)


@pytest.mark.parametrize(
    "made_line",
    [
        lambda size: made.lines(made.wazuh(0) | {"x": "y" * size}),
        lambda size: CEF.strip() + b" cs1=" + b"y" * size + b"\n",
    ],
)  # fmt: skip
def test_a_huge_line_is_counted_and_the_next_is_read(
    made_line: Callable[[int], bytes], tmp_path: Path
) -> None:
    skipped = Skipped()
    good = made_line(10)
    rows = read(tmp_path, good + made_line(2 << 20) + good, skipped=skipped)
    assert len(rows) in (2, 3) and len(rows) + skipped.lines == 3
    assert all(len(row["raw"].encode()) <= 4096 for row in rows)


def test_nesting_is_bounded() -> None:
    deep = b'{"timestamp":"2026-03-01T08:00:00Z","rule":{"id":"1","level":3},"agent":{},"x":' + b"[" * 5000
    rows, skipped = taken(SAMPLES["wazuh"] + deep + b"\n" + SAMPLES["wazuh"], SAMPLES["wazuh"])
    assert len(rows) == 12 and skipped.lines == 1
    pretty = json.dumps([made.wazuh(0)] * 3, indent=1).encode()
    rows, skipped = taken(pretty[:-2] + b',{"x":' + b"[\n" * 99 + b"]" * 99 + b"}]", pretty)
    assert len(rows) == 3 and skipped.lines >= 1


@pytest.mark.parametrize(
    "wild", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "x", "", "2026-13-45T99:00:00Z"]
)
def test_wild_times_are_counted(wild: str) -> None:
    data = SAMPLES["wazuh"] + made.lines(made.wazuh(1) | {"timestamp": wild})
    rows, skipped = taken(data, SAMPLES["wazuh"])
    assert len(rows) == 6 and dict(skipped.reasons) == {"no valid time": 1}


@pytest.mark.parametrize(
    "document",
    [
        {"class_uid": 5001, "time": 1, "device": {"hostname": "a", "ip": "10.0.0.1"}},
        {"type": "bundle", "id": "bundle--1", "objects": [{"type": "indicator", "name": "x", "id": "i"}]},
        {
            "@timestamp": "2026-03-01T08:00:00Z",
            "event": {"kind": "event", "action": "login"},
            "host": {"name": "a"},
        },
        {"ts": 1.0, "uid": "C", "id.orig_h": "10.0.0.1", "query": "a.example"},
        {"eventid": "cowrie.login.failed", "timestamp": "2026-03-01T08:00:00Z", "src_ip": "192.0.2.1"},
        {"name": "rule", "id": 1, "level": "high"},
        {"rule": "x", "level": 3},
    ],
)
def test_other_documents_are_no_alerts(document: dict[str, Any]) -> None:
    for data in (made.lines(document) * 3, json.dumps([document] * 3, indent=1).encode()):
        assert format_of(data, "x.json") is None


def test_events_beside_alerts_are_counted_and_left() -> None:
    event = {"@timestamp": "2026-03-01T08:00:00Z", "event": {"kind": "event", "action": "login"}}
    rows, skipped = taken(SAMPLES["ecs"] + made.lines(event) * 2, SAMPLES["ecs"])
    assert len(rows) == 5 and dict(skipped.passed) == {"documents that are no alerts": 2}


def test_a_mark_of_utf8_is_no_damage() -> None:
    for name in ("wazuh", "search", "cef", "table"):
        rows, skipped = taken(b"\xef\xbb\xbf" + SAMPLES[name], b"\xef\xbb\xbf" + SAMPLES[name])
        assert len(rows) == len(taken(SAMPLES[name], SAMPLES[name])[0]) and not skipped.lines, name


def test_every_format_of_lines_is_a_reader() -> None:
    assert FORMATS == ("table", "documents", "cef")
    assert issubclass(Carried, TextLines)
    with pytest.raises(ValueError, match="not alerts of a known format"):
        lines(b"{}\n", Options(), None)


def test_a_key_hides_who_it_was(tmp_path: Path) -> None:
    key = bytes(range(64))
    rows = read(tmp_path, SAMPLES["wazuh"] + made.lines(made.wazuh(0)), options=Options(key=key))
    told = json.dumps(
        [{name: row[name] for name in ("host", "address", "user", "src", "raw", "title")} for row in rows]
    )
    assert "srv" not in told and "admin" not in told and "10.0." not in told and rows[0]["raw"] == ""
    assert rows[0]["src"] == made.outside(0) and rows[0]["host"] == rows[-1]["host"] != rows[1]["host"]
