"""Alerts of other products: documents, tables and syslog lines as ``records.alert.ALERT``.

Each format is a module of this folder with the functions that ``observe.logs`` asks of its formats (``recognise``,
``lines``), listed in ``FORMATS``. Formats of JSON are told apart by what their first documents hold (``documents``).
Two come with other records in one file and are read there: Suricata's EVE log (``observe.logs.eve``) and Zeek's
notice.log (``observe.logs.zeek``).

Where the *signature* of an alert (product, rule) has no number of the product's own, it is the title without the values
that the event put into it (``words.bare``). ``host``: see ``columns``.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from andon.observe.logs.options import Options

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped

__all__ = ["FORMATS", "format_of", "log_format", "recognise", "records"]

FORMATS: Final = ("table", "documents", "cef")  # the surest first


def format_of(head: bytes, name: str) -> Any | None:
    """The module of the format of a file that begins with ``head``; None if it is none of them. Does not raise."""
    for each in FORMATS:
        module = import_module(f"andon.observe.alerts.{each}")
        if module.recognise(head, name):
            return module
    return None


def log_format(head: bytes, name: str, options: Options) -> Any | None:
    """The module of the format of a log that grows: what the operator says, else of alerts, else of other lines
    (``observe.logs``)."""
    from andon.observe import logs
    from andon.observe.logs import custom

    if head[:4] == b"PAR1":
        return None
    if custom.recognise(head, name, options):
        return custom
    return format_of(head, name) or logs.format_of(head, name, options)


def recognise(head: bytes, name: str) -> bool:
    return format_of(head, name) is not None


def records(path: str | Path, options: Options, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(kind, alerts) of a file, compressed or not. Raises OSError, ValueError for a file that has none."""
    from andon.observe.logs.files import blocks
    from andon.observe.logs.identity import Identity
    from andon.observe.sensors import head_of

    skipped.private = skipped.private or options.key is not None
    who, reader = Identity(options), None
    head = head_of(path)
    module = format_of(head, str(path))
    if module is None:
        raise ValueError(f"{path}: not alerts of a known format (docs/alerts.md)")
    if head[:4] == b"PAR1":
        from andon.observe.alerts.table import parquet

        for kind, batch in parquet(path, options, skipped):
            yield kind, who.apply(kind, batch)
        return
    for data in blocks(path):
        if reader is None:
            reader = module.lines(head, options, None)
            if hasattr(reader, "reference"):
                reader.reference = Path(path).stat().st_mtime_ns
        for kind, batch in reader.read(data, skipped):
            yield kind, who.apply(kind, batch)
