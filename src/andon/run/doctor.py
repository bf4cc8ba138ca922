"""Checks of the installation, each with what to do when it fails."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True)
class Item:
    name: str
    ok: bool
    needed: bool
    detail: str


def examine() -> list[Item]:
    """All checks; nothing is changed but numba's cache of compiled kernels."""
    return [_python(), *_libraries(), _kernels(), *_tools(), _memory(), _disk()]


def _python() -> Item:
    text = ".".join(map(str, sys.version_info[:3]))
    tested = sys.version_info[:2] == (3, 11)
    return Item("python", sys.version_info >= (3, 11), True, text if tested else f"{text} (tested is 3.11)")


def _libraries() -> list[Item]:
    items = []
    for name in ("numpy", "numba", "pyarrow", "typer", "rich", "isal", "zstandard", "lz4", "maxminddb"):
        try:
            items.append(Item(name, True, True, version(name)))
        except PackageNotFoundError:
            items.append(Item(name, False, True, "not installed: run `make` or `pip install .`"))
    return items


def _kernels() -> Item:
    from time import process_time

    import numpy as np

    from andon.sketch.hashing import mix64_array

    before = process_time()
    mix64_array(np.arange(4, dtype=np.uint64), np.uint64(1))
    folder = os.environ.get("NUMBA_CACHE_DIR", "beside the package")
    return Item("compiled kernels", True, True, f"work ({process_time() - before:.2f} s CPU; cache {folder})")


def _tools() -> list[Item]:
    uses = {
        "tcpdump": "runs the checks of findings; on Debian: apt install tcpdump",
        "tshark": "a second opinion on counts; on Debian: apt install tshark",
    }
    return [
        Item(name, path is not None, False, path or f"not found; {use}")
        for name, use in uses.items()
        for path in [shutil.which(name)]
    ]


def _memory() -> Item:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Item("memory", total >= 2, False, f"{total:.1f} GiB (2 or more is comfortable)")


def _disk() -> Item:
    free = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    return Item(
        "temporary disk", free >= 1, False, f"{free:.1f} GiB free in {tempfile.gettempdir()} (demo: 1)"
    )
