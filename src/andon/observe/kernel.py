"""How the functions that run once per packet are compiled.

Compilation is a cost that a person waits for, and numba pays it again at every level: a compiled function's
code is optimised once by itself and once more in each caller. So there are three kinds. ``entry``: called from
Python, cached on disk. ``inner``: called from kernels only; nothing to call it from Python is generated.
``inlined``: has no life of its own, its text is put into its caller.
"""

from __future__ import annotations

from typing import Any

from numba import njit

entry: Any = njit(cache=True, nogil=True)
inner: Any = njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
inlined: Any = njit(nogil=True, inline="always")
