"""libnftables in this process (ctypes): commands as text in, answers out, one transaction a call.

The library's three ways to fail become ours: it is not there or the kernel is busy (Unreachable), the kernel said no
(Rejected, with its text), or it named something that is not there (Missing, for the caller to read again).
"""

from __future__ import annotations

import ctypes
import json
import threading
from typing import Any, Final

from andon.contain.contract import Rejected, Unreachable

_JSON: Final = 1 << 4
_NUMERIC_PRIORITY: Final = 1 << 8
_TERSE: Final = 1 << 11
# What passes by itself; the rest is a refusal.
_PASSING: Final = (
    "Resource busy", "Device or resource busy", "No buffer space", "Interrupted", "Cannot allocate memory", "Timeout",
)  # fmt: skip
_ABSENT: Final = ("No such file or directory", "does not exist")
_LONGEST_ERROR: Final = 500


class Missing(Rejected):
    """A table, set or element that a command named is not there."""


class NotHere(Exception):
    """This has to be done in the thread that made the context, which is in the right network namespace."""


class Library:
    """One context of libnftables. Its sockets belong to the network namespace in which it was made, whichever thread
    uses them (one at a time); what opens new ones has to be done where it was made.

    Raises Unreachable if the library is not installed or the kernel has no nf_tables.
    """

    def __init__(self, name: str = "libnftables.so.1") -> None:
        try:
            self._lib = ctypes.CDLL(name)
        except OSError as error:
            raise Unreachable(
                f"{name} cannot be loaded ({error}); on Debian it is in libnftables1"
            ) from error
        self._declare()
        self._home = threading.get_ident()
        self._context = self._new()

    def _new(self) -> Any:
        context = self._lib.nft_ctx_new(0)
        if not context:
            raise Unreachable("libnftables gave no context")
        self._lib.nft_ctx_buffer_output(context)
        self._lib.nft_ctx_buffer_error(context)
        return context

    def _declare(self) -> None:
        lib, pointer = self._lib, ctypes.c_void_p
        lib.nft_ctx_new.restype, lib.nft_ctx_new.argtypes = pointer, [ctypes.c_uint32]
        lib.nft_ctx_free.restype, lib.nft_ctx_free.argtypes = None, [pointer]
        lib.nft_ctx_output_set_flags.restype = None
        lib.nft_ctx_output_set_flags.argtypes = [pointer, ctypes.c_uint]
        for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
            getattr(lib, name).argtypes = [pointer]
        for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
            getattr(lib, name).restype, getattr(lib, name).argtypes = ctypes.c_char_p, [pointer]
        lib.nft_run_cmd_from_buffer.argtypes = [pointer, ctypes.c_char_p]

    def at_home(self) -> None:
        """Raises NotHere in another thread than the one that made this."""
        if threading.get_ident() != self._home:
            raise NotHere

    def run(self, commands: str) -> str:
        """All of it or nothing. Raises Missing, Rejected, Unreachable."""
        return self._run(commands, 0)

    def read(self, command: str, terse: bool = False) -> list[dict[str, Any]]:
        """The objects that a ``list`` gives. ``terse``: sets without their elements."""
        self.at_home()
        flags = _JSON | _NUMERIC_PRIORITY | (_TERSE if terse else 0)
        try:
            answer = self._run(command, flags)
        finally:
            # A context keeps all it has read: memory, and time in the next change, which has none to lose.
            self.close()
            self._context = self._new()
        objects: list[dict[str, Any]] = json.loads(answer)["nftables"] if answer.strip() else []
        return objects

    def _run(self, commands: str, flags: int) -> str:
        if not self._context:
            raise Unreachable("the library's context is closed")
        self._lib.nft_ctx_output_set_flags(self._context, flags)
        failed = self._lib.nft_run_cmd_from_buffer(self._context, commands.encode("ascii"))
        answer: bytes = self._lib.nft_ctx_get_output_buffer(self._context) or b""
        error: bytes = self._lib.nft_ctx_get_error_buffer(self._context) or b""
        if failed:
            raise _said(error.decode(errors="replace"))
        return answer.decode(errors="replace")

    def close(self) -> None:
        if self._context:
            self._lib.nft_ctx_free(self._context)
            self._context = None


def _said(text: str) -> Exception:
    first = next((line for line in text.splitlines() if "rror" in line), text).strip()[:_LONGEST_ERROR]
    if any(part in text for part in _PASSING):
        return Unreachable(f"nftables: {first}")
    if any(part in text for part in _ABSENT):
        return Missing(f"nftables: {first}")
    return Rejected(f"nftables: {first or 'failed without a word'}")
