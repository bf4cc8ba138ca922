"""What other engines know of sources: fingerprints, tools, port sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

_MOST_SHARE = 0.3  # of the sources must carry a name for it to be told


def shared_name(table: pa.Table | None, column: str, sources: np.ndarray) -> tuple[str, float]:
    """(name, share) that most of the sources (int64, ascending) have in a table with columns ``src`` and ``column``;
    ("", 0) if none has a clear share."""
    if table is None or not table.num_rows or not len(sources) or column not in table.schema.names:
        return "", 0.0
    src = table["src"].to_numpy().astype(np.int64)
    rows = np.flatnonzero(np.isin(src, sources))
    if not len(rows):
        return "", 0.0
    names = np.array([str(x) for x in table[column].take(pa.array(rows)).to_pylist()], dtype=object)
    found, place = np.unique(names, return_inverse=True)
    # A source may stand in several rows of one name.
    pairs = np.unique(np.stack([place, src[rows]], axis=1), axis=0)
    count = np.bincount(pairs[:, 0], minlength=len(found))
    count[found == ""] = 0
    best = int(np.argmax(count))
    share = float(count[best]) / len(sources)
    return (str(found[best]), share) if share >= _MOST_SHARE else ("", 0.0)
