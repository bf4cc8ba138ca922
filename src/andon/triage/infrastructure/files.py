"""A graph as one file: arrays alone (``.npz``), nothing in it that runs when it is read.

A file is checked before it is used: sizes that fit together, numbers within bounds. What does not fit is refused.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from andon.records.infrastructure import NODE_KINDS, RELATIONS
from andon.triage.infrastructure.entities import Entities
from andon.triage.infrastructure.graph import Graph
from andon.triage.infrastructure.nodes import Numbered

VERSION: Final = 1
_NODES: Final = ("kinds", "source", "target", "relation", "first", "last", "count", "origins")
_ENTITIES: Final = ("of", "tenures", "a", "b", "begins", "head", "open")
_GRAPH: Final = (
    "kinds",
    "ptr",
    "other",
    "edge",
    "outward",
    "size",
    "value",
    "coherence",
    "hub",
    "tie",
    "block",
)


class BadGraph(ValueError):
    """The file is no graph, or one that was damaged; the text says what is wrong."""


def save(graph: Graph, path: str | Path) -> None:
    """Write a graph; another one of this name is replaced at once or not at all. Raises OSError."""
    path = Path(path)
    arrays: dict[str, Any] = {"version": np.array([VERSION])}
    arrays |= {f"n_{name}": getattr(graph.nodes, name) for name in _NODES}
    arrays |= {f"e_{name}": getattr(graph.entities, name) for name in _ENTITIES}
    arrays |= {f"g_{name}": getattr(graph, name) for name in _GRAPH}
    arrays["rates"] = np.array(graph.rates)
    arrays["value_bytes"], arrays["value_ends"] = _packed(graph.nodes.values)
    arrays["name_bytes"], arrays["name_ends"] = _packed(pa.array(list(graph.nodes.names), pa.string()))
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with made.open("wb") as out:
            np.savez(out, **arrays)
            out.flush()
            os.fsync(out.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


def load(path: str | Path) -> Graph:
    """Read a graph. Raises OSError, BadGraph."""
    try:
        with np.load(path, allow_pickle=False) as held:
            if int(held["version"][0]) != VERSION:
                raise BadGraph(f"{path}: a graph of another version; build it again")
            arrays = {name: held[name] for name in held.files}
        nodes = Numbered(
            kinds=arrays["n_kinds"],
            values=_unpacked(arrays["value_bytes"], arrays["value_ends"]),
            names=tuple(_unpacked(arrays["name_bytes"], arrays["name_ends"]).to_pylist()),
            **{name: arrays[f"n_{name}"] for name in _NODES if name != "kinds"},
        )
        parts = Entities(**{name: arrays[f"e_{name}"] for name in _ENTITIES})
        high, low = (float(rate) for rate in arrays["rates"])
        graph = Graph(
            nodes=nodes, entities=parts, rates=(high, low), **{name: arrays[f"g_{name}"] for name in _GRAPH}
        )
        _check(graph)
    except (
        KeyError,
        ValueError,
        TypeError,
        IndexError,
        EOFError,
        zipfile.BadZipFile,
        pa.ArrowInvalid,
    ) as error:
        if isinstance(error, BadGraph):
            raise
        raise BadGraph(f"{path}: not a graph of andon graph build ({error})") from error
    return graph


def _packed(texts: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    pieces = [text.encode() for text in texts.to_pylist()]
    return np.frombuffer(b"".join(pieces) or b"\0", np.uint8), np.cumsum([0, *map(len, pieces)])


def _unpacked(data: np.ndarray, ends: np.ndarray) -> pa.StringArray:
    ends = np.ascontiguousarray(ends, np.int64)
    if len(ends) < 1 or ends[0] != 0 or (np.diff(ends) < 0).any() or ends[-1] > len(data):
        raise BadGraph("the values of the nodes are damaged")
    large = pa.LargeStringArray.from_buffers(
        len(ends) - 1, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(data))
    )
    large.validate(full=True)
    return large.cast(pa.string())


def _check(graph: Graph) -> None:
    nodes, edges, count = graph.size_of
    halves = len(graph.other)
    within = (
        (graph.nodes.kinds, len(NODE_KINDS), nodes),
        (graph.nodes.source, nodes, edges),
        (graph.nodes.target, nodes, edges),
        (graph.nodes.relation, len(RELATIONS), edges),
        (graph.entities.of, count, nodes),
        (graph.entities.a, count, edges),
        (graph.entities.b, count, edges),
        (graph.entities.head, nodes, count),
        (graph.kinds, len(NODE_KINDS), count),
        (graph.other, count, halves),
        (graph.edge, edges, halves),
        (graph.block, count, count),
        (graph.entities.tenures, count + 1, count),
    )
    for column, below, length in within:
        if column.ndim != 1 or len(column) != length or not np.issubdtype(column.dtype, np.integer):
            raise BadGraph("columns of different lengths")
        if length and (column.min() < 0 or column.max() >= below):
            raise BadGraph("a number out of bounds")
    ptr = graph.ptr
    if len(ptr) != count + 1 or ptr[0] != 0 or ptr[-1] != halves or (np.diff(ptr) < 0).any():
        raise BadGraph("rows that do not follow one another")
    floats = (graph.value, graph.coherence, graph.size, graph.hub, graph.entities.begins)
    if any(len(column) != count for column in floats) or len(graph.nodes.values) != nodes:
        raise BadGraph("columns of different lengths")
    if any(len(column) != edges for column in (graph.nodes.first, graph.nodes.last, graph.tie)):
        raise BadGraph("columns of different lengths")
    last = graph.entities.of + graph.entities.tenures[graph.entities.of] - 1
    if nodes and last.max() >= count:
        raise BadGraph("a number out of bounds")
