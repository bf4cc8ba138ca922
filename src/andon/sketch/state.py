"""Named arrays as bytes and back: version, shapes and checksum, no code.

Layout: ``ANDN`` | uint32 length of the header | header (JSON: kind, version, scalars, arrays) | array bytes in
header order | 16-byte BLAKE2b of all before. Equal content gives equal bytes, so a digest of the bytes is a
digest of the state.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping

import numpy as np

_MAGIC = b"ANDN"
_DTYPES = frozenset({"<u1", "|u1", "<u2", "<u4", "<u8", "<i4", "<i8", "<f8", "|b1", "|i1", "<i2"})


class StateError(ValueError):
    """The bytes are not a state of the expected kind and version, or are damaged."""


def pack(
    kind: str, version: int, arrays: Mapping[str, np.ndarray], scalars: Mapping[str, int] | None = None
) -> bytes:
    """Bytes of the arrays and integer scalars, in the order given.

    >>> arrays, scalars = unpack("demo", 1, pack("demo", 1, {"x": np.arange(3, dtype="<i8")}, {"n": 3}))
    >>> arrays["x"].tolist(), scalars
    ([0, 1, 2], {'n': 3})
    """
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header = json.dumps(
        {
            "kind": kind,
            "version": version,
            "scalars": {name: int(value) for name, value in (scalars or {}).items()},
            "arrays": [[name, array.dtype.str, list(array.shape)] for name, array in plain.items()],
        },
        separators=(",", ":"),
    ).encode()
    parts: list[bytes | memoryview] = [_MAGIC, struct.pack("<I", len(header)), header]
    parts += [a.reshape(-1).view(np.uint8).data for a in plain.values()]  # not copied but once, below
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part)
    return b"".join([*parts, digest.digest()])


def join(first: bytes, second: bytes) -> bytes:
    """Two states as one: the length of the first (uint64), then both.

    >>> split(join(b"one", b"two"))
    (b'one', b'two')
    """
    return struct.pack("<Q", len(first)) + first + second


def split(data: bytes) -> tuple[bytes, bytes]:
    """What ``join`` joined. Raises StateError if it is cut short."""
    if len(data) < 8:
        raise StateError("damaged state: cut short")
    (length,) = struct.unpack_from("<Q", data)
    return data[8 : 8 + length], data[8 + length :]


def unpack(kind: str, version: int, data: bytes) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The arrays (writable copies) and scalars. Raises StateError on anything unexpected."""
    body, checksum = memoryview(data)[:-16], data[-16:]
    if len(data) < 24 or data[:4] != _MAGIC:
        raise StateError("not a saved state: too short or wrong magic")
    if hashlib.blake2b(body, digest_size=16).digest() != checksum:
        raise StateError("damaged state: checksum does not match")
    (length,) = struct.unpack_from("<I", body, 4)
    try:
        header = json.loads(data[8 : min(8 + length, len(body))])
        if (header["kind"], header["version"]) != (kind, version):
            raise StateError(
                f"state of {header['kind']} version {header['version']}, expected {kind} version {version}"
            )
        arrays: dict[str, np.ndarray] = {}
        position = 8 + length
        for name, dtype, shape in header["arrays"]:
            if dtype not in _DTYPES:
                raise StateError(f"state holds an array of type {dtype}")
            count = int(np.prod(shape, dtype=np.int64))
            size = count * np.dtype(dtype).itemsize
            if count < 0 or position + size > len(body):
                raise StateError(f"array {name} is longer than the state")
            arrays[name] = np.frombuffer(body, dtype, count, position).reshape(shape).copy()
            position += size
        if position != len(body):
            raise StateError("bytes left over after the last array")
        scalars = {str(k): int(v) for k, v in header["scalars"].items()}
    except (KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StateError(f"damaged state header: {error}") from error
    return arrays, scalars
