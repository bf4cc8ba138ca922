"""Records of one template to numbers and addresses, in compiled passes over the bytes of many sets."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def walk(
    data: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    lengths: np.ndarray,
    columns: np.ndarray,
    least: int,
    numbers: np.ndarray,
    addresses: np.ndarray,
    sets: np.ndarray,
    slots: np.ndarray,
) -> tuple[int, int]:
    """(records, sets that end inside a record). Set i is ``data[starts[i]:stops[i]]``.

    ``numbers`` (int64, rows x columns, -1 before) takes unsigned values of up to eight bytes; ``addresses`` (uint8,
    rows x 4 x 16) those of the columns that ``slots`` numbers; ``sets``: the set of each record. No room (0 rows):
    count only. Values from 2^63 on wrap to negative ones. A rest that is smaller than a record is padding."""
    row, cut = 0, 0
    room = numbers.shape[0]
    for i in range(starts.shape[0]):
        at, stop = starts[i], stops[i]
        while stop - at >= least:
            begin = at
            whole = True
            for k in range(lengths.shape[0]):
                size = lengths[k]
                if size == 65_535:
                    if at >= stop:
                        whole = False
                        break
                    size = np.int64(data[at])
                    at += 1
                    if size == 255:
                        if at + 2 > stop:
                            whole = False
                            break
                        size = (np.int64(data[at]) << 8) | np.int64(data[at + 1])
                        at += 2
                if at + size > stop:
                    whole = False
                    break
                column = columns[k]
                if column >= 0 and row < room:
                    slot = slots[column]
                    if slot >= 0:
                        if size <= 16:
                            for j in range(size):
                                addresses[row, slot, j] = data[at + j]
                            numbers[row, column] = size
                    elif size > 0:
                        first = max(at, at + size - 8)
                        value = np.uint64(0)
                        for j in range(first, at + size):
                            value = (value << np.uint64(8)) | np.uint64(data[j])
                        numbers[row, column] = np.int64(value)
                at += size
            if not whole:
                cut += 1
                if row < room:
                    for j in range(numbers.shape[1]):
                        numbers[row, j] = -1
                break
            if row < room:
                sets[row] = i
            row += 1
            if at == begin:
                break
    return row, cut
