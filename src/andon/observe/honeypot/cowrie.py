"""Cowrie (SSH and Telnet): one JSON object a line, one ``eventid`` each (its OUTPUT.rst; field sets of 2017 to 2025).

Sessions are told by (``session``, ``sensor``), since a session's number is unique within a sensor only. A
``command.success`` or ``command.failed`` follows a ``command.input`` that says the same, but for the parts of a line
that old versions report one by one, so commands are taken from ``command.input`` alone. What passes through the
honeypot to third parties (``direct-tcpip``, half of the events of some logs) is no attack on the device and is only
counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from andon.observe.honeypot.fold import Events, Fold, Part
from andon.observe.jsonlines import NO_TIME, Block, Paths, Skipped, Words, blocks
from andon.observe.jsonlines.block import Stream
from andon.records.honeypot import COMMAND, CREDENTIAL

_EVENTS: Final = (
    "cowrie.session.connect", "cowrie.session.closed", "cowrie.login.success", "cowrie.login.failed",
    "cowrie.command.input", "cowrie.session.file_download", "cowrie.session.file_download.failed",
    "cowrie.session.file_upload", "cowrie.client.version", "cowrie.client.kex", "cowrie.direct-tcpip.request",
)  # fmt: skip
CONNECT, CLOSED, SUCCESS, FAILED, INPUT, DOWNLOAD, NO_DOWNLOAD, UPLOAD, VERSION, KEX, RELAY = range(11)
_WORDS: Final = Words(_EVENTS)
PATHS: Final = Paths(
    ["eventid", "timestamp", "session", "sensor", "src_ip", "src_port", "dst_ip", "dst_port", "protocol", "username",
     "password", "input", "url", "shasum", "version", "hassh"]
)  # fmt: skip
_TIME: Final = pa.timestamp("ns", tz="UTC")
_FLUSH: Final = 500_000  # events between two looks for sessions that are over
NO_SESSION: Final = "no session or no time"


def sessions(stream: Stream, skipped: Skipped, fold: Fold | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of ``SESSION``, each in the order of start, to the end of the log.

    Lines that are no Cowrie events are counted in ``skipped``. With ``fold`` the open sessions are kept in it for the
    next piece of a log that is still being written; without, they are given out at the end."""
    kept = fold if fold is not None else Fold("cowrie")
    for block in blocks(stream, PATHS, skipped):
        kept.add(events(block, skipped))
        if kept.held >= _FLUSH:
            batch = kept.sessions()
            if batch.num_rows:
                yield batch
    batch = kept.sessions(final=fold is None)
    if batch.num_rows:
        yield batch


def events(block: Block, skipped: Skipped) -> Events:
    """The events of a block."""
    ts = block.times("timestamp")
    named = block.kinds("session") > 0
    good = named & (ts != NO_TIME)
    if not good.all():
        for row in np.flatnonzero(~good).tolist():
            skipped.add(int(block.line[row]), NO_SESSION)
        block, ts = block.of(good), ts[good]
    code = block.codes("eventid", _WORDS)
    key = block.hashes("session") ^ (block.hashes("sensor") * np.uint64(0x9E3779B97F4A7C15))
    rows = {number: np.flatnonzero(code == number) for number in range(len(_EVENTS))}
    first = np.sort(np.unique(key, return_index=True)[1])
    connected = rows[CONNECT]
    facts = {
        name: Part(first, block.text(name, first)) for name in ("session", "sensor")
    }  # fmt: skip
    facts["src"] = Part(first, block.text("src_ip", first))
    facts["address"] = Part(first, pa.array(block.addresses("src_ip", first)))
    facts["src_port"] = Part(connected, pa.array(block.integers("src_port", rows=connected)))
    facts["dst_port"] = Part(connected, pa.array(block.integers("dst_port", rows=connected)))
    facts["dst"] = Part(connected, block.text("dst_ip", connected))
    facts["protocol"] = Part(connected, block.text("protocol", connected))
    facts["client"] = Part(rows[VERSION], block.text("version", rows[VERSION]))
    facts["hassh"] = Part(rows[KEX], block.text("hassh", rows[KEX]))
    tried = np.flatnonzero((code == SUCCESS) | (code == FAILED))
    typed = rows[INPUT]
    fetched = np.flatnonzero((code == DOWNLOAD) | (code == NO_DOWNLOAD))
    files = np.flatnonzero((code == DOWNLOAD) | (code == UPLOAD))
    credentials = pa.StructArray.from_arrays(
        [block.text("username", tried), block.text("password", tried), pa.array(code[tried] == SUCCESS),
         pa.array(ts[tried]).cast(_TIME)], fields=list(CREDENTIAL),
    )  # fmt: skip
    commands = pa.StructArray.from_arrays(
        [block.text("input", typed), pa.array(ts[typed]).cast(_TIME)], fields=list(COMMAND)
    )
    return Events(
        key=key, ts=ts, opens=code == CONNECT, closes=code == CLOSED, login=code == SUCCESS,
        relayed=(code == RELAY).astype(np.int64), lines=np.ones(len(block), np.int64), facts=facts,
        lists={
            "credentials": Part(tried, credentials),
            "commands": Part(typed, commands),
            "urls": _present(fetched, block.text("url", fetched)),
            "hashes": _present(files, block.text("shasum", files)),
        },
    )  # fmt: skip


def _present(rows: np.ndarray, values: pa.StringArray) -> Part:
    there = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    return Part(rows[there], values.take(pa.array(there)))
