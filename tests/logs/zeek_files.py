"""Logs of Zeek and Suricata for tests, and their readers."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from andon.observe.jsonlines import Skipped
from andon.observe.logs import Lines, Options
from andon.records.alert import ALERT
from andon.records.contact import CONTACT
from andon.records.flow import FLOW
from andon.records.kinds import CONTACT as CONTACT_KIND
from andon.records.kinds import kind_of

SCHEMAS = {CONTACT_KIND: CONTACT, "flow": FLOW, "alert": ALERT}
HTTP = ("ts", "uid", "id.orig_h", "id.orig_p", "id.resp_h", "id.resp_p", "trans_depth", "method", "host", "uri",
        "referrer", "user_agent", "request_body_len", "response_body_len", "status_code", "username",
        "resp_mime_types")  # fmt: skip


def heading(path: str, fields: tuple[str, ...], separator: str = "\t", unset: str = "-") -> str:
    named = "".join(f"\\x{byte:02x}" for byte in separator.encode())
    join = separator.join
    return (
        f"#separator {named}\n" + join(("#set_separator", ",")) + "\n" + join(("#empty_field", "(empty)")) + "\n"
        + join(("#unset_field", unset)) + "\n" + join(("#path", path)) + "\n"
        + join(("#open", "2026-01-01-00-00-00")) + "\n" + join(("#fields", *fields)) + "\n"
        + join(("#types", *(["string"] * len(fields)))) + "\n"
    )  # fmt: skip


def line(fields: tuple[str, ...], separator: str = "\t", unset: str = "-", **values: Any) -> str:
    held = {name.replace(".", "_"): name for name in fields}
    assert set(values) <= set(held)
    return separator.join(str(values.get(short, unset)) for short in held) + "\n"


def http(**values: Any) -> str:
    given = {"ts": "1767225600.25", "uid": "C1", "id_orig_h": "192.0.2.1", "id_orig_p": 40000,
             "id_resp_h": "198.51.100.9", "id_resp_p": 80, "trans_depth": 1, "method": "GET"}  # fmt: skip
    return line(HTTP, **{**given, **values})


def read(
    module: Any,
    text: str | bytes,
    cut: int | None = None,
    skipped: Skipped | None = None,
    restart: bool = False,
) -> list[dict[str, Any]]:
    """Records as rows, times as ns; given to the reader at once, or in pieces of about ``cut`` bytes with (``restart``)
    a new reader for each."""
    data = text.encode() if isinstance(text, str) else text
    skipped = skipped if skipped is not None else Skipped()
    reader: Lines = module.lines(data[:65_536], Options(), None)
    rows: list[dict[str, Any]] = []
    at = 0
    while at < len(data):
        stop = len(data) if cut is None else data.find(b"\n", min(at + cut, len(data) - 1)) + 1 or len(data)
        if restart:
            reader = module.lines(data[:65_536], Options(), reader.state())
        for kind, batch in reader.read(data[at:stop], skipped):
            rows += rows_of(kind, batch)
        at = stop
    return rows


def rows_of(kind: str, batch: pa.RecordBatch) -> list[dict[str, Any]]:
    assert kind_of(batch) == kind and batch.schema.equals(SCHEMAS[kind])
    batch.validate(full=True)
    position = batch.schema.get_field_index("ts")
    plain = batch.set_column(position, "ts", batch.column(position).view(pa.int64()))
    return list(plain.to_pylist())
