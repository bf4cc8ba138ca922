"""The sampled packets of each source as columns: what the summary keeps, decoded for judging."""

from __future__ import annotations

import numpy as np

from andon.detect.darknet.tools.catalogue import Signature
from andon.detect.darknet.tools.summary import SAMPLE
from andon.records.expression import compile_program, evaluate, machine, parse
from andon.records.expression.ast import fields_of
from andon.records.expression.program import Code, Emitter
from andon.records.packet import IPV4, SYN, TCP
from andon.sketch.hashing import mix64_array, unmix64_array
from andon.sketch.rows import KeyedRows

FIELD_COLUMN = {
    "ip.dst": "dst",
    "ip.id": "ip_id",
    "tcp.seq": "tcp_seq",
    "tcp.srcport": "src_port",
    "tcp.dstport": "dst_port",
    "tcp.window": "tcp_window",
}
_FREE = np.uint64(0xFFFFFFFFFFFFFFFF)


class Sample:
    """A sample table with arrays of shape (sources, SAMPLE): ``columns`` in wire types, ``valid`` tells used
    places. Where kept, ``sequences`` and ``sequences_valid`` are sampled distinct sequence numbers and ``ttls`` the
    number of different TTLs of each source."""

    def __init__(self, rows: KeyedRows, key: int) -> None:
        keys, columns = rows.table()
        self.level = rows.level
        self.sources = keys.astype(np.uint32)
        self.packets = columns["packets"]
        self.first, self.last = columns["times"][:, 0], -columns["times"][:, 1]
        items = columns["sample"].reshape(len(keys), SAMPLE, 2)
        hashed, others = items[..., 0].reshape(-1), items[..., 1].reshape(-1)
        salt = np.uint64(key)
        word = unmix64_array(hashed, salt) ^ mix64_array(others, salt)
        shape = (len(keys), SAMPLE)
        self.valid = (hashed != _FREE).reshape(shape)
        self.count = self.valid.sum(axis=1)
        low16 = np.uint64(0xFFFF)
        self.columns = {
            "src": np.repeat(self.sources, SAMPLE).reshape(shape),
            "dst": (word >> np.uint64(32)).astype(np.uint32).reshape(shape),
            "tcp_seq": (word & np.uint64(0xFFFFFFFF)).astype(np.uint32).reshape(shape),
            "src_port": (others >> np.uint64(48)).astype(np.uint16).reshape(shape),
            "dst_port": ((others >> np.uint64(32)) & low16).astype(np.uint16).reshape(shape),
            "tcp_window": ((others >> np.uint64(16)) & low16).astype(np.uint16).reshape(shape),
            "ip_id": (others & low16).astype(np.uint16).reshape(shape),
        }
        self.ttls = np.bitwise_count(columns.get("ttls", np.zeros(len(keys), np.uint64))).astype(np.int64)
        kept = columns.get("sequences", np.full(shape, _FREE))
        self.sequences_valid = kept != _FREE
        self.sequences = unmix64_array(kept.reshape(-1), salt).astype(np.uint32).reshape(shape)

    def flat(self) -> dict[str, np.ndarray]:
        """The columns for evaluation, one row per place; every place as a TCP SYN packet."""
        rows = {name: array.reshape(-1) for name, array in self.columns.items()}
        rows["layers"] = np.full(self.valid.size, IPV4 | TCP, np.uint8)
        rows["tcp_flags"] = np.full(self.valid.size, SYN, np.uint8)
        return rows

    def matching(self, expression: str) -> np.ndarray:
        """Which places hold a packet that satisfies an expression (bool, like ``valid``)."""
        hits = evaluate(compile_program(parse(expression)), self.flat()).reshape(self.valid.shape)
        return np.asarray(self.valid & hits)


def value_code(signature: Signature) -> Code | None:
    """Machine code for ``Signature.value``; None where there is none, or a global one that a sample cannot give.
    Raises ValueError for a session signature that looks at a field that is not sampled."""
    if signature.value is None:
        return None
    unknown = fields_of(signature.value) - FIELD_COLUMN.keys()
    if signature.scope == "session":
        unknown |= (set(signature.vary) | set(signature.specific)) - FIELD_COLUMN.keys()
        if unknown:
            names = ", ".join(sorted(unknown))
            raise ValueError(f"session signature of {signature.tool} needs {names}, which is not sampled")
    if unknown:
        return None
    emitter = Emitter()
    emitter.emit(machine.VALUE, emitter.value(signature.value))
    return emitter.finish()


def distinct(group: np.ndarray, values: list[np.ndarray]) -> np.ndarray:
    """How many different tuples of values there are among each source's places in ``group`` (int64 per source)."""
    equal = group[:, :, None] & group[:, None, :]
    for array in values:
        equal &= array[:, :, None] == array[:, None, :]
    earlier = np.tri(group.shape[1], k=-1, dtype=np.bool_)
    repeated = (equal & earlier).any(axis=2)
    return np.asarray((group & ~repeated).sum(axis=1))
