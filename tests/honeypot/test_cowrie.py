"""Cowrie's logs of three ages become the sessions that its events say."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import zstandard

from andon.observe.honeypot import cowrie
from andon.observe.honeypot import fold as fold_module
from andon.observe.honeypot.fold import Fold
from andon.observe.jsonlines import Skipped

LOGS = ("cowrie_ssh_2017/cowrie.json.zst", "cowrie_ssh_2018/cowrie.json.zst",
        "tpot_formats_2025/cowrie/cowrie.json.zst", "scenario/cowrie.json.zst")  # fmt: skip


def lines_of(data: Path, name: str) -> bytes:
    path = data / "joint" / name
    if not path.exists():
        pytest.skip(f"no {path}")
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(file).read()


def told(raw: bytes) -> dict[tuple[str, str], dict[str, Any]]:
    """What the events say, told one by one."""
    made: dict[tuple[str, str], dict[str, Any]] = defaultdict(lambda: defaultdict(list))
    for line in raw.splitlines():
        event = json.loads(line)
        one = made[event["sensor"], event["session"]]
        kind = event["eventid"].removeprefix("cowrie.")
        one["events"].append(kind)
        if kind.startswith("login"):
            one["credentials"].append((event["username"], event["password"], kind == "login.success"))
        elif kind == "command.input":
            one["commands"].append(event["input"])
        elif kind.startswith("session.file_download"):
            one["urls"].append(event["url"])
            one["hashes"] += [event["shasum"]] if "shasum" in event else []
        elif kind == "session.connect":
            one["port"] = event["src_port"]
        elif kind == "client.version":
            one["client"] = one["client"] or event["version"]
    return made


@pytest.mark.real_data
@pytest.mark.parametrize("name", LOGS)
def test_sessions_are_what_the_events_say(andon_data: Path, name: str) -> None:
    raw = lines_of(andon_data, name)
    skipped = Skipped()
    rows = pa.Table.from_batches(list(cowrie.sessions(io.BytesIO(raw), skipped))).drop(["start", "end"])
    wanted = told(raw)
    assert not skipped.lines and rows.num_rows == len(wanted)
    for row in rows.drop(["commands", "credentials"]).to_pylist():
        one = wanted[row["sensor"], row["session"]]
        assert row["events"] == len(one["events"])
        assert row["closed"] == ("session.closed" in one["events"])
        assert row["login"] == ("login.success" in one["events"])
        assert row["relayed"] == one["events"].count("direct-tcpip.request")
        assert row["urls"] == one["urls"] and row["hashes"] == one["hashes"]
        assert row["src_port"] == (one["port"] or -1) and row["client"] == (one["client"] or "")
    typed = rows.column("commands").combine_chunks()
    tried = rows.column("credentials").combine_chunks()
    assert sorted(typed.flatten().field("input").to_pylist()) == sorted(
        command for one in wanted.values() for command in one["commands"]
    )
    flat = tried.flatten()
    pairs = zip(*(flat.field(n).to_pylist() for n in ("username", "password", "accepted")), strict=True)
    assert sorted(pairs) == sorted(pair for one in wanted.values() for pair in one["credentials"])


def event(session: str, kind: str, second: int, **more: object) -> bytes:
    body = {"eventid": f"cowrie.{kind}", "session": session, "sensor": "s", "src_ip": "192.0.2.7",
            "timestamp": f"2026-01-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.5Z"}  # fmt: skip
    return json.dumps(body | more).encode() + b"\n"


def test_a_log_that_is_still_written_gives_a_session_once_and_when_it_is_over() -> None:
    fold = Fold("cowrie")
    first = event("a", "session.connect", 1, src_port=5) + event(
        "a", "login.failed", 2, username="u", password="p"
    )
    assert not list(cowrie.sessions(io.BytesIO(first), Skipped(), fold)) and fold.held == 2
    rest = event("a", "login.success", 3, username="u", password="q") + event("a", "session.closed", 4)
    [batch] = cowrie.sessions(io.BytesIO(rest), Skipped(), fold)
    assert batch.num_rows == 1 and fold.held == 0
    assert batch.column("credentials")[0].values.field("password").to_pylist() == ["p", "q"]
    assert batch.column("src_port").to_pylist() == [5]
    assert [batch.column(n)[0].value // 10**8 % 1000 for n in ("start", "end")] == [15, 45]


def test_a_session_that_never_ends_is_given_out_after_an_hour_of_silence() -> None:
    fold = Fold("cowrie")
    log = event("a", "session.connect", 1) + event("b", "session.connect", 4000)
    [batch] = cowrie.sessions(io.BytesIO(log), Skipped(), fold)
    assert batch.column("session").to_pylist() == ["a"] and not batch.column("closed")[0].as_py()
    assert fold.held == 1


def test_a_number_that_comes_again_is_another_session() -> None:
    log = b"".join(event("a", kind, at) for at, kind in enumerate(["session.connect", "session.closed"] * 2))
    [batch] = cowrie.sessions(io.BytesIO(log), Skipped())
    assert batch.num_rows == 2 and batch.column("events").to_pylist() == [2, 2]


def test_a_log_that_closes_nothing_does_not_take_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_module, "MOST_HELD", 100)
    monkeypatch.setattr(cowrie, "_FLUSH", 150)
    fold, given = Fold("cowrie"), 0
    for part in range(10):
        log = b"".join(event(f"{part}-{n}", "session.connect", part) for n in range(50))
        given += sum(batch.num_rows for batch in cowrie.sessions(io.BytesIO(log), Skipped(), fold))
        assert fold.held <= 100
    assert given + fold.held == 500 and fold.cut == given


def test_lines_without_session_or_time_are_counted() -> None:
    skipped = Skipped()
    log = (
        b'{"eventid": "x"}\n'
        + event("a", "session.connect", 1)
        + b'{"session": "a", "timestamp": "then"}\n[]\n'
    )
    [batch] = cowrie.sessions(io.BytesIO(log), skipped)
    assert batch.num_rows == 1 and dict(skipped.reasons) == {cowrie.NO_SESSION: 2}
