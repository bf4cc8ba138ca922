"""Checks of the installation, each with what to do when it fails."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


@dataclass(frozen=True)
class Item:
    name: str
    ok: bool
    needed: bool
    detail: str


def examine() -> list[Item]:
    """All checks; nothing is changed but numba's cache of compiled kernels."""
    return [_python(), *_libraries(), _kernels(), *_tools(), _nftables(), *_permissions(), _memory(), _disk()]


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
        "ovs-ofctl": "shows what a switch holds for an openflow enforcer; on Debian: apt install openvswitch-common",
    }
    return [
        Item(name, path is not None, False, path or f"not found; {use}")
        for name, use in uses.items()
        for path in [shutil.which(name)]
    ]


def _nftables() -> Item:
    """Whether an nft enforcer can be made here: the library and a kernel that answers it."""
    from andon.contain.contract import Rejected, Unreachable
    from andon.contain.enforcers.nft.library import Library

    name = "libnftables"
    try:
        library = Library()
    except Unreachable as error:
        return Item(name, False, False, f"{error}; needed by nft enforcers alone")
    try:
        if not _may("CAP_NET_ADMIN"):  # libnftables would say so by itself, on stderr
            return Item(
                name, True, False, "loaded; whether the kernel answers is seen with CAP_NET_ADMIN only"
            )
        library.run("list tables")  # changes nothing
    except Unreachable as error:
        return Item(name, False, False, f"loaded, and the kernel does not answer: {error}")
    except Rejected as error:
        return Item(name, False, False, f"loaded, and may not be used here: {error}")
    finally:
        library.close()
    return Item(name, True, False, "loaded, and the kernel answers (nft enforcers)")


_USES = {  # by name: the kernel's number and what Andon does with it
    "CAP_NET_RAW": (13, "captures from an interface"),
    "CAP_NET_ADMIN": (12, "nft enforcers"),
    "CAP_SYS_ADMIN": (21, "nft enforcers with netns"),
}


def _permissions() -> list[Item]:
    """Capabilities of this process: who runs `andon run` needs those that its configuration uses."""
    advice = "not held by you; a service gets them by packaging/andon.service"
    return [
        Item(f"permission {name}", _may(name), False, use if _may(name) else f"{use}: {advice}")
        for name, (_, use) in _USES.items()
    ]


def _may(name: str) -> bool:
    return bool(capabilities(Path("/proc/self/status")) >> _USES[name][0] & 1)


def capabilities(status: Path) -> int:
    """Effective capabilities as a bit mask, of a file like /proc/self/status; 0 where nothing says."""
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def _memory() -> Item:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return Item("memory", total >= 2, False, f"{total:.1f} GiB (2 or more is comfortable)")


def _disk() -> Item:
    free = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    return Item(
        "temporary disk", free >= 1, False, f"{free:.1f} GiB free in {tempfile.gettempdir()} (demo: 1)"
    )
