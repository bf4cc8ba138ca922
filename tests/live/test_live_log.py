"""A log that grows, is rotated, and whose reader dies: every session once, whole."""

from __future__ import annotations

import gzip
import json
import random
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from andon.observe.honeypot import sessions
from andon.observe.jsonlines import Skipped
from andon.observe.live import log
from andon.observe.live.log import LogSource
from andon.observe.live.log_fold import packed, unpacked
from andon.records.kinds import HONEYPOT_SESSION, kind_of

START = 1_767_225_600_000_000_000  # 2026-01-01
SECOND = 1_000_000_000


def event(name: str, session: int, at: int, **more: Any) -> str:
    time = datetime.fromtimestamp(at / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    held = {"eventid": f"cowrie.{name}", "timestamp": time, "session": f"{session:08x}", "sensor": "pot",
            "src_ip": f"192.0.2.{session % 250}", **more}  # fmt: skip
    return json.dumps(held) + "\n"


def lines(seed: int, count: int) -> list[str]:
    """A log in the order of time: sessions that overlap, some that never close."""
    rng = random.Random(seed)
    made: list[tuple[int, str]] = []
    for session in range(count):
        at = START + session * 20 * SECOND + rng.randrange(SECOND)
        made.append((at, event("session.connect", session, at, dst_port=23, protocol="telnet")))
        for step in range(rng.randrange(4)):
            at += rng.randrange(1, 90) * SECOND + session * 1000
            made.append((at, event("command.input", session, at, input=f"echo {session} {step}")))
        if rng.random() < 0.9:
            at += SECOND
            made.append((at, event("session.closed", session, at)))
    return [line for _, line in sorted(made)]


def told(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps(row, default=str, sort_keys=True) for row in rows)


def whole(folder: Path, text: str) -> Counter[str]:
    path = folder / "whole"
    path.write_text(text)
    return told([row for batch in sessions(path, Skipped()) for row in batch.to_pylist()])


def source(path: Path, **settings: Any) -> LogSource:
    return LogSource("pot", path, **{"settle": 0.0, "once": True, **settings})


class Reader:
    """Reads as the runner does: what is committed is kept with its place, what is not is lost with the reader."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path, self.settings = path, settings
        self.batches: list[pa.RecordBatch] = []
        self.position: dict[str, Any] | None = None
        self.events: list[dict[str, Any]] = []
        self.restart()

    @property
    def kept(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch.to_pylist()]

    def restart(self) -> None:
        self.source = source(self.path, **self.settings)
        self.source.open(json.loads(json.dumps(self.position)))

    def poll(self, commit: bool = True) -> bool:
        pieces = self.source.poll(0.0)
        self.events += self.source.events()
        if commit:
            for piece in pieces:
                assert kind_of(piece.batch) == HONEYPOT_SESSION
                self.batches.append(piece.batch.replace_schema_metadata(None))
                self.position = dict(piece.position)
        return bool(pieces)

    def finish(self) -> None:
        self.source.once = True
        while not self.source.finished:
            self.poll()


def test_a_log_is_read_as_a_file_is(tmp_path: Path) -> None:
    text = "".join(lines(1, 300))
    (tmp_path / "cowrie.json").write_text(text)
    reader = Reader(tmp_path / "cowrie.json")
    reader.finish()
    assert told(reader.kept) == whole(tmp_path, text)


@pytest.mark.parametrize("seed", range(6))
def test_whenever_the_reader_dies_every_session_comes_once_and_whole(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "_CHUNK", 4000)
    rng = random.Random(seed)
    made = lines(seed, 200)
    text = "".join(made)
    path = tmp_path / "cowrie.json"
    path.touch()
    reader, at, number = Reader(path, once=False), 0, 0
    while at < len(text):
        size = rng.randrange(1, 6000)  # lines are cut anywhere
        with path.open("a") as file:
            file.write(text[at : at + size])
        at += size
        for _ in range(rng.randrange(3)):
            committed = rng.random() < 0.7
            reader.poll(committed)
            if not committed or rng.random() < 0.2:
                reader.restart()  # killed before what it gave was kept, or after
        if rng.random() < 0.15 and at < len(text):
            at += _to_the_line(path, text, at)
            number = _rotate(path, number, rng)
    reader.restart()
    reader.finish()
    assert told(reader.kept) == whole(tmp_path, text)
    assert not [event for event in reader.events if event["type"] in ("gap", "damage")]


def _to_the_line(path: Path, text: str, at: int) -> int:
    """A honeypot rotates between lines."""
    size = text.index("\n", at - 1) + 1 - at if text[at - 1] != "\n" else 0
    with path.open("a") as file:
        file.write(text[at : at + size])
    return size


def _rotate(path: Path, number: int, rng: random.Random) -> int:
    """As logrotate, Python's handlers and T-Pot do."""
    if not path.stat().st_size:
        return number
    how = rng.randrange(4)
    if how == 0:  # rename, numbers go up
        for old in range(number, 0, -1):
            for ending in ("", ".gz"):
                name = path.with_name(f"{path.name}.{old}{ending}")
                if name.exists():
                    name.rename(path.with_name(f"{path.name}.{old + 1}{ending}"))
        path.rename(path.with_name(f"{path.name}.1"))
    elif how == 1:  # a date behind it
        path.rename(path.with_name(f"{path.name}.2026-01-{number + 10}"))
    elif how == 2:  # copy and truncate
        copy = path.with_name(f"{path.name}-202601{number + 10}")
        copy.write_bytes(path.read_bytes())
        path.write_bytes(b"")
    else:  # compressed at once
        path.with_name(f"{path.name}.2026-02-{number + 10}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    path.touch()
    return number + 1


def test_a_session_that_spans_a_rotation_is_one(tmp_path: Path) -> None:
    path = tmp_path / "cowrie.json"
    path.write_text(
        event("session.connect", 1, START, dst_port=22) + event("command.input", 1, START, input="a")
    )
    reader = Reader(path, once=False)
    assert reader.poll() and reader.kept == []
    path.rename(tmp_path / "cowrie.json.1")
    path.write_text(
        event("command.input", 1, START + SECOND, input="b") + event("session.closed", 1, START + SECOND)
    )
    reader.restart()
    reader.poll()
    (row,) = reader.kept
    assert (
        [command["input"] for command in row["commands"]] == ["a", "b"]
        and row["closed"]
        and row["events"] == 4
    )


def test_lines_of_open_sessions_that_went_away_are_told(tmp_path: Path) -> None:
    path = tmp_path / "cowrie.json"
    path.write_text(event("session.connect", 1, START, dst_port=22))
    reader = Reader(path, once=False)
    reader.poll()
    path.unlink()
    path.write_text(event("session.connect", 2, START + SECOND) + event("session.closed", 2, START + SECOND))
    reader.restart()
    reader.finish()
    assert [row["session"] for row in reader.kept] == ["00000002"]
    (gap,) = [event for event in reader.events if event["type"] == "gap"]
    assert "went away" in gap["why"]


def test_a_line_without_an_end_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "cowrie.json"
    text = event("session.connect", 1, START) + event("session.closed", 1, START + SECOND)
    path.write_text(text[:-20])
    reader = Reader(path, once=False)
    for _ in range(3):
        reader.poll()
    assert reader.kept == [] and reader.position is not None
    path.write_text(text)
    reader.poll()
    assert len(reader.kept) == 1 and not reader.events


def test_what_is_promised_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_CHUNK", 3000)
    (tmp_path / "cowrie.json").write_text("".join(lines(5, 400)))
    reader, promised = source(tmp_path / "cowrie.json"), -1
    reader.open(None)
    while not reader.finished:
        for piece in reader.poll(0.0):
            starts = piece.batch.column("start").cast("int64").to_pylist()
            assert all(start >= promised for start in starts)
            promised = max(promised, piece.position["promise"])
    assert promised > START + 300 * 20 * SECOND


def test_lines_that_are_none_are_told_and_a_file_that_is_no_log_too(tmp_path: Path) -> None:
    path = tmp_path / "cowrie.json"
    path.write_text(
        event("session.connect", 1, START) + "{broken\n" + event("session.closed", 1, START + SECOND)
    )
    reader = Reader(path)
    reader.finish()
    assert len(reader.kept) == 1
    (damage,) = reader.events
    assert damage["places"] == 1 and "not valid JSON" in damage["what"]
    (tmp_path / "other.json").write_text('{"some": "thing"}\n' * 9)
    other = Reader(tmp_path / "other.json")
    other.finish()
    assert [e["type"] for e in other.events] == ["damage"] and other.kept == []


def test_a_silent_log_gives_its_open_sessions_and_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "cowrie.json"
    path.write_text(event("session.connect", 1, START) + event("command.input", 1, START, input="x"))
    now = [0.0]
    reader = Reader(path, once=False, idle=10.0, now=lambda: now[0])
    reader.poll()
    assert reader.kept == []
    now[0] = 11.0
    reader.poll()
    assert [e["type"] for e in reader.events] == ["idle"] and len(reader.kept) == 1
    assert not reader.poll()
    reader.restart()
    assert not reader.poll() and len(reader.kept) == 1


def test_quiet_follows_the_clock_when_the_log_is_of_now(tmp_path: Path) -> None:
    path = tmp_path / "cowrie.json"
    at = START + 5 * SECOND
    path.write_text(event("session.connect", 1, START) + event("session.closed", 1, START + SECOND))
    reader = Reader(path, once=False, clock=lambda: at)
    reader.poll()
    reader.poll()
    assert reader.source.quiet() == at - 60 * SECOND
    with path.open("a") as file:
        file.write(event("session.connect", 2, at - 90 * SECOND))
    reader.poll()
    reader.poll()
    assert reader.source.quiet() == at - 90 * SECOND  # an open session may still begin then


def test_logs_of_other_honeypots_are_tailed_too(andon_data: Path, tmp_path: Path) -> None:
    import zstandard

    formats = andon_data / "joint" / "tpot_formats_2025"
    for name in ("dionaea/dionaea.json.zst", "heralding/session.csv.zst", "sentrypeer/sentrypeer.json.zst"):
        data = zstandard.ZstdDecompressor().stream_reader((formats / name).open("rb")).read()
        path = tmp_path / Path(name).stem
        path.write_bytes(data)
        reader = Reader(path)
        reader.finish()
        order = [(name, "ascending") for name in ("start", "end", "src", "src_port", "session")]
        tailed = pa.Table.from_batches(reader.batches).sort_by(order)
        assert tailed.num_rows
        assert tailed.equals(pa.Table.from_batches(sessions(path, Skipped())).sort_by(order))


def test_numbers_are_packed_and_come_back() -> None:
    import numpy as np

    for numbers in ([], [0], [5, 6, 7, 1000, 4_000_000_000 - 1]):
        assert unpacked(packed(np.array(numbers, np.int64))).tolist() == numbers
    with pytest.raises(ValueError, match="damaged"):
        unpacked("nonsense")
