"""The capture that the parse benchmark reads: telescope traffic of a fixed mixture, written fast.

One /16 telescope, two hours, 400,000 sources whose rates follow Pareto(1.1); the mixture of stacks is that of
the research note on capture speed (section 2): Mirai-like 34 % of the sources, Linux SYN 27 % (20 bytes of
options), Windows SYN 12 % (12), UDP 9 % (8 to 127 bytes), Masscan 5 %, ICMP echo 5 %, SYN-ACK 3 %, ZMap 2 %,
RST 2 %, ICMP unreachable 1 %; ZMap and Masscan sources send 6 to 8 times more. It is not the traffic
simulator of the product: it exists so that the benchmark needs nothing else.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numba import njit

SHARES: Final = (0.34, 0.27, 0.12, 0.09, 0.05, 0.05, 0.03, 0.02, 0.02, 0.01)
MIRAI, LINUX, WINDOWS, UDP, MASSCAN, PING, SYNACK, ZMAP, RST, UNREACHABLE = range(10)
_SECONDS: Final = 7200
_CHUNK: Final = 1 << 20
_LONGEST: Final = 16 + 14 + 20 + 8 + 128


@njit(cache=True, nogil=True)
def _be(out: Any, at: int, value: int, size: int) -> None:
    for k in range(size):
        out[at + k] = (value >> (8 * (size - 1 - k))) & 0xFF


@njit(cache=True, nogil=True)
def _checksum(out: Any, at: int) -> None:
    total = 0
    for k in range(0, 20, 2):
        total += (int(out[at + k]) << 8) | int(out[at + k + 1])
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    _be(out, at + 10, ~total & 0xFFFF, 2)


@njit(cache=True, nogil=True)
def _write(out: Any, ns: Any, src: Any, dst: Any, kind: Any, port: Any, noise: Any, options: Any) -> int:
    at = 0
    for i in range(ns.size):
        k = kind[i]
        r = int(noise[i])
        seq = r & 0xFFFFFFFF
        ident = (r >> 32) & 0xFFFF
        opt = 0
        flags = 2
        transport = 20
        proto = 6
        if k == 0:
            seq = int(dst[i])
        elif k == 1:
            opt = 20
        elif k == 2:
            opt = 12
        elif k == 3:
            proto = 17
            transport = 16 + ((r >> 40) % 120)
        elif k == 4:
            opt = 4
            ident = (int(dst[i]) ^ int(port[i]) ^ seq) & 0xFFFF
        elif k == 5:
            proto = 1
            transport = 40
        elif k == 6:
            flags = 18
        elif k == 7:
            ident = 54321
        elif k == 8:
            flags = 4
        elif k == 9:
            proto = 1
            transport = 36
        transport += opt
        cap = 34 + transport
        sec = ns[i] // 1_000_000_000
        micro = ns[i] % 1_000_000_000 // 1000
        for j in range(4):
            out[at + j] = (sec >> (8 * j)) & 0xFF
            out[at + 4 + j] = (micro >> (8 * j)) & 0xFF
            out[at + 8 + j] = (cap >> (8 * j)) & 0xFF
            out[at + 12 + j] = (cap >> (8 * j)) & 0xFF
        at += 16
        for j in range(cap):
            out[at + j] = 0
        out[at + 1] = 2
        out[at + 7] = 2
        out[at + 12] = 8
        p = at + 14
        out[p] = 0x45
        _be(out, p + 2, 20 + transport, 2)
        _be(out, p + 4, ident, 2)
        out[p + 8] = 40 + ((r >> 48) & 31)
        out[p + 9] = proto
        _be(out, p + 12, int(src[i]), 4)
        _be(out, p + 16, int(dst[i]), 4)
        _checksum(out, p)
        t = p + 20
        if proto == 6:
            reply = k in (6, 8)
            low = 1024 + ((r >> 36) & 0x7FFF)
            _be(out, t, int(port[i]) if reply else low, 2)
            _be(out, t + 2, low if reply else int(port[i]), 2)
            _be(out, t + 4, seq, 4)
            _be(out, t + 8, (r >> 7) & 0xFFFFFFFF if reply else 0, 4)
            out[t + 12] = (20 + opt) * 4
            out[t + 13] = flags
            _be(out, t + 14, (r >> 20) & 0xFFFF, 2)
            for j in range(opt):
                out[t + 20 + j] = options[k, j]
        elif proto == 17:
            _be(out, t, 1024 + ((r >> 36) & 0x7FFF), 2)
            _be(out, t + 2, int(port[i]), 2)
            _be(out, t + 4, transport, 2)
        else:
            out[t] = 8 if k == 5 else 3
            out[t + 1] = 0 if k == 5 else 1
            if k == 9:
                out[t + 8] = 0x45
                _be(out, t + 10, 60, 2)
                out[t + 17] = 6
        at += cap
    return at


def generate(path: Path, packets: int, seed: int = 1) -> int:
    """Write ``packets`` packets to ``path`` as little-endian microsecond pcap; the size in bytes."""
    rng = np.random.default_rng(seed)
    sources = 400_000
    kind = rng.choice(len(SHARES), size=sources, p=SHARES).astype(np.int64)
    rate = rng.pareto(1.1, size=sources) + 1
    rate[(kind == ZMAP) | (kind == MASSCAN)] *= 7
    # Without a cap the heaviest of 400,000 Pareto sources would decide the mixture by itself.
    cumulative = np.cumsum(np.minimum(rate, np.quantile(rate, 0.9999)))
    address = rng.integers(1 << 24, 223 << 24, size=sources, dtype=np.int64)
    ports = np.concatenate([rng.permutation(1024)[:24], rng.integers(1, 65536, size=20_000)])
    weight = np.cumsum(1.0 / np.arange(1, ports.size + 1) ** 1.05)
    options = np.zeros((len(SHARES), 20), dtype=np.uint8)
    options[LINUX] = list(bytes.fromhex("020405b40402080a11223344000000000103030a"))
    options[WINDOWS, :12] = list(bytes.fromhex("020405b40103030801010402"))
    options[MASSCAN, :4] = list(bytes.fromhex("020405b4"))
    buffer = np.zeros(_CHUNK * _LONGEST, dtype=np.uint8)
    clock = 1_700_000_000 * 1_000_000_000
    size = 24
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for start in range(0, packets, _CHUNK):
            n = min(_CHUNK, packets - start)
            gaps = rng.exponential(_SECONDS * 1e9 / packets, size=n)
            ns = clock + np.cumsum(gaps).astype(np.int64)
            clock = int(ns[-1])
            which = np.searchsorted(cumulative, rng.random(n) * cumulative[-1])
            port = np.where(
                kind[which] == MIRAI,
                np.where(rng.random(n) < 0.9, 23, 2323),
                ports[np.searchsorted(weight, rng.random(n) * weight[-1])],
            )
            dst = 0xC6120000 + rng.integers(0, 65536, size=n)
            noise = rng.integers(0, 1 << 62, size=n)
            used = _write(buffer, ns, address[which], dst, kind[which], port, noise, options)
            out.write(memoryview(buffer)[:used])  # type: ignore[arg-type]
            size += used
    return size
