"""Relations that are known already: whoever carries them is explained before the search begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from andon.records.expression import canonical, chance_rate, evaluate, parse, session_key
from andon.records.expression.program import compile_program

from .candidate import FULL, Candidate
from .proof import GLOBAL_BITS, SESSION_BITS, log2_choose
from .search import Search
from .verify import Counted, Verified


def explain_known(search: Search, known: Sequence[str]) -> None:
    """Take out the rows and sources of each expression in turn; families of fewer sources than the least are kept too.

    Evidence per source as in `verify.py`. ExpressionError for text that is none.
    """
    for text in known:
        expression = canonical(parse(text))
        program = compile_program(expression)
        bits = float(-np.log2(chance_rate(expression)))
        if bits <= 0:
            continue
        use = np.flatnonzero(search.open)
        columns = {name: column[use] for name, column in search.rows.columns.items()}
        source = search.rows.source[use]
        sizes = np.bincount(source, minlength=len(search.rows.sizes))
        order = np.arange(len(use), dtype=np.uint32)
        session = program.key_bits > 0
        if session:
            keys, valid = session_key(program, columns)
            counted = Counted.of(source[valid], keys[valid], columns["tcp_seq"][valid])
            where = np.flatnonzero(valid)
            evidence = (counted.hits - 1) * np.minimum(bits, np.bitwise_count(counted.varied))
        else:
            where = np.flatnonzero(evaluate(program, columns))
            counted = Counted.of(source[where], np.zeros(len(where), np.uint32), order[where])
            evidence = counted.hits * bits
        evidence = evidence - log2_choose(sizes[counted.source], counted.hits)
        strong = evidence >= (SESSION_BITS if session else GLOBAL_BITS)
        if not strong.any():
            continue
        rows = np.zeros(len(search.open), np.bool_)
        rows[use[where]] = strong[counted.of_row] if session else True
        candidate = Candidate(str(expression), "^", "", FULL, FULL, "known", 0.0, "tcp.seq")
        found = Verified(
            candidate, expression, "session" if session else "global", 0, rows, np.unique(counted.source[strong]), bits,
            int(counted.hits[strong].sum()),
        )  # fmt: skip
        search.found.append(replace(found))
        search.open &= ~rows
