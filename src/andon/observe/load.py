"""Unaligned loads and stores by address, the ground the packet kernels stand on.

Ordinary indexing of a byte array costs three times as much in numba: ``b[i] << 8`` is widened to 64 bits,
checked for wrap-around and loaded byte by byte. Each function here becomes one machine instruction (plus a
byte swap for the ``be`` ones).

An address is an ``int64``. Every value is given and taken as ``int64`` (zero-extended), because numba turns
mixed ``uint64``/``int64`` arithmetic into floating point. Nothing here checks bounds: a caller compares the
captured length and the end of the buffer with the bytes it is about to touch *before* each load, since a
wrong address ends the process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def _load(bits: int, swap: bool) -> Any:
    @intrinsic
    def load(typingctx: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = ir.IntType(bits)
            pointer = builder.inttoptr(args[0], word.as_pointer())
            value = builder.load(pointer)
            value.align = 1
            if swap:
                value = builder.bswap(value)
            return value if bits == 64 else builder.zext(value, ir.IntType(64))

        return types.int64(types.int64), codegen

    return load


def _store(bits: int) -> Any:
    @intrinsic
    def store(typingctx: Any, address: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = ir.IntType(bits)
            pointer = builder.inttoptr(args[0], word.as_pointer())
            narrow = args[1] if bits == 64 else builder.trunc(args[1], word)
            written = builder.store(narrow, pointer)
            written.align = 1
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), codegen

    return store


u8: Callable[[int], int] = _load(8, False)
le16: Callable[[int], int] = _load(16, False)
le32: Callable[[int], int] = _load(32, False)
le64: Callable[[int], int] = _load(64, False)
be16: Callable[[int], int] = _load(16, True)
be32: Callable[[int], int] = _load(32, True)
be64: Callable[[int], int] = _load(64, True)
put8: Callable[[int, int], None] = _store(8)
put16: Callable[[int, int], None] = _store(16)
put32: Callable[[int, int], None] = _store(32)
put64: Callable[[int, int], None] = _store(64)


@intrinsic
def swap32(typingctx: Any, value: Any) -> Any:
    """Reverse the four low bytes of a value below 2**32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(32)
        return builder.zext(builder.bswap(builder.trunc(args[0], word)), ir.IntType(64))

    return types.int64(types.int64), codegen


@intrinsic
def opaque(typingctx: Any, value: Any) -> Any:
    """The value itself, hidden from the optimiser.

    A loop over many columns that all depend on the row number is turned by LLVM into one running pointer per
    column; there are more columns than registers, so every pointer then lives on the stack. With an index that
    it cannot see through it keeps base plus scaled index plus constant, which is free on the machine.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        return builder.asm(ir.FunctionType(word, [word]), "", "=r,0", (args[0],), False)

    return types.int64(types.int64), codegen
