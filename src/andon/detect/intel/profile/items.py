"""Items: what a family is known by, as one key of kind and value, and which items can hold a family together.

An item is a mark of the darknet (fingerprint, port set) or a behaviour at honeypots. *Anchors* are those that one actor
has for itself: a token, a payload, the address that payloads come from, a name in a URL. The others (credentials,
exploits, scripts, clients) are shared by many actors: they describe a family and never join two.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Final

import numpy as np

from andon.records import joint

SEPARATOR: Final = "\x1f"
FINGERPRINT, PORT_SET = joint.MARK_FINGERPRINT, joint.MARK_PORT_SET
HOST, NAME = "host", "name"  # where payloads come from; what intel.session calls the family
CONTROLLER, STEP, TECHNIQUE = "controller", "step", "technique"  # what else is told of a family's sessions
ANCHORS: Final = (joint.TOKEN, HOST, joint.PAYLOAD, joint.URL_BASE, NAME)
SHARED: Final = (joint.CREDENTIAL, joint.EXPLOIT, joint.CLUSTER, joint.HASSH, joint.URL_BASE)
# Tokens of half of all forks, and the class of tokens that are drawn anew: they name nobody.
_COMMON_TOKENS: Final = frozenset(
    ("botnet", "bot", "bots", "mirai", "ecchi", "ihcce", "busybox", "test", "<random>", "applet", "unknown")
)
# What intel.session says where it only knows the stock that hundreds of forks come from.
_COMMON_NAMES: Final = frozenset(("mirai", "gafgyt", "bashlite", "tsunami", "xmrig", ""))
_TOOLS: Final = ("zmap", "masscan", "nmap", "unicornscan", "mirai", "hajime", "mozi")
_DULL: Final = frozenset(
    [
        "bins", "bin", "hiddenbin", "payload", "download", "downloads", "arm", "mips", "main", "wget", "curl",
        "tftp", "shell", "temp", "tmp", "file", "files", "data", "update", "linux", "test", "http", "index",
        "html", "hidden", "script", "scripts", "x86", "kk", "a", "b", "x", "y", "z", "arch", "m", "d", "ssh",
        "bot", "bots", "sora", "mirai", "loader", "busybox", "init", "jaws", "gpon", "huawei", "realtek", "lol",
        "update1", "upload", "uploads", "static", "img", "images", "css", "js", "public",
    ]
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,24}")
_HOST = re.compile(r"^[a-z0-9+]{2,8}://(?:[^/@]{0,80}@)?([^/:?#]+)")


def item(kind: str, value: str) -> str:
    return f"{kind}{SEPARATOR}{value}"


def parts(key: str) -> tuple[str, str]:
    """(kind, value).

    >>> parts(item("token", "DLALXLA"))
    ('token', 'DLALXLA')
    """
    kind, _, value = key.partition(SEPARATOR)
    return kind, value


def host_of(url: str) -> str:
    """Host of a URL, "" if it has none.

    >>> host_of("http://198.51.100.7:8080/bins/a"), host_of("tftp get a")
    ('198.51.100.7', '')
    """
    match = _HOST.match(url)
    return match.group(1).lower() if match else ""


def is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True


def named_base(base: str) -> bool:
    """Whether the base of a URL holds a word that somebody thought of, unlike ``/bins/arm.``.

    >>> named_base("/hiddenbin/boatnet."), named_base("/bins/arm.")
    (True, False)
    """
    return any(word.lower() not in _DULL for word in _WORD.findall(base))


@lru_cache(maxsize=65_536)
def joins(key: str) -> bool:
    """Whether an item can hold a family together.

    >>> joins(item("token", "BOTNET")), joins(item("token", "DLALXLA")), joins(item("credential", "root:1234"))
    (False, True, False)
    """
    kind, value = parts(key)
    if kind == joint.TOKEN:
        return value.casefold() not in _COMMON_TOKENS and not value.startswith("/")
    if kind == HOST:
        return is_address(value)
    if kind == joint.URL_BASE:
        return named_base(value)
    if kind == NAME:
        return value.casefold() not in _COMMON_NAMES
    if kind == FINGERPRINT:
        return not is_tool(value)
    return kind in (joint.PAYLOAD, PORT_SET)


def is_tool(fingerprint: str) -> bool:
    """Whether a fingerprint is the name of a tool that everybody has, or of malware that hundreds of forks come from.

    >>> is_tool("ZMap"), is_tool("Mirai scanner"), is_tool("tcp.seq == ip.dst"), is_tool("F03")
    (True, True, False, False)
    """
    return fingerprint.casefold().startswith(_TOOLS)


def ports_of(written: str) -> frozenset[str]:
    return frozenset(part for part in written.split(",") if part)


def written(ports: frozenset[str] | set[str]) -> str:
    """A set of ports as text, ascending.

    >>> written({"2323", "23", "udp/53"})
    '23,2323,udp/53'
    """
    return ",".join(sorted(ports, key=lambda p: (p.rpartition("/")[0], int(p.rpartition("/")[2] or 0))))


def hashed(numbers: np.ndarray, key: int) -> np.ndarray:
    """32-bit keyed hashes of addresses, the same for every item, so that samples of sources can be compared."""
    x = numbers.astype(np.uint64) + np.uint64(key & 0xFFFF_FFFF_FFFF_FFFF)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: np.ndarray = (x ^ (x >> np.uint64(31))) >> np.uint64(32)
    return found


def short(text: str, size: int = 4) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=size).hexdigest()
