"""A line of the log as numbers: what all parts of the simulation make and all writers write."""

from __future__ import annotations

from typing import Final

import numpy as np

LINE: Final = np.dtype(
    [
        ("ts", "<i8"),  # begin, ms since the start of the scenario
        ("elapsed", "<i4"),  # ms
        ("terminal", "<i4"),
        ("host", "<i4"),
        ("path", "<i4"),  # of the pool; -1: CONNECT
        ("tail", "<u4"),  # behind the path, in hex; 0: nothing
        ("ref_host", "<i4"),  # -1: no referer
        ("ref_path", "<i4"),
        ("size", "<i4"),  # bytes to the terminal
        ("sent", "<i4"),  # bytes from it
        ("agent", "<i2"),
        ("status", "u1"),  # of STATUS
        ("method", "u1"),  # of METHODS
    ]
)
METHODS: Final = ("GET", "POST", "HEAD", "CONNECT")
GET, POST, HEAD, CONNECT = range(4)
STATUS: Final = (
    ("TCP_MISS", 200), ("TCP_HIT", 200), ("TCP_MEM_HIT", 200), ("TCP_REFRESH_UNMODIFIED", 304), ("TCP_MISS", 304),
    ("TCP_MISS", 404), ("TCP_MISS", 302), ("TCP_MISS", 301), ("TCP_MISS", 503), ("TCP_MISS_ABORTED", 0),
    ("TCP_DENIED", 403), ("TCP_TUNNEL", 200), ("TCP_MISS", 204), ("TCP_TUNNEL", 503), ("TCP_DENIED", 407),
)  # fmt: skip
(OK, HIT, MEMORY, FRESH, NOT_MODIFIED, NOT_FOUND, FOUND, MOVED, UNAVAILABLE, ABORTED, DENIED, TUNNEL, NO_CONTENT,
 NO_TUNNEL, NO_USER) = range(15)  # fmt: skip
FROM_CACHE: Final = (HIT, MEMORY)
REFUSED: Final = (DENIED, NO_USER)
# How often which, by what is asked for: a page, what it loads, a tunnel, a program that calls home.
_OFTEN: Final = (
    {
        OK: 216,
        MEMORY: 6,
        NOT_MODIFIED: 10,
        NOT_FOUND: 6,
        MOVED: 4,
        FOUND: 6,
        UNAVAILABLE: 2,
        ABORTED: 3,
        DENIED: 3,
    },
    {
        OK: 128,
        HIT: 26,
        MEMORY: 36,
        FRESH: 24,
        NOT_MODIFIED: 28,
        NOT_FOUND: 6,
        UNAVAILABLE: 2,
        ABORTED: 4,
        DENIED: 2,
    },
    {TUNNEL: 252, NO_TUNNEL: 1, DENIED: 2, NO_USER: 1},
    {OK: 226, NO_CONTENT: 20, NOT_MODIFIED: 5, UNAVAILABLE: 3, NOT_FOUND: 1, ABORTED: 1},
)
A_PAGE, A_RESOURCE, A_TUNNEL, A_CALL = range(4)


def status_table() -> np.ndarray:
    """uint8 (class, 256): status for a random byte."""
    return np.array([np.repeat(list(of), list(of.values())) for of in _OFTEN], np.uint8)


def size_table() -> np.ndarray:
    """int32 (class, 1024): quantiles of the bytes that come back, then of the milliseconds it takes (class + 4)."""
    rank = (np.arange(1024) + 0.5) / 1024
    normal = np.sqrt(2) * _erfinv(2 * rank - 1)
    median = np.array([22_000, 9_000, 30_000, 900, 180, 90, 9_000, 70])[:, None]
    spread = np.array([1.1, 1.5, 1.6, 0.6, 0.9, 1.0, 1.3, 0.8])[:, None]
    most = np.array([4e6, 4e7, 4e8, 4e4, 3e4, 3e4, 118_000, 2e4])[:, None]
    return np.asarray(np.minimum(median * np.exp(spread * normal), most), np.int32)


def _erfinv(x: np.ndarray) -> np.ndarray:
    """Winitzki's approximation, good to 0.4 %: enough for sizes."""
    a = 0.147
    ln = np.log1p(-x * x)
    part = 2 / (np.pi * a) + ln / 2
    return np.asarray(np.sign(x) * np.sqrt(np.sqrt(part * part - ln / a) - part))


def lines(count: int) -> np.ndarray:
    """``count`` empty lines: no path, no referer, GET, 200."""
    made = np.zeros(count, LINE)
    made["ref_host"] = made["ref_path"] = -1
    return made


def finish(
    made: np.ndarray, via: np.ndarray, what: int, rng: np.random.Generator, keep: bool = False
) -> np.ndarray:
    """Sets status, size, duration, and what a tunnel hides, of lines of class ``what``; ``keep``: status and size of
    those that are not tunnels were set before."""
    tunnel = via[made["host"]] == 0
    of = np.where(tunnel, A_TUNNEL, what)
    dice = rng.integers(0, 1 << 30, len(made))
    status = _STATUS[of, dice & 255]
    size, elapsed = _SIZES[of, dice >> 8 & 1023], _SIZES[of + 4, dice >> 18 & 1023]
    set_status = tunnel if keep else np.ones(len(made), bool)
    made["status"] = np.where(set_status, status, made["status"])
    made["size"] = np.where(set_status & ~(keep & (made["size"] > 0)), size, made["size"])
    made["elapsed"] = elapsed
    made["path"][tunnel] = made["ref_host"][tunnel] = made["ref_path"][tunnel] = -1
    made["tail"][tunnel] = 0
    made["method"][tunnel] = CONNECT
    small = np.isin(made["status"], (FRESH, NOT_MODIFIED, NO_CONTENT, *REFUSED, NO_TUNNEL))
    made["size"][small] = 180 + dice[small] % 200
    sent = np.where(tunnel, made["size"] // 12 + 900, 420 + dice % 400)
    made["sent"] = np.where(made["sent"] > 0, made["sent"], sent)
    return made


_STATUS: Final = status_table()
_SIZES: Final = size_table()
