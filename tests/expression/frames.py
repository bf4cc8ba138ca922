"""Frames of every kind a telescope sees, written and read with struct alone (no code of ours)."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
from expression_reference import DTYPES


def ipv4(rng, payload, proto, *, ident, ttl=64, src=None, dst=None, options=0, frag=0, length=None):
    ihl = 5 + options
    header = struct.pack(
        ">BBHHHBBHII",
        0x40 | ihl,
        0,
        ihl * 4 + len(payload) if length is None else length,
        ident,
        frag,
        ttl,
        proto,
        0,
        src if src is not None else int(rng.integers(0, 1 << 32)),
        dst if dst is not None else int(rng.integers(0, 1 << 32)),
    )
    return header + bytes(rng.integers(0, 256, options * 4, dtype=np.uint8)) + payload


def tcp(sport, dport, seq, ack=0, flags=2, window=1024):
    return struct.pack(">HHIIBBHHH", sport, dport, seq, ack, 0x50, flags, window, 0, 0)


def ethernet(ethertype, payload, tags=()):
    head = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02"
    for kind, vid in tags:
        head += struct.pack(">HH", kind, vid)
    return head + struct.pack(">H", ethertype) + payload


def random_frame(rng):
    """One frame; half of the TCP ones carry a known relation, so that filters have something to find."""
    word = lambda bits=32: int(rng.integers(0, 1 << bits))  # noqa: E731
    pick = lambda *choices: choices[int(rng.integers(len(choices)))]  # noqa: E731
    src, dst, ident = word(), word(), pick(54321, 3, word(16))
    sport, dport, seq = pick(3, word(16)), pick(23, 80, 3), word()
    match int(rng.integers(6)):
        case 0:
            seq = dst
        case 1:
            ident = (dst ^ dport ^ seq) & 0xFFFF
        case 2:
            seq = ((dst << 7 | dst >> 25) ^ (sport << 16) ^ 0xA5C3F00D) & 0xFFFFFFFF
        case 3:
            seq = (dst * 0x01000193 + dport) & 0xFFFFFFFF
    proto = pick(6, 6, 6, 6, 17, 1)
    body = {
        6: tcp(sport, dport, seq, pick(0, word()), pick(2, 2, 18, 4), pick(1024, 14600, 3)),
        17: struct.pack(">HHHH", sport, dport, 12, 0) + b"abcd",
        1: struct.pack(">BBHI", 8, 0, 0, word()),
    }[proto]
    body += bytes(rng.integers(0, 256, int(rng.integers(0, 12)), dtype=np.uint8))
    options = pick(0, 0, 0, 1, 5, 10)
    frag = pick(0, 0, 0, 0, 0x4000, 0x2000, 0x2001, 0x0005)
    ihl = (5 + options) * 4
    length = pick(None, None, None, None, None, ihl + int(rng.integers(0, len(body) + 1)))
    tags = pick((), (), (), ((0x8100, 7),), ((0x88A8, 9), (0x8100, 7)))
    if rng.random() < 0.12:  # IPv6, whose TCP must not be taken for IPv4's
        head = struct.pack(">IHBB", 0x60000000, len(body), proto if proto != 1 else 58, 64)
        frame = ethernet(0x86DD, head + bytes(rng.integers(0, 256, 32, dtype=np.uint8)) + body, tags)
    elif rng.random() < 0.03:
        frame = ethernet(0x0806, bytes(28), tags)
    else:
        packet = ipv4(
            rng,
            body,
            proto,
            ident=ident,
            ttl=pick(64, 255, 3),
            src=src,
            dst=dst,
            options=options,
            frag=frag,
            length=length,
        )
        frame = ethernet(0x0800, packet, tags)
    cut = len(frame)
    if rng.random() < 0.1:
        # Never inside the fixed IPv4 header: there is no packet then, for us or for anyone.
        cut = int(rng.integers(min(14 + 4 * len(tags) + 20, len(frame)), len(frame) + 1))
    return frame, cut


def write_pcap(path: Path, frames) -> None:
    """Microsecond pcap; the timestamp of a packet is its number."""
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for number, (frame, cut) in enumerate(frames):
            out.write(struct.pack("<IIII", number, 0, cut, len(frame)) + frame[:cut])


def read_pcap(path: Path):
    """(captured bytes, wire length) of every packet; little-endian microsecond pcap only."""
    data = path.read_bytes()
    at, packets = 24, []
    while at + 16 <= len(data):
        _, _, captured, wire = struct.unpack_from("<IIII", data, at)
        packets.append((data[at + 16 : at + 16 + captured], wire))
        at += 16 + captured
    return packets


def columns_of(captures, tags):
    """Packet-record columns of Ethernet frames with at most ``tags`` VLAN tags; other frames get layers 0."""
    columns = {name: np.zeros(len(captures), dtype) for name, dtype in DTYPES.items()}
    for row, frame in enumerate(captures):
        at = 12
        for _ in range(tags):
            if len(frame) >= at + 4 and frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
                at += 4
        if frame[at : at + 2] != b"\x08\x00" or len(frame) < at + 22:
            continue
        ip = frame[at + 2 :]
        ihl = (ip[0] & 15) * 4
        if ip[0] >> 4 != 4 or ihl < 20:
            continue
        length, ident, frag, ttl, proto, src, dst = struct.unpack_from(">2xHHHBB2xII", ip)
        layers = 1
        set_row = {"ip_len": length, "ip_id": ident, "ttl": ttl, "src": src, "dst": dst}
        whole = min(len(ip), length or len(ip)) - ihl if frag & 0x1FFF == 0 else 0
        if proto == 6 and whole >= 20:
            layers |= 4
            sport, dport, seq, ack, flags, window = struct.unpack_from(">HHIIxBH", ip, ihl)
            set_row |= {"src_port": sport, "dst_port": dport, "tcp_seq": seq, "tcp_ack": ack}
            set_row |= {"tcp_flags": flags, "tcp_window": window}
        elif proto == 17 and whole >= 8:
            layers |= 8
            set_row["src_port"], set_row["dst_port"] = struct.unpack_from(">HH", ip, ihl)
        for name, value in (set_row | {"layers": layers}).items():
            columns[name][row] = value
    return columns


def tcpdump_selects(pcap: Path, text: str, *flags: str) -> list[int]:
    """Numbers (timestamps) of the packets that tcpdump writes for a filter."""
    run = subprocess.run(
        ["tcpdump", *flags, "-r", str(pcap), "-w", "-", text], capture_output=True, check=False, timeout=60
    )
    if b"expression rejects all packets" in run.stderr:  # libpcap saw through a contradiction
        return []
    assert run.returncode == 0, f"{text}\n{run.stderr.decode()}"
    at, numbers = 24, []
    while at < len(run.stdout):
        number, _, captured, _ = struct.unpack_from("<IIII", run.stdout, at)
        numbers.append(number)
        at += 16 + captured
    return numbers
