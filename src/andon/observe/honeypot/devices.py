"""Physical devices that were exposed on purpose: one line a Telnet session, and a file for each step that followed.

The layout is that of the data published with "As Real as It Gets: Long-Term Observations of Vulnerable IoT Devices
Continuously Exposed to the Internet": ``attack.session`` beside ``login``, ``download.attempt``,
``download.complete``, ``executed.process`` and ``cnc.connection`` in one folder, joined by (time, device, src_ip,
src_port). The step files are read with the first; a line of theirs that belongs to no session becomes a session of
its own that has these steps only, so nothing is lost and the steps can be counted. Where such a line has no time,
that of the line before it is taken.

Times have no zone; they are read as UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.compressed import compression, decompressor
from andon.observe.jsonlines import NO_TIME, Block, Paths, Skipped, blocks
from andon.observe.jsonlines.block import Stream
from andon.records.honeypot import SESSION

HONEYPOT: Final = "iot-devices"
SESSIONS: Final = "attack.session"
STEPS: Final = (  # file, step
    ("login", "login"),
    ("download.attempt", "download"),
    ("download.complete", "delivery"),
    ("executed.process", "execution"),
    ("cnc.connection", "command-and-control"),
)
SUMMARY: Final = "compromise.step"  # the steps of the others once more, a line a session
PORT: Final = 23
_KEY: Final = ("time", "device", "src_ip", "src_port")
_HEAD: Final = Paths([*_KEY, "token"])
_STEP: Final = Paths(
    [*_KEY, "token", "dictionary", "command", "download_ip", "download_port", "download_uri", "exe", "sha256",
     "cnc_server"]
)  # fmt: skip
_NONE: Final = ("", "-", "<unknown>")
_TURNS: Final = tuple(
    np.uint64(turn)
    for turn in (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, 0x94D049BB133111EB, 0xBF58476D1CE4E5B9)
)
_TIME: Final = SESSION.field("start").type
APART: Final = "belongs to the sessions beside it and was read with them"
_NO_SOURCE: Final = "no source or no time"


@dataclass
class _Extra:
    """What the step files say of one session."""

    outcomes: list[dict[str, str]] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    hashes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)  # of its first line
    lines: int = 0


def sessions(stream: Stream, path: Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
    """Sessions of one file of the set. ``path`` says which it is and where the others are; a step file beside
    ``attack.session`` has none of its own, which ``skipped`` says without counting a line."""
    step = next((step for name, step in STEPS if path.name.startswith(name + ".")), None)
    if path.name.startswith(SUMMARY + ".") and _beside(path, SESSIONS) is not None:
        skipped.add(0, APART, 0)
        return
    if step is not None:
        if _beside(path, SESSIONS) is not None:
            skipped.add(0, APART, 0)
            return
        extras: dict[int, _Extra] = {}
        _read_step(stream, step, extras, skipped)
        yield from _alone(extras)
        return
    extras = {}
    if path.name.startswith(SESSIONS):
        for name, step in STEPS:
            beside = _beside(path, name)
            if beside is not None:
                with beside.open("rb") as raw:
                    kind = compression(raw.peek(4)[:4])
                    _read_step(decompressor(raw, kind) if kind else raw, step, extras, skipped)
    for block in blocks(stream, _HEAD, skipped):
        batch = _with_steps(block, extras, skipped)
        if batch.num_rows:
            yield batch
    yield from _alone(extras)


def _beside(path: Path, name: str) -> Path | None:
    """The file of the set that is called so and lies in the same folder."""
    end = path.name[path.name.find(".json") :] if ".json" in path.name else path.suffix
    exact = path.with_name(name + end)
    if exact.is_file():
        return exact
    return min(path.parent.glob(f"{name}.json*"), default=None)


def _keys(block: Block) -> np.ndarray:
    made = np.zeros(len(block), np.uint64)
    for name, turn in zip(_KEY, _TURNS, strict=True):
        made = made * _TURNS[0] ^ (block.hashes(name) * turn)
    return made


def _read_step(stream: Stream, step: str, extras: dict[int, _Extra], skipped: Skipped) -> None:
    last = NO_TIME
    for block in blocks(stream, _STEP, skipped):
        ts = block.times("time")
        columns = {name: block.text(name).to_pylist() for name in _STEP.names if name != "time"}
        address, port = block.addresses("src_ip").tolist(), block.integers("src_port").tolist()
        for row, key in enumerate(_keys(block).tolist()):
            if ts[row] != NO_TIME:
                last = int(ts[row])
            one = {name: (values[row] or "") for name, values in columns.items()}
            extra = extras.setdefault(key, _Extra())
            extra.lines += 1
            if not extra.facts:
                extra.facts = {**one, "at": last, "address": address[row], "port": port[row]}
            _note(extra, step, one)


def _note(extra: _Extra, step: str, one: dict[str, str]) -> None:
    detail = ""
    if step == "login":
        detail = "dictionary" if one["dictionary"] == "true" else "known"
    elif step in ("download", "delivery"):
        detail = one["command"]
        url = _url(one)
        if url and url not in extra.urls:
            extra.urls.append(url)
    elif step == "execution":
        detail = one["exe"]
        if one["sha256"] not in _NONE and one["sha256"] not in extra.hashes:
            extra.hashes.append(one["sha256"])
    else:
        detail = one["cnc_server"]
    extra.outcomes.append({"step": step, "detail": "" if detail in _NONE else detail})


def _url(one: dict[str, str]) -> str:
    host, port, uri = one["download_ip"], one["download_port"], one["download_uri"]
    if host in _NONE or one["command"] == "echo":
        return ""
    scheme, usual = ("tftp", "69") if one["command"] == "tftp" else ("http", "80")
    where = host if port in (*_NONE, usual) else f"{host}:{port}"
    return f"{scheme}://{where}/{uri.lstrip('/') if uri not in _NONE else ''}"


def _command(token: str) -> str:
    """What was typed, as far as the token tells."""
    return token if token.startswith("hostname ") else f"/bin/busybox {token}"


def _with_steps(block: Block, extras: dict[int, _Extra], skipped: Skipped) -> pa.RecordBatch:
    ts, address = block.times("time"), block.addresses("src_ip")
    good = (ts != NO_TIME) & block.filled("src_ip")
    if not good.all():
        for row in np.flatnonzero(~good).tolist():
            skipped.add(int(block.line[row]), _NO_SOURCE)
        block, ts, address = block.of(good), ts[good], address[good]
    count = len(block)
    keys = _keys(block)
    found = {row: extras.pop(key) for row, key in enumerate(keys.tolist()) if key in extras} if extras else {}
    token = block.text("token")
    shown = pc.fill_null(pc.invert(pc.is_in(token, pa.array(_NONE))), False).to_numpy(zero_copy_only=False)
    names = token.filter(pa.array(shown)).dictionary_encode()
    typed = pa.array([_command(one) for one in names.dictionary.to_pylist()], pa.string()).take(names.indices)
    inputs = pa.StructArray.from_arrays([typed, pa.array(ts[shown]).cast(_TIME)], names=["input", "at"])
    commands = pa.ListArray.from_arrays(
        pa.array(np.concatenate(([0], np.cumsum(shown))).astype(np.int32)), inputs
    )
    scan = [{"step": "scan", "detail": ""}]
    login = np.zeros(count, np.bool_)
    lines = np.ones(count, np.int64)
    for row, extra in found.items():
        login[row] = any(one["step"] == "login" for one in extra.outcomes)
        lines[row] += extra.lines
    return _batch(
        count, sensor=block.text("device"), start=pa.array(ts), end=pa.array(ts), src=block.text("src_ip"),
        address=pa.array(address),
        src_port=pa.array(block.integers("src_port")), events=pa.array(lines), login=pa.array(login), commands=commands,
        outcomes=_spread(count, {row: scan + extra.outcomes for row, extra in found.items()}, scan, "outcomes"),
        urls=_spread(count, {row: extra.urls for row, extra in found.items()}, [], "urls"),
        hashes=_spread(count, {row: extra.hashes for row, extra in found.items()}, [], "hashes"),
    )  # fmt: skip


def _alone(extras: dict[int, _Extra]) -> Iterator[pa.RecordBatch]:
    """Sessions of which only steps are known."""
    left = [one for one in extras.values() if one.facts["at"] != NO_TIME and one.facts["src_ip"]]
    left.sort(key=lambda one: (one.facts["at"], one.facts["src_ip"], one.facts["port"]))
    if not left:
        return
    count, rows = len(left), dict(enumerate(left))
    typed = {
        row: [{"input": _command(one.facts["token"]), "at": one.facts["at"]}]
        for row, one in rows.items()
        if one.facts["token"] not in _NONE
    }
    at = pa.array([one.facts["at"] for one in left], pa.int64())
    yield _batch(
        count, sensor=pa.array([one.facts["device"] for one in left]), start=at, end=at,
        src=pa.array([one.facts["src_ip"] for one in left]), address=pa.array([one.facts["address"] for one in left]),
        src_port=pa.array([one.facts["port"] for one in left]), events=pa.array([one.lines for one in left]),
        login=pa.array([any(step["step"] == "login" for step in one.outcomes) for one in left]),
        commands=_spread(count, typed, [], "commands"),
        outcomes=_spread(count, {row: one.outcomes for row, one in rows.items()}, [], "outcomes"),
        urls=_spread(count, {row: one.urls for row, one in rows.items()}, [], "urls"),
        hashes=_spread(count, {row: one.hashes for row, one in rows.items()}, [], "hashes"),
    )  # fmt: skip


def _spread(count: int, some: dict[int, list[Any]], usual: list[Any], name: str) -> pa.ListArray:
    """A list for each row: that of ``some``, else the usual one."""
    kind = SESSION.field(name).type.value_type
    lengths = np.full(count, len(usual))
    for row, values in some.items():
        lengths[row] = len(values)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    if not some and len(usual) == 1:
        flat = pa.array(usual, kind).take(pa.array(np.zeros(count, np.int64)))
        return pa.ListArray.from_arrays(pa.array(offsets), flat)
    which = np.zeros(int(offsets[-1]), np.int64)  # 0: the usual value
    values = [*usual[:1]]
    for row in sorted(some):
        begin = int(offsets[row])
        which[begin : begin + len(some[row])] = len(values) + np.arange(len(some[row]))
        values += some[row]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values, kind).take(pa.array(which)))


def _batch(count: int, **given: pa.Array) -> pa.RecordBatch:
    """A batch of ``SESSION`` with these columns; the others are what they are for all sessions of the set."""
    fixed: dict[str, Any] = {
        "honeypot": HONEYPOT,
        "protocol": "telnet",
        "dst_port": PORT,
        "closed": True,
        "relayed": 0,
    }
    arrays = []
    for one in SESSION:
        if one.name in given:
            arrays.append(given[one.name].cast(one.type))
        elif pa.types.is_list(one.type):
            arrays.append(_spread(count, {}, [], one.name))
        else:
            value = pa.array([fixed.get(one.name, "")], one.type)
            arrays.append(value.take(pa.array(np.zeros(count, np.int64))))
    return pa.RecordBatch.from_arrays(arrays, schema=SESSION)
