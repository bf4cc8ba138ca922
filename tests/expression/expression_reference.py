"""What an expression means, said a second time: plain Python on one packet, and strategies that write expressions."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from andon.records.expression import And, Comparison, Const, Field, Fn, Key, Sum
from andon.records.expression.fields import FIELDS

MASK = 0xFFFFFFFF
DTYPES = {
    "src": np.uint32,
    "dst": np.uint32,
    "tcp_seq": np.uint32,
    "tcp_ack": np.uint32,
    "ip_id": np.uint16,
    "ip_len": np.uint16,
    "src_port": np.uint16,
    "dst_port": np.uint16,
    "tcp_window": np.uint16,
    "ttl": np.uint8,
    "tcp_flags": np.uint8,
    "layers": np.uint8,
}
COLUMN = {
    "ip.src": "src",
    "ip.dst": "dst",
    "ip.id": "ip_id",
    "ip.ttl": "ttl",
    "ip.len": "ip_len",
    "tcp.srcport": "src_port",
    "tcp.dstport": "dst_port",
    "tcp.seq": "tcp_seq",
    "tcp.ack": "tcp_ack",
    "tcp.window": "tcp_window",
    "tcp.flags": "tcp_flags",
    "udp.srcport": "src_port",
    "udp.dstport": "dst_port",
}
LAYERS = {"ip": 1, "tcp": 1 | 4, "udp": 1 | 8}


def value_of(node, row, key=0):
    """The value of a node for a packet given as a dict of columns."""
    if isinstance(node, Const):
        return node.value
    if isinstance(node, Field):
        return int(row[COLUMN[node.name]])
    if isinstance(node, Key):
        return key & (0xFFFF if node.bits == 16 else MASK)
    if isinstance(node, Fn):
        x = value_of(node.argument, row, key)
        bits = 16 if node.name.endswith("16") else 32
        if node.name == "hi16":
            return x // 65536
        x %= 2**bits
        if node.name == "lo16":
            return x
        if node.name.startswith("bswap"):
            return int.from_bytes(x.to_bytes(bits // 8, "big"), "little")
        text = format(x, f"0{bits}b")
        return int(text[node.n :] + text[: node.n], 2)
    total = value_of(node.terms[0], row, key)
    for term in node.terms[1:]:
        x = value_of(term, row, key)
        total = {
            "^": lambda a, b: a ^ b,
            "|": lambda a, b: a | b,
            "&": lambda a, b: a & b,
            "+": lambda a, b: a + b,
            "-": lambda a, b: a - b,
            "*": lambda a, b: a * b,
            "<<": lambda a, b: a * 2**b if b < 32 else 0,
            ">>": lambda a, b: a // 2**b if b < 32 else 0,
        }[node.op](total, x) % 2**32
    return total


def present(node, row):
    """Are all fields of the node in the packet?"""
    if isinstance(node, Field):
        need = LAYERS[node.name.split(".")[0]]
        return int(row["layers"]) & need == need
    parts = node.terms if isinstance(node, Sum) else (node.argument,) if isinstance(node, Fn) else ()
    return all(present(part, row) for part in parts)


def holds(node, row, key=0):
    """Does the packet satisfy the expression?"""
    if isinstance(node, Comparison):
        if not (present(node.left, row) and present(node.right, row)):
            return False
        return (value_of(node.left, row, key) == value_of(node.right, row, key)) == (node.op == "==")
    results = [holds(term, row, key) for term in node.terms]
    return all(results) if isinstance(node, And) else any(results)


def rows_of(columns):
    """Columns as a list of dicts."""
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def random_columns(rng, rows, layers=(1, 5, 5, 5, 9, 17, 2, 2 | 4, 65, 129)):
    """Packets: half of them uniform, half with small values that are equal across fields, so that things meet."""
    columns = {}
    small = rng.random(rows) < 0.5
    base = rng.integers(0, 4, rows)
    for name, dtype in DTYPES.items():
        wide = rng.integers(0, np.iinfo(dtype).max, rows, dtype=dtype, endpoint=True)
        columns[name] = np.where(small, base.astype(dtype), wide)
    columns["layers"] = rng.choice(np.array(layers, np.uint8), rows)
    return columns


constants = st.one_of(
    st.integers(0, 9),
    st.sampled_from([16, 31, 32, 0xFF, 0xFFFF, 0xFF00, 0xFFFF0000, 54321, 0x1000193, 0x80000000, MASK]),
    st.integers(0, MASK),
).map(Const)
fields = st.sampled_from(list(FIELDS)).map(Field)
tcp_fields = st.sampled_from([name for name in FIELDS if not name.startswith("udp")]).map(Field)


def values(leaves, depth=8):
    """Values over the given leaves."""

    def larger(inner):
        rotations = st.one_of(
            st.builds(lambda x, n: Fn("rotl32", x, n), inner, st.integers(0, 31)),
            st.builds(lambda x, n: Fn("rotl16", x, n), inner, st.integers(0, 15)),
        )
        plain = st.builds(Fn, st.sampled_from(["bswap16", "bswap32", "lo16", "hi16"]), inner)
        chains = st.builds(
            lambda op, terms: Sum(op, tuple(terms)),
            st.sampled_from(["^", "^", "|", "&", "+", "-", "*", "<<", ">>"]),
            st.lists(inner, min_size=2, max_size=4),
        )
        shifts = st.builds(
            lambda op, x, n: Sum(op, (x, Const(n))), st.sampled_from(["<<", ">>"]), inner, st.integers(0, 33)
        )
        return st.one_of(rotations, plain, chains, chains, shifts)

    return st.recursive(leaves, larger, max_leaves=depth)


def comparisons(leaves=None, depth=8):
    """Comparisons of two values."""
    inner = values(leaves if leaves is not None else st.one_of(tcp_fields, tcp_fields, constants), depth)
    return st.builds(Comparison, inner, st.sampled_from(["==", "==", "!="]), inner)


def expressions(leaves=None, depth=8):
    """Comparisons joined by and / or."""
    from andon.records.expression import Or

    return st.recursive(
        comparisons(leaves, depth),
        lambda inner: st.builds(
            lambda kind, terms: kind(tuple(terms)),
            st.sampled_from([And, Or]),
            st.lists(inner, min_size=2, max_size=3),
        ),
        max_leaves=4,
    )
