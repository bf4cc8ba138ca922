"""Expressions over columns of the packet record: which rows match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .machine import BLOCK, COLUMNS, run
from .program import Bundle, Code, Program, compile_bundle

Columns = Mapping[str, NDArray[Any]]


def evaluate(program: Program, columns: Columns, keys: NDArray[np.uint32] | None = None) -> NDArray[np.bool_]:
    """Which rows match: bool, one per row.

    ``columns`` are packet-record columns as NumPy arrays in their wire types; ``program.columns`` names those
    needed, ``layers`` among them. Extra ones are ignored. ``keys`` (uint32, one per row) are needed for a keyed
    expression. Raises ValueError for missing or wrongly typed columns.

    >>> from andon.records.expression import compile_program, parse
    >>> one = np.array([7], np.uint32)
    >>> layers = np.array([5], np.uint8)
    >>> evaluate(compile_program(parse("tcp.seq == ip.dst")), {"dst": one, "tcp_seq": one, "layers": layers})
    array([ True])
    """
    if program.key_bits and keys is None:
        raise ValueError(
            f"{program.expression} has a key: give keys, or ask session_key which ones rows need"
        )
    return execute(program.match, columns, keys)[0].astype(np.bool_)


def session_key(program: Program, columns: Columns) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """(key, valid): the key that each row needs to match, and whether any key would do.

    Only the bits of ``program.key_mask`` are set. Rows of one source with equal keys form a session. ValueError for an
    expression without a key.
    """
    if program.session is None:
        raise ValueError(f"{program.expression} has no key")
    hits, values = execute(program.session, columns, values=True)
    return values, hits.astype(np.bool_)


def evaluate_many(programs: Bundle | Sequence[Program], columns: Columns) -> NDArray[np.uint32]:
    """One pass for up to 32 expressions: bit k of a row is set where expression k matches.

    Give a ``Bundle`` where the same programs meet many batches: linking a sequence costs about a millisecond.
    """
    bundle = programs if isinstance(programs, Bundle) else compile_bundle([p.expression for p in programs])
    return execute(bundle.match, columns)[0]


def arguments(code: Code, columns: Columns) -> tuple[int, list[NDArray[Any]]]:
    """Row count and the twelve column arrguments of ``machine.run``; columns that are not needed are empty."""
    missing = sorted(code.columns - columns.keys())
    if missing:
        raise ValueError(f"columns missing for this expression: {', '.join(missing)}")
    rows: int | None = None
    taken: list[NDArray[Any]] = []
    for name, dtype in COLUMNS:
        if name in code.columns:
            given = columns[name]
            if given.dtype != dtype or given.ndim != 1:
                raise ValueError(
                    f"column {name} is {given.dtype}{list(given.shape)}, expected {np.dtype(dtype)}[n]"
                )
            if rows is not None and len(given) != rows:
                raise ValueError(f"column {name} has {len(given)} rows, others have {rows}")
            rows = len(given)
            array = np.ascontiguousarray(given).view()
        else:
            array = np.empty(0, dtype)
        array.flags.writeable = False  # one type of argument, one compilation
        taken.append(array)
    if rows is None:  # an expression of constants alone: as long as what is given
        rows = max((len(column) for column in columns.values()), default=0)
    return rows, taken


def execute(
    code: Code, columns: Columns, keys: NDArray[np.uint32] | None = None, values: bool = False
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Run machine code: (hits, values), both uint32 and one per row; ``values`` is empty unless asked for."""
    rows, taken = arguments(code, columns)
    given = np.empty(0, np.uint32) if keys is None else np.ascontiguousarray(keys, np.uint32).view()
    given.flags.writeable = False
    if keys is not None and len(given) != rows:
        raise ValueError(f"{len(given)} keys for {rows} rows")
    hits = np.empty(rows, np.uint32)
    found = np.empty(rows if values else 0, np.uint32)
    run(code.code, np.empty((code.slots, BLOCK), np.uint32), *taken, given, hits, found)
    return hits, found
