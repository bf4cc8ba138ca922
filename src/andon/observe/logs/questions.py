"""Questions to DNS: which of them are contacts with a destination.

Questions for names of addresses (PTR) and of the local network (``.local``, single labels, mDNS, LLMNR, NetBIOS) are
not: nobody goes there.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.observe.jsonlines.kernel import ABSENT
from andon.observe.logs.encode import Places, lowered, words

_LOCAL_PORTS: Final = (137, 5353, 5355)  # NetBIOS, mDNS, LLMNR
ASIDE: Final = "DNS questions for reverse and local names"


def asked(
    name: Places, kind: Places, port: np.ndarray
) -> tuple[pa.DictionaryArray, pa.DictionaryArray, np.ndarray]:
    """(host, type asked for, bool: a contact) of questions; ``port``: of the server."""
    host = lowered(words(undotted(name)))
    names, types = host.dictionary, words(kind)
    near = pc.or_(pc.ends_with(names, ".local"), pc.invert(pc.match_substring(names, ".")))
    near = pc.or_(near, pc.ends_with(names, ".arpa"))
    reverse = pc.equal(types.dictionary, "PTR")
    away = by_code(host, near) | by_code(types, reverse) | np.isin(port, _LOCAL_PORTS)
    return host, types, ~away


def undotted(name: Places) -> Places:
    """Names without the dot at their end."""
    data, begins, ends, kinds = name
    there = (kinds != ABSENT) & (ends - begins > 1)  # the place of what is absent may be anywhere
    dotted = there & (data[np.where(there, ends - 1, 0)] == 0x2E)
    return data, begins, ends - dotted, kinds


def by_code(column: pa.DictionaryArray, values: pa.Array) -> np.ndarray:
    """What is said of each word, for each row."""
    said = values.to_numpy(zero_copy_only=False)
    return np.asarray(said[column.indices.to_numpy(zero_copy_only=False)])
