"""Logs of proxies and sensors that grow, are rotated, and whose reader dies: every line once."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from andon.observe.jsonlines import Skipped
from andon.observe.live import lines as module
from andon.observe.live.any_log import AnyLog
from andon.observe.live.lines import LineSource
from andon.observe.live.log import LogSource
from andon.observe.live.source import SourceError
from andon.observe.logs import Options, records
from andon.records.kinds import ALERT, CONTACT, FLOW, HONEYPOT_SESSION, kind_of

START = 1_767_225_600  # 2026-01-01
SECOND = 1_000_000_000
HTTP = ("ts", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "trans_depth", "method", "host", "uri")


def squid(number: int, elapsed: int = 200) -> str:
    return (
        f"{START + number}.250 {elapsed:6} 10.0.0.{number % 200} TCP_MISS/200 {1000 + number} GET "
        f"http://h{number % 37}.example/p{number} user{number % 11} HIER_DIRECT/192.0.2.7 text/html\n"
    )


def heading(day: int) -> str:
    return (
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\thttp\n"
        f"#open\t2026-01-{day % 28 + 1:02}-00-00-{day:02}\n#fields\t" + "\t".join(HTTP) + "\n"
    )


def zeek(number: int) -> str:
    values = (f"{START + number}.5", f"10.0.0.{number % 200}", 1, "192.0.2.7", 80, 1, "GET", f"z{number % 31}.example",
              f"/{number}")  # fmt: skip
    return "\t".join(map(str, values)) + "\n"


def eve(number: int) -> str:
    kind = ("tls", "flow", "alert")[number % 3]
    time = f"2026-01-01T{number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}.5+0000"
    said = {"timestamp": time, "event_type": kind, "src_ip": "10.0.0.1", "dest_ip": "192.0.2.9", "src_port": number,
            "tls": {"sni": f"t{number}.example"}, "flow": {"start": time},
            "alert": {"signature_id": number % 7, "signature": "x", "severity": 2}}  # fmt: skip
    return json.dumps(said) + "\n"


def told(batches: list[pa.RecordBatch]) -> Counter[str]:
    rows: Counter[str] = Counter()
    for batch in batches:
        plain = batch.set_column(0, "ts", batch.column("ts").view(pa.int64()))
        names = [
            name for name in plain.schema.names if name != "position"
        ]  # of a line in its file, and files rotate
        rows.update(json.dumps(row, sort_keys=True, default=str) for row in plain.select(names).to_pylist())
    return rows


def whole(folder: Path, text: str) -> Counter[str]:
    path = folder / "all-of-it"
    path.write_text(text)
    return told([batch for _, batch in records(path, Options(), Skipped())])


class Reader:
    """Reads as the runner does: what is committed is kept with its place, what is not is lost with the reader."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path, self.settings = path, settings
        self.batches: list[pa.RecordBatch] = []
        self.position: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []
        self.restart()

    def restart(self) -> None:
        self.source = AnyLog("proxy", self.path, **{"settle": 0.0, **self.settings})
        self.source.open(json.loads(json.dumps(self.position)))

    def poll(self, commit: bool = True) -> bool:
        pieces = self.source.poll(0.0)
        if commit:
            self.events += self.source.events()
            for piece in pieces:
                assert kind_of(piece.batch) in self.source.kinds
                self.batches.append(piece.batch)
                if piece.position:
                    self.position = dict(piece.position)
        return bool(pieces)

    def finish(self) -> None:
        self.source.once = True
        while not self.source.finished:
            self.poll()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["squid", "zeek", "eve"])
def test_whenever_the_reader_dies_every_line_comes_once(
    tmp_path: Path, kind: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 3000)
    rng = random.Random(seed)
    make = {"squid": squid, "zeek": zeek, "eve": eve}[kind]
    path = tmp_path / f"{kind}.log"
    reader = Reader(path)
    held, number, everything = "", 0, ""
    for step in range(60):
        if kind == "zeek" and not held:
            held += heading(step)
        held += "".join(make(number + k) for k in range(rng.randrange(1, 30)))
        number += 30
        # The last line may be cut anywhere.
        path.write_text(
            held[: len(held) - rng.randrange(60)] if rng.random() < 0.5 and len(held) > 3000 else held
        )
        for _ in range(rng.randrange(3)):
            committed = rng.random() < 0.7
            reader.poll(committed)
            if not committed or rng.random() < 0.2:
                reader.restart()
        if rng.random() < 0.15:
            path.write_text(held)
            everything += held
            _rotate(path, step, rng)
            held = ""
    if held:
        path.write_text(held)
    everything += held
    reader.restart()
    reader.finish()
    assert told(reader.batches) == whole(tmp_path, everything)
    assert not [event for event in reader.events if event["type"] in ("gap", "damage")]


def _rotate(path: Path, number: int, rng: random.Random) -> None:
    how = rng.randrange(4)
    if how == 0:
        path.rename(path.with_name(f"{path.name}.{number}"))
    elif how == 1:
        path.rename(path.with_name(f"{path.stem}-202601{number:02}{path.suffix}"))
    elif how == 2:
        path.with_name(f"{path.name}-202602{number:02}").write_bytes(path.read_bytes())
        path.write_bytes(b"")
    else:
        path.with_name(f"{path.name}.2026-03-{number:02}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "access.log")
    assert reader.source.kinds == (HONEYPOT_SESSION, CONTACT, FLOW, ALERT)
    assert not reader.poll() and not reader.events
    (tmp_path / "access.log").write_text(squid(1) + squid(2))
    assert reader.poll() and reader.source.kinds == (CONTACT, FLOW, ALERT)
    assert told(reader.batches).total() == 2


def test_which_log_it_is_the_first_lines_say(tmp_path: Path) -> None:
    said = {
        "eventid": "cowrie.session.connect",
        "timestamp": "2026-01-01T00:00:00Z",
        "session": "1",
        "src_ip": "192.0.2.1",
    }
    (tmp_path / "cowrie.json").write_text(json.dumps(said) + "\n")
    (tmp_path / "eve.json").write_text(eve(0))
    honeypot, sensor = AnyLog("a", tmp_path / "cowrie.json"), AnyLog("b", tmp_path / "eve.json")
    assert honeypot.kinds == (HONEYPOT_SESSION,) and isinstance(honeypot._source, LogSource)
    assert sensor.kinds == (CONTACT, FLOW, ALERT) and isinstance(sensor._source, LineSource)


def test_a_text_that_is_no_log_is_told_once_and_the_next_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text("no log at all\nof any kind\n" * 90)
    reader = Reader(path)
    for _ in range(3):
        assert not reader.poll()
    (event,) = reader.events
    assert event["type"] == "damage" and "known format" in event["what"]
    path.rename(tmp_path / "access.log.1")
    path.write_text(squid(1) + squid(2))
    reader.finish()
    assert told(reader.batches).total() == 2


def test_bad_lines_are_told_with_their_reason_and_place(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(squid(1) + squid(2) + "garbage\n" + squid(3))
    reader = Reader(path)
    reader.finish()
    assert told(reader.batches).total() == 3
    (event,) = reader.events
    assert event["type"] == "damage" and event["places"] == 1 and "line 3" in event["what"]


def test_time_has_come_as_far_as_the_latest_end_less_the_slack(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(squid(0) + squid(1000, elapsed=900_000) + squid(900))
    reader = Reader(path, slack=60.0)
    reader.poll()
    assert reader.position is not None
    assert reader.position["promise"] == (START + 940) * SECOND + SECOND // 4
    assert reader.source.quiet() is None  # it is a log of long ago
    source = LineSource("now", path, slack=60.0, clock=lambda: (START + 1100) * SECOND)
    source.open(None)
    while source.poll(0.0):
        pass
    assert source.quiet() == (START + 1040) * SECOND


def test_a_time_of_the_future_does_not_carry_the_promise_away(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(squid(0) + squid(10) + squid(40_000_000))
    source = LineSource("proxy", path, slack=60.0, clock=lambda: (START + 100) * SECOND)
    source.open(None)
    (piece,) = source.poll(0.0)
    assert piece.position["promise"] == (START - 50) * SECOND + SECOND // 4


def test_silence_is_told_once(tmp_path: Path) -> None:
    now = [0.0]
    (tmp_path / "access.log").write_text(squid(0) + squid(1))
    source = LineSource("proxy", tmp_path / "access.log", idle=100.0, now=lambda: now[0])
    source.open(None)
    assert source.poll(0.0) and not source.poll(0.0) and source.events() == []
    now[0] = 101.0
    source.poll(0.0)
    source.poll(0.0)
    assert source.events() == [{"type": "idle", "source": "proxy"}]


def test_old_files_that_are_compressed_are_read_first_and_once(tmp_path: Path) -> None:
    import os

    parts = ["".join(squid(n) for n in range(at, at + 40)) for at in (0, 40, 80)]
    for number, part in enumerate(parts):
        path = tmp_path / ("access.log" if number == 2 else f"access.log.{2 - number}.gz")
        path.write_bytes(part.encode() if number == 2 else gzip.compress(part.encode()))
        os.utime(path, (START + number, START + number))
    reader = Reader(tmp_path / "access.log")
    reader.finish()
    assert told(reader.batches) == whole(tmp_path / "..", "".join(parts))
    times = [t for batch in reader.batches for t in batch.column("ts").view(pa.int64()).to_pylist()]
    assert times == sorted(times)


def test_the_operators_options_reach_the_records(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(squid(3) + squid(4))
    for terminal, expected in (("user", ["user3", "user4"]), ("address", ["10.0.0.3", "10.0.0.4"])):
        reader = Reader(tmp_path / "access.log", options=Options(terminal=terminal))
        reader.finish()
        assert pa.Table.from_batches(reader.batches).column("terminal").to_pylist() == expected


def test_no_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    source = AnyLog("proxy", tmp_path / "no" / "access.log")
    with pytest.raises(SourceError, match=r"source proxy: .* is not a folder"):
        source.open(None)
