"""TCP option blocks and UDP payloads: the bytes behind a header, as tables that the frame writer copies from.

The layouts of operating systems are those that passive fingerprinting databases (p0f v3) list for their SYN;
UDP payloads are the shortest well-formed request of each protocol, as scanners send them.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import numpy as np

EOL, NOP = b"\x00", b"\x01"
SACK, CLOCK = b"\x04\x02", b"\x08\x0a" + bytes(8)


def _mss(value: int) -> bytes:
    return struct.pack(">BBH", 2, 4, value)


def _scale(shift: int) -> bytes:
    return bytes((3, 3, shift))


# Name -> block. Every block is a whole number of 32-bit words.
BLOCKS: Final[dict[str, bytes]] = {
    "none": b"",
    "mss": _mss(1460),  # Masscan, Nmap, many embedded stacks
    "mss1400": _mss(1400),
    "linux-ws0": _mss(1460) + SACK + CLOCK + NOP + _scale(0),
    "linux-ws2": _mss(1440) + SACK + CLOCK + NOP + _scale(2),
    "linux-ws6": _mss(1460) + SACK + CLOCK + NOP + _scale(6),
    "linux-ws7": _mss(1460) + SACK + CLOCK + NOP + _scale(7),  # also the default of ZMap since 4.1
    "windows-old": _mss(1460) + NOP + NOP + SACK,  # XP and before
    "windows": _mss(1460) + NOP + _scale(8) + NOP + NOP + SACK,
    "macos": _mss(1460) + NOP + _scale(6) + NOP + NOP + CLOCK + SACK + EOL + EOL,
    "synack": _mss(1460) + NOP + NOP + SACK + NOP + _scale(7),
}
NUMBER: Final = {name: i for i, name in enumerate(BLOCKS)}


class OptionTable(NamedTuple):
    """Per block: big-endian words (n, 10), length, checksum of the bytes, offset of the timestamp value (0: none),
    option kinds as in the packet record, value of the MSS option."""

    words: np.ndarray
    length: np.ndarray
    total: np.ndarray
    clock: np.ndarray
    layout: np.ndarray
    mss: np.ndarray


def words(data: bytes) -> int:
    """Sum of the 16-bit big-endian words of ``data``, padded with a zero byte."""
    data += bytes(len(data) % 2)
    return sum(struct.unpack(f">{len(data) // 2}H", data))


def _kinds(block: bytes) -> tuple[int, int, int]:
    layout = at = clock = mss = 0
    seen = 0
    while at < len(block) and seen < 8:
        kind = block[at]
        layout |= (kind or 0xFF) << (8 * seen)
        seen += 1
        if kind == 0:
            break
        if kind == 8:
            clock = at + 2
        if kind == 2:
            mss = struct.unpack_from(">H", block, at + 2)[0]
        at += 1 if kind == 1 else block[at + 1]
    return layout, clock, mss


def option_table() -> OptionTable:
    """The blocks as arrays, in the order of ``BLOCKS``."""
    n = len(BLOCKS)
    table = OptionTable(
        np.zeros((n, 10), np.uint32),
        np.zeros(n, np.uint8),
        np.zeros(n, np.uint32),
        np.zeros(n, np.uint8),
        np.zeros(n, np.uint64),
        np.zeros(n, np.uint16),
    )
    for i, block in enumerate(BLOCKS.values()):
        table.words[i, : len(block) // 4] = np.frombuffer(block, ">u4")
        table.length[i] = len(block)
        table.total[i] = words(block)
        table.layout[i], table.clock[i], table.mss[i] = _kinds(block)
    return table


_DNS = struct.pack(">HHHHHH", 0x1A2B, 0x0100, 1, 0, 0, 0)
PAYLOADS: Final[dict[int, bytes]] = {
    19: b"\x01",  # chargen
    53: _DNS + b"\x07version\x04bind\x00" + struct.pack(">HH", 16, 3),
    69: b"\x00\x01a\x00octet\x00",  # TFTP read
    111: struct.pack(">10I", 0x72FE1D13, 0, 2, 100000, 2, 4, 0, 0, 0, 0),  # portmap dump
    123: struct.pack(">BBBB", 0x17, 0, 3, 42) + bytes(4),  # NTP monlist
    137: struct.pack(">HHHHHH", 0x80F0, 0x10, 1, 0, 0, 0) + b"\x20CK" + b"A" * 30 + b"\x00\x00\x21\x00\x01",
    161: bytes.fromhex(
        "302602010104067075626c6963a019020471b4b5680201000201003 00b300906052b060102010500".replace(" ", "")
    ),
    389: bytes.fromhex(
        "30250201016320040 00a01000a0100020100020100010100870b6f626a656374636c6173733000".replace(" ", "")
    ),
    1434: b"\x02",  # SQL Server browser
    1900: b'M-SEARCH * HTTP/1.1\r\nHOST:239.255.255.250:1900\r\nMAN:"ssdp:discover"\r\nMX:2\r\nST:ssdp:all\r\n\r\n',
    3283: struct.pack(">HH", 0x14, 1) + b"\x03",  # Apple remote management
    3702: b"<:/>",  # WS-Discovery
    5060: b"OPTIONS sip:100@1.1.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK-1;rport\r\n"
    b"From: <sip:100@1.1.1.1>;tag=1\r\nTo: <sip:100@1.1.1.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
    5353: _DNS + b"\x09_services\x07_dns-sd\x04_udp\x05local\x00" + struct.pack(">HH", 12, 1),
    5683: b"\x40\x01\x7d\x70\xbb.well-known\x04core",  # CoAP
    11211: b"\x00\x00\x00\x00\x00\x01\x00\x00stats\r\n",  # memcached
}


class PayloadTable(NamedTuple):
    """Number of the payload for every port (0: none known), and per payload bytes, length, checksum of the bytes."""

    of_port: np.ndarray
    data: np.ndarray
    length: np.ndarray
    total: np.ndarray


def payload_table() -> PayloadTable:
    """``PAYLOADS`` as arrays; row 0 is empty."""
    n = len(PAYLOADS) + 1
    widest = max(map(len, PAYLOADS.values()))
    table = PayloadTable(
        np.zeros(65536, np.uint8),
        np.zeros((n, widest), np.uint8),
        np.zeros(n, np.uint16),
        np.zeros(n, np.uint32),
    )
    for i, (port, data) in enumerate(PAYLOADS.items(), 1):
        table.of_port[port] = i
        table.data[i, : len(data)] = np.frombuffer(data, np.uint8)
        table.length[i] = len(data)
        table.total[i] = words(data)
    return table
