"""Logs of proxies and sensors: one line, one record (``records.contact``, ``records.flow``).

Each format is a module of this folder with these functions, listed in ``FORMATS``:

``recognise(head, name)``
    can it read a file that begins with ``head``? Must not raise.
``lines(head, options, state)``
    a reader of whole lines (``Lines``). ``head``: how the file begins (its heading, if the format has one);
    ``state``: what an earlier reader of the same file gave with ``state()``, if lines in its middle are to be read.
``shows(where, state)``, if it likes
    a program of awk or jq that prints just the lines of ``where`` (``shows``); ``state``: of the reader at the end.

Files (``records``) and growing logs (``observe.live.lines``) go through the same readers. Who a terminal is, and
whether names are written down in the clear, is decided behind them, in ``identity``. Text logs have their readers'
common part in ``reading``: lines are cut into fields by ``scan`` and become records in ``contacts`` and ``flows``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa

from andon.observe.logs.options import Options

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped

__all__ = ["FORMATS", "Lines", "Options", "format_of", "records"]

FORMATS: Final = ("custom", "zeek", "eve", "elff", "squid")  # the surest first
CHUNK: Final = 4 << 20  # bytes read at a time
LONGEST: Final = 1 << 20  # of a line


class Lines(Protocol):
    """``source``: name of the format; ``kinds``: of its records (``records.kinds``)."""

    source: str
    kinds: tuple[str, ...]

    def read(self, data: bytes, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
        """(kind, records) of whole lines, in their order; the last may lack its line feed. ``terminal`` is left as the
        address (``identity`` decides). Lines that are none are counted in ``skipped`` with their reason, never
        fatal."""

    def state(self) -> Mapping[str, Any]:
        """JSON values: what reading on needs to know of what was read (names of columns, a date in a heading)."""


def format_of(head: bytes, name: str, options: Options) -> Any | None:
    """The module of the format of a file that begins with ``head``; None if it is none of them."""
    for each in FORMATS:
        module = import_module(f"andon.observe.logs.{each}")
        if module.recognise(head, name, options) if each == "custom" else module.recognise(head, name):
            return module
    return None


def records(path: str | Path, options: Options, skipped: Skipped) -> Iterator[tuple[str, pa.RecordBatch]]:
    """(kind, records) of a log, compressed or not. Raises OSError, ValueError for a file that is no log."""
    from andon.observe.logs.files import blocks
    from andon.observe.logs.identity import Identity

    skipped.private = skipped.private or options.key is not None
    who, reader = Identity(options), None
    for data in blocks(path):
        if reader is None:
            module = format_of(data, str(path), options)
            if module is None:
                raise ValueError(f"{path}: not a log of a known format; give its format (docs/logs.md)")
            reader = module.lines(data, options, None)
        for kind, batch in reader.read(data, skipped):
            yield kind, who.apply(kind, batch)
