"""Logs that are counted apart, as workers do, give the evidence of a second read in one process."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from andon.observe.logs import Options
from andon.records.finding import Check, Evidence, Finding
from andon.run import log_checks
from andon.run.feed import FileReport
from andon.run.inputs import Inputs
from andon.run.log_checks import Asked, LogFigures, Questions, count_log, is_about, merge, prepared, written
from andon.sketch.state import pack, unpack

T0 = 1_767_605_400
NS = 10**9
HEADING = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\thttp\n"
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tmethod\thost\turi\tstatus_code\n"
    "#types\ttime\tstring\taddr\tport\taddr\tport\tstring\tstring\tstring\tcount\n"
)


def squid(client: str, url: str, second: float = 0.0, user: str = "-") -> str:
    return (
        f"{T0 + second + 0.125:.3f}    125 {client} TCP_MISS/200 1024 GET {url} {user} "
        "HIER_DIRECT/198.51.100.1 text/html\n"
    )


def zeek(client: str, host: str, second: float = 0.0) -> str:
    return f"{T0 + second:.6f}\tC1\t{client}\t4000\t198.51.100.1\t80\tGET\t{host}\t/x\t200\n"


def eve(client: str, host: str) -> str:
    http = {"hostname": host, "url": "/x", "http_method": "GET", "status": 200}
    said = {"timestamp": "2026-01-05T09:30:00.000000+0000", "flow_id": 1, "event_type": "http", "src_ip": client,
            "src_port": 4000, "dest_ip": "198.51.100.1", "dest_port": 80, "proto": "TCP", "http": http}  # fmt: skip
    return json.dumps(said) + "\n"


def finding(*evidence: Evidence) -> Finding:
    return Finding(
        engine="livenet.test", engine_version=1, kind="suspected-terminal", title="t", statement="s", confidence=0.5,
        calibration="none", window=(T0 * NS, (T0 + 86_400) * NS), subject=("ipv4-addr", "192.0.2.1"), first_seen=0,
        last_seen=0, count=1, evidence=evidence,
    )  # fmt: skip


def about(**asked: Any) -> Evidence:
    return Evidence("It asked.", Check("", 0.0, "log", json.dumps(asked)))


PAIR = "SELECT count(*) FROM livenet_edges_edges WHERE terminal = '192.0.2.1' AND destination = 'a.example'"
FINDINGS = [
    finding(
        about(terminal="192.0.2.1", destination="a.example"),
        about(terminal="192.0.2.1", destination="*.example"),
        about(terminal="joe", destination="b.example", **{"from": T0, "to": T0 + 60}),
        about(terminal="192.0.2.9", destination="nowhere.example"),
    ),
    finding(about(terminal="192.0.2.1", destination="a.example", host_path="/x"), about(other=1)),
    finding(Evidence("x", Check("", 0.0, "sql", PAIR)), Evidence("y")),
]


@pytest.fixture
def logs(tmp_path: Path) -> list[Path]:
    lines = {
        "a.log": squid("192.0.2.1", "http://a.example/x") * 3
        + squid("192.0.2.7", "http://b.example/", 5, "joe") * 2,
        "b.log.gz": squid("192.0.2.1", "http://c.example/x") + squid("192.0.2.1", "http://a.example/y") * 4,
        "c.log": HEADING + zeek("192.0.2.1", "a.example") * 5 + zeek("192.0.2.2", "a.example"),
        "d.json": eve("192.0.2.1", "a.example") * 6,
        "e.log": squid("192.0.2.3", "http://a.example/x") * 7,
        "f.log": squid("192.0.2.1", "http://a.example/x", 86_401) * 8,
    }
    paths = []
    for name, text in lines.items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return paths


def by_a_worker(asked: str, path: Path, options: Options | None = None) -> bytes:
    """Texts and bytes in and out, as between machines."""
    return count_log(Questions.from_json(asked), str(path), options or Options()).to_bytes()


def test_logs_counted_apart_give_the_evidence_of_one_read(logs: list[Path]) -> None:
    names = [str(path) for path in logs]
    ready, asked = prepared(FINDINGS, True)
    parts = [LogFigures.from_bytes(by_a_worker(asked.to_json(), path)) for path in logs]
    records: list[int] = []
    expected = log_checks.count(FINDINGS, Inputs.of(logs).records, records.append)
    assert sum(records) == 37
    for order in (parts, parts[::-1], [merge(*parts[3:]), merge(*parts[:3])]):
        assert written(ready, asked, merge(*order), names) == expected
        assert merge(*order).to_bytes() == merge(*parts).to_bytes()
    first, *rest = [item.check for item in expected[0].evidence if item.check is not None]
    assert first.expected == 11 and first.input == (names[0], names[5])
    assert [(one.tool, one.expected) for one in rest[:3]] == [("awk", 4), ("awk", 5), ("jq", 6)]
    assert expected[2].evidence[2].check.expected == 3  # type: ignore[union-attr]  # f.log is of another day
    # The order in which files were given is that of the evidence.
    turned = log_checks.count(FINDINGS, Inputs.of(logs[::-1]).records)
    assert turned != expected and written(ready, asked, merge(*parts), names[::-1]) == turned


def test_a_log_that_has_nothing_of_it_leaves_no_figures(logs: list[Path]) -> None:
    ready, asked = prepared(FINDINGS[1:2], True)
    assert count_log(asked, str(logs[4]), Options()).files == {}
    assert count_log(asked, str(logs[4].parent / "none.log"), Options()).files == {}
    assert count_log(asked, str(logs[0]), Options(key=b"0" * 64)).files == {}
    (empty,) = written(ready, asked, LogFigures(asked.digest), [])
    assert [item.check.tool for item in empty.evidence if item.check is not None] == ["sql"]


def test_a_packed_log_that_breaks_off_has_no_command_wherever_it_was_counted(logs: list[Path]) -> None:
    data = gzip.compress(squid("192.0.2.1", "http://a.example/x").encode() * 5000, 1)
    logs[1].write_bytes(data[: len(data) // 2])
    asking = [finding(about(terminal="192.0.2.1", destination="a.example"))]
    ready, asked = prepared(asking, True)
    part = LogFigures.from_bytes(by_a_worker(asked.to_json(), logs[1]))
    assert part.files[str(logs[1])].broken and part.files[str(logs[1])].answers[0].rows > 10
    made = written(ready, asked, part, [str(logs[1])])
    assert made == log_checks.count(asking, Inputs.of([logs[1]]).records)
    assert made[0].evidence[0].check is not None and made[0].evidence[0].check.tool == "sql"


def test_a_log_that_is_given_twice_is_named_twice(logs: list[Path]) -> None:
    asking = [finding(about(terminal="192.0.2.1", destination="a.example"))]
    (made,) = log_checks.count(asking, Inputs.of([logs[0]] * 2).records)
    check = made.evidence[0].check
    assert check is not None and check.expected == 6 and check.input == (str(logs[0]),) * 2


def test_logs_of_other_times_are_not_read_again(logs: list[Path]) -> None:
    asking = [
        finding(about(terminal="192.0.2.1", destination="a.example", **{"from": T0 - 9, "to": T0 + 60}))
    ]
    expected = log_checks.count(asking, Inputs.of(logs).records)
    inputs = Inputs.of(logs)
    for _, report in inputs.records:
        report.first, report.last = T0 * NS, (T0 + 5) * NS
    inputs.records[-1][1].first = inputs.records[-1][1].last = (T0 + 86_401) * NS
    logs[5].unlink()
    assert log_checks.count(asking, inputs.records) == expected
    _, asked = prepared(asking, True)
    assert [asked.meeting(at * NS, at * NS) for at in (T0 - 10, T0 - 9, T0 + 59, T0 + 60)] == [
        [],
        [0],
        [0],
        [],
    ]
    sensor, late = inputs.records[-1]
    assert not is_about(asked, sensor, late)
    assert is_about(asked, sensor, replace(late, astray=1))  # a record with a wild time may be asked for
    assert is_about(asked, sensor, replace(late, first=None))
    assert is_about(asked, sensor, replace(late, first=(T0 - 99) * NS))
    assert not is_about(asked, sensor, replace(late, astray=1, error="gone"))
    assert not is_about(Questions(), sensor, FileReport("x"))


def test_figures_of_other_questions_or_files_are_refused(logs: list[Path]) -> None:
    ready, asked = prepared(FINDINGS, True)
    _, other = prepared(FINDINGS[1:], True)
    part = count_log(asked, str(logs[0]), Options())
    with pytest.raises(ValueError, match="other questions"):
        merge(part, LogFigures(other.digest))
    with pytest.raises(ValueError, match="not of this job"):
        written(ready, asked, part, [])
    with pytest.raises(ValueError, match="other findings"):
        written(ready, other, part, [str(logs[0])])
    with pytest.raises(ValueError, match="no figures"):
        merge()
    assert merge(part, part).to_bytes() == part.to_bytes()
    logs[0].write_text(squid("192.0.2.1", "http://a.example/x") * 2)
    with pytest.raises(ValueError, match="twice with different results"):
        merge(part, count_log(asked, str(logs[0]), Options()))


def test_damaged_figures_of_logs_are_refused(logs: list[Path]) -> None:
    _, asked = prepared(FINDINGS, True)
    data = by_a_worker(asked.to_json(), logs[0])
    for at in np.random.default_rng(1).choice(len(data), 60, replace=False).tolist():
        with pytest.raises(ValueError):
            LogFigures.from_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
    for end in (0, 20, len(data) - 1):
        with pytest.raises(ValueError):
            LogFigures.from_bytes(data[:end])

    text = json.loads(unpack("log-figures", 1, data)[0]["text"].tobytes())
    ((path, file),) = text["files"].items()

    def written_as(said: Any) -> bytes:
        plain = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
        return pack("log-figures", 1, {"text": np.frombuffer(plain, np.uint8)})

    assert written_as(text) == data
    changes: list[Callable[[list[Any]], Any]] = [
        lambda f: ["rm -rf /", *f[1:]],
        lambda f: [f[0], "os", *f[2:]],
        lambda f: [f[0], "shows", *f[2:]],
        lambda f: [*f[:2], "no JSON", *f[3:]],
        lambda f: [*f[:2], "[]", *f[3:]],
        lambda f: [*f[:3], 1, f[4]],
        lambda f: [*f[:4], [[0, -1, [0, 0, 0], []]]],
        lambda f: [*f[:4], [[0, 1, [0, 0], []]]],
        lambda f: [*f[:4], [[0, 1, [0, 0, 0], [7]]]],
        lambda f: [*f[:4], [[1, 1, [0, 0, 0], []], [0, 1, [0, 0, 0], []]]],
        lambda f: f[:4],
        lambda f: {},
    ]
    for change in changes:
        with pytest.raises(ValueError):
            LogFigures.from_bytes(written_as({**text, "files": {path: change(file)}}))
    others: list[Any] = [[], {}, None, {**text, "questions": 1}, {**text, "files": []}, {**text, "more": 1}]
    for said in others:
        with pytest.raises(ValueError):
            LogFigures.from_bytes(written_as(said))


def test_what_is_asked_does_not_depend_on_the_order_of_findings() -> None:
    _, asked = prepared(FINDINGS, True)
    _, again = prepared([replace(one, evidence=one.evidence[::-1]) for one in FINDINGS[::-1]], True)
    assert again == asked and again.digest == asked.digest and Questions.from_json(asked.to_json()) == asked
    assert len(asked.asked) == 6  # with that for which there was SQL only
    assert len(prepared(FINDINGS, False)[1].asked) == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[" * 100_000,
        '{"version":2,"asked":[]}',
        '{"version":1,"asked":[],"more":1}',
        '{"version":1,"asked":{}}',
        '{"version":1,"asked":[["a","b",false,0,1]]}',
        '{"version":1,"asked":[["a","b",0,0,1,null]]}',
        '{"version":1,"asked":[["a","b",false,0.5,1,null]]}',
        '{"version":1,"asked":[["a","b",false,0,9223372036854775808,null]]}',
        '{"version":1,"asked":[["a","b",false,true,1,null]]}',
        '{"version":1,"asked":[["a",7,false,0,1,null]]}',
        '{"version":1,"asked":[["a","b",false,0,1,7]]}',
        '{"version":1,"asked":[["b","b",false,0,1,""],["a","b",false,0,1,""]]}',
        '{"version":1,"asked":[["a","b",false,0,1,""],["a","b",false,0,1,""]]}',
    ],
)
def test_damaged_questions_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Questions.from_json(text)


@given(
    st.lists(
        st.builds(
            Asked,
            st.text(max_size=9),
            st.text(max_size=9),
            st.booleans(),
            st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
            st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
            st.none() | st.text(max_size=9),
        ),
        max_size=6,
        unique=True,
    )
)
def test_questions_come_back_as_they_were(asked: list[Asked]) -> None:
    made = Questions(tuple(sorted(asked, key=lambda one: json.dumps(one.row(), separators=(",", ":")))))
    assert Questions.from_json(made.to_json()) == made
