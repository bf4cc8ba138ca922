"""Logs whose format the operator gives: a ``logformat`` (``logformat``) or a mapping (``mapping``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from andon.observe.logs.options import Options

if TYPE_CHECKING:
    from andon.observe.logs import Lines
    from andon.observe.logs.mapping import LogMap

_LOOK: Final = 50  # lines


def recognise(head: bytes, name: str, options: Options) -> bool:
    """Does the given format read some of the first lines? Raises ValueError for a format that is none, as who gave it
    must be told."""
    if not options.logformat and options.mapping is None:
        return False
    return _reads(head, options)


def lines(head: bytes, options: Options, state: Mapping[str, Any] | None) -> Lines:
    """See ``observe.logs``. A mapping goes before a ``logformat``."""
    if options.mapping is not None:
        from andon.observe.logs.mapped import MappedLines

        try:
            return MappedLines(_mapping(str(options.mapping)), head, state, options.inside)
        except OSError as error:
            raise ValueError(f"{options.mapping}: {error.strerror or error}") from error
    from andon.observe.logs.formatted import Formatted

    return Formatted(options.logformat, state)


@lru_cache(maxsize=8)
def _mapping(path: str) -> LogMap:
    from andon.observe.logs.mapping import load

    return load(path)


def _reads(head: bytes, options: Options) -> bool:
    """Are half of the first lines records, and at least one?"""
    from andon.observe.jsonlines import Skipped
    from andon.observe.logs.heads import first_lines

    skipped = Skipped()
    if options.mapping is not None:
        try:
            given = _mapping(str(options.mapping))
        except OSError as error:
            raise ValueError(f"{options.mapping}: {error.strerror or error}") from error
        if given.format == "csv" and given.header:
            from andon.observe.logs.mapped import header_of, named

            names = named(header_of(head), given.separator)
            return set(given.fields.values()) <= set(names)
    some = first_lines(head.removeprefix(b"\xef\xbb\xbf"), _LOOK)
    reader = lines(head, options, None)
    found = sum(batch.num_rows for _, batch in reader.read(b"\n".join([*some, b""]), skipped)) if some else 0
    found += skipped.passed.total()
    return found > 0 and 2 * found >= len(some)
