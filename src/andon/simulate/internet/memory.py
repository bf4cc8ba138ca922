"""Unaligned big- and little-endian stores for compiled kernels.

Frames have any length, so their fields lie at any address; one store instead of one per byte, and no index checks,
halves the cost of a frame. The caller answers for the room behind the address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _storing(bits: int, swap: bool) -> Callable[..., Any]:
    def store(typing_context, address, value):  # type: ignore[no-untyped-def]
        signature = types.void(types.int64, types.int64)

        def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            word = ir.IntType(bits)
            narrow = builder.trunc(arguments[1], word)
            pointer = builder.inttoptr(arguments[0], word.as_pointer())
            builder.store(builder.bswap(narrow) if swap else narrow, pointer, align=1)
            return context.get_dummy_value()

        return signature, code

    made: Callable[..., Any] = intrinsic(store)
    return made


put16 = _storing(16, True)
put32 = _storing(32, True)
put32le = _storing(32, False)
