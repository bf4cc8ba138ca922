"""A second reader of captures, written to be read: plain Python, ``struct`` and slices, no numba.

It shares nothing with ``andon.observe`` but the column names, and says what a row should be. Slow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

ABSENT = [
    "src",
    "dst",
    "src_port",
    "dst_port",
    "tcp_flags",
    "tcp_seq",
    "tcp_ack",
    "ip_id",
    "tcp_window",
    "frag",
]
ABSENT += ["icmp_type", "icmp_code", "tcp_hlen", "tcp_mss", "tcp_options"]
ETHERTYPE_TAGS = {0x8100, 0x88A8, 0x9100}
MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}


def records(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(link type, nanoseconds, bytes on the wire, captured bytes) of each record of an undamaged pcap."""
    order, unit = MAGIC[data[:4]]
    link = struct.unpack(order + "I", data[20:24])[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data):
        sec, fraction, cap, wire = struct.unpack(order + "IIII", data[at : at + 16])
        yield link, sec * 10**9 + fraction * unit, wire, data[at + 16 : at + 16 + cap]
        at += 16 + cap


def _ppp(protocol: int) -> int | None:
    return {0x21: 0x0800, 0x57: 0x86DD}.get(protocol)


def _start(link: int, b: bytes) -> tuple[int, int | None]:
    """Offset behind the link header and the ethertype there."""
    if link == 1 and len(b) >= 14:
        return 14, int.from_bytes(b[12:14], "big")
    if link in {12, 14, 101} and b:
        return 0, {4: 0x0800, 6: 0x86DD}.get(b[0] >> 4)
    if link in {228, 229}:
        return 0, 0x0800 if link == 228 else 0x86DD
    if link == 113 and len(b) >= 16:
        return 16, int.from_bytes(b[14:16], "big")
    if link == 276 and len(b) >= 20:
        return 20, int.from_bytes(b[0:2], "big")
    if link in {0, 108} and len(b) >= 4:
        family = min(int.from_bytes(b[:4], "little"), int.from_bytes(b[:4], "big"))
        return 4, 0x0800 if family == 2 else (0x86DD if family in {10, 24, 28, 30} else None)
    if link == 285 and len(b) >= 22:
        return 22, int.from_bytes(b[20:22], "big")
    return 0, None


def _network(link: int, b: bytes) -> tuple[int, int, int, int] | None:
    """(offset, IP version, tags, outermost VLAN id) of the IP header, None if there is none."""
    o, et = _start(link, b)
    tags, vlan = 0, 0xFFFF
    while et is not None:
        if et in {0x0800, 0x86DD}:
            return o, 4 if et == 0x0800 else 6, tags, vlan
        if et in ETHERTYPE_TAGS and len(b) >= o + 4:
            tags += 1
            if tags == 1:
                vlan = int.from_bytes(b[o : o + 2], "big") & 0xFFF
            et = int.from_bytes(b[o + 2 : o + 4], "big")
            o += 4
        elif et == 0x8926 and len(b) >= o + 6:
            et = int.from_bytes(b[o + 4 : o + 6], "big")
            o += 6
        elif et in {0x8847, 0x8848} and len(b) >= o + 5:
            bottom = b[o + 2] & 1
            o += 4
            et = {4: 0x0800, 6: 0x86DD}.get(b[o] >> 4) if bottom else et
        elif et == 0x8864 and len(b) >= o + 8:
            et = _ppp(int.from_bytes(b[o + 6 : o + 8], "big"))
            o += 8
        elif et <= 1500 and b[o : o + 6] == b"\xaa\xaa\x03\0\0\0" and len(b) >= o + 8:
            et = int.from_bytes(b[o + 6 : o + 8], "big")
            o += 8
            if et < 0x0600:
                return None
        else:
            return None
    return None


def _options(data: bytes) -> tuple[int, int]:
    kinds: list[int] = []
    mss = 0
    i = 0
    while i < len(data) and len(kinds) < 8:
        kind = data[i]
        if kind == 0:
            kinds.append(0xFF)
            break
        kinds.append(kind)
        if kind == 1:
            i += 1
            continue
        if i + 1 >= len(data) or data[i + 1] < 2 or i + data[i + 1] > len(data):
            break
        if kind == 2 and data[i + 1] == 4:
            mss = int.from_bytes(data[i + 2 : i + 4], "big")
        i += data[i + 1]
    return int.from_bytes(bytes(kinds), "little"), mss


def row(link: int, ns: int, wire: int, b: bytes) -> dict[str, int | bytes] | None:
    """The packet record of one frame, None when it gives no row."""
    found = _network(link, b)
    if found is None:
        return None
    o, version, tags, vlan = found
    ip = b[o:]
    fixed = 20 if version == 4 else 40
    if len(ip) < fixed or ip[0] >> 4 != version or (version == 4 and ip[0] & 15 < 5):
        return None
    r: dict[str, int | bytes] = dict.fromkeys(ABSENT, 0)
    r |= {"ts": ns, "vlan_tags": tags, "vlan_id": vlan, "cap_len": len(b), "wire_len": wire}
    r |= {"src6": bytes(16), "dst6": bytes(16)}
    later = False
    if version == 4:
        layers = 1
        r["tos"], r["ttl"], proto = ip[1], ip[8], ip[9]
        length, r["ip_id"], frag = struct.unpack(">HHH", ip[2:8])
        r["ip_len"], r["frag"] = length, frag
        r["src"], r["dst"] = struct.unpack(">II", ip[12:20])
        later = frag & 0x1FFF != 0
        body = (ip[:length] if length else ip)[(ip[0] & 15) * 4 :]
    else:
        layers = 2
        r["tos"], r["ttl"], proto = (ip[0] & 15) << 4 | ip[1] >> 4, ip[7], ip[6]
        payload = int.from_bytes(ip[4:6], "big")
        r["ip_len"] = min(payload + 40, 65535)
        r["src6"], r["dst6"] = ip[8:24], ip[24:40]
        body = ip[40 : 40 + payload] if payload or proto else ip[40:]
        for _ in range(16):
            if proto not in {0, 43, 44, 51, 60} or len(body) < 8:
                break
            size = (body[1] + 2) * 4 if proto == 51 else (body[1] + 1) * 8
            if proto == 44:
                size = 8
                frag = int.from_bytes(body[2:4], "big") & 0xFFF9
                r["frag"], later = frag, frag >= 8
            proto, body = body[0], body[size:]
            if later:
                break
    r["proto"] = proto
    if later:
        layers |= 64
    elif proto == 6 and len(body) >= 20:
        layers |= 4
        r["src_port"], r["dst_port"], r["tcp_seq"], r["tcp_ack"] = struct.unpack(">HHII", body[:12])
        r["tcp_hlen"], r["tcp_flags"] = (body[12] >> 4) * 4, body[13]
        r["tcp_window"] = int.from_bytes(body[14:16], "big")
        r["tcp_options"], r["tcp_mss"] = _options(body[20 : (body[12] >> 4) * 4])
    elif proto == 17 and len(body) >= 8:
        layers |= 8
        r["src_port"], r["dst_port"] = struct.unpack(">HH", body[:4])
    elif (proto, version) in {(1, 4), (58, 6)} and len(body) >= 2:
        layers |= 16 if version == 4 else 32
        r["icmp_type"], r["icmp_code"] = body[0], body[1]
    elif proto in {6, 17} or (proto, version) in {(1, 4), (58, 6)}:
        layers |= 128
    r["layers"] = layers
    return r


def rows(data: bytes) -> list[dict[str, int | bytes]]:
    """The rows of an undamaged pcap."""
    made = (row(link, ns, wire, b) for link, ns, wire, b in records(data))
    return [r for r in made if r is not None]
