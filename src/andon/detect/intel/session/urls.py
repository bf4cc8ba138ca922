"""URLs of downloads, taken apart by hand: they are never fetched, and libraries that parse them raise on hostile
ones.

The *base* of a URL is its path without the architecture that the loader puts at the end: the 15 most used bases of
the IoT device set carry one token each in 12 cases (research note, section 3.4), hosts change from day to day.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

LONGEST: Final = 512  # characters of a URL or base that are kept
_PARTS: Final = re.compile(
    r"^(?:[A-Za-z][A-Za-z0-9+.-]{0,15}:/{1,4})?(?:[^/?#@]{0,256}@)?"
    r"(\[[0-9a-fA-F:.]{2,64}\]|[^/:?#]{0,256})(?::(\d{1,5}))?([^?#]{0,2048})"
)
_ARCHITECTURES: Final = (
    "x86_64", "x86_32", "x86", "x64", "amd64", "i386", "i486", "i586", "i686", "armv4l", "armv4tl", "armv4eb", "armv4",
    "armv5l", "armv5tl", "armv5", "armv6l", "armv6", "armv7l", "armv7", "arm4l", "arm4tl", "arm4t", "arm4", "arm5l",
    "arm5n", "arm5", "arm6l", "arm6", "arm7l", "arm7", "arm8", "arm64", "aarch64", "arm", "mips64", "mips32", "mipsel",
    "mipseb", "mpsl", "mips", "mpslel", "ppc440fp", "ppc440", "ppc64", "ppc", "powerpc", "sh4", "sparc", "spc", "m68k",
    "m68", "arc", "superh", "riscv64", "dbg",
)  # fmt: skip
_LONGEST_FIRST: Final = sorted(map(re.escape, _ARCHITECTURES), key=len, reverse=True)
_END: Final = re.compile(rf"(?i)(?<=[._/a-z0-9-])(?:{'|'.join(_LONGEST_FIRST)})$")
_MOZI: Final = re.compile(r"(?i)^(.*/mozi\.)[am](?:\.m)?$")


@lru_cache(maxsize=65_536)
def parts(url: str) -> tuple[str, int, str]:
    """(host in lower case, port or -1, path) of a URL.

    >>> parts("http://192.0.2.7:8080/bins/sora.arm7?x")
    ('192.0.2.7', 8080, '/bins/sora.arm7')
    """
    found = _PARTS.match(url[:4096])
    if found is None:
        return "", -1, ""
    port = int(found.group(2)) if found.group(2) else -1
    return found.group(1).strip("[]").lower(), port if port <= 0xFFFF else -1, found.group(3)


@lru_cache(maxsize=65_536)
def base(url: str) -> str:
    """Path of a URL without the architecture; "" where nothing is left that tells.

    >>> [base("http://192.0.2.7" + path) for path in ("/bins/sora.arm7", "/jklmips", "/x86", "/hid/boatnet.x86_64")]
    ['/bins/sora.', '/jkl', '', '/hid/boatnet.']
    """
    path = parts(url)[2]
    for end in (".gz", ".bin", ".elf", ".exe"):
        path = path.removesuffix(end)
    mozi = _MOZI.match(path)
    path = mozi.group(1) if mozi else _END.sub("", path, count=1)
    return path[:LONGEST] if len(path.strip("/.-_")) >= 2 else ""


def kept(url: str) -> str:
    """A URL as it is kept: of bounded length, without what a log must not hold."""
    return "".join(char for char in url[:LONGEST] if char.isprintable())
